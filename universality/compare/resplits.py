"""What might have been found on other text: sources dealt to the halves anew, partners chosen and measured anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from universality.compare.chance import PairNull, significance
from universality.compare.levels import is_edge
from universality.compare.pair import DictionaryPair, alive_rows
from universality.correlation import TopSimilarity, correlate
from universality.intervals import GroupMoments
from universality.matching import match
from universality.rows import resplits
from universality.seeds import generator

#: Candidates per latent, by r over all rows: a partner is nearly always the first or second of them.
_TOP = 10


@dataclass(frozen=True, eq=False)
class ResplitEdges:
    """The edges of one pair of dictionaries in each re-split, one after the other.

    Attributes:
        resplit: (n,) int32 number of the re-split. a, b: (n,) int32 latents. r: (n,) float32 held-out r.
        reaches_a, reaches_b: (n_resplits, d_sae) bool, held-out r to *some* latent of the other side is at least tau.
    """

    resplit: np.ndarray
    a: np.ndarray
    b: np.ndarray
    r: np.ndarray
    reaches_a: np.ndarray
    reaches_b: np.ndarray

    def swapped(self) -> ResplitEdges:
        """The same with the sides exchanged."""
        order = np.lexsort((self.b, self.resplit))
        number, b, a, r = (values[order] for values in (self.resplit, self.b, self.a, self.r))
        return ResplitEdges(number, b, a, r, self.reaches_b, self.reaches_a)


def resplit_edges(pair: DictionaryPair, null: PairNull) -> ResplitEdges:
    """Assign latents and judge every pair in ``config.n_resplits`` other halves of the sources.

    Within a half as many sources are drawn with replacement as it has: halves of the same text alone would differ by
    less than two texts do, and promise too much. Each time the assignment is that of maximum summed r on the fit half,
    among the best candidates by r over all rows, and what makes an edge is asked of the other half
    (:func:`~universality.compare.levels.is_edge`). q is against the null of the reported score half, since maxima under
    shifts hardly depend on which half is shifted.

    Args:
        pair: the dictionaries; the outcome does not depend on which of them is a.
        null: :func:`~universality.compare.chance.pair_null` of the pair.
    """
    rows, config = pair.rows, pair.config
    if not config.n_resplits:
        none, reaches = np.zeros(0, np.int32), [np.zeros((0, side.d_sae), bool) for side in (pair.a, pair.b)]
        return ResplitEdges(none, none, none, np.zeros(0, np.float32), reaches[0], reaches[1])
    left, right = (alive_rows(side.acts, side.alive, np.ones(rows.n_rows, bool)) for side in (pair.a, pair.b))
    similarity = correlate(left, right, top=_TOP, threads=pair.threads)
    ia, ib = similarity.indices_a.astype(np.int64), similarity.indices_b.astype(np.int64)
    moments = GroupMoments(left, right, rows.groups)
    dealt = resplits(rows, pair.root_seed, config.n_resplits)
    rng = generator(pair.root_seed, "resplit-bootstrap")
    halves = np.stack([_drawn(dealt, rng), _drawn(~dealt, rng)])
    r_fit, r_score = (moments.correlations(ia, ib, weights).T for weights in halves)
    parts = [_edges(pair, null, moments, similarity, r, score) for r, score in zip(r_fit, halves[1], strict=True)]
    number = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    table = pd.concat(parts, ignore_index=True)
    a, b = (table[side].to_numpy(np.int32) for side in "ab")
    reaches = []
    for latent, n in ((ia, similarity.n_a), (ib, similarity.n_b)):
        reaches.append(np.zeros((len(dealt), n), bool))
        draw, place = np.nonzero(r_score >= config.tau)
        reaches[-1][draw, latent[place]] = True
    return ResplitEdges(number, a, b, table["r_held_out"].to_numpy(np.float32), reaches[0], reaches[1])


def _drawn(half: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n_resplits, n_groups) how often each source of a half is drawn, as many as it has, with replacement."""
    return np.stack([rng.multinomial(members.sum(), members / members.sum()) for members in half])


def _edges(
    pair: DictionaryPair,
    null: PairNull,
    moments: GroupMoments,
    similarity: TopSimilarity,
    r: np.ndarray,
    drawn: np.ndarray,
) -> pd.DataFrame:
    """a, b, r_held_out of the edges of one re-split.

    Args:
        r: (n_candidates,) on its fit half. drawn: (n_groups,) how often its score half has each source.
    """
    config = pair.config
    bound = np.ones(similarity.n_a), np.ones(similarity.n_b)  # nothing is known of what is not listed
    assigned = match(
        replace(similarity, r=r, cutoff_a=bound[0], cutoff_b=bound[1]), method=config.method,
        unmatched=config.unmatched, threads=pair.threads,
    )  # fmt: skip
    ia, ib = assigned.indices_a.astype(np.int64), assigned.indices_b.astype(np.int64)
    score = np.flatnonzero(drawn)
    weights = np.repeat(drawn[None], 1 + score.size, axis=0)
    weights[1 + np.arange(score.size), score] = 0  # the whole half, then the half without one source
    measured = moments.correlations(ia, ib, weights)
    table = pd.DataFrame({"a": ia, "b": ib, "r": assigned.score, "r_held_out": measured[:, 0]})
    table["r_loo"] = measured[:, 1:].min(axis=1) if score.size >= 3 else np.nan
    table["q"] = significance(measured[:, 0], ia, ib, null, pair).q
    return table.loc[is_edge(table, config.tau, config.alpha), ["a", "b", "r_held_out"]]
