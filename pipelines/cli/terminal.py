"""Two streams and their manners: data on stdout, everything else on stderr."""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import shlex
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO, cast

import typer
import typer.core

from pipelines.cli.streams import width

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
#: Width where the stream is no terminal and COLUMNS says nothing.
WIDTH = 100
#: The stdout that is kept for JSON alone, innermost last; empty where it is not.
_for_json: list[TextIO] = []


def console(stderr: bool = False) -> Console:
    """A rich console for one of the streams; honours NO_COLOR, COLUMNS and redirection."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=cast(Any, stream), width=width(stream, WIDTH), highlight=False, soft_wrap=False)


def plain_table(*columns: str) -> Table:
    """An empty table in the one style of this program; columns that start with ``>`` are set to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    return table


def titled(title: str, table: Table) -> Group:
    """A table below its title; the title may be wider than the table."""
    from rich.console import Group
    from rich.text import Text

    return Group(Text(title, style="bold"), table)


def print_json(document: Any) -> None:
    """One JSON document on stdout, in ASCII where the stream cannot hold all characters."""
    stream = _for_json[-1] if _for_json else sys.stdout
    text = json.dumps(document, indent=2, ensure_ascii=False, default=_plain)
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(document, indent=2, default=_plain)
    stream.write(text + "\n")
    stream.flush()


@contextmanager
def stdout_for_json() -> Iterator[None]:
    """Within the block stdout is for :func:`print_json` alone: what libraries print goes to stderr."""
    _for_json.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _for_json.pop()


def program() -> str:
    """This program as it can be typed: with its path where it was called so and would not be found by name."""
    called = sys.argv[0]
    if os.path.basename(called) != "universality" or shutil.which("universality") == os.path.abspath(called):
        return "universality"
    return shlex.quote(called)


def say(text: str) -> None:
    """One paragraph on stderr, below what stdout has so far."""
    sys.stdout.flush()
    sys.stderr.write(text.rstrip() + "\n")


@contextmanager
def errors_as_sentences(verbose: bool = False) -> Iterator[None]:
    """Tell errors that were worded for people as one paragraph, and end with the right exit code.

    Anything else is a defect of this program: it keeps its traceback.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # a full disk behind it is seen here, not after the program
    except KeyboardInterrupt:
        say("Interrupted.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except Exception as error:
        from storage import InvalidName, NotAStore, RunMissing, StoreError
        from universality.errors import InputError, UniversalityError

        # OSError: a full disk, a folder without rights; its own text says which file.
        if not isinstance(error, (UniversalityError, StoreError, OSError)):
            raise
        if verbose:
            say("".join(traceback.format_exception(error)))
        say(f"universality: {_sentence(error)}")
        # What the user can put right on the command line or in the recipe is a matter of usage.
        usage = isinstance(error, (InputError, InvalidName, NotAStore, RunMissing)) or _is_misplaced(error)
        raise typer.Exit(EXIT_USAGE if usage else EXIT_FAILED) from None


#: What a folder or file that was named can be the reason of; a full disk, for example, is another matter.
_MISPLACED = {errno.ENOENT, errno.EEXIST, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EROFS}


def _is_misplaced(error: Exception) -> bool:
    return isinstance(error, OSError) and error.filename is not None and error.errno in _MISPLACED


def _sentence(error: Exception) -> str:
    """An error in words; of one of the operating system, its file first and what can be done."""
    if not isinstance(error, OSError) or error.filename is None or error.strerror is None:
        return str(error)
    what = f"{error.filename} cannot be read or written: {error.strerror.lower()}."
    return f"{what} Check the path and your rights there, or give another." if _is_misplaced(error) else what


class Worded(typer.core.TyperCommand):
    """A command that says what is wrong with an option in plain words, where its library quotes its own."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """As of typer."""
        try:
            return super().make_context(*args, **kwargs)
        except typer.BadParameter as error:
            for said, ours in _PLAIN:
                error.message = re.sub(said, ours, error.message)
            raise


_PLAIN = (
    (r"^Value error, ", ""),
    (r"Input should be a valid integer.*", "must be a whole number"),
    (r"Input should be a valid number.*", "must be a number"),
    (r"Input should be a valid boolean.*", "must be true or false"),
    (r"Input should be greater than or equal to (\S+)", r"must be \1 or more"),
    (r"Input should be less than or equal to (\S+)", r"must be \1 or less"),
    (r"Input should be ", "must be "),
)


def in_sentences(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose errors are told by :func:`errors_as_sentences`; its option ``verbose`` adds tracebacks."""

    @functools.wraps(command)
    def wrapped(**options: Any) -> None:
        alone = stdout_for_json() if options.get("as_json") else nullcontext()
        with errors_as_sentences(bool(options.get("verbose"))), alone:
            command(**options)

    return wrapped


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)
    return item() if callable(item) else str(value)
