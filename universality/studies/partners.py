"""One-to-one partners of two dictionaries, where r and its draws are all that is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from universality.compare.compare_config import EDGE_SLACK
from universality.compare.pair import DictionaryPair
from universality.compare.pairing import assign, pair_similarity
from universality.intervals import GroupMoments


@dataclass(frozen=True, eq=False)
class Partners:
    """One-to-one partners of the latents of one dictionary in another.

    Attributes:
        partner: (n,) assigned latent of the other dictionary, -1 if none.
        r: (n, 1 + n_draws) held-out r with it, over all sources and over draws of them; 0 without one.
        holds: (n, 1 + n_draws) whether the two count as one feature: r >= tau, and r on fit rows >= tau - 0.1.
    """

    partner: np.ndarray
    r: np.ndarray
    holds: np.ndarray

    def swapped(self, n: int) -> Partners:
        """The same of the other dictionary, of n latents."""
        mine = np.flatnonzero(self.partner >= 0)
        theirs, shape = self.partner[mine], (n, self.r.shape[1])
        out = Partners(np.full(n, -1, np.int64), np.zeros(shape), np.zeros(shape, bool))
        out.partner[theirs], out.r[theirs], out.holds[theirs] = mine, self.r[mine], self.holds[mine]
        return out


def find_partners(pair: DictionaryPair, weights: np.ndarray) -> Partners:
    """Assign the latents of two dictionaries on fit rows, and judge each pair on score rows.

    Without a null: what reaches tau on rows that did not choose it is beyond chance.

    Args:
        pair: the dictionaries.
        weights: (1 + n_draws, n_sources), as for :func:`judge_parents`.
    """
    config, n = pair.config, pair.a.d_sae
    assigned = assign(pair, pair_similarity(pair))
    ia, ib = assigned.indices_a.astype(np.int64), assigned.indices_b.astype(np.int64)
    drawn = GroupMoments(*pair.score, pair.rows.groups[pair.rows.score]).correlations(ia, ib, weights)
    sure = assigned.score >= config.tau - EDGE_SLACK
    out = Partners(np.full(n, -1, np.int64), np.zeros((n, len(weights))), np.zeros((n, len(weights)), bool))
    out.partner[ia], out.r[ia], out.holds[ia] = ib, drawn, sure[:, None] & (drawn >= config.tau)
    return out
