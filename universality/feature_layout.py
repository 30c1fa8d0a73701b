"""Where features and clusters stand on a map, as tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from universality.feature_map import LINK_R, feature_map, group_links, group_positions

if TYPE_CHECKING:
    import pandas as pd
    from scipy import sparse


class FeatureLayout(NamedTuple):
    """Tables ``positions``, ``cluster_positions`` and ``cluster_links`` by name, and what is to be known of them."""

    tables: dict[str, pd.DataFrame]
    facts: dict[str, float]


def feature_layout(
    features: pd.DataFrame,
    acts: Callable[[str], sparse.csc_matrix],
    *,
    seed: int,
    threads: int = 1,
) -> FeatureLayout:
    """Where alive features and clusters stand on the map, and which clusters are near each other.

    Args:
        features: model, latent, status, cluster, n_models of the table ``features``, models in one piece each.
        acts: gives the activations (n_rows, d_sae) of a model, by its id.
        seed: of the embedding.
        threads: of the search for neighbours.

    Returns:
        The tables; clusters are those of at least two models. Where more features are alive than are embedded, the
        tables hold a sample of whole clusters: the facts ``n_alive`` and ``n_embedded`` say so.
    """
    from pandas import DataFrame
    from scipy import sparse

    alive = features[features["status"] == "alive"].reset_index(drop=True)
    parts = [acts(str(model))[:, latents.to_numpy()] for model, latents in alive.groupby("model", sort=False)["latent"]]
    columns = sparse.csc_matrix(sparse.hstack(parts)) if parts else sparse.csc_matrix((0, 0))
    groups = alive["cluster"].to_numpy(np.int64)
    embedding = feature_map(columns, seed=seed, groups=groups, threads=threads)
    joined = np.where(alive["n_models"].to_numpy(np.int64) >= 2, groups, -1)[embedding.kept]
    clusters, xy = group_positions(joined, embedding.xy)
    a, b, r = group_links(joined, embedding.neighbours, embedding.r)
    tables = {
        "positions": alive.loc[embedding.kept, ["model", "latent"]].assign(x=embedding.xy[:, 0], y=embedding.xy[:, 1]),
        "cluster_positions": DataFrame({"cluster": clusters, "x": xy[:, 0], "y": xy[:, 1]}),
        "cluster_links": DataFrame({"cluster_a": a, "cluster_b": b, "r": r}),
    }
    return FeatureLayout(tables, {"n_alive": len(alive), "n_embedded": len(embedding.kept), "least_link_r": LINK_R})
