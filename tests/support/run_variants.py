"""Synthetic runs of unusual content: one in which nothing ever fires, one with a sweep, one as of earlier versions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from synthetic_run import write_synthetic_run
from visits import TINY

from results.loading import LoadedComparison
from storage import Run
from universality.compare import compare


class OlderComparison(LoadedComparison):
    """A comparison as of before there were labels, groups, effects and agreement, of text without domains."""

    _LATER = ("labels", "label_parts", "cluster_labels", "agreement", "effects", "indices")
    _LATER_COLUMNS = ("top_domain", "group", "group_probability", "max_activation", "about")

    @property
    def text(self):
        text = super().text
        return replace(text, domains=[], row_domain=np.full(text.n_rows, -1))

    def table(self, name: str) -> pd.DataFrame:
        return super().table(name).drop(columns=list(self._LATER_COLUMNS), errors="ignore")

    def optional(self, name: str) -> pd.DataFrame | None:
        return None if name in self._LATER else super().optional(name)


def write_silent_run(url: str, **content: bool) -> Run:
    """A run whose activations are all zero, as the comparison itself tells it; evidence and places have no rows."""
    run = write_synthetic_run(url, **TINY, **content)
    tokens = run.artifact("tokens")
    models = [node.rpartition("/")[2] for node in run.nodes("latents/")]
    silent = sp.csr_array(run.artifact("latents/main/m0").csr("acts").shape, dtype="float32")
    found = compare(
        dict.fromkeys(models, silent),
        documents=tokens.array("row_document"),
        sources=tokens.array("row_source"),
        domains=tokens.array("row_domain"),
        tokens=tokens.array("row_token"),
        n_shifts=10,
    )
    for node in [*run.nodes("evidence/"), "layout/main", "comparison/main"]:
        artifact = run.artifact(node)
        tables = {name: artifact.table(name) for name in artifact.tables()}
        if node == "comparison/main":
            ours = {name: getattr(found, name) for name in tables if hasattr(found, name)}
            tables |= {name: table.assign(comparison_id="main") for name, table in ours.items()}
            tables["models"] = tables["models"].assign(n_alive=0, n_rare=0, n_dead=silent.shape[1], dead_fraction=1.0)
        else:
            tables = {name: table[:0] for name, table in tables.items()}
        exchange(run, node, tables=tables)
    for model in models:
        exchange(run, f"latents/main/{model}", acts=silent)
    return run


def add_sweep(run: Run, name: str = "size") -> None:
    """The step ``sweep/size`` of four points with two dictionaries each, one of which ended badly.

    Args:
        run: gets it.
        name: what the table calls the sweep.
    """
    rows = []
    for number, (l0, fvu) in enumerate([(8.0, 0.4), (16.0, 0.3), (16.5, 0.35), (0.0, 1.0)]):
        status = "ok" if l0 else "diverged"
        point = {
            "sweep": name,
            "point": f"k {8 << number}",
            "architecture": "topk",
            "d_sae": 64 << number % 2,
        }
        point |= {"sparsity": f"k {8 << number}", "seed_cosine": 0.5, "frontier": number < 2}
        measured = {"l0": l0, "dead_fraction": 0.1, "n_dense": 1, "ce_recovered": 0.9, "kl_recovered": 0.8}
        rows += [{**point, **measured, "seed": seed, "status": status, "fvu": fvu + 0.01 * seed} for seed in (0, 1)]
    key = hashlib.blake2b(f"{run.name} {name}".encode(), digest_size=16).hexdigest()
    with run.store.create(key, step="sweep", version=1, params={}, inputs={}) as out:
        out.table("sweeps", pd.DataFrame(rows))
    run.update(nodes={**run.record["nodes"], "sweep/size": {"step": "sweep", "key": key, "status": "done"}})


def exchange(run: Run, node: str, *, tables: Mapping[str, pd.DataFrame] = {}, acts: sp.csr_array | None = None) -> None:
    """Put a new artifact in the place of a node's."""
    old = run.record["nodes"][node]
    key = hashlib.blake2b(old["key"].encode(), digest_size=16).hexdigest()
    with run.store.create(key, step=old["step"], version=1, params={}, inputs={}) as out:
        for name, table in tables.items():
            out.table(name, table)
        if acts is not None:
            out.csr("acts", acts)
        if node.startswith("comparison"):
            out.json("graph", {"directed": False, "multigraph": False, "graph": {}, "nodes": [], "edges": []})
    run.update(nodes={**run.record["nodes"], node: {**old, "key": key}})
