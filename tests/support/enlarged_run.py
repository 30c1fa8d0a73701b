"""A run with many times the latents: every latent, pair and cluster repeated, so that screens meet real sizes."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from scipy import sparse

from storage import Run, artifact_key

#: Tables that grow with the number of latents; the others describe models, domains and thresholds.
GROWING = {
    "features", "pairs", "verdicts", "clusters", "candidates", "baselines", "positions", "cluster_positions",
    "cluster_links", "contexts", "histograms", "logits", "latent_domains",
}  # fmt: skip


def enlarge(run: Run, times: int, n_pairs: int | None = None) -> None:
    """Replace comparison, layout, evidence and latents of a run by ``times`` copies beside each other.

    Args:
        run: a synthetic run of one comparison.
        times: copies; copy i of latent l is ``l + i * d_sae``.
        n_pairs: pairs that are kept, drawn at random; None keeps all.
    """
    nodes = run.record["nodes"]
    n_latents = run.artifact("latents/main/m0").csc("acts").shape[1]
    n_clusters = int(run.table("clusters")["cluster"].max()) + 1
    for name, node in nodes.items():
        if not name.startswith(("comparison/", "layout/", "evidence/", "latents/")):
            continue
        old, key = run.artifact(name), artifact_key(node["step"], 1, {"times": times, "of": node["key"]}, {})
        nodes[name] = {**node, "key": key}
        if run.store.has(key):
            continue
        with run.store.create(key, step=node["step"], version=1, params={}, inputs={}) as out:
            for table in old.tables():
                frame = old.table(table)
                if table in GROWING:
                    frame = _repeated(frame, times, n_latents, n_clusters)
                if table == "pairs" and n_pairs is not None:
                    frame = frame.sample(min(n_pairs, len(frame)), random_state=0).sort_index()
                out.table(table, frame)
            if old.has("acts"):
                out.csr("acts", sparse.hstack([old.csc("acts")] * times).tocsr())
    run.update(nodes=nodes)


def _repeated(frame: pd.DataFrame, times: int, n_latents: int, n_clusters: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = []
    for copy in range(times):
        part = frame.copy()
        for column in frame.columns:
            if column.startswith("latent"):
                part[column] = frame[column] + copy * n_latents
            elif column.startswith("cluster"):
                part[column] = frame[column] + copy * n_clusters
            elif column == "members":
                part[column] = [_moved(members, copy * n_latents) for members in frame[column]]
            elif column in ("x", "y"):
                part[column] = frame[column] + rng.normal(0, 0.5, len(frame))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _moved(members: str, by: int) -> str:
    return re.sub(r":(\d+)", lambda m: f":{int(m[1]) + by}", members)
