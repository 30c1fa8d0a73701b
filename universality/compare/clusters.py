"""From assigned pairs to clusters and classes, at one tau or along a curve of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from universality.compare.cross_agreement import CrossAgreement
from universality.compare.levels import is_complete, is_edge, levels_of
from universality.compare.nodes import Nodes, number_nodes
from universality.compare.pair_plan import PairPlan
from universality.compare.stages import Stages
from universality.correlation.pairs import prepared_pairs
from universality.graph import CrossSimilarity, Edges, cluster_table, constrained_clusters
from universality.table_schemas import CLUSTERS


def assigned_pairs(stages: Stages) -> pd.DataFrame:
    """The pairs tables of all pairs of models, in the order of the plan."""
    return pd.concat([stages.matchings[pair].pairs for pair in stages.plan.model_pairs], ignore_index=True)


def edges_at(pairs: pd.DataFrame, nodes: Nodes, tau: float, alpha: float) -> Edges:
    """Assigned pairs that count as one feature, see :func:`~universality.compare.levels.is_edge`."""
    edges = pairs.loc[is_edge(pairs, tau, alpha)]
    return Edges(*nodes.ends(edges), edges["r_held_out"].to_numpy())


def cross_similarity(stages: Stages, nodes: Nodes) -> CrossSimilarity:
    """Held-out r of any two features of different models, on demand."""

    def held_out(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        out = np.zeros(u.size)
        key = nodes.model_of[u] * len(nodes.models) + nodes.model_of[v]
        for pair in np.unique(key):
            here = key == pair
            # Both models of this group of pairs, by number.
            a, b = (stages.dictionaries[nodes.models[m]].score_side for m in divmod(int(pair), len(nodes.models)))
            indices = nodes.latent[u[here]], nodes.latent[v[here]]
            out[here] = prepared_pairs(a, b, *indices, threads=stages.threads).r
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
    stages: Stages,
    nodes: Nodes,
    pairs: pd.DataFrame,
    similarity: CrossSimilarity,
    agreement: CrossAgreement,
    tau: float,
) -> Clustering:
    """Cluster all alive features at one tau and give every cluster its class and level.

    A level needs a pair. A single feature has none with another model; it gets the level of the pair with
    its own replicate, where that is an edge, else ``untested``.
    """
    edges = edges_at(pairs, nodes, tau, stages.config.alpha)
    label = constrained_clusters(nodes.model_of, edges, similarity, tau)
    table = cluster_table(label, edges, similarity, nodes.names, len(nodes.models))
    several = (table["n_models"] > 1).to_numpy()
    order = np.argsort(label, kind="stable")
    members = dict(zip(label[order].tolist(), [[] for _ in order], strict=True))
    for node in order.tolist():
        members[int(label[node])].append(node)
    clusters = [members[key] for key in table["label"][several].tolist()]
    table["level"] = _replicate_levels(stages, nodes, tau)[table["label"].to_numpy()]
    level, r_joint = agreement.levels(clusters, tau)
    table.loc[several, "level"] = level
    table["r_joint"] = np.nan
    table.loc[several, "r_joint"] = r_joint
    place = np.full(nodes.model_of.size, -1, np.int64)
    place[table["label"].to_numpy()] = np.arange(len(table))
    return Clustering(table[CLUSTERS.names], place[label], label, edges)


def untrained_fractions(stages: Stages) -> np.ndarray:
    """(M,) share of the untrained models' features in clusters of k = 1..M of them; NaN unless they are M too."""
    m, plan = len(stages.models), stages.plan
    if len(plan.untrained) != m or plan.of_one_transformer:
        return np.full(m, np.nan)
    floor = replace(stages, plan=PairPlan(plan.untrained, {}, ()))
    nodes, tau = number_nodes(floor), stages.config.tau
    edges = edges_at(assigned_pairs(floor), nodes, tau, stages.config.alpha)
    label = constrained_clusters(nodes.model_of, edges, cross_similarity(floor, nodes), tau)
    sizes = np.bincount(label, minlength=label.size)[label]
    return np.bincount(sizes, minlength=m + 1)[1:] / max(sizes.size, 1)


def clustered(stages: Stages) -> tuple[Nodes, pd.DataFrame, Clustering]:
    """Nodes, assigned pairs, and clusters at the tau of the settings, of stages with matchings."""
    nodes, pairs = number_nodes(stages), assigned_pairs(stages)
    similarity, agreement = cross_similarity(stages, nodes), CrossAgreement(stages, nodes, pairs)
    return nodes, pairs, cluster_at(stages, nodes, pairs, similarity, agreement, stages.config.tau)


def _replicate_levels(stages: Stages, nodes: Nodes, tau: float) -> np.ndarray:
    out = np.full(nodes.model_of.size, "untested", dtype=object)
    for model, replicate in stages.plan.replicate_pairs:
        pairs = stages.matchings[model, replicate].pairs
        edges = pairs.loc[is_edge(pairs, tau, stages.config.alpha)]
        node = nodes.number[model][edges["latent_a"].to_numpy()]
        level = levels_of(edges, tau, is_complete(stages.rows))
        out[node] = np.where(out[node] == "untested", level, out[node])
    return out


def tau_curve(
    stages: Stages, nodes: Nodes, pairs: pd.DataFrame, similarity: CrossSimilarity, agreement: CrossAgreement
) -> pd.DataFrame:
    """tau, class, level, n_features: classes along the curve, clusters and levels made anew at each tau."""
    parts = []
    for tau in sorted(stages.config.taus):
        table = cluster_at(stages, nodes, pairs, similarity, agreement, tau).table
        counts = table.groupby(["class", "level"], sort=True)["n_models"].sum().rename("n_features").reset_index()
        counts.insert(0, "tau", tau)
        parts.append(counts)
    return pd.concat(parts, ignore_index=True)
