"""The same correlations for dense arrays (neurons): blocked float64 products, never the whole matrix."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from universality.arguments import checked, whole
from universality.correlation import top_lists as lists
from universality.correlation.list_union import from_lists
from universality.correlation.threads import blocks
from universality.correlation.top import TopSimilarity
from universality.matrices import aligned, check_range

_ROWS, _COLUMNS = 4096, 2048


@dataclass(frozen=True)
class DenseMoments:
    """Moments of the columns of a dense array.

    Attributes:
        mean: (d,).
        scale: (d,) reciprocal centred norm, 0 where not alive.
        count: (d,) values other than 0.
        alive: (d,) not constant.
    """

    mean: np.ndarray
    scale: np.ndarray
    count: np.ndarray
    alive: np.ndarray


def dense_moments(x: np.ndarray, where: str = "X") -> DenseMoments:
    """Two passes over the row blocks of what :func:`universality.matrices.aligned` gave, float64, centred.

    Raises:
        InputError: not finite, or of a magnitude whose squares leave float64.
    """
    n, d = x.shape
    total, square, count = np.zeros(d), np.zeros(d), np.zeros(d, dtype=np.int64)
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    for first, last in blocks(n, _ROWS):
        block = np.asarray(x[first:last], np.float64)
        with np.errstate(invalid="ignore", over="ignore"):  # refused below
            total += block.sum(axis=0)
        count += np.count_nonzero(block, axis=0)
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    if n:
        check_range(low, high, where)
    mean = total / max(n, 1)
    for first, last in blocks(n, _ROWS):
        square += ((np.asarray(x[first:last], np.float64) - mean) ** 2).sum(axis=0)
    alive = (low < high) & (square > 0)
    scale = np.where(alive, 1.0 / np.sqrt(np.where(alive, square, 1.0)), 0.0)
    return DenseMoments(mean, scale, count, alive)


def _correlations(
    x: np.ndarray, y: np.ndarray, mx: DenseMoments, my: DenseMoments, rows: np.ndarray | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield ``(first column of x, r (block, d_y))``; row ``rows[i]`` of y meets row i of x."""
    for left, right in blocks(x.shape[1], _COLUMNS):
        # Centred before the product, not after it: neurons sit far from 0, large sums would cancel.
        r = np.zeros((right - left, y.shape[1]))
        for first, last in blocks(x.shape[0], _ROWS):
            bx = np.asarray(x[first:last], np.float64)[:, left:right] - mx.mean[left:right]
            by = np.asarray(y[first:last] if rows is None else y[rows[first:last]], np.float64) - my.mean
            r += bx.T @ by
        yield left, np.clip(r * np.outer(mx.scale[left:right], my.scale), -1.0, 1.0)


@checked(top=whole(1))
def correlate_dense(X: np.ndarray, Y: np.ndarray, *, top: int = 64) -> TopSimilarity:
    """Exact Pearson correlation of dense columns, the best ``top`` both ways; see :func:`correlate`.

    Args:
        X: (n_rows, d_x) array or memory map, read in row blocks.
        Y: (n_rows, d_y), the same rows in the same order.
        top: length of each column's list, >= 1.

    Returns:
        A :class:`TopSimilarity`. Time grows with ``n_rows * d_x * d_y``; memory with ``2048 * d_y``.

    Raises:
        InputError: different rows, not finite, or ``top < 1``.
    """
    X, Y, n = aligned(X, Y)
    mx, my = dense_moments(X, "X"), dense_moments(Y, "Y")
    ids_x, ids_y = np.flatnonzero(mx.alive), np.flatnonzero(my.alive)
    lists_x, lists_y = lists.empty_lists(mx.alive.size, top), lists.empty_lists(my.alive.size, top)
    for first, r in _correlations(X, Y, mx, my):
        here = ids_x[(ids_x >= first) & (ids_x < first + r.shape[0])]
        lists.offer_dense(r, first, here, ids_y, lists_x, lists_y)
    best_x, best_y = (lists.no_partners(of.alive.size, top) for of in (mx, my))
    for best, found in ((best_x, lists_x), (best_y, lists_y)):
        n = found.length.size
        lists.finish(found, 0, n, np.arange(n), *best)
    return from_lists(best_x, best_y, mx.alive, my.alive, n_rows=n, top=top)


def maxima_dense(
    x: np.ndarray, y: np.ndarray, mx: DenseMoments, my: DenseMoments, rows: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Each dense column's highest correlation with any column of the other side; constant columns give 0.

    Args:
        x: (n_rows, d_x) array or memory map.
        y: (n_rows, d_y).
        mx, my: their moments.
        rows: (n_rows,) row of y that meets each row of x; None: the same row.

    Returns:
        ``(max_x (d_x,), max_y (d_y,))`` in [-1, 1].
    """
    if not (mx.alive.any() and my.alive.any()):
        return np.zeros(x.shape[1]), np.zeros(y.shape[1])
    max_x, max_y = np.zeros(x.shape[1]), np.full(y.shape[1], -np.inf)
    for first, r in _correlations(x, y, mx, my, rows):
        max_x[first : first + r.shape[0]] = r.max(axis=1)
        max_y = np.maximum(max_y, r.max(axis=0))
    return max_x, max_y
