"""Positions of a synthetic comparison: features beside the place of their planted concept, no embedding computed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from synthetic_evidence import with_comparison
from synthetic_world import Material


def layout_tables(m: Material, features: pd.DataFrame, clusters: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables ``positions``, ``cluster_positions`` and ``cluster_links``; neighbours along x are linked.

    Args:
        m: what the comparison was made of.
        features: table ``features``.
        clusters: table ``clusters``.
    """
    rng = np.random.default_rng(len(features))
    places = rng.normal(size=(len(m.world.rows), 2)) * 4
    alive = features[features["status"] == "alive"]
    concepts = [
        m.dictionaries[model].concept[latent] for model, latent in zip(alive["model"], alive["latent"], strict=True)
    ]
    xy = (places[np.array(concepts, dtype=int)] + rng.normal(0, 0.1, (len(alive), 2))).astype(np.float32)
    positions = alive[["model", "latent"]].assign(x=xy[:, 0], y=xy[:, 1])
    joined = positions.assign(cluster=alive["cluster"])
    joined = joined[joined["cluster"].isin(clusters.loc[clusters["n_models"] > 1, "cluster"])]
    means = joined.groupby("cluster", as_index=False)[["x", "y"]].mean()
    ids = means.sort_values("x")["cluster"].tolist()
    links = [(*sorted(pair), r) for pair, r in zip(pairwise(ids), rng.uniform(0.3, 0.9, len(ids)), strict=False)]
    tables = {
        "positions": positions,
        "cluster_positions": means,
        "cluster_links": pd.DataFrame(links, columns=["cluster_a", "cluster_b", "r"]),
    }
    return {name: with_comparison(table.reset_index(drop=True), m.comparison) for name, table in tables.items()}
