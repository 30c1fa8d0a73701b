"""Two streams and their manners: data on stdout, everything else on stderr."""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
#: Width where the stream is no terminal and COLUMNS says nothing.
WIDTH = 100


def console(stderr: bool = False) -> Console:
    """A rich console for one of the streams; honours NO_COLOR, COLUMNS and redirection."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    fixed = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH
    return Console(file=stream, width=fixed, highlight=False, soft_wrap=False)


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
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=_plain) + "\n")


def say(text: str) -> None:
    """One paragraph on stderr."""
    sys.stderr.write(text.rstrip() + "\n")


@contextmanager
def errors_as_sentences(verbose: bool = False) -> Iterator[None]:
    """Tell errors that were worded for people as one paragraph, and end with the right exit code.

    Anything else is a defect of this program: it keeps its traceback.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        say("Interrupted.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:  # `universality ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
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
        with errors_as_sentences(bool(options.get("verbose"))):
            command(**options)

    return wrapped


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)
    return item() if callable(item) else str(value)
