"""Errors of the hands."""

from universality.errors import InputError, UniversalityError


class RecipeError(InputError):
    """A recipe, override or command line does not say something legal."""


class CorpusError(InputError):
    """The text, a source of it or its split is unusable; the message says what to do."""


class HubError(UniversalityError, OSError):
    """A model, tokenizer or dataset could not be loaded from the hub or a folder."""
