"""What every correlation starts from: validated matrices, exact column moments, pivots.

A latent is *alive* here when its correlation is defined: it fires somewhere and is not constant. For all
others r is 0 by definition, never NaN.
"""

from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

import numpy as np
from numba import njit
from scipy import sparse

from universality.errors import require

# A canonical scipy CSR array; scipy ships no types.
Csr = Any


class Matrix(Protocol):
    """A real matrix (n_rows, n_latents): scipy sparse of any format, numpy array or memory map."""

    @property
    def shape(self) -> tuple[Any, ...]:
        """Rows and latents."""
        ...


# A latent whose raw second moment is 16 times its centred one fires almost always, around a mean far from 0.
# Measured from its mean instead, every later subtraction keeps its digits (r does not change).
_FAR_FROM_ZERO = 16.0


def is_dense(matrix: Matrix) -> TypeGuard[np.ndarray]:
    """Whether a matrix is a dense array (or memory map), not a scipy sparse one."""
    return not sparse.issparse(matrix)


def as_csr(matrix: Matrix, where: str) -> Csr:
    """Validate a matrix and return it as canonical CSR without stored zeros; the input stays as it is.

    Args:
        matrix: scipy sparse or dense, shape (n_rows, n_latents), real and finite.
        where: how to call it in an error.

    Returns:
        CSR with float32 values (float64 if the input has them), sorted indices, no duplicates, no zeros.

    Raises:
        InputError: not two-dimensional, or not finite; replace or drop the offending rows.
    """
    remedy = "Pass a two-dimensional matrix."
    require(len(matrix.shape) == 2, "shape", where, "(n_rows, n_latents)", matrix.shape, remedy)
    content: Any = np.asarray(matrix) if is_dense(matrix) else matrix
    if content.dtype == np.float16:  # unknown to scipy.sparse
        content = content.astype(np.float32)
    csr: Csr = sparse.csr_array(content)
    is_real = csr.dtype.kind in "bfiu"
    require(is_real, "type", where, "real numbers", csr.dtype, "Convert the values first.")
    if csr.dtype not in (np.float32, np.float64):
        csr = csr.astype(np.float32 if csr.dtype.itemsize < 4 else np.float64)
    bad = int(np.count_nonzero(~np.isfinite(csr.data)))
    require(not bad, "every value", where, "finite", f"{bad} NaN or infinite values", "Replace or drop them.")
    if not csr.has_canonical_format or (csr.nnz and not csr.data.all()):
        csr = csr.copy()
        csr.sum_duplicates()
        csr.eliminate_zeros()
    return csr


def check_same_rows(a: Matrix, b: Matrix) -> int:
    """Return the common number of rows of two matrices.

    Raises:
        InputError: the row counts differ; both sides must hold the same tokens in the same order.
    """
    same, remedy = a.shape[0] == b.shape[0], "Pass activations of the same tokens in the same order."
    require(same, "number of rows", "B", f"{a.shape[0]}, the number of rows of A", b.shape[0], remedy)
    return int(a.shape[0])


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
def _centred_squares(indices, values, mean):
    square = np.zeros(mean.size)
    for s in range(indices.size):
        j = indices[s]
        d = np.float64(values[s]) - mean[j]
        square[j] += d * d
    return square


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
    mean = total / max(n_rows, 1)
    square = _centred_squares(csr.indices, csr.data, mean) + (n_rows - count) * mean**2
    constant = (count == n_rows) & (low == high)
    alive = (count > 0) & ~constant & (square > 0)
    return LatentMoments(n_rows, count, total, square, alive)


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
    n = max(check_same_rows(A, B), 1)
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
