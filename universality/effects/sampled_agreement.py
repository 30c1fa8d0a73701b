"""Whether two latents do the same, from fingerprints of which only a sample was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from universality.compiled import njit
from universality.correlation.pairs import check_pairs
from universality.effects.agreement import MIN_BOTH, EffectAgreement
from universality.effects.sampling import EntrySample

_PAIRS = 1024


@dataclass(frozen=True, eq=False)
class SampledLoss:
    """Fingerprints of a dictionary where they were measured.

    Attributes:
        sample: which firings were.
        loss: CSR (n_rows, d_sae), their changes of the loss; exact zeros may be missing.
    """

    sample: EntrySample
    loss: sparse.csr_matrix

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """indptr, row, chance and change of every firing by latent; changes that were not measured are 0."""
        chances = self.sample.chances
        keys = _keys(chances)
        values = np.zeros(chances.nnz)
        values[np.searchsorted(keys, _keys(self.loss))] = self.loss.data
        order = np.argsort(chances.indices, kind="stable")
        rows = np.repeat(np.arange(chances.shape[0]), np.diff(chances.indptr))
        indptr = np.concatenate([[0], np.cumsum(np.bincount(chances.indices, minlength=chances.shape[1]))])
        return indptr, rows[order], chances.data[order], values[order]


def _keys(matrix: sparse.csr_matrix) -> np.ndarray:
    """Number of each entry's cell, rising."""
    assert matrix.has_sorted_indices
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return rows * matrix.shape[1] + matrix.indices


def sampled_agreement(
    a: SampledLoss,
    b: SampledLoss,
    indices_a: np.ndarray,
    indices_b: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray,
) -> EffectAgreement:
    """Estimate what :func:`universality.effects.agreement.effect_agreement` would give if every firing were measured.

    A row counts for a pair where all of its firings there were measured, one over the chance of that many times: sums
    of effects, their squares and products over all rows are then free of bias, and r is their ratio. ``r_effect_both``
    takes 20 measured rows.

    Args:
        a, b: two dictionaries, sampled with the same lots.
        indices_a, indices_b: (n_pairs,) latents.
        groups: (n_rows,) int, the source of each row.
        weights: (n_resamples, n_groups) how often each source is drawn, in rising order of its number.

    Returns:
        :class:`EffectAgreement`; r_effect is 0 where a side has no spread.

    Source: Horvitz & Thompson 1952 for the sums; see :class:`EntrySample` for the chances.
    """
    lots = a.sample.lots
    assert np.array_equal(lots, b.sample.lots)
    ia, ib = check_pairs(indices_a, indices_b, a.loss.shape[1], b.loss.shape[1])
    _, code, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    sides = a.columns(), b.columns()
    draws = np.concatenate([np.ones((1, sizes.size)), weights.astype(np.float64)])
    rows, place = (draws @ sizes)[None, :], np.full(lots.size, -1)
    r, both = np.zeros((2, ia.size, len(draws)))
    for first in range(0, ia.size, _PAIRS):
        here = slice(first, first + _PAIRS)
        sums = np.zeros((11, sizes.size, ia[here].size))
        _sampled_sums(*sides, ia[here], ib[here], lots, code.ravel(), place, sums)
        drawn = np.tensordot(sums, draws, axes=(1, 1))
        both[here] = _correlation(drawn[5], drawn[6:], drawn[4] >= MIN_BOTH, np.nan)
        r[here] = _correlation(rows, drawn[[0, 1, 2, 3, 10]], True, 0.0)
    return EffectAgreement(r[:, 0], both[:, 0], r[:, 1:], both[:, 1:])


def _correlation(n: np.ndarray, sums: np.ndarray, enough: np.ndarray | bool, otherwise: float) -> np.ndarray:
    """Pearson r of weighted sums a, b, a², b², ab; ``otherwise`` where there are not enough rows, or is no spread."""
    n, (a, b, aa, bb, ab) = np.maximum(n, 1.0), sums
    spread_a, spread_b = aa - a * a / n, bb - b * b / n
    defined = enough & (spread_a > 1e-12 * aa) & (spread_b > 1e-12 * bb)
    scale = np.sqrt(np.where(defined, spread_a * spread_b, 1.0))
    return np.where(defined, np.clip((ab - a * b / n) / scale, -1.0, 1.0), otherwise)


@njit(nogil=True)
def _sampled_sums(left, right, ia, ib, lots, code, place, sums):
    """Weighted a, b, a², b² over rows where either fires; n, weights, a, b, a², b², ab where both do, by source.

    ``place`` (n_rows,) is -1 and left so.
    """
    (a_indptr, a_rows, a_chances, a_values), (b_indptr, b_rows, b_chances, b_values) = left, right
    for pair in range(ia.size):
        for s in range(a_indptr[ia[pair]], a_indptr[ia[pair] + 1]):
            place[a_rows[s]] = s
        for s in range(b_indptr[ib[pair]], b_indptr[ib[pair] + 1]):
            row, at, y = b_rows[s], place[b_rows[s]], b_values[s]
            chance = b_chances[s] if at < 0 else min(b_chances[s], a_chances[at])
            x = 0.0 if at < 0 else a_values[at]
            if at >= 0:
                place[row] = -1
            if lots[row] >= chance:
                continue
            w, group = 1.0 / chance, code[row]
            sums[0, group, pair] += w * x
            sums[1, group, pair] += w * y
            sums[2, group, pair] += w * x * x
            sums[3, group, pair] += w * y * y
            if at >= 0:
                sums[4, group, pair] += 1.0
                sums[5, group, pair] += w
                sums[6, group, pair] += w * x
                sums[7, group, pair] += w * y
                sums[8, group, pair] += w * x * x
                sums[9, group, pair] += w * y * y
                sums[10, group, pair] += w * x * y
        for s in range(a_indptr[ia[pair]], a_indptr[ia[pair] + 1]):
            row = a_rows[s]
            if place[row] >= 0:
                place[row] = -1
                if lots[row] < a_chances[s]:
                    w, group, x = 1.0 / a_chances[s], code[row], a_values[s]
                    sums[0, group, pair] += w * x
                    sums[2, group, pair] += w * x * x
