"""Whether two latents do the same: their ablation fingerprints, correlated over the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from universality.compiled import njit
from universality.correlation import correlate_pairs
from universality.correlation.pairs import check_pairs
from universality.intervals import GroupMoments

_PAIRS = 1024
#: Rows in which both must fire before their effects there say anything.
MIN_BOTH = 20


@dataclass(frozen=True, eq=False)
class EffectAgreement:
    """How alike the effects of given pairs are, one entry per pair.

    Attributes:
        r_effect: (n_pairs,) Pearson r of the fingerprints over all rows, 0 where a latent does not fire, in [-1, 1].
        r_effect_both: (n_pairs,) the same over the rows where both fire, so that firing together says nothing; NaN with
            fewer than 20 such rows.
        resampled: (n_pairs, n_resamples) r_effect with the sources drawn anew.
        resampled_both: the same of r_effect_both; NaN where that is, or where a resample has no spread.
    """

    r_effect: np.ndarray
    r_effect_both: np.ndarray
    resampled: np.ndarray
    resampled_both: np.ndarray


def effect_agreement(
    loss_a: sparse.csr_matrix,
    loss_b: sparse.csr_matrix,
    indices_a: np.ndarray,
    indices_b: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray,
    *,
    threads: int | None = None,
) -> EffectAgreement:
    """Correlate the fingerprints of given pairs.

    Args:
        loss_a: CSR (n_rows, n_a), :attr:`universality.effects.ablation.Fingerprints.loss` of one dictionary.
        loss_b: CSR (n_rows, n_b), of another, over the same rows.
        indices_a, indices_b: (n_pairs,) latents.
        groups: (n_rows,) int, the source of each row.
        weights: (n_resamples, n_groups) how often each source is drawn, in rising order of its number.
        threads: threads to use; no byte of the result depends on it.

    Returns:
        :class:`EffectAgreement`.

    Source: ours; Pearson r of effects over tokens as in the attribution similarity of Bricken et al. 2023, with
    ablation in the place of attribution.
    """
    ia, ib = check_pairs(indices_a, indices_b, loss_a.shape[1], loss_b.shape[1])
    both = _JointMoments(loss_a, loss_b, groups)
    once = np.ones((1, weights.shape[1]))
    return EffectAgreement(
        r_effect=correlate_pairs(loss_a, loss_b, ia, ib, threads=threads).r,
        r_effect_both=both.correlations(ia, ib, once)[:, 0],
        resampled=GroupMoments(loss_a, loss_b, groups).correlations(ia, ib, weights),
        resampled_both=both.correlations(ia, ib, weights),
    )


class _JointMoments:
    """Moments by source of pairs over the rows that have an entry of both, zeros included."""

    def __init__(self, a: sparse.csr_matrix, b: sparse.csr_matrix, groups: np.ndarray) -> None:
        _, code = np.unique(groups, return_inverse=True)
        self._code, self._n_groups = code.ravel(), int(code.max(initial=-1)) + 1
        self._sides = [(m.indptr, m.indices, m.data.astype(np.float64)) for m in (a.tocsc(), b.tocsc())]
        for _, rows, _ in self._sides:
            assert rows.size == 0 or rows.max() < groups.size
        self._n_rows = a.shape[0]

    def correlations(self, ia: np.ndarray, ib: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(n_pairs, n_draws) r with every source counted ``weights`` (n_draws, n_groups) times."""
        out = np.full((ia.size, weights.shape[0]), np.nan)
        draws, place = weights.astype(np.float64), np.full(self._n_rows, -1)
        for first in range(0, ia.size, _PAIRS):
            here = slice(first, first + _PAIRS)
            sums = np.zeros((6, self._n_groups, ia[here].size))
            _joint_sums(*self._sides, ia[here], ib[here], self._code, place, sums)
            n, a, b, aa, bb, ab = np.tensordot(sums, draws, axes=(1, 1))
            many = np.maximum(n, 1.0)
            spread_a, spread_b = aa - a * a / many, bb - b * b / many
            defined = (n >= MIN_BOTH) & (spread_a > 1e-12 * aa) & (spread_b > 1e-12 * bb)
            scale = np.sqrt(np.where(defined, spread_a * spread_b, 1.0))
            out[here] = np.where(defined, np.clip((ab - a * b / many) / scale, -1.0, 1.0), np.nan)
        return out


@njit(nogil=True)
def _joint_sums(left, right, ia, ib, code, place, sums):
    """n, a, b, a², b², ab by source over rows of both, for each pair; ``place`` (n_rows,) is -1 and left so."""
    (a_indptr, a_rows, a_values), (b_indptr, b_rows, b_values) = left, right
    for pair in range(ia.size):
        for s in range(a_indptr[ia[pair]], a_indptr[ia[pair] + 1]):
            place[a_rows[s]] = s
        for s in range(b_indptr[ib[pair]], b_indptr[ib[pair] + 1]):
            row = b_rows[s]
            if place[row] >= 0:
                x, y, group = a_values[place[row]], b_values[s], code[row]
                sums[0, group, pair] += 1.0
                sums[1, group, pair] += x
                sums[2, group, pair] += y
                sums[3, group, pair] += x * x
                sums[4, group, pair] += y * y
                sums[5, group, pair] += x * y
        for s in range(a_indptr[ia[pair]], a_indptr[ia[pair] + 1]):
            place[a_rows[s]] = -1
