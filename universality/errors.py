"""Errors of the science room. Each also inherits a builtin, so that callers may catch either."""

import re
from typing import Self

_LINES = re.compile(r"\s*[\r\n]+\s*")


class UniversalityError(Exception):
    """Base class of every error raised on purpose by this room."""

    @classmethod
    def worded(cls, what: str, where: str, constraint: str, got: object, remedy: str) -> Self:
        """The error in the words of :func:`must_be`."""
        return cls(must_be(what, where, constraint, got, remedy))


class InputError(UniversalityError, ValueError):
    """An argument, array or file does not satisfy a stated constraint."""


def must_be(what: str, where: str, constraint: str, got: object, remedy: str) -> str:
    """Word an error the way every room does: what, where, constraint, value, remedy.

    Args:
        what: the thing that is wrong, for example ``"column 'text'"``.
        where: what it belongs to, for example ``"data/a.jsonl"``.
        constraint: what holds for a legal value, worded to follow "must be".
        got: the offending value; shortened when its text is long.
        remedy: one sentence that tells the reader what to do.

    Returns:
        One line, ``"<what> of <where> must be <constraint>; got <value>. <remedy>"``.
    """
    shown = _LINES.sub(" ", got if isinstance(got, str) else repr(got))
    if len(shown) > 200:
        shown = f"{shown[:160]}… ({len(shown)} characters)"
    return f"{what} of {where} must be {constraint}; got {shown}. {remedy}"


def refusal(what: str, where: str, constraint: str, got: object, remedy: str) -> InputError:
    """The error to raise for what does not satisfy a constraint, worded by :func:`must_be`."""
    return InputError.worded(what, where, constraint, got, remedy)


def require(holds: object, what: str, where: str, constraint: str, got: object, remedy: str) -> None:
    """Raise an :class:`InputError` in the words of :func:`must_be` unless ``holds``."""
    if not holds:
        raise refusal(what, where, constraint, got, remedy)
