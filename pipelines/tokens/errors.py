"""What can go wrong between text and rows."""

from universality.errors import InputError


class TokenizerError(InputError):
    """A tokenizer cannot be made, read, or used for exact bytes."""


class PackingError(InputError):
    """Documents and contexts do not fit each other."""
