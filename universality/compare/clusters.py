"""From assigned pairs to clusters and classes, at one tau or along a curve of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from universality.compare.levels import levels_of
from universality.compare.stages import Stages
from universality.correlation import correlate_pairs
from universality.graph import CrossSimilarity, Edges, cluster_table, constrained_clusters


@dataclass(frozen=True, eq=False)
class Nodes:
    """Alive features, numbered by model in the order of sorted ids, then by latent.

    The numbers decide ties, so they must not depend on the order in which models were given.

    Attributes:
        models: sorted ids. model_of, latent: (n_nodes,) model number and latent of each node.
        number: by model, (d_sae,) node of each latent, -1 where not alive.
    """

    models: tuple[str, ...]
    model_of: np.ndarray
    latent: np.ndarray
    number: dict[str, np.ndarray]

    @property
    def names(self) -> list[str]:
        """``"m0:12"`` for every node."""
        pairs = zip(self.model_of.tolist(), self.latent.tolist(), strict=True)
        return [f"{self.models[model]}:{latent}" for model, latent in pairs]


def number_nodes(stages: Stages) -> Nodes:
    """Number the alive features of all models."""
    models = tuple(sorted(stages.models))
    alive = {model: np.flatnonzero(stages.dictionaries[model].alive) for model in models}
    number, first = {}, 0
    for model in models:
        number[model] = np.full(stages.dictionaries[model].d_sae, -1, np.int64)
        number[model][alive[model]] = first + np.arange(alive[model].size)
        first += alive[model].size
    model_of = np.repeat(np.arange(len(models)), [alive[model].size for model in models])
    latent = np.concatenate([alive[model] for model in models])
    return Nodes(models, model_of, latent.astype(np.int64), number)


def assigned_pairs(stages: Stages) -> pd.DataFrame:
    """The pairs tables of all pairs of models, in the order of the plan."""
    return pd.concat([stages.matchings[pair].pairs for pair in stages.plan.model_pairs], ignore_index=True)


def edges_at(pairs: pd.DataFrame, nodes: Nodes, tau: float, alpha: float) -> Edges:
    """Assigned pairs beyond chance (q < alpha) with held-out r >= tau."""
    edges = pairs.loc[(pairs["q"] < alpha) & (pairs["r_held_out"] >= tau)]
    ends = []
    for side in "ab":
        ends.append(np.zeros(len(edges), np.int64))
        for model, number in nodes.number.items():
            here = (edges[f"model_{side}"] == model).to_numpy()
            ends[-1][here] = number[edges[f"latent_{side}"].to_numpy()[here]]
    level = levels_of(edges, tau, alpha)
    return Edges(np.minimum(*ends), np.maximum(*ends), edges["r_held_out"].to_numpy(), level)


def cross_similarity(stages: Stages, nodes: Nodes) -> CrossSimilarity:
    """Held-out r of any two features of different models, on demand."""

    def held_out(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        out = np.zeros(u.size)
        key = nodes.model_of[u] * len(nodes.models) + nodes.model_of[v]
        for pair in np.unique(key):
            here = key == pair
            # Both models of this group of pairs, by number.
            a, b = (stages.dictionaries[nodes.models[m]].score for m in divmod(int(pair), len(nodes.models)))
            indices = nodes.latent[u[here]], nodes.latent[v[here]]
            out[here] = correlate_pairs(a, b, *indices, threads=stages.threads).r
        return out

    return CrossSimilarity(held_out)


@dataclass(frozen=True, eq=False)
class Clustering:
    """Clusters at one tau.

    Attributes:
        table: as :func:`cluster_table` returns it, levels of single features included.
        row_of: (n_nodes,) row of ``table`` that each node belongs to.
        label: (n_nodes,) smallest node of the cluster. edges: the edges behind it.
    """

    table: pd.DataFrame
    row_of: np.ndarray
    label: np.ndarray
    edges: Edges


def cluster_at(
    stages: Stages, nodes: Nodes, pairs: pd.DataFrame, similarity: CrossSimilarity, tau: float
) -> Clustering:
    """Cluster all alive features at one tau and give every cluster its class and level.

    A level needs a pair. A single feature has none with another model; it gets the level of the pair with
    its own replicate, where that reaches tau beyond chance, else ``untested``.
    """
    edges = edges_at(pairs, nodes, tau, stages.config.alpha)
    label = constrained_clusters(nodes.model_of, edges, similarity, tau)
    table = cluster_table(label, edges, similarity, nodes.names, len(nodes.models))
    single = (table["n_models"] == 1).to_numpy()
    own = _replicate_levels(stages, nodes, tau)[table["label"].to_numpy()]
    table["level"] = np.where(single, own, table["level"].to_numpy()).astype(object)
    place = np.full(nodes.model_of.size, -1, np.int64)
    place[table["label"].to_numpy()] = np.arange(len(table))
    return Clustering(table.drop(columns="label"), place[label], label, edges)


def _replicate_levels(stages: Stages, nodes: Nodes, tau: float) -> np.ndarray:
    out = np.full(nodes.model_of.size, "untested", dtype=object)
    for model, replicate in stages.plan.replicate_pairs:
        pairs = stages.matchings[model, replicate].pairs
        edges = pairs.loc[(pairs["q"] < stages.config.alpha) & (pairs["r_held_out"] >= tau)]
        node = nodes.number[model][edges["latent_a"].to_numpy()]
        level = levels_of(edges, tau, stages.config.alpha)
        out[node] = np.where(out[node] == "untested", level, out[node])
    return out


def tau_curve(stages: Stages, nodes: Nodes, pairs: pd.DataFrame, similarity: CrossSimilarity) -> pd.DataFrame:
    """tau, class, level, n_features: classes along the curve, clusters and levels made anew at each tau."""
    parts = []
    for tau in sorted(stages.config.taus):
        table = cluster_at(stages, nodes, pairs, similarity, tau).table
        counts = (
            table.groupby(["class", "level"], sort=True)["n_models"].sum().rename("n_features").reset_index()
        )
        counts.insert(0, "tau", tau)
        parts.append(counts)
    return pd.concat(parts, ignore_index=True)


def k_of_m(table: pd.DataFrame, n_models: int) -> pd.DataFrame:
    """k, n_clusters, n_features (in clusters of exactly k models), fraction of all features; k = 1..M."""
    k = np.arange(1, n_models + 1)
    n_clusters = np.bincount(table["n_models"], minlength=n_models + 1)[1:]
    n_features = n_clusters * k
    return pd.DataFrame(
        {
            "k": k,
            "n_clusters": n_clusters,
            "n_features": n_features,
            "fraction": n_features / max(int(n_features.sum()), 1),
        }
    )
