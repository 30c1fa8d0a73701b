"""The M-partite graph of features, its clusters, and whether its triangles close.

Nodes are alive features, numbered ``0..n-1`` here and named ``(model, latent)`` in the networkx graph;
edges are assigned pairs of two models beyond chance and at or above tau, so a feature has at most one
edge to each other model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx
import numpy as np
import pandas as pd

from universality.arguments import SEEDED, checked, frame, instance, number, vector, whole
from universality.errors import require

_NODE_COLUMNS = ("model", "latent", "cluster", "class", "level")
_EDGE_COLUMNS = ("model_a", "latent_a", "model_b", "latent_b", "r_held_out", "q", "level")
#: Held-out r of pairs of nodes ``(u, v)``: any feature against any feature of another model.
HeldOut = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges between numbered nodes.

    Attributes:
        u, v: (n_edges,) nodes of two different models, ``u < v``.
        weight: (n_edges,) held-out r.
    """

    u: np.ndarray
    v: np.ndarray
    weight: np.ndarray


def _check_edges(model_of: np.ndarray, edges: Edges) -> None:
    """Refuse edges to nodes that there are not, or within one model.

    Raises:
        InputError: says which.
    """
    n, remedy = len(model_of), "Number nodes as model_of lists them."
    sizes = {name: len(part) for name, part in vars(edges).items()}
    require(len(set(sizes.values())) == 1, "u, v and weight", "edges", "of one length", sizes, remedy)
    for name, nodes in (("u", edges.u), ("v", edges.v)):
        low, high = (int(nodes.min()), int(nodes.max())) if len(nodes) else (0, -1)
        require(low >= 0 and high < n, name, "edges", f"in 0..{n - 1}", f"{low}..{high}", remedy)
    within = np.flatnonzero(model_of[edges.u] == model_of[edges.v])
    require(not within.size, "every edge", "edges", "of two models", f"{within.size} within one", remedy)


@dataclass
class CrossSimilarity:
    """Held-out r of pairs of nodes, asked for in batches and kept: clusters at every tau share one.

    Attributes:
        held_out: computes r for arrays of nodes.
        r: what was computed so far, by pair ``(u, v)`` with ``u < v``.
    """

    held_out: HeldOut
    r: dict[tuple[int, int], float] = field(default_factory=dict)

    def learn(self, u: np.ndarray, v: np.ndarray, r: np.ndarray) -> None:
        """Keep values that need no computing, such as those of edges."""
        low, high = np.minimum(u, v).tolist(), np.maximum(u, v).tolist()
        self.r.update(zip(zip(low, high, strict=True), r.tolist(), strict=True))

    def ask(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Compute and keep r of pairs ``(u, v)`` with ``u < v``."""
        ordered = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
        self.learn(ordered[:, 0], ordered[:, 1], self.held_out(ordered[:, 0], ordered[:, 1]))


@checked(
    model_of=vector("iu"), edges=instance(Edges), similarity=instance(CrossSimilarity), tau=number()
)  # fmt: skip
def constrained_clusters(model_of: np.ndarray, edges: Edges, similarity: CrossSimilarity, tau: float) -> np.ndarray:
    """Join features into clusters that hold at most one feature of each model.

    Edges are taken in falling weight (ties by node). Two clusters join only if no model would be twice in
    the union and the mean held-out r over *all* their cross pairs is at least ``tau``: a chain of edges
    whose ends have nothing in common is not one feature.

    Cross pairs that are no edges are asked for in batches: the pass is repeated until it met no unknown
    pair, so its last round, which counts, is exact.

    Args:
        model_of: (n_nodes,) model number of each node.
        edges: edges at or above tau.
        similarity: held-out r of pairs; learns what it is asked.
        tau: threshold of the mean, in r.

    Returns:
        (n_nodes,) int, the smallest node of each node's cluster. See :func:`is_constrained_partition`.

    Source: ours.
    """
    _check_edges(model_of, edges)
    similarity.learn(edges.u, edges.v, edges.weight)
    order = np.lexsort((edges.v, edges.u, -edges.weight))
    u, v = edges.u[order].tolist(), edges.v[order].tolist()
    models = model_of.tolist()
    while True:
        label, unknown = _join(u, v, models, similarity.r, tau)
        if not unknown:
            return label
        similarity.ask(list(unknown))


def _join(
    u: list[int], v: list[int], models: list[int], r: Mapping[tuple[int, int], float], tau: float
) -> tuple[np.ndarray, set[tuple[int, int]]]:
    """One pass over the edges; pairs without an r are left out of the mean and reported."""
    label = list(range(len(models)))
    members = {node: [node] for node in {*u, *v}}
    unknown: set[tuple[int, int]] = set()
    for a, b in zip(u, v, strict=True):
        keep, drop = sorted((label[a], label[b]))
        left, right = members[keep], members.get(drop, [])
        if keep == drop or {models[x] for x in left} & {models[y] for y in right}:
            continue
        pairs = [(min(x, y), max(x, y)) for x in left for y in right]
        values = [r[pair] for pair in pairs if pair in r]
        unknown.update(pair for pair in pairs if pair not in r)
        if sum(values) < tau * len(values):
            continue
        members[keep] = left + right
        for node in members.pop(drop):
            label[node] = keep
    return np.array(label, dtype=np.int64), unknown


def is_constrained_partition(label: np.ndarray, model_of: np.ndarray) -> bool:
    """Whether every node has a cluster, named after its smallest node, with no model twice in it."""
    pairs = np.stack([label, model_of], axis=1)
    first = np.full(label.size, label.size)
    np.minimum.at(first, label, np.arange(label.size))
    return bool(np.array_equal(first[label], label) and len(np.unique(pairs, axis=0)) == label.size)


def cluster_table(
    label: np.ndarray, edges: Edges, similarity: CrossSimilarity, names: list[str], n_models: int
) -> pd.DataFrame:
    """Describe clusters and number them: larger first, then more cohesive, then by their smallest node.

    Args:
        label: clusters as returned by :func:`constrained_clusters`.
        edges: the edges they were made of.
        similarity: holds every cross pair inside a cluster.
        names: (n_nodes,) name of each node, ``"model:latent"``.
        n_models: models of the comparison, M.

    Returns:
        cluster, class (universal: all M models; shared: 2..M-1; specific: 1), level, n_models,
        completeness (edges among the members over possible pairs, 0..1), cohesion (mean held-out r over all
        pairs of members), members, label; single features have completeness and cohesion 1.
    """
    size = np.bincount(label, minlength=label.size)
    inside = label[edges.u] == label[edges.v]
    joined = np.bincount(label[edges.u[inside]], minlength=label.size)
    order = np.argsort(label, kind="stable")
    bounds = np.searchsorted(label[order], np.flatnonzero(size))
    groups = {int(label[group[0]]): group.tolist() for group in np.split(order, bounds[1:]) if group.size}
    rows = []
    for key in np.flatnonzero(size).tolist():
        group = groups[key]
        possible = len(group) * (len(group) - 1) // 2
        values = [similarity.r[x, y] for i, x in enumerate(group) for y in group[i + 1 :]]
        rows.append(
            {
                "class": class_of(len(group), n_models),
                "n_models": len(group),
                "completeness": joined[key] / possible if possible else 1.0,
                "cohesion": sum(values) / possible if possible else 1.0,
                "members": ";".join(names[node] for node in group),
                "label": key,
            }
        )
    columns = ["class", "n_models", "completeness", "cohesion", "members", "label"]
    table = pd.DataFrame(rows, columns=columns).astype({"n_models": "int64", "label": "int64"})
    table = table.sort_values(["n_models", "cohesion", "label"], ascending=[False, False, True], ignore_index=True)
    table.insert(0, "cluster", np.arange(len(table)))
    return table


def class_of(size: int, n_models: int) -> str:
    """universal (all models), shared (2..M-1) or specific (1)."""
    return "universal" if size == n_models else "specific" if size == 1 else "shared"


@dataclass(frozen=True)
class CycleConsistency:
    """How many triangles close.

    Attributes:
        value: closed triangles over paths of two edges whose ends lie in different models, 0..1.
        chance: mean of the same over random graphs with every node's degree toward each model kept.
        low, high: 2.5th and 97.5th percentile over the random graphs.
        n_paths: paths that could close; 0 leaves value and chance 0.
    """

    value: float
    chance: float
    low: float
    high: float
    n_paths: int


@checked(
    model_of=vector("iu"), edges=instance(Edges), generator=instance(np.random.Generator, remedy=SEEDED),
    n_draws=whole(1),
)  # fmt: skip
def cycle_consistency(
    model_of: np.ndarray, edges: Edges, generator: np.random.Generator, n_draws: int = 100
) -> CycleConsistency:
    """Compare the share of closed triangles with a degree-preserving random graph.

    A random graph keeps, for every pair of models, which features have an edge to the other model, and
    draws anew which is joined to which.

    Args:
        model_of: (n_nodes,) model number of each node.
        edges: edges of the graph, at most one per node and other model.
        generator: source of the random graphs.
        n_draws: random graphs.

    Source: ours; cycle consistency as in multi-way matching.
    """
    _check_edges(model_of, edges)
    n_models = int(model_of.max(initial=-1)) + 1
    swap = model_of[edges.u] > model_of[edges.v]
    left, right = np.where(swap, edges.v, edges.u), np.where(swap, edges.u, edges.v)
    pair = model_of[left] * n_models + model_of[right]
    groups = [np.flatnonzero(pair == key) for key in np.unique(pair)]
    closed, paths = _triangles(model_of, left, right, n_models)
    shares = np.zeros(n_draws)
    for draw in range(n_draws):
        shuffled = right.copy()
        for group in groups:
            shuffled[group] = generator.permutation(right[group])
        shares[draw] = _share(*_triangles(model_of, left, shuffled, n_models))
    low, high = np.quantile(shares, [0.025, 0.975])
    return CycleConsistency(_share(closed, paths), float(shares.mean()), float(low), float(high), paths)


def _triangles(model_of: np.ndarray, left: np.ndarray, right: np.ndarray, n_models: int) -> tuple[int, int]:
    """Paths of two edges that close, and all of them."""
    partner = np.full((model_of.size, n_models), -1, dtype=np.int64)
    partner[left, model_of[right]] = right
    partner[right, model_of[left]] = left
    closed = paths = 0
    for a in range(n_models):
        for b in range(a + 1, n_models):
            both = (partner[:, a] >= 0) & (partner[:, b] >= 0)
            paths += int(both.sum())
            closed += int((partner[partner[both, a], b] == partner[both, b]).sum())
    return closed, paths


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


@checked(features=frame(*_NODE_COLUMNS, "status"), pairs=frame(*_EDGE_COLUMNS))
def build_graph(features: pd.DataFrame, pairs: pd.DataFrame) -> nx.Graph:
    """The graph for people: alive features as nodes ``(model, latent)``, edges with their evidence.

    Args:
        features: model, latent, status, cluster, class, level; rows with status alive become nodes.
        pairs: model_a, latent_a, model_b, latent_b, r_held_out, q, level; every row becomes an edge.

    Returns:
        An undirected graph; node attributes model, latent, cluster, class, level; edge attributes weight
        (held-out r), q, level. See :func:`is_m_partite`.
    """
    graph = nx.Graph()
    alive = features.loc[features["status"] == "alive"]
    for row in alive[list(_NODE_COLUMNS)].itertuples(index=False, name=None):
        model, latent, cluster, kind, level = row
        attributes = {"model": model, "latent": int(latent), "cluster": int(cluster), "level": level}
        graph.add_node((model, int(latent)), **attributes, **{"class": kind})
    for model_a, a, model_b, b, r, q, level in pairs[list(_EDGE_COLUMNS)].itertuples(index=False, name=None):
        graph.add_edge((model_a, int(a)), (model_b, int(b)), weight=float(r), q=float(q), level=level)
    return graph


@checked(graph=instance(nx.Graph, remedy="Make one with build_graph."))
def is_m_partite(graph: nx.Graph) -> bool:
    """Whether no edge joins two features of one model."""
    return all(u[0] != v[0] for u, v in graph.edges)
