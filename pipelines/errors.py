"""Errors of the hands."""

from universality.errors import InputError, UniversalityError


class RecipeError(InputError):
    """A recipe, override or command line does not say something legal."""


class HubError(UniversalityError, OSError):
    """A model, tokenizer or dataset could not be loaded from the hub or a folder."""


class TrainingDiverged(UniversalityError, ArithmeticError):
    """A training's numbers stopped being finite; the message says after how many tokens."""
