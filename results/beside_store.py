"""Files beside a store, which itself is never written: what people and language models say of a run, one line each."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from universality.errors import refusal

Line = TypeVar("Line", bound=BaseModel)


def beside_store(store_url: str, what: str, run: str) -> Path | None:
    """A file about a run in a folder beside its store; None for a store that is not on this machine."""
    if re.match(r"^[a-z][a-z0-9+.-]*:", store_url) and not store_url.startswith("file:"):
        return None
    folder = Path(store_url.removeprefix("file://")).resolve()
    return folder.parent / f"{folder.name}-{what}" / f"{run}.jsonl"


def keep_line(path: Path, line: BaseModel) -> None:
    """Add one to a file, in one write, so that several may use it at once; a line that was cut short stays its own.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        cut = file.tell() > 0 and (file.seek(-1, 2), file.read(1))[1] != b"\n"
        file.write(b"\n" * cut + line.model_dump_json().encode() + b"\n")


def read_lines(path: Path, run: str, kind: type[Line], what: str, writer: str) -> list[Line]:
    """Every line of a file, in order; lines cut short, as a lost power leaves them, are passed over.

    Args:
        path: the file.
        run: name of the run that all lines must be about (their field ``run``).
        kind: what a line is.
        what: what a line is called.
        writer: who writes such files, for errors.

    Raises:
        InputError: it is not there, a line is of another kind, or is about another run.
    """
    found = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        got, remedy = error.strerror or str(error), f"Write it with {writer}, or name its file."
        raise refusal(f"{what}s", str(path), f"a file of {what}s", got, remedy) from None
    for number, line in enumerate(lines, 1):
        where = f"line {number} of {path}"
        try:
            one = kind.model_validate_json(line)
        except ValidationError as error:
            if not _is_json(line):
                continue
            first = error.errors()[0]
            got = ".".join(map(str, first["loc"])) + ": " + first["msg"].lower()
            remedy = f"Remove the line; {what}s are one JSON object a line."
            raise refusal(what, where, f"as {writer} writes it", got, remedy) from None
        of = one.run  # pyright: ignore[reportAttributeAccessIssue]
        if of != run:
            raise refusal("run", where, repr(run), repr(of), f"Give the {what}s about this run.")
        found.append(one)
    return found


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
