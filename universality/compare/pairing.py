"""One pair of dictionaries: candidates and assignment from fit rows, everything reported from score rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from universality.brief_repr import brief_repr
from universality.compare.chance import PairNull, significance
from universality.compare.compare_config import FAMILY_MARGIN, MIN_SOURCES, CompareConfig
from universality.compare.levels import LEVELS, drawn_levels, is_edge, level_columns, parts_of
from universality.compare.pair import Dictionary, DictionaryPair
from universality.compare.pair_plan import Pair
from universality.compare.resplits import ResplitEdges, resplit_edges
from universality.compare.token_interval import evenly, resampled_conditional
from universality.correlation import (
    TopSimilarity,
    conditional_correlation,
    correlate,
    correlate_pairs,
    pairs_above,
)
from universality.intervals import percentile_interval, resampled_correlations
from universality.matching import MatchResult, match
from universality.rows import Rows
from universality.seeds import generator
from universality.table_schemas import MATCHED

N_CANDIDATES = 5
#: Fields of :class:`BestPartners`, in its order, as they are named in storage.
_BEST = ("partner", "r", "low", "high", "means")
#: Arrays of :class:`PairMatching`, in its order.
_DRAWS = ("resampled", "resampled_joint", "resampled_level", "resampled_token")
#: Columns that change places when a pair is named the other way round; all others belong to both sides.
_SWAPPED = {
    "latent_a": "latent_b",
    "model_a": "model_b",
    "margin_a": "margin_b",
    "p_b_given_a": "p_a_given_b",
}


@dataclass(frozen=True, eq=False)
class BestPartners:
    """The best partner of each latent of one side on the score rows, over *all* latents of the other side.

    Attributes:
        partner: (n,) latent of the other side, -1 where no correlation is defined.
        r: (n,) its held-out r; 0 without a partner.
        low, high: (n,) source-bootstrap interval of r; 0 without a partner.
        means: (2, n_resamples) mean r over the alive latents in each resample, plain and weighted by
            activation mass.
    """

    partner: np.ndarray
    r: np.ndarray
    low: np.ndarray
    high: np.ndarray
    means: np.ndarray


@brief_repr
@dataclass(frozen=True, eq=False)
class PairMatching:
    """The assigned pairs of two dictionaries with their evidence.

    Attributes:
        pairs: one row per assigned pair, the table ``matched``, sorted by latent_a; ``q_domain`` and ``r_token``
            are NaN where domains or token ids were not given.
        best_a, best_b: best held-out partners of either side's latents.
        resampled: (n_pairs, n_resamples) float32 held-out r in each resample of sources.
        resampled_joint: (n_pairs, n_resamples) float32 the same of r_joint; NaN where that was not measured.
        resampled_level: (n_pairs, n_resamples) int8 place of the level in LEVELS, likewise.
        resampled_token: the same of the token-conditional r for :func:`evenly` chosen pairs; (0, n_resamples)
            without token ids or where it was not asked for.
        resplits: the edges in other halves of the sources.
        certificate: upper bound of what any other matching could add to the summed fit r.
        top: list length of the candidates finally used.
    """

    pairs: pd.DataFrame
    best_a: BestPartners
    best_b: BestPartners
    resampled: np.ndarray
    resampled_joint: np.ndarray
    resampled_level: np.ndarray
    resampled_token: np.ndarray
    resplits: ResplitEdges
    certificate: float
    top: int

    def swapped(self) -> PairMatching:
        """The same matching, named the other way round."""
        names = _SWAPPED | {b: a for a, b in _SWAPPED.items()}
        pairs = self.pairs.rename(columns=names)[MATCHED.names]
        order = np.lexsort((pairs["latent_b"], pairs["latent_a"]))
        return replace(
            self,
            pairs=pairs.iloc[order].reset_index(drop=True),
            best_a=self.best_b,
            best_b=self.best_a,
            resampled=self.resampled[order],
            resampled_joint=self.resampled_joint[order],
            resampled_level=self.resampled_level[order],
            resplits=self.resplits.swapped(),
        )

    def to_tables(self) -> dict[str, pd.DataFrame]:
        """Tables for storage."""
        return {"pairs": self.pairs}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All content besides the tables as named arrays, for storage."""
        arrays = {name: getattr(self, name) for name in _DRAWS}
        arrays["outcome"] = np.array([self.certificate, self.top], dtype=np.float64)
        for side, best in (("a", self.best_a), ("b", self.best_b)):
            arrays |= {f"best_{name}_{side}": value for name, value in vars(best).items()}
        return arrays | {f"resplit_{name}": value for name, value in vars(self.resplits).items()}

    @classmethod
    def from_stored(cls, tables: Mapping[str, pd.DataFrame], arrays: Mapping[str, np.ndarray]) -> PairMatching:
        """The inverse of :meth:`to_tables` and :meth:`to_arrays`."""
        best = [BestPartners(*(np.asarray(arrays[f"best_{name}_{side}"]) for name in _BEST)) for side in "ab"]
        certificate, top = (float(x) for x in arrays["outcome"])
        pairs = tables["pairs"][MATCHED.names].reset_index(drop=True)
        drawn = {name: np.asarray(arrays[name]) for name in _DRAWS}
        resplits = ResplitEdges(*(np.asarray(arrays[f"resplit_{name}"]) for name in ResplitEdges.__dataclass_fields__))
        return cls(pairs, best[0], best[1], resplits=resplits, certificate=certificate, top=int(top), **drawn)


def pair_similarity(pair: DictionaryPair) -> TopSimilarity:
    """Best candidates of both sides on the fit rows, among alive latents; ``config.top`` per latent."""
    return correlate(*pair.fit, top=pair.config.top, threads=pair.threads)


def candidate_table(similarity: TopSimilarity, pair: Pair) -> pd.DataFrame:
    """model_a, latent_a, model_b, latent_b, rank (1..5), r (fit rows); a's best in b, then b's best in a."""
    parts = []
    for (model_a, model_b), (indices, r) in (
        (pair, similarity.top_a(N_CANDIDATES)),
        ((pair[1], pair[0]), similarity.top_b(N_CANDIDATES)),
    ):
        latent, place = np.nonzero(indices >= 0)
        parts.append(
            pd.DataFrame(
                {
                    "model_a": model_a,
                    "latent_a": latent,
                    "model_b": model_b,
                    "latent_b": indices[latent, place].astype(np.int64),
                    "rank": place + 1,
                    "r": r[latent, place],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def pair_matching(
    pair: DictionaryPair, similarity: TopSimilarity, null: PairNull, *, token_interval: bool = True
) -> PairMatching:
    """Assign latents on fit rows, then measure every assigned pair on score rows.

    Args:
        pair: the dictionaries; the outcome does not depend on which of them is a.
        similarity: :func:`pair_similarity` of the pair.
        null: :func:`~universality.compare.chance.pair_null` of the pair.
        token_interval: whether to resample the token-conditional r too (the headline needs it for pairs of
            models only).
    """
    # Computed in one order of names only: ties and the last digits of sums depend on which side is walked.
    if pair.names[0] > pair.names[1]:
        mirrored = pair_matching(pair.swapped(), similarity.swapped(), null.swapped(), token_interval=token_interval)
        return mirrored.swapped()
    rows, config, threads = pair.rows, pair.config, pair.threads
    # Chosen on fit rows, measured on score rows: r of the first is the best of many, r_held_out is not.
    assigned = assign(pair, similarity)
    ia, ib = assigned.indices_a.astype(np.int64), assigned.indices_b.astype(np.int64)
    measured = correlate_pairs(*pair.score, ia, ib, threads=threads)
    tested = significance(measured.r, ia, ib, null, pair)
    # Beside the assigned partner, everybody's best partner on the score rows: what mean maximum correlations,
    # mutual neighbours and verdicts are made of. One latent may be the best of many.
    nearest = correlate(*pair.score, top=1, threads=threads)
    (to_b, r_a), (to_a, r_b) = nearest.top_a(1), nearest.top_b(1)
    resampler = Resampler(*pair.score, rows.groups[rows.score], config, pair.root_seed)
    # (n_pairs, n_resamples) each; the same sources in the same resample for every pair of the comparison, so that
    # medians over several pairs of models have an interval too.
    draws, draws_a, draws_b = resampler.together([(ia, ib), _pairs_of(to_b[:, 0], False), _pairs_of(to_a[:, 0], True)])
    low, high = percentile_interval(draws, config.confidence)
    logs = signed_log(pair.score[0]), signed_log(pair.score[1])
    nested = parts_of(pair, ia, ib)
    drawn = drawn_levels(nested, rows, config)
    made_of = level_columns(nested, drawn, rows, config)
    pairs = pd.DataFrame(
        {
            "model_a": pair.names[0],
            "latent_a": ia,
            "model_b": pair.names[1],
            "latent_b": ib,
            "r": assigned.score,
            "r_held_out": measured.r,
            "p": tested.p,
            "q": tested.q,
            "q_min": tested.q_min,
            "q_domain": tested.q_domain,
            "r_token": beyond_tokens(pair, ia, ib),
            **made_of,
            "margin_a": assigned.margin_a,
            "margin_b": assigned.margin_b,
            "method": assigned.method,
            "r_low": low,
            "r_high": high,
            "phi": measured.phi,
            "r_log": correlate_pairs(logs[0], logs[1], ia, ib, threads=threads).r,
            "jaccard": measured.jaccard,
            "n_both": measured.n_both,
            "p_b_given_a": measured.p_b_given_a,
            "p_a_given_b": measured.p_a_given_b,
        }
    ).astype({"model_a": object, "model_b": object, "method": object})
    pairs["edge"] = is_edge(pairs, config.tau, config.alpha)
    pairs["family"] = pairs["edge"] & (pairs[["margin_a", "margin_b"]].min(axis=1) < FAMILY_MARGIN)
    pairs["few_sources"] = pairs["n_eff_sources"] < MIN_SOURCES
    return PairMatching(
        pairs[MATCHED.names],
        _best(to_b[:, 0], r_a[:, 0], draws_a, pair.a, config),
        _best(to_a[:, 0], r_b[:, 0], draws_b, pair.b, config),
        draws.astype(np.float32),
        nested.draws[..., 3],
        np.select([drawn == level for level in LEVELS], range(len(LEVELS))).astype(np.int8),
        resampler.token_conditional(ia, ib, rows if token_interval else None),
        resplit_edges(pair, null),
        assigned.certificate,
        assigned.top,
    )


def beyond_tokens(pair: DictionaryPair, indices_a: np.ndarray, indices_b: np.ndarray) -> np.ndarray:
    """Held-out r of pairs (n,) once each token id's and each position's mean is taken off; NaN without token ids."""
    rows = pair.rows
    if rows.tokens is None:
        return np.full(indices_a.size, np.nan)
    positions = None if rows.positions is None else rows.positions[rows.score]
    return conditional_correlation(
        *pair.score, indices_a, indices_b, tokens=rows.tokens[rows.score], positions=positions, threads=pair.threads
    )  # fmt: skip


def signed_log(acts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Activations as ``sign(x) log(1 + |x|)``: what a few huge values do to r, they do not do to r of these."""
    compressed = np.sign(acts.data) * np.log1p(np.abs(acts.data))
    return sparse.csr_matrix((compressed, acts.indices, acts.indptr), shape=acts.shape)


@dataclass(frozen=True, eq=False)
class Resampler:
    """Resamples correlations of one pair, CSR or dense; all pairs of a comparison see the same draws."""

    left: Any
    right: Any
    documents: np.ndarray
    config: CompareConfig
    root_seed: int

    def __call__(self, indices_a: np.ndarray, indices_b: np.ndarray) -> np.ndarray:
        """(n_pairs, n_resamples) correlations."""
        return resampled_correlations(
            self.left, self.right, indices_a, indices_b, self.documents,
            n_resamples=self.config.n_resamples, generator=generator(self.root_seed, "document-bootstrap"),
        )  # fmt: skip

    def together(self, lists: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        """Correlations of several lists of pairs; a pair that is in more than one is resampled once."""
        # A pair is one number a * n_b + b: assigned pairs are mostly best pairs too, and resampling is what costs.
        n_b = self.right.shape[1]
        keys = [a.astype(np.int64) * n_b + b for a, b in lists]
        unique, inverse = np.unique(np.concatenate(keys), return_inverse=True)
        drawn = self(unique // max(n_b, 1), unique % max(n_b, 1))
        return [drawn[part] for part in np.split(inverse, np.cumsum([key.size for key in keys])[:-1])]

    def token_conditional(self, indices_a: np.ndarray, indices_b: np.ndarray, rows: Rows | None) -> np.ndarray:
        """(n_chosen, n_resamples) token-conditional correlations of evenly chosen pairs; none without token ids."""
        if rows is None or rows.tokens is None or not indices_a.size:
            return np.zeros((0, self.config.n_resamples), np.float32)
        chosen = evenly(indices_a.size)
        return resampled_conditional(
            self.left, self.right, indices_a[chosen], indices_b[chosen], rows,
            self.config.n_resamples, generator(self.root_seed, "document-bootstrap"),
        )  # fmt: skip


def assign(pair: DictionaryPair, similarity: TopSimilarity) -> MatchResult:
    """Match on fit rows; whatever unlisted pair beats the prices of the listed ones is searched for and added."""
    config = pair.config
    if config.method != "assignment":
        return match(similarity, method=config.method, unmatched=config.unmatched)
    # Lists are cut at ``top``: without the search a latent whose candidates are all taken would stay alone, and the
    # matching would be exact for the listed pairs only.
    search = pairs_above(*pair.fit, threads=pair.threads)
    return match(similarity, unmatched=config.unmatched, search=search, threads=pair.threads)


def _pairs_of(partner: np.ndarray, swap: bool) -> tuple[np.ndarray, np.ndarray]:
    """Latents that have a best partner (-1: none), and these partners; side a first, which ``swap`` says is theirs."""
    latents = np.flatnonzero(partner >= 0)
    partners = partner[latents].astype(np.int64)
    return (partners, latents) if swap else (latents, partners)


def _best(
    partner: np.ndarray, r: np.ndarray, draws: np.ndarray, side: Dictionary, config: CompareConfig
) -> BestPartners:
    """Best partners of a side; ``draws`` (latents with a partner, n_resamples) are the resampled r of those alone."""
    has = np.flatnonzero(partner >= 0)
    low, high = np.zeros(partner.size), np.zeros(partner.size)
    low[has], high[has] = percentile_interval(draws, config.confidence)
    mass = side.statistics.mass
    # Alive latents without a partner count as r = 0: they are in the denominators only.
    n, total = max(side.n_alive, 1), max(float(mass[side.alive].sum()), 1e-300)
    means = np.stack([draws.sum(axis=0) / n, mass[has] @ draws / total])
    return BestPartners(partner.astype(np.int64), np.where(partner >= 0, r, 0.0), low, high, means)
