"""What can go wrong while text is read. Each error says what to do, and is a builtin too."""

import difflib
from collections.abc import Iterable

from universality.errors import InputError, UniversalityError


class CorpusError(InputError):
    """The text given cannot be used as it is."""


class SourceMissing(UniversalityError, ImportError):
    """A text source is not installed, or not in the version that is pinned."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice that looks most like ``name``, worded for an error; empty if none does."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""


def missing_column(column: str, where: str, columns: Iterable[str]) -> CorpusError:
    """The error for a column that a file or dataset does not have."""
    there = sorted(columns)
    remedy = f"Set text_column or domain_column to a column that exists.{nearest(column, there)}"
    return CorpusError.worded("column", where, f"one of {there}", repr(column), remedy)
