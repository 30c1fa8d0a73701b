"""How sure classes and groups are: what features would be, had the sources been dealt to the halves otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from universality.compare.nodes import Nodes
from universality.compare.stages import Stages
from universality.graph import CrossSimilarity, Edges, class_of, constrained_clusters
from universality.intervals import centred_interval


@dataclass(frozen=True, eq=False)
class Resplits:
    """Every alive feature in every re-split.

    Attributes:
        n_models: (n_resplits, n_nodes) models in its cluster.
        stable: (n_resplits, n_nodes) bool, a second dictionary of its own model has its like, or there is no such.
    """

    n_models: np.ndarray
    stable: np.ndarray

    def fractions(self, found: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        """(m,) ends of the intervals of shares of features in clusters of k = 1..m models, ``found`` (m,).

        Re-splits give the spread alone, see :func:`~universality.intervals.centred_interval`; NaN without any.
        """
        if not self.n_models.size:
            return np.full(found.size, np.nan), np.full(found.size, np.nan)
        shares = [(self.n_models == k).mean(axis=1) for k in range(1, found.size + 1)]
        ends = [centred_interval(value, drawn, level) for value, drawn in zip(found.tolist(), shares, strict=True)]
        low, high = np.clip(ends, 0.0, 1.0).T
        return low, high

    def probabilities(
        self, node: np.ndarray, n_models: np.ndarray, group: np.ndarray, m: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Re-splits in which features keep their class, and their group; (n,) each, NaN without re-splits.

        Args:
            node: (n,) the features. n_models, group: (n,) in how many of ``m`` models each was found, and its group.
        """
        if not self.n_models.size:
            return np.full(node.size, np.nan), np.full(node.size, np.nan)
        drawn, stable = self.n_models[:, node], self.stable[:, node]
        of_size = np.array([class_of(size, m) for size in range(1, m + 1)])
        same_class = of_size[drawn - 1] == of_size[n_models - 1]
        partnered = drawn > 1
        # Wholes with a dominant piece are rearranged, but have a partner.
        same_group = np.where(n_models > 1, partnered, ~partnered & stable)
        same_group = np.where(group == "unstable", ~partnered & ~stable, same_group)
        # What is left are features that nobody could judge: they stay so unless a partner turns up.
        same_group = np.where(group == "untested", ~partnered, same_group)
        return same_class.mean(axis=0), same_group.mean(axis=0)


def resplit_features(stages: Stages, nodes: Nodes, similarity: CrossSimilarity) -> Resplits:
    """Cluster the edges of each re-split, see :func:`~universality.compare.resplits.resplit_edges`.

    Cross pairs inside a cluster that are no edges count with their reported r.
    """
    n_models, stable = [], []
    for number in range(stages.config.n_resplits):
        edges = [_edges(stages, nodes, pair, number) for pair in stages.plan.model_pairs]
        together = Edges(*(np.concatenate(parts) for parts in zip(*edges, strict=True)))
        label = constrained_clusters(nodes.model_of, together, CrossSimilarity(similarity.held_out), stages.config.tau)
        n_models.append(np.bincount(label, minlength=label.size)[label])
        stable.append(_stable(stages, nodes, number))
    shape = (len(n_models), nodes.model_of.size)
    return Resplits(np.array(n_models, np.int64).reshape(shape), np.array(stable, bool).reshape(shape))


def _edges(stages: Stages, nodes: Nodes, pair: tuple[str, str], number: int) -> tuple[np.ndarray, ...]:
    edges = stages.matchings[pair].resplits
    here = edges.resplit == number
    u, v = nodes.number[pair[0]][edges.a[here]], nodes.number[pair[1]][edges.b[here]]
    return np.minimum(u, v), np.maximum(u, v), edges.r[here].astype(np.float64)


def _stable(stages: Stages, nodes: Nodes, number: int) -> np.ndarray:
    """(n_nodes,) bool: r of tau or more to some latent of a replicate, as the verdict ``unstable`` asks for."""
    tested = [nodes.models.index(model) for model, _ in stages.plan.replicate_pairs]
    out = ~np.isin(nodes.model_of, tested)
    for model, replicate in stages.plan.replicate_pairs:
        alive = stages.dictionaries[model].alive
        out[nodes.number[model][alive]] |= stages.matchings[model, replicate].resplits.reaches_a[number][alive]
    return out
