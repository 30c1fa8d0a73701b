"""What every correlation starts from: exact column moments, pivots.

A latent is *alive* here when its correlation is defined: it fires somewhere and is not constant. For all
others r is 0 by definition, never NaN.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from universality.compiled import njit
from universality.correlation.threads import over_blocks
from universality.matrices import Csr, Matrix, aligned, as_csr

# A latent whose raw second moment is 16 times its centred one fires almost always, around a mean far from 0.
# Measured from its mean instead, every later subtraction keeps its digits (r does not change).
_FAR_FROM_ZERO = 16.0


@njit(nogil=True)
def _sums(indices, values, n_latents):
    count = np.zeros(n_latents, np.int64)
    total = np.zeros(n_latents)
    low = np.full(n_latents, np.inf)
    high = np.full(n_latents, -np.inf)
    for s in range(indices.size):
        j = indices[s]
        x = np.float64(values[s])
        count[j] += 1
        total[j] += x
        low[j] = min(low[j], x)
        high[j] = max(high[j], x)
    return count, total, low, high


@njit(nogil=True)
def _centred_squares(indices, values, mean):
    square = np.zeros(mean.size)
    for s in range(indices.size):
        j = indices[s]
        d = np.float64(values[s]) - mean[j]
        square[j] += d * d
    return square


@njit(nogil=True)
def _column_sums(indptr, values, first, last, n_rows, total, low, high, square):
    for j in range(first, last):
        for s in range(indptr[j], indptr[j + 1]):
            x = np.float64(values[s])
            total[j] += x
            low[j] = min(low[j], x)
            high[j] = max(high[j], x)
        mean = total[j] / max(n_rows, 1)
        for s in range(indptr[j], indptr[j + 1]):
            d = np.float64(values[s]) - mean
            square[j] += d * d


@dataclass(frozen=True)
class LatentMoments:
    """First and second moments of each latent over all rows, zeros included.

    Attributes:
        n_rows: number of rows.
        count: (n,) rows in which the latent fires (value not 0).
        total: (n,) sum of the values.
        square: (n,) centred sum of squares, ``sum_i (x_i - mean)^2``.
        alive: (n,) whether a correlation is defined: fires and is not constant.
    """

    n_rows: int
    count: np.ndarray
    total: np.ndarray
    square: np.ndarray
    alive: np.ndarray

    @property
    def scale(self) -> np.ndarray:
        """(n,) reciprocal of the centred norm; 0 for latents that are not alive."""
        return np.where(self.alive, 1.0 / np.sqrt(np.where(self.alive, self.square, 1.0)), 0.0)


def latent_moments(csr: Csr) -> LatentMoments:
    """Moments of each column in float64; two passes, so the squares are centred exactly.

    Args:
        csr: canonical CSR, see :func:`as_csr`.

    Returns:
        The moments; a latent with one and the same value in every row is not alive.
    """
    n_rows, n_latents = csr.shape
    count, total, low, high = _sums(csr.indices, csr.data, n_latents)
    square = _centred_squares(csr.indices, csr.data, total / max(n_rows, 1))
    return _moments(n_rows, count, total, low, high, square)


def moments_by_latent(n_rows: int, indptr: np.ndarray, values: np.ndarray, threads: int) -> LatentMoments:
    """:func:`latent_moments` of columns that stand one behind the other: the same sums in the same order."""
    n = indptr.size - 1
    total, low, high, square = np.zeros(n), np.full(n, np.inf), np.full(n, -np.inf), np.zeros(n)

    def work(_: None, first: int, last: int) -> None:
        _column_sums(indptr, values, first, last, n_rows, total, low, high, square)

    over_blocks(work, like_blocks(indptr, threads), [None] * threads)
    return _moments(n_rows, np.diff(indptr), total, low, high, square)


def _moments(n_rows, count, total, low, high, square) -> LatentMoments:
    square = square + (n_rows - count) * (total / max(n_rows, 1)) ** 2
    constant = (count == n_rows) & (low == high)
    alive = (count > 0) & ~constant & (square > 0)
    return LatentMoments(n_rows, count, total, square, alive)


def like_blocks(indptr: np.ndarray, threads: int) -> list[tuple[int, int]]:
    """Ranges of rows (or columns) with about as many entries each, some for every thread."""
    n = indptr.size - 1
    pieces = 1 if threads == 1 else 4 * threads
    edges = np.searchsorted(indptr, np.linspace(0, indptr[-1], pieces + 1)[1:-1])
    edges = np.unique(np.concatenate([[0], np.minimum(edges, n), [n]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def pivots(csr: Csr, moments: LatentMoments | None = None) -> np.ndarray:
    """The value each latent is best measured from: its mean if it hardly ever leaves it, else 0.

    Returns:
        (n,) values that float32 represents exactly, so that ``x - pivot`` rounds nowhere near the pivot.
    """
    m = latent_moments(csr) if moments is None else moments
    mean = m.total / max(m.n_rows, 1)
    far = m.alive & (m.square * (_FAR_FROM_ZERO - 1.0) < m.n_rows * mean**2)
    return np.where(far, mean.astype(np.float32).astype(np.float64), 0.0)


def shifted(csr: Csr, pivot: np.ndarray) -> Csr:
    """Subtract a pivot from every row of those columns that have one (they become full columns).

    Pearson correlation does not change; what changes is that nothing large cancels any more. Costs memory
    only for latents that fire nearly always, which are full already.
    """
    columns = np.flatnonzero(pivot)
    if columns.size == 0:
        return csr
    keep = sparse.diags_array((pivot == 0).astype(csr.dtype)).tocsr()
    dense = csr[:, columns].toarray().astype(np.float64) - pivot[columns]
    rows = np.repeat(np.arange(csr.shape[0]), columns.size)
    cols = np.tile(columns, csr.shape[0])
    full = sparse.csr_array((dense.astype(csr.dtype).ravel(), (rows, cols)), shape=csr.shape)
    out = sparse.csr_array(csr @ keep + full)
    out.eliminate_zeros()
    out.sort_indices()
    return out


def correlation_matrix(A: Matrix, B: Matrix) -> np.ndarray:
    """Pearson correlation of every latent of A with every latent of B.

    Args:
        A: (n_rows, n_a) scipy sparse.
        B: (n_rows, n_b), the same rows in the same order.

    Returns:
        (n_a, n_b) float64 in [-1, 1]; 0 for latents that never vary. Memory grows with ``n_a * n_b``.

    Raises:
        InputError: different rows, or not finite.
    """
    A, B, n_rows = aligned(A, B)
    n = max(n_rows, 1)
    a, b = (as_csr(matrix, where).astype(np.float64) for matrix, where in ((A, "A"), (B, "B")))
    totals, scales = [], []
    for matrix in (a, b):
        moments = latent_moments(matrix)
        square = np.where(moments.alive, moments.square, 0.0)
        # What is left of the square of a constant is rounding: that is no variance.
        varies = square > 1e-20 * moments.total**2 / n
        scales.append(np.where(varies, 1.0 / np.sqrt(np.where(varies, square, 1.0)), 0.0))
        totals.append(moments.total)
    centred = (a.T @ b).toarray() - np.outer(*totals) / n
    return np.clip(centred * np.outer(*scales), -1.0, 1.0)
