"""Streams as shells hand them over: closed, narrow, of another encoding, or with a reader that leaves.

None of this may end a run or change what its exit code says.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, TextIO

#: What a write says when nobody reads any more: a pipe whose reader ended, a terminal that is gone.
_GONE = (errno.EPIPE, errno.EIO)


class Patient:
    """A text stream that goes on when its reader has left; what it is given then is dropped.

    Args:
        stream: the stream.
        any_error: whether any failure counts as a departure: what only tells of progress must not stop a run.

    Attributes:
        left: whether the reader has left.
    """

    def __init__(self, stream: TextIO, *, any_error: bool = False) -> None:
        self._stream, self._any_error = stream, any_error
        self.left = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or drop. Raises OSError for what is no departure, such as a full disk."""
        try:
            self._stream.write(text)
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        """Flush, or drop what is left."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if error.errno not in _GONE and not self._any_error:
            raise error
        self.left = True
        # What the stream still holds is flushed when the program ends: into nothing.
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self._stream.fileno())
        os.close(nothing)


def settle_streams() -> None:
    """Make stdin, stdout and stderr of this process safe to use; called once, at the start."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell: `>&-`
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an encoding without our signs
        setattr(sys, name, Patient(stream, any_error=name == "stderr"))


def reader_has_left(stream: Any) -> bool:
    """Whether nobody reads a stream any more: what only shows something may end."""
    return isinstance(stream, Patient) and stream.left


def width(stream: Any, usual: int) -> int | None:
    """Columns to write into a stream: ``COLUMNS`` where it is a number of at least 20, ``usual`` without a terminal.

    Returns:
        None for a terminal that is asked itself, again and again.
    """
    said = os.environ.get("COLUMNS", "")
    if said.isascii() and said.isdecimal() and len(said) < 6 and int(said) >= 20:
        return int(said)
    if not stream.isatty():
        return usual
    if not said:
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or usual
    except OSError:
        return usual
