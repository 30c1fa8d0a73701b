"""Errors of the hands, where a builtin or a handler tells them apart; what a user can put right is an InputError."""

import difflib
from collections.abc import Iterable

from universality.errors import InputError, UniversalityError, refusal


class SourceMissing(UniversalityError, ImportError):
    """A text source is not installed, or not in the version that is pinned."""


class TrainingDiverged(UniversalityError, ArithmeticError):
    """A training's numbers stopped being finite; the message says after how many tokens."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice that looks most like ``name``, worded for an error; empty if none does."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""


def missing_column(column: str, where: str, columns: Iterable[str]) -> InputError:
    """The error for a column that a file or dataset does not have."""
    there = sorted(columns)
    remedy = f"Set text_column or domain_column to a column that exists.{nearest(column, there)}"
    return refusal("column", where, f"one of {there}", repr(column), remedy)
