"""What r of any two features of different models is made of: assigned pairs have it, others are measured on demand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from universality.compare.levels import (
    PART_COLUMNS,
    R_COLUMNS,
    decide_levels,
    is_complete,
    parts_of,
)
from universality.compare.nodes import Nodes
from universality.compare.stages import Stages
from universality.intervals import percentile_interval


class CrossAgreement:
    """Kept by pair of nodes ``(u, v)`` with ``u < v``, so that clusters at every tau share one.

    Args:
        stages: with matchings.
        nodes: the alive features.
        pairs: assigned pairs of all pairs of models, in the order of the plan.
    """

    def __init__(self, stages: Stages, nodes: Nodes, pairs: pd.DataFrame) -> None:
        self._stages, self._nodes = stages, nodes
        u, v = nodes.ends(pairs)
        draws = [stages.matchings[pair].resampled_joint for pair in stages.plan.model_pairs]
        self._r, self._parts = pairs[[*R_COLUMNS]].to_numpy(float), pairs[[*PART_COLUMNS]].to_numpy(float)
        self._draws = np.concatenate(draws)
        self._repeated = pairs["r_repeated"].to_numpy(float)
        self._row = {key: row for row, key in enumerate(zip(u.tolist(), v.tolist(), strict=True))}

    def levels(self, clusters: list[list[int]], tau: float) -> tuple[np.ndarray, np.ndarray]:
        """Level and mean r_joint of clusters of two nodes or more, from means over all their pairs.

        Args:
            clusters: nodes of each.
            tau: threshold of r.

        Returns:
            ``((n,) str, (n,) float64)``.
        """
        pairs = [(x, y) for nodes in clusters for i, x in enumerate(nodes) for y in nodes[i + 1 :]]
        self._ask([pair for pair in dict.fromkeys(pairs) if pair not in self._row])
        rows = np.array([self._row[pair] for pair in pairs], np.int64)
        size = np.array([len(nodes) for nodes in clusters], np.int64)
        first = np.concatenate([[0], np.cumsum(size * (size - 1) // 2)]).astype(np.int64)

        def means(values: np.ndarray) -> np.ndarray:
            if not len(clusters):
                return np.zeros((0, values.shape[1]))
            total = np.add.reduceat(values[rows].astype(np.float64), first[:-1], axis=0)
            return total / np.diff(first)[:, None]

        r, rule = means(self._r), self._stages.config
        low, _ = percentile_interval(means(self._draws), rule.confidence)
        complete = is_complete(self._stages.rows)
        told = ~np.isnan(self._repeated)
        both = means(np.stack([np.nan_to_num(self._repeated), told], axis=1))
        # Of the pairs that could be measured; NaN where none could.
        repeated = np.divide(both[:, 0], both[:, 1], out=np.full(len(both), np.nan), where=both[:, 1] > 0)
        level = decide_levels(r, means(self._parts), tau, complete=complete, joint_low=low, repeated=repeated)
        return level, r[:, 3]

    def _ask(self, pairs: list[tuple[int, int]]) -> None:
        stages, nodes = self._stages, self._nodes
        ends = np.array(sorted(pairs), np.int64).reshape(-1, 2)
        of = nodes.model_of[ends]
        for a, b in np.unique(of, axis=0).tolist():
            chosen = ends[(of[:, 0] == a) & (of[:, 1] == b)]
            left, right = (stages.dictionaries[nodes.models[model]] for model in (a, b))
            pair, latents = stages.pair((left.name, right.name)), nodes.latent[chosen]
            measured = parts_of(pair, latents[:, 0], latents[:, 1])
            keys = map(tuple, chosen.tolist())
            self._row |= {key: len(self._r) + place for place, key in enumerate(keys)}
            self._r = np.concatenate([self._r, measured.r])
            self._parts = np.concatenate([self._parts, measured.parts])
            self._draws = np.concatenate([self._draws, measured.draws[..., 3]])
            self._repeated = np.concatenate([self._repeated, measured.r_repeated])
