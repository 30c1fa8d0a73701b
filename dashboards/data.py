"""What the screens read: runs, tables, text and activations of one store, opened once and never changed.

Everything here is cached with ``st.cache_resource`` under the run's *stamp*, which moves when a step of the run finishes:
a finished run is read once, a running one is read again as it grows. Cached frames are shared by all
visitors, so nobody may write into them; every function that derives something makes a new frame.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from dashboards.corpus import EvaluationText
from storage import StoreError, open_store

if TYPE_CHECKING:
    import scipy.sparse as sp

    from storage import Run, Store

#: Rows of a table that a screen sends to the browser at once; more are counted, not sent.
MAX_ROWS = 5_000


@st.cache_resource(show_spinner=False, max_entries=8)
def open_cached_store(url: str) -> Store:
    """The store at ``url``, opened once per server."""
    return open_store(url)


def list_runs(url: str) -> list[Run]:
    """All runs of the store, newest first; read afresh on every call, because runs appear and grow."""
    runs = open_cached_store(url).runs()
    return sorted(runs, key=lambda run: str(run.record.get("created", "")), reverse=True)


def stamp_of(record: Mapping[str, Any]) -> str:
    """A short text that changes exactly when what is readable of a run changes."""
    nodes = record.get("nodes") or {}
    text = json.dumps(
        {name: [node.get("key"), node.get("status")] for name, node in nodes.items()}, sort_keys=True
    )
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def comparisons_of(record: Mapping[str, Any]) -> list[str]:
    """Comparison ids of a run, in the order of its recipe."""
    listed = [c.get("id") for c in (record.get("recipe") or {}).get("comparisons", []) if isinstance(c, dict)]
    found = [
        name.split("/")[1]
        for name in record.get("nodes") or {}
        if name.startswith(("comparison/", "latents/"))
    ]
    return list(dict.fromkeys([str(c) for c in [*listed, *found] if c])) or ["main"]


@dataclass(frozen=True)
class View:
    """One comparison of one run, as a screen looks at it.

    Attributes:
        url: address of the store.
        name: name of the run.
        comparison: id of the comparison.
        stamp: from :func:`stamp_of`; part of every cache key.
        record: the run's record as it was when the screen was drawn.
    """

    url: str
    name: str
    comparison: str
    stamp: str
    record: Mapping[str, Any]

    @property
    def run(self) -> Run:
        """The run itself."""
        return open_cached_store(self.url).run(self.name)

    def table(self, name: str) -> pd.DataFrame:
        """Rows of the run's table that belong to this comparison. Shared: never write into it.

        Raises:
            TableMissing: no finished step has made it yet.
            StoreError: a file of it is damaged or gone.
        """
        return _table(self.url, self.name, self.stamp, self.comparison, name)

    def optional(self, name: str) -> pd.DataFrame | None:
        """Like :meth:`table`, None where the table does not exist; damage still raises."""
        try:
            return self.table(name)
        except LookupError:
            return None

    @cached_property
    def models(self) -> list[str]:
        """Compared models in the order of the run."""
        models = self.table("models")
        return [str(m) for m in models.loc[models["role"] == "primary", "model"]]

    @property
    def text(self) -> EvaluationText:
        """The evaluation text and its rows."""
        return _text(self.url, self.name, self.stamp)

    def acts(self, model: str) -> sp.csc_matrix:
        """Activations of a model's latents on the evaluation rows, by latent (memory-mapped).

        Raises:
            StoreError: the step that makes them has not finished, or its files are damaged.
        """
        return _acts(self.url, self.name, self.stamp, self.comparison, model)

    def events(self) -> list[dict[str, Any]]:
        """Everything that happened so far, read afresh."""
        return self.run.events()


def get_view(url: str, run: Run, comparison: str | None = None) -> View:
    """The view of a run; of its first comparison where none, or an unknown one, is named."""
    record = run.record
    known = comparisons_of(record)
    return View(url, run.name, comparison if comparison in known else known[0], stamp_of(record), record)


@st.cache_resource(show_spinner=False, max_entries=256)
def _table(url: str, run: str, stamp: str, comparison: str, name: str) -> pd.DataFrame:
    frame = open_cached_store(url).run(run).table(name)
    if "comparison_id" in frame.columns:
        frame = (
            frame[frame["comparison_id"] == comparison].drop(columns="comparison_id").reset_index(drop=True)
        )
    return frame


@st.cache_resource(show_spinner=False, max_entries=8)
def _text(url: str, run: str, stamp: str) -> EvaluationText:
    opened = open_cached_store(url).run(run)
    tokens, tokenizer = opened.artifact("tokens"), opened.artifact("tokenizer")
    return EvaluationText.build(
        contexts=tokens.array("eval_contexts"),
        row_context=tokens.array("row_context"),
        row_position=tokens.array("row_position"),
        row_domain=tokens.array("row_domain"),
        row_document=tokens.array("row_document"),
        domains=tokens.json("domains"),
        vocabulary=tokenizer.table("vocabulary"),
    )


@st.cache_resource(show_spinner=False, max_entries=64)
def _acts(url: str, run: str, stamp: str, comparison: str, model: str) -> sp.csc_matrix:
    return open_cached_store(url).run(run).artifact(f"latents/{comparison}/{model}").csc("acts")


__all__ = ["MAX_ROWS", "StoreError", "View", "comparisons_of", "get_view", "list_runs", "stamp_of"]
