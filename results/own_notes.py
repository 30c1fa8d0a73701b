"""Names and notes that people give to runs, features, pairs and clusters: a file beside the store, one line an edit.

The store itself is never written. The last line about a thing counts; one without words takes the earlier ones back.
A feature is known by its dictionary and its number, a pair and a cluster by their features: words stay with what they
are about in every run of the store that holds it, whatever the run is called and however clusters are numbered there.
"""

from __future__ import annotations

import os
import re
import time
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, ValidationError, model_validator

from results.token_text import is_invisible
from results.words import counted
from storage import Store, StoreError
from storage.events import EventLog
from storage.files import open_files
from universality.config import Frozen
from universality.errors import InputError, refusal

Kind = Literal["run", "feature", "pair", "cluster"]
#: Most characters of a name, and of a note.
NAME_MOST, NOTE_MOST = 60, 1000
#: What turns the direction of the text around it; marks that join letters stay.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Subject(NamedTuple):
    """What a note is about.

    Attributes:
        kind: run, feature, pair or cluster.
        id: how screens of the run call it: its name, "m0:12", "m0:12-m1:7", or the number of a cluster.
        of: what it is made of, sorted: ``dictionary:latent`` of each feature; of a run, its name and when it was made.
    """

    kind: Kind
    id: str
    of: tuple[str, ...]


class Note(Frozen):
    """One line of the file: what somebody calls a thing, and says of it. Without words it takes back what was said."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    run: str = Field(description="the run that was looked at")
    comparison_id: str = Field(description="its comparison; empty for a note about the run")
    kind: Kind
    id: str
    of: tuple[str, ...] = Field(min_length=1)
    name: str = ""
    note: str = ""
    time: float = Field(ge=0, lt=1e11, description="seconds since 1970")

    @model_validator(mode="after")
    def _readable(self) -> Note:
        words = worded(self.name, self.note, self.id)
        if words != (self.name, self.note):
            raise ValueError("name and note must be as they are kept: no space around them, no control characters")
        if self.kind != "run" and not all(re.fullmatch(r".+:\d{1,9}", one) for one in self.of):
            raise ValueError("of must name a dictionary and a latent of it, as in 0123abcd:12")
        return self

    @property
    def said(self) -> str:
        """Name and note in one line."""
        return one_line(": ".join(filter(None, (self.name, self.note))))


class Kept(NamedTuple):
    """What is kept beside a store.

    Attributes:
        notes: the last one of each thing, in the order of time.
        trouble: what of the file cannot be read, in a sentence; empty where all of it can.
    """

    notes: tuple[Note, ...] = ()
    trouble: str = ""

    def of(self, subject: Subject) -> Note | None:
        """The note about a thing."""
        return next((one for one in self.notes if (one.kind, one.of) == (subject.kind, subject.of)), None)


def worded(name: str, note: str, about: str) -> tuple[str, str]:
    """A name and a note as they are kept: line ends and tabs of one kind, no space around.

    Raises:
        InputError: too long, a name of several lines, or characters that cannot be seen or that reorder text.
    """
    kept = []
    for what, given, most in (("name", name, NAME_MOST), ("note", note, NOTE_MOST)):
        text = re.sub(r"\r\n?", "\n", given).replace("\t", " ").strip()
        where = repr(about)
        if len(text) > most:
            raise refusal(what, where, f"at most {most} characters", f"{len(text)} characters", "Shorten it.")
        if what == "name" and "\n" in text:
            raise refusal(what, where, "one line", repr(text), "Write the rest as its note.")
        wrong = sorted({f"U+{ord(c):04X}" for c in text if _is_control(c)})
        if wrong:
            constraint = "text without control characters and marks that reorder text"
            raise refusal(what, where, constraint, ", ".join(wrong), "Remove them.")
        if text and all(is_invisible(c) or c.isspace() for c in text):
            raise refusal(what, where, "text that can be seen", repr(text), "Write something, or leave it empty.")
        kept.append(text)
    return kept[0], kept[1]


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    return character != "\n" and (category in ("Cc", "Cs", "Zl", "Zp") or character in _TURNING)


def one_line(text: str, most: int | None = None) -> str:
    """A note in one line, cut where it is longer than so many characters."""
    line = " ".join(text.split())
    return line if most is None or len(line) <= most else f"{line[: most - 1].rstrip()}…"


# -- the file -------------------------------------------------------------------------------------------------


def notes_place(store_url: str) -> str | None:
    """Folder or URL beside a store where its notes are; None where nothing is beside it, as of a whole bucket."""
    protocol, separator, path = store_url.rstrip("/").partition("://")
    if separator and protocol not in ("file", "local"):
        return f"{store_url.rstrip('/')}-notes" if "/" in path or protocol == "memory" else None
    folder = Path(path if separator else store_url).resolve()
    return str(folder.parent / f"{folder.name}-notes")


def why_not_kept(store_url: str) -> str:
    """Why no note can be written beside a store, in a sentence; empty where one can, as far as can be told before."""
    place = notes_place(store_url)
    if place is None:
        return f"Notes are kept beside the store, and nothing is beside {store_url}: keep stores in folders of it."
    if "://" in place:
        return ""
    here = next(path for path in (Path(place, "notes.jsonl"), *Path(place, "notes.jsonl").parents) if path.exists())
    return "" if os.access(here, os.W_OK) else f"Notes are kept in {place}, where you may not write."


def read_notes(store: Store) -> Kept:
    """What people have written of the runs of a store; looked at anew whenever the file changes."""
    place = notes_place(store.url)
    if place is None:
        return Kept()
    try:
        files = open_files(place)
        state = (*files.walk("").items(), files.modified("notes.jsonl") if files.is_local else 0.0)
        return _read(place, state) if len(state) > 1 else Kept()
    except (OSError, StoreError) as error:
        return Kept((), f"Notes in {place} cannot be read: {error}")


@lru_cache(16)
def _read(place: str, state: object) -> Kept:
    last: dict[tuple[str, tuple[str, ...]], Note] = {}
    n_unread = 0
    for line in EventLog(open_files(place), "notes").read():
        try:
            note = Note.model_validate(line)
        except (ValidationError, InputError):
            n_unread += 1
            continue
        last.pop((note.kind, note.of), None)
        last[note.kind, note.of] = note
    passed = f"{counted(n_unread, 'line')} of {place} cannot be read as notes and are passed over." if n_unread else ""
    return Kept(tuple(note for note in last.values() if note.said), passed)


def keep_note(
    store: Store, subject: Subject, *, run: str, comparison: str = "", name: str | None = None, note: str | None = None
) -> Note:
    """Write what a thing is called and what is said of it; None leaves the one or the other as it was.

    Raises:
        InputError: the words cannot be kept, or there is no place beside the store.
        OSError: the file cannot be written.
    """
    before = read_notes(store).of(subject)
    old = (before.name, before.note) if before else ("", "")
    said = worded(old[0] if name is None else name, old[1] if note is None else note, subject.id)
    place = notes_place(store.url)
    if place is None:
        raise InputError(why_not_kept(store.url))
    fields = {"run": run, "comparison_id": comparison, **subject._asdict(), "name": said[0], "note": said[1]}
    one = Note.model_validate({**fields, "time": round(time.time(), 3)})
    EventLog(open_files(place), "notes").append(one.model_dump())
    return one


# -- what notes are about -------------------------------------------------------------------------------------


def run_subject(record: Mapping[str, Any]) -> Subject:
    """A run; a later one of the same name is another."""
    return Subject("run", record["name"], (f"{record['name']}@{record['created']}",))


def run_notes(store: Store, records: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is said of each run; empty where nothing is."""
    said = {one.of: one.note for one in read_notes(store).notes if one.kind == "run"}
    return [said.get(run_subject(record).of, "") for record in records]
