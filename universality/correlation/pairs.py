"""Statistics of given pairs of latents: what a held-out score is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from universality.arguments import checked, vector, whole
from universality.brief_repr import brief_repr
from universality.compiled import njit
from universality.correlation.inputs import LatentMoments, latent_moments, pivots, shifted
from universality.correlation.threads import blocks, n_threads, over_blocks
from universality.errors import require
from universality.matrices import Csr, Matrix, aligned, as_csr, is_dense

_ROWS_PER_BLOCK = 8192
_INDICES = vector("iu")


@brief_repr
@dataclass(frozen=True)
class PairStatistics:
    """One value per pair, in the order the pairs were given; "fires" means a value other than 0.

    Attributes:
        r: (n_pairs,) Pearson correlation in [-1, 1]; 0 where either latent is dead or constant.
        n_both: (n_pairs,) int64 rows in which both fire.
        phi: (n_pairs,) Pearson correlation of whether each fires, in [-1, 1]; 0 for one that never changes.
        jaccard: (n_pairs,) rows in which both fire over rows in which either fires, in [0, 1].
        p_b_given_a: (n_pairs,) share of a's rows in which b fires; 0 for a dead a.
        p_a_given_b: (n_pairs,) share of b's rows in which a fires; 0 for a dead b.
    """

    r: np.ndarray
    n_both: np.ndarray
    phi: np.ndarray
    jaccard: np.ndarray
    p_b_given_a: np.ndarray
    p_a_given_b: np.ndarray


def check_pairs(indices_a: np.ndarray, indices_b: np.ndarray, n_a: int, n_b: int) -> tuple[np.ndarray, np.ndarray]:
    """Validate two index arrays of pairs and return them as int64.

    Raises:
        InputError: not whole numbers, not one-dimensional of equal length, or out of range.
    """
    ia, ib = (
        _INDICES(index, name, "the pairs").astype(np.int64, copy=False)
        for index, name in ((indices_a, "indices_a"), (indices_b, "indices_b"))
    )
    lists, remedy = ia.shape == ib.shape, "Give one index of each side per pair."
    got = (ia.shape, ib.shape)
    require(lists, "indices_a and indices_b", "the pairs", "two lists of equal length", got, remedy)
    for index, n, name in ((ia, n_a, "indices_a"), (ib, n_b, "indices_b")):
        low, high = (int(index.min()), int(index.max())) if index.size else (0, -1)
        require(low >= 0 and high < n, name, "the pairs", f"in [0, {n})", (low, high), "Check the side.")
    return ia, ib


@njit(nogil=True)
def _products(a_indptr, a_rows, a_values, b_indptr, b_rows, b_values, ia, ib, order, first, last, column, out, n_both):
    """Co-products of pairs ``order[first:last]``, which are sorted by a: a's column is spread out once."""
    spread = -1  # the latent of a that stands in ``column`` (n_rows,), zeros elsewhere
    for k in range(first, last):
        pair = order[k]
        a, b = ia[pair], ib[pair]
        if a != spread:
            # Only the rows of the last latent are cleared: a whole column would cost n_rows for a rare one.
            if spread >= 0:
                for s in range(a_indptr[spread], a_indptr[spread + 1]):
                    column[a_rows[s]] = 0.0
            for s in range(a_indptr[a], a_indptr[a + 1]):
                column[a_rows[s]] = a_values[s]
            spread = a
        # Rows rise within b: one sum in one order, on whichever thread.
        total, count = 0.0, 0
        for s in range(b_indptr[b], b_indptr[b + 1]):
            x = column[b_rows[s]]
            if x != 0.0:
                total += x * b_values[s]
                count += 1
        out[pair], n_both[pair] = total, count
    if spread >= 0:
        for s in range(a_indptr[spread], a_indptr[spread + 1]):
            column[a_rows[s]] = 0.0


Columns = tuple[np.ndarray, np.ndarray, np.ndarray]


def _columns(matrix) -> Columns:
    m = matrix.tocsc()
    return m.indptr.astype(np.int64), m.indices.astype(np.int32, copy=False), m.data


def pair_products(a, b, ia: np.ndarray, ib: np.ndarray, threads: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """``sum_i a_i b_i`` and the number of common rows of each pair, from two canonical sparse matrices.

    Args:
        a: scipy sparse (n_rows, n_a). b: scipy sparse (n_rows, n_b).
        ia: (n_pairs,) indices into a. ib: (n_pairs,) indices into b.
        threads: threads to use; no byte of the result depends on it.

    Returns:
        ``(products (n_pairs,) float64, n_both (n_pairs,) int64)``.
    """
    return _column_products(_columns(a), _columns(b), a.shape[0], ia, ib, threads)


def _column_products(
    left: Columns, right: Columns, n_rows: int, ia: np.ndarray, ib: np.ndarray, threads: int | None
) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((ib, ia))
    out, n_both = np.zeros(ia.size), np.zeros(ia.size, dtype=np.int64)
    states = [np.zeros(n_rows) for _ in range(min(n_threads(threads), 1 + ia.size // 256))]

    def work(column: np.ndarray, first: int, last: int) -> None:
        _products(*left, *right, ia, ib, order, first, last, column, out, n_both)

    over_blocks(work, blocks(ia.size, 256), states)
    return out, n_both


@dataclass(frozen=True, eq=False)
class Prepared:
    """One side of many calls of :func:`prepared_pairs`: checked, with its moments, by columns.

    Attributes:
        csr: (n_rows, n), canonical, see :func:`as_csr`.
    """

    csr: Csr

    @cached_property
    def moments(self) -> LatentMoments:
        """Of every latent."""
        return latent_moments(self.csr)

    @cached_property
    def pivot(self) -> np.ndarray:
        """What every latent is best measured from."""
        return pivots(self.csr, self.moments)

    @cached_property
    def columns(self) -> Columns:
        """Pointers, rows and values by latent."""
        return _columns(self.csr)

    @cached_property
    def shifted(self) -> Prepared:
        """The same, measured from the pivots."""
        return Prepared(shifted(self.csr, self.pivot)) if self.pivot.any() else self


def prepared_pairs(
    a: Prepared, b: Prepared, indices_a: np.ndarray, indices_b: np.ndarray, *, threads: int | None = None
) -> PairStatistics:
    """:func:`correlate_pairs` of two sides over the same rows, for which everything but the pairs is known."""
    n = a.csr.shape[0]
    ia, ib = check_pairs(indices_a, indices_b, a.csr.shape[1], b.csr.shape[1])
    # "Fires" is counted on the values as given; r may be taken from shifted ones, where pivots save digits.
    count_a, count_b = a.moments.count[ia], b.moments.count[ib]
    products, n_both = _column_products(a.columns, b.columns, n, ia, ib, threads)
    a, b, given = a.shifted, b.shifted, (a, b)
    if (a, b) != given:
        products, _ = _column_products(a.columns, b.columns, n, ia, ib, threads)
    ma, mb = a.moments, b.moments
    r = (products - ma.total[ia] * mb.total[ib] / max(n, 1)) * (ma.scale[ia] * mb.scale[ib])
    return _statistics(r, n_both, count_a, count_b, n)


@checked(threads=whole(1))
def correlate_pairs(
    A: Matrix, B: Matrix, indices_a: np.ndarray, indices_b: np.ndarray, *, threads: int | None = None
) -> PairStatistics:
    """Exact statistics of given pairs, on the rows given.

    Args:
        A: (n_rows, n_a), scipy sparse or dense (array or memory map).
        B: (n_rows, n_b), the same rows in the same order.
        indices_a: (n_pairs,) latents of A.
        indices_b: (n_pairs,) latents of B.
        threads: threads to use, all cores by default; no byte of the result depends on it.

    Returns:
        A :class:`PairStatistics`, one entry per pair; r as in :func:`correlate`.

    Raises:
        InputError: different rows, or indices out of range.
    """
    A, B, _ = aligned(A, B)
    ia, ib = check_pairs(indices_a, indices_b, A.shape[1], B.shape[1])
    if is_dense(A) and is_dense(B):
        return _dense_pairs(A, B, ia, ib)
    return prepared_pairs(Prepared(as_csr(A, "A")), Prepared(as_csr(B, "B")), ia, ib, threads=threads)


def _statistics(r: np.ndarray, n_both: np.ndarray, count_a: np.ndarray, count_b: np.ndarray, n: int) -> PairStatistics:
    spread = np.sqrt(count_a * (n - count_a) * 1.0) * np.sqrt(count_b * (n - count_b) * 1.0)
    return PairStatistics(
        r=np.clip(r, -1.0, 1.0),
        n_both=n_both,
        phi=np.where(spread > 0, (n * n_both - 1.0 * count_a * count_b) / np.where(spread > 0, spread, 1.0), 0.0),
        jaccard=n_both / np.maximum(count_a + count_b - n_both, 1),
        p_b_given_a=n_both / np.maximum(count_a, 1),
        p_a_given_b=n_both / np.maximum(count_b, 1),
    )


def _dense_pairs(x: np.ndarray, y: np.ndarray, ia: np.ndarray, ib: np.ndarray) -> PairStatistics:
    from universality.correlation.neurons import dense_moments

    mx, my = dense_moments(x), dense_moments(y)
    products, n_both = np.zeros(ia.size), np.zeros(ia.size, dtype=np.int64)
    for first, last in blocks(x.shape[0], _ROWS_PER_BLOCK):
        bx, by = np.asarray(x[first:last], np.float64), np.asarray(y[first:last], np.float64)
        # Centred before multiplying: dense coordinates may lie far from 0, where a difference of sums has no digits.
        centred_x, centred_y, fires_x, fires_y = bx - mx.mean, by - my.mean, bx != 0, by != 0
        for p, q in blocks(ia.size, 1024):
            products[p:q] += np.einsum("ij,ij->j", centred_x[:, ia[p:q]], centred_y[:, ib[p:q]])
            n_both[p:q] += (fires_x[:, ia[p:q]] & fires_y[:, ib[p:q]]).sum(axis=0)
    return _statistics(products * (mx.scale[ia] * my.scale[ib]), n_both, mx.count[ia], my.count[ib], x.shape[0])
