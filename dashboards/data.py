"""What the screens read: the runs of a store, and one comparison of one run, opened once and never changed.

What was read is remembered under the run's *stamp*, which moves when a step of the run finishes: a finished run is
read once, a running one is read again as it grows. Frames are shared by all visitors, so nobody may write into them;
every function that derives something makes a new frame.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from results.stored_comparison import StoredComparison, comparisons_of
from storage import Run, RunCorrupt, Store, open_store

#: Rows of a table that a screen sends to the browser at once; more are counted, not sent.
MAX_ROWS = 5_000


@st.cache_resource(show_spinner=False, max_entries=8)
def open_cached_store(url: str) -> Store:
    """The store at ``url``, opened once per server."""
    return open_store(url)


def list_runs(url: str) -> tuple[list[Run], list[str]]:
    """All readable runs of the store, newest first, and the names of those whose record is damaged.

    Read afresh on every call, because runs appear and grow.
    """
    damaged: dict[str, RunCorrupt] = {}
    return open_cached_store(url).runs(damaged)[::-1], sorted(damaged)


def stamp_of(record: Mapping[str, Any]) -> str:
    """A short text that changes exactly when what is readable of a run changes."""
    nodes = record.get("nodes") or {}
    seen = {name: [node.get("key"), node.get("status")] for name, node in nodes.items()}
    return hashlib.blake2b(json.dumps(seen, sort_keys=True).encode(), digest_size=8).hexdigest()


class View(StoredComparison):
    """One comparison of one run, as a screen looks at it.

    Attributes:
        url: address of the store.
        stamp: from :func:`stamp_of`; with url, name and comparison it decides whether two views read the same bytes.
    """

    def __init__(self, url: str, run: Run, comparison: str, record: Mapping[str, Any]) -> None:
        super().__init__(run, comparison, record)
        self.url, self.stamp = url, stamp_of(record)


def get_view(url: str, run: Run, comparison: str | None = None) -> View:
    """The view of a run; of its first comparison where none, or an unknown one, is named.

    Its record is as of now; what has been read stays as long as the stamp does.
    """
    record = run.observed
    listed = comparisons_of(record)
    view = View(url, run, comparison if comparison in listed else listed[0], record)
    view.memory = _memory(view)
    return view


def cache_key(view: View) -> tuple[str, ...]:
    """What decides whether two views read the same bytes."""
    return view.url, view.name, view.comparison, view.stamp


BY_VIEW: dict[str | type[Any], Callable[[Any], Any]] = {View: cache_key}


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=BY_VIEW)
def _memory(view: View) -> dict[Any, Any]:
    """What is remembered of a comparison, shared by all visitors."""
    return {}
