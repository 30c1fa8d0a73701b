"""Errors of the border where models from elsewhere come in."""

from universality.errors import InputError, UniversalityError


class HubError(UniversalityError, OSError):
    """A model, tokenizer or dataset could not be loaded from the hub or a folder."""


class CheckpointRefused(HubError, InputError):
    """A model that is there, and is none that can be opened here as it was saved."""
