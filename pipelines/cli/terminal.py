"""Two streams and their manners: data on stdout, everything else on stderr."""

from __future__ import annotations

import functools
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO, cast

import typer

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


def say(text: str) -> None:
    """One paragraph on stderr."""
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
        say(f"universality: {error}")
        # What the user can put right on the command line or in the recipe is a matter of usage.
        usage = isinstance(error, (InputError, InvalidName, NotAStore, RunMissing))
        raise typer.Exit(EXIT_USAGE if usage else EXIT_FAILED) from None


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
