"""Errors of the memory room. Each also inherits a builtin, so that callers may catch either."""

import re
from typing import Self

_LINES = re.compile(r"\s*[\r\n]+\s*")


class StoreError(Exception):
    """Base class of every error raised on purpose by this room."""

    @classmethod
    def worded(cls, what: str, where: str, constraint: str, got: object, remedy: str) -> Self:
        """The error that says ``"<what> of <where> must be <constraint>; got <value>. <remedy>"``.

        The twin of the science room's; the rooms do not import each other.
        """
        shown = _LINES.sub(" ", got if isinstance(got, str) else repr(got))
        if len(shown) > 200:
            shown = f"{shown[:160]}… ({len(shown)} characters)"
        return cls(f"{what} of {where} must be {constraint}; got {shown}. {remedy}")


class InvalidName(StoreError, ValueError):
    """A name, key or value cannot be stored; the message says which are legal."""


class ArtifactCorrupt(StoreError, ValueError):
    """Stored bytes are not those that were written.

    Attributes:
        reason: what is wrong, without the remedy.
    """

    reason: str = ""


class ArtifactMissing(StoreError, LookupError):
    """No such artifact, or no such entry in it."""


class ArtifactGone(ArtifactMissing):
    """The artifact of a step that had finished is not there any more."""


class TableMissing(StoreError, LookupError):
    """No finished artifact of the run has this table or column."""


class QueryError(StoreError, ValueError):
    """DuckDB refused a query."""


class RunMissing(StoreError, LookupError):
    """No such run in the store."""


class RunCorrupt(StoreError, ValueError):
    """The record of a run is not what was written."""


class NotAStore(StoreError, ValueError):
    """A place that is no store, where one is needed, or cannot become one."""


class StoreUnreachable(StoreError, OSError):
    """A file system elsewhere answers with an error of its own."""


class RunExists(StoreError, FileExistsError):
    """A run of this name exists already."""


class RunLocked(StoreError, RuntimeError):
    """A live process holds the run."""
