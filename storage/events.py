"""Logs such as events.jsonl: one JSON object a line, appended; a line cut by a kill is skipped and never glued to.

Object stores cannot append, so there lines lie in segments of at most ``SEGMENT`` lines, each rewritten
while it grows; their names sort in the order of time.
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from storage.errors import InvalidName
from storage.files import LocalFiles, RemoteFiles
from storage.keys import plain

SEGMENT = 64


class EventLog:
    """The events of one run, or what else is told line by line; safe to use from several threads.

    Args:
        files: where it is.
        path: of the log, without ``.jsonl``.
    """

    def __init__(self, files: LocalFiles | RemoteFiles, path: str) -> None:
        self._files = files
        self._path = path
        self._mutex = threading.Lock()
        self._segment: list[bytes] = []
        self._segment_path = ""

    def append(self, event: Mapping[str, Any]) -> None:
        """Add an event; ``time`` (seconds since 1970) is added if it has none. NaN becomes None."""
        if not isinstance(event, Mapping):
            raise InvalidName.worded("event", self._path, "a mapping", type(event).__name__, "Pass a dict.")
        fields = plain(event, "event", non_finite="none")
        line = json.dumps({"time": round(time.time(), 3)} | fields, ensure_ascii=True).encode("ascii") + b"\n"
        with self._mutex:
            if isinstance(self._files, LocalFiles):
                self._append_local(self._files, line)
            else:
                self._append_segment(line)

    def read(self) -> list[dict[str, Any]]:
        """All events in order; lines that are no JSON object (cut by a kill) are left out."""
        if self._files.is_local:
            try:
                data = self._files.read(f"{self._path}.jsonl")
            except FileNotFoundError:
                return []
        else:
            names = self._files.names(self._path)
            data = b"".join(self._files.read(f"{self._path}/{name}") for name in names)
        return [event for line in data.split(b"\n") if (event := _parsed(line)) is not None]

    def _append_local(self, files: LocalFiles, line: bytes) -> None:
        place = files.path(f"{self._path}.jsonl")
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place, "a+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line)  # one write to a file opened for appending: lines of two writers do not mix

    def _append_segment(self, line: bytes) -> None:
        if not self._segment or len(self._segment) == SEGMENT:
            self._segment = []
            name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.jsonl"
            self._segment_path = f"{self._path}/{name}"
        self._segment.append(line)
        self._files.write(self._segment_path, b"".join(self._segment))


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
