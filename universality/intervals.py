"""Intervals for the correlation of given pairs: documents are resampled, the matching stays as it is.

Tokens are not independent, documents nearly are. So the unit is the document: every pair's moments are
summed per document once, and each resample is a weighted sum of these.
"""

from collections.abc import Callable

import numpy as np

from universality.arguments import SEEDED, checked, instance, whole
from universality.compiled import njit
from universality.correlation.inputs import latent_moments, pivots, shifted
from universality.correlation.pairs import check_pairs
from universality.correlation.threads import blocks
from universality.errors import require
from universality.matrices import Matrix, aligned, as_csr, check_range, is_dense

_PAIRS = 256


def percentile_interval(resampled: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles that leave out ``1 - level``, half at each end, over the last axis (n_resamples)."""
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(resampled, [tail, 100.0 - tail], axis=-1)
    return low, high


def centred_interval(value: float, resampled: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval of a summary of many correlations (a median, a mean, a share above a threshold).

    Resampling adds noise to every single r, and so moves a summary of many of them to one side, away even from
    its own interval. Only the spread says something of the documents: the draws are centred on the value.

    Args:
        value: the summary of the data.
        resampled: (n_resamples,) the same summary in each resample.
        level: coverage aimed at, in (0, 1).

    Returns:
        ``(low, high)`` with ``low <= value <= high``.
    """
    low, high = percentile_interval(resampled - np.median(resampled), level)
    return value + float(low), value + float(high)


@checked(n_resamples=whole(1), generator=instance(np.random.Generator, remedy=SEEDED))
def resampled_correlations(
    A: Matrix,
    B: Matrix,
    indices_a: np.ndarray,
    indices_b: np.ndarray,
    documents: np.ndarray,
    *,
    n_resamples: int = 200,
    generator: np.random.Generator,
) -> np.ndarray:
    """Correlation of each pair in each resample of documents, drawn with replacement.

    Generators in the same state draw the same documents, so that statistics over pairs, and over several
    calls on the same rows, can be resampled together.

    Args:
        A: (n_rows, n_a), scipy sparse or dense.
        B: (n_rows, n_b), the same rows in the same order.
        indices_a, indices_b: (n_pairs,) latents of A and of B.
        documents: (n_rows,) document of each row.
        n_resamples: resamples, >= 1; the same ones for every pair.
        generator: source of the document weights (multinomial).

    Returns:
        (n_pairs, n_resamples) float64 in [-1, 1]; 0 where a latent does not vary in a resample.

    Raises:
        InputError: different rows, labels of another length, or indices out of range.

    Source: Efron 1979, with the document as the unit (Davison & Hinkley 1997, section 3.8).
    """
    moments = GroupMoments(A, B, documents)
    n = moments.sizes.size
    weights = generator.multinomial(n, np.full(n, 1.0 / max(n, 1)), size=n_resamples)
    return moments.correlations(indices_a, indices_b, weights)


class GroupMoments:
    """Moments of pairs by group of rows, from which r follows for any weights of the groups.

    Args:
        A: (n_rows, n_a), scipy sparse or dense. B: (n_rows, n_b), the same rows in the same order.
        groups: (n_rows,) int, the document or source of each row.

    Attributes:
        sizes: (n_groups,) rows of each group, in rising order of its number.
    """

    def __init__(self, A: Matrix, B: Matrix, groups: np.ndarray) -> None:
        A, B, n = aligned(A, B)
        groups = np.asarray(groups)
        fits = groups.shape == (n,)
        require(fits, "shape", "documents", f"({n},)", groups.shape, "Give one document per row.")
        _, code, self.sizes = np.unique(groups, return_inverse=True, return_counts=True)
        self._shape = A.shape[1], B.shape[1]
        by_group = _dense_sums if is_dense(A) and is_dense(B) else _sparse_sums
        self._sums_of = by_group(A, B, code.ravel(), self.sizes.size)

    def correlations(self, indices_a: np.ndarray, indices_b: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(n_pairs, n_draws) r of each pair with every group counted ``weights`` (n_draws, n_groups) times."""
        ia, ib = check_pairs(indices_a, indices_b, *self._shape)
        rows, weights = (weights @ self.sizes)[:, None].astype(np.float64), weights.astype(np.float64)
        out = np.zeros((ia.size, weights.shape[0]))
        for first, last in blocks(ia.size, _PAIRS):
            moments = [weights @ sums for sums in self._sums_of(ia[first:last], ib[first:last])]
            out[first:last] = _correlation(moments, rows).T
        return out

    def explained(self, indices_a: np.ndarray, indices_b: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(n_pairs, n_draws) R² of each a by its b as it is, ``1 - Var(a - b) / Var(a)``; 0 for a constant a."""
        ia, ib = check_pairs(indices_a, indices_b, *self._shape)
        n = np.maximum((weights @ self.sizes)[:, None].astype(np.float64), 1.0)
        out = np.zeros((ia.size, weights.shape[0]))
        for first, last in blocks(ia.size, _PAIRS):
            sums = self._sums_of(ia[first:last], ib[first:last])
            a, b, aa, bb, ab = (weights.astype(np.float64) @ part for part in sums)
            variance = aa - a * a / n
            defined = variance > 1e-12 * aa
            r2 = (2 * (ab - a * b / n) - (bb - b * b / n)) / np.where(defined, variance, 1.0)
            out[first:last] = np.where(defined, r2, 0.0).T
        return out


#: Maps pairs to (5, n_documents, n_pairs) sums of a, b, a², b² and ab over each document's rows.
SumsOf = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _dense_sums(a: Matrix, b: Matrix, code: np.ndarray, n_documents: int) -> SumsOf:
    """Document by document, so that what is multiplied fits the cache; values are measured from the means."""
    left, right = np.asarray(a), np.asarray(b)
    for x, where in ((left, "A"), (right, "B")):
        check_range(x.min(axis=0, initial=0).astype(float), x.max(axis=0, initial=0).astype(float), where)
    means = [x.mean(axis=0, dtype=np.float64) for x in (left, right)]
    order = np.argsort(code, kind="stable")
    documents = np.split(order, np.searchsorted(code[order], np.arange(1, n_documents)))

    def sums_of(ia: np.ndarray, ib: np.ndarray) -> np.ndarray:
        sums = np.zeros((5, n_documents, ia.size))
        for d, rows in enumerate(documents):
            x, y = left[rows][:, ia] - means[0][ia], right[rows][:, ib] - means[1][ib]
            sums[0, d], sums[1, d] = x.sum(axis=0), y.sum(axis=0)
            for k, (u, v) in enumerate(((x, x), (y, y), (x, y)), start=2):
                sums[k, d] = np.einsum("ij,ij->j", u, v)
        return sums

    return sums_of


def _sparse_sums(a: Matrix, b: Matrix, code: np.ndarray, n_documents: int) -> SumsOf:
    """Pair by pair over the rows where either fires; latents that hardly rest are measured from a pivot."""
    sides = []
    for matrix, where in ((a, "A"), (b, "B")):
        csr = as_csr(matrix, where)
        csc = shifted(csr, pivots(csr, latent_moments(csr))).tocsc()
        sides.append((csc.indptr, csc.indices, csc.data))

    def sums_of(ia: np.ndarray, ib: np.ndarray) -> np.ndarray:
        sums = np.zeros((5, n_documents, ia.size))
        left, right = sides
        _pair_sums(left, right, ia, ib, code, np.zeros(code.size), np.zeros((n_documents, 5)), sums)
        return sums

    return sums_of


@njit(nogil=True)
def _pair_sums(a, b, ia, ib, code, column, table, sums):
    """Sums of a, b, a², b², ab by document, for each pair; ``column`` (n_rows,) zeros, ``table`` (n_documents, 5)."""
    (a_indptr, a_rows, a_values), (b_indptr, b_rows, b_values) = a, b
    for pair in range(ia.size):
        table[:] = 0.0
        for s in range(a_indptr[ia[pair]], a_indptr[ia[pair] + 1]):
            row, x = a_rows[s], np.float64(a_values[s])
            column[row] = x
            table[code[row], 0] += x
            table[code[row], 2] += x * x
        # ab needs only the rows of b, where ``column`` holds what a has there.
        for s in range(b_indptr[ib[pair]], b_indptr[ib[pair] + 1]):
            row, y = b_rows[s], np.float64(b_values[s])
            table[code[row], 1] += y
            table[code[row], 3] += y * y
            table[code[row], 4] += column[row] * y
        for s in range(a_indptr[ia[pair]], a_indptr[ia[pair] + 1]):
            column[a_rows[s]] = 0.0
        for k in range(5):
            sums[k, :, pair] = table[:, k]


def _correlation(moments: list[np.ndarray], n: np.ndarray) -> np.ndarray:
    """Pearson r from sums of a, b, a², b² and ab over n rows."""
    a, b, aa, bb, ab = moments
    n = np.maximum(n, 1.0)
    variance_a, variance_b = aa - a * a / n, bb - b * b / n
    defined = (variance_a > 1e-12 * aa) & (variance_b > 1e-12 * bb)
    scale = np.sqrt(np.where(defined, variance_a * variance_b, 1.0))
    return np.clip(np.where(defined, (ab - a * b / n) / scale, 0.0), -1.0, 1.0)
