"""A finished run in which no latent ever fires: what the comparison itself makes of silent dictionaries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pandas as pd
import scipy.sparse as sp
from synthetic_run import write_synthetic_run
from visits import TINY

from storage import Run
from universality.compare import compare


def write_silent_run(url: str) -> Run:
    """A synthetic run whose activations are all zero, compared anew; its evidence and its places have no rows."""
    run = write_synthetic_run(url, **TINY)
    tokens = run.artifact("tokens")
    models = [node.rpartition("/")[2] for node in run.nodes("latents/")]
    silent = sp.csr_array(run.artifact("latents/main/m0").csr("acts").shape, dtype="float32")
    found = compare(
        dict.fromkeys(models, silent),
        documents=tokens.array("row_document"),
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
            tables["models"] = tables["models"].assign(
                n_alive=0, n_rare=0, n_dead=silent.shape[1], dead_fraction=1.0
            )
        else:
            tables = {name: table[:0] for name, table in tables.items()}
        _exchange(run, node, tables=tables)
    for model in models:
        _exchange(run, f"latents/main/{model}", acts=silent)
    return run


def _exchange(
    run: Run, node: str, *, tables: Mapping[str, pd.DataFrame] = {}, acts: sp.csr_array | None = None
) -> None:
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
