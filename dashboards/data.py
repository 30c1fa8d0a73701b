"""What the screens read: runs, tables, text and activations of one store, opened once and never changed.

Everything here is cached with ``st.cache_resource`` under the run's *stamp*, which moves when a step of the
run finishes: a finished run is read once, a running one is read again as it grows. Cached frames are shared
by all visitors, so nobody may write into them; every function that derives something makes a new frame.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from results.evaluation_text import EvaluationText
from results.progress import READY
from storage import RunMissing, StoreError, TableMissing, open_store

if TYPE_CHECKING:
    import pyarrow as pa
    import scipy.sparse as sp

    from storage import Run, Store

#: Rows of a table that a screen sends to the browser at once; more are counted, not sent.
MAX_ROWS = 5_000
#: Rows up to which a table of a model's evidence is held in memory (at 50 bytes each); longer ones are filtered.
HELD_ROWS = 1_000_000


@st.cache_resource(show_spinner=False, max_entries=8)
def open_cached_store(url: str) -> Store:
    """The store at ``url``, opened once per server."""
    return open_store(url)


def list_runs(url: str) -> tuple[list[Run], list[str]]:
    """All readable runs of the store, newest first, and the names of those whose record is damaged.

    Read afresh on every call, because runs appear and grow.
    """
    store = open_cached_store(url)
    try:
        return store.runs()[::-1], []
    except StoreError:
        return _one_by_one(store)


def _one_by_one(store: Store) -> tuple[list[Run], list[str]]:
    """Runs where at least one record cannot be read."""
    found: list[tuple[float, Run]] = []
    damaged: list[str] = []
    for name in store.files.names("runs"):
        try:
            run = store.run(name)
            found.append((float(run.record["created"]), run))
        except RunMissing:
            continue
        except (StoreError, KeyError, TypeError, ValueError):
            damaged.append(name)
    return [run for _, run in sorted(found, key=lambda item: item[0], reverse=True)], damaged


def stamp_of(record: Mapping[str, Any]) -> str:
    """A short text that changes exactly when what is readable of a run changes."""
    nodes = record.get("nodes") or {}
    seen = {name: [node.get("key"), node.get("status")] for name, node in nodes.items()}
    return hashlib.blake2b(json.dumps(seen, sort_keys=True).encode(), digest_size=8).hexdigest()


def comparisons_of(record: Mapping[str, Any]) -> list[str]:
    """Comparison ids of a run, in the order of its recipe."""
    recipe = record.get("recipe") or {}
    listed = [c.get("id") for c in recipe.get("comparisons", []) if isinstance(c, Mapping)]
    nodes = [name.split("/") for name in record.get("nodes") or {}]
    found = [parts[1] for parts in nodes if len(parts) > 1 and parts[0] in ("comparison", "latents")]
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
    record: Mapping[str, Any] = field(compare=False, repr=False)

    @property
    def run(self) -> Run:
        """The run itself."""
        return open_cached_store(self.url).run(self.name)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The recipe's settings of the comparison (tau, alpha, …); empty where the record has none."""
        found = (self.record.get("recipe") or {}).get("compare")
        return found if isinstance(found, Mapping) else {}

    def table(self, name: str) -> pd.DataFrame:
        """Rows of the run's table that belong to this comparison. Shared: never write into it.

        Raises:
            TableMissing: no finished step has made it yet.
            StoreError: a file of it is damaged or gone.
        """
        return _table(self, name)

    def optional(self, name: str) -> pd.DataFrame | None:
        """Like :meth:`table`, None where the table does not exist; damage still raises."""
        try:
            return self.table(name)
        except TableMissing:
            return None

    def models(self, role: str = "primary") -> list[str]:
        """Models of a role, in the order of the run."""
        models = self.table("models")
        return [str(m) for m in models.loc[models["role"] == role, "model"]]

    def of_latent(self, name: str, model: str, latent: int) -> pd.DataFrame:
        """Rows of one latent in a table of its model's evidence (contexts, histograms, logits).

        Raises:
            StoreError: the step that makes them has not finished, or its files are damaged.
        """
        return _of_latent(self, name, model, int(latent))

    def top_rows(self) -> pd.DataFrame:
        """Rows at which the latents' strongest contexts peak: model, latent, row. Shared: never write into it."""
        return _top_rows(self)

    @property
    def text(self) -> EvaluationText:
        """The evaluation text and its rows."""
        return _text(self)

    @property
    def score_rows(self) -> np.ndarray:
        """Which evaluation rows held-out numbers come from: those that nothing was matched on."""
        return _score_rows(self)

    def acts(self, model: str) -> sp.csc_array:
        """Activations of a model's latents on the evaluation rows, by latent (memory-mapped).

        Raises:
            StoreError: the step that makes them has not finished, or its files are damaged.
        """
        return _acts(self, model)


def get_view(url: str, run: Run, comparison: str | None = None) -> View:
    """The view of a run; of its first comparison where none, or an unknown one, is named."""
    record = run.record
    known = comparisons_of(record)
    return View(
        url,
        run.name,
        comparison if comparison in known else known[0],
        stamp_of(record),
        {**record, "status": run.status},
    )


def cache_key(view: View) -> tuple[str, ...]:
    """What decides whether two views read the same bytes."""
    return view.url, view.name, view.comparison, view.stamp


BY_VIEW: dict[str | type[Any], Callable[[Any], Any]] = {View: cache_key}


@st.cache_resource(show_spinner=False, max_entries=256, hash_funcs=BY_VIEW)
def _table(view: View, name: str) -> pd.DataFrame:
    frame = view.run.table(name)
    if "comparison_id" in frame.columns:
        frame = frame[frame["comparison_id"] == view.comparison]
        frame = frame.drop(columns="comparison_id").reset_index(drop=True)
    return frame


def _evidence_file(view: View, name: str, model: str) -> Path:
    return view.run.artifact(f"evidence/{view.comparison}/{model}").table_file(name)


@st.cache_resource(show_spinner=False, max_entries=512, hash_funcs=BY_VIEW)
def _of_latent(view: View, name: str, model: str, latent: int) -> pd.DataFrame:
    import pyarrow.parquet as pq

    file = _evidence_file(view, name, model)
    if pq.read_metadata(file).num_rows > HELD_ROWS:
        return pd.read_parquet(file, filters=[("latent", "==", latent)])
    table, latents = _evidence(view, name, model)
    return table.take(np.flatnonzero(latents == latent)).to_pandas()


@st.cache_resource(show_spinner=False, max_entries=12, hash_funcs=BY_VIEW)
def _evidence(view: View, name: str, model: str) -> tuple[pa.Table, np.ndarray]:
    """A whole table of a model's evidence and its column ``latent``: stepping from pair to pair decodes it once."""
    import pyarrow.parquet as pq

    table = pq.read_table(_evidence_file(view, name, model))
    return table, table["latent"].to_numpy()


@st.cache_resource(show_spinner=False, max_entries=4, hash_funcs=BY_VIEW)
def _top_rows(view: View) -> pd.DataFrame:
    import pyarrow.parquet as pq

    start, nodes = f"evidence/{view.comparison}/", view.run.record["nodes"]
    ready = [node for node in view.run.nodes(start) if nodes[node].get("status") in READY]
    models = [node.removeprefix(start) for node in ready]
    if not models:
        raise TableMissing("No step that gathers contexts has finished.")
    only_top = {"columns": ["latent", "row"], "filters": [("kind", "==", "top")]}
    parts = [pq.read_table(_evidence_file(view, "contexts", model), **only_top) for model in models]
    frame = pd.concat([part.to_pandas() for part in parts], ignore_index=True)
    lengths = [part.num_rows for part in parts]
    codes = np.repeat(np.arange(len(models)), lengths)
    return frame.assign(model=pd.Categorical.from_codes(codes, pd.Index(models)))


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=BY_VIEW)
def _text(view: View) -> EvaluationText:
    tokens, tokenizer = view.run.artifact("tokens"), view.run.artifact("tokenizer")
    rows = {
        name: _whole(tokens.array(name))
        for name in ("row_context", "row_position", "row_domain", "row_document")
    }
    return EvaluationText.build(
        contexts=_whole(tokens.array("eval_contexts")),
        domains=tokens.json("domains"),
        vocabulary=tokenizer.table("vocabulary"),
        **rows,
    )


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=BY_VIEW)
def _score_rows(view: View) -> np.ndarray:
    return ~_whole(view.run.artifact("tokens").array("row_fit")).astype(bool)


def _whole(array: Any) -> np.ndarray:
    """A memory-mapped array as it is; a sharded one put together."""
    return array if isinstance(array, np.ndarray) else np.asarray(array[:])


@st.cache_resource(show_spinner=False, max_entries=64, hash_funcs=BY_VIEW)
def _acts(view: View, model: str) -> sp.csc_array:
    return view.run.artifact(f"latents/{view.comparison}/{model}").csc("acts")
