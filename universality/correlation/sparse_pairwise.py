"""Exact Pearson correlation of all latents of one dictionary with all of another, from sparse rows."""

from collections.abc import Callable

import numpy as np

from universality.arguments import checked, whole
from universality.correlation import kernels
from universality.correlation.kernels import BLOCK, ByLatent, ByRow
from universality.correlation.list_filling import best_lists
from universality.correlation.list_union import from_lists
from universality.correlation.operands import KernelOperand, operands, padding, scratch, work_ranges
from universality.correlation.threads import n_threads, over_blocks
from universality.correlation.top import TopSimilarity
from universality.matrices import Matrix, aligned, is_dense

_PAIRS_AT_ONCE = 1 << 20
_PAIRS_KEPT = 1 << 24  # what a search remembers of the one before
#: indices_a (n_pairs,), indices_b (n_pairs,), r (n_pairs,)
PairList = tuple[np.ndarray, np.ndarray, np.ndarray]


@checked(top=whole(1), threads=whole(1))
def correlate(A: Matrix, B: Matrix, *, top: int = 64, threads: int | None = None) -> TopSimilarity:
    r"""Exact Pearson correlation of every latent of A with every latent of B; the best ``top`` both ways.

    .. math:: r_{ab} = \frac{\sum_i a_i b_i - n \bar a \bar b}{\|a - \bar a\| \|b - \bar b\|}

    Args:
        A: scipy sparse (n_rows, n_a), zeros are rows in which a latent does not fire. Dense arrays are
            accepted and go to :func:`correlate_dense`.
        B: (n_rows, n_b), the same rows in the same order.
        top: length of each latent's list, >= 1.
        threads: threads to use, all cores by default; no byte of the result depends on it.

    Returns:
        A :class:`TopSimilarity`. Time grows with the sum over rows of ``k_a * k_b`` (active latents); memory
        with ``nnz + (n_a + n_b) * top``, never with ``n_a * n_b``.

    Raises:
        InputError: different rows, not finite, or ``top < 1``.

    Source: definition in Bricken et al. 2023, section "Universality"; algorithm ours.
    """
    A, B, _ = aligned(A, B)
    if is_dense(A) and is_dense(B):
        from universality.correlation.neurons import correlate_dense

        return correlate_dense(A, B, top=top)
    left, right = operands(A, B, n_threads(threads))
    best_a, best_b = best_lists(left, right, top, n_threads(threads))
    return from_lists(best_a, best_b, left.alive, right.alive, n_rows=left.n_rows, top=top, threads=n_threads(threads))


@checked(threads=whole(1))
def correlation_maxima(
    A: Matrix, B: Matrix, *, threads: int | None = None
) -> Callable[[np.ndarray | None], tuple[np.ndarray, np.ndarray]]:
    """Each latent's highest correlation with any latent of the other side, for rows as they are or shifted.

    Pairs that never co-fire count too: their r is negative and known in closed form.

    Args:
        A: scipy sparse (n_rows, n_a), or dense (then B must be dense too, or it is made sparse). Laid out once.
        B: (n_rows, n_b), the same rows in the same order.
        threads: threads to use, all cores by default; no byte of the result depends on it.

    Returns:
        ``maxima(rows) -> (max_a (n_a,), max_b (n_b,))`` in [-1, 1], 0 for dead and constant latents, where
        ``rows`` (n_rows,) is the row of B that meets each row of A, or None for its own.

    Raises:
        InputError: different rows, or not finite.
    """
    A, B, _ = aligned(A, B)
    if is_dense(A) and is_dense(B):
        from universality.correlation.neurons import dense_moments, maxima_dense

        moments = dense_moments(A, "A"), dense_moments(B, "B")
        return lambda rows: maxima_dense(A, B, *moments, rows)
    left, right = operands(A, B, n_threads(threads))
    return lambda rows: _maxima_between(left, right, rows, n_threads(threads))


def _maxima_between(
    left: KernelOperand, right: KernelOperand, rows: np.ndarray | None, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    out_a, out_b = np.zeros(left.n_latents), np.zeros(right.n_latents)
    if not (left.ids.size and right.ids.size):
        return out_a, out_b
    max_a, max_b = _maxima(left.by_latent, right.rolled(rows), threads)
    # As in correlate: maxima of b that a pair which never co-fires might beat are walked from the other side.
    short = np.flatnonzero(max_b <= right.without_cofiring(left))
    if short.size:
        back = None if rows is None else np.argsort(rows, kind="stable")
        max_b[short], _ = _maxima(right.subset(short), left.rolled(back), threads)
    out_a[left.ids], out_b[right.ids] = np.clip(max_a, -1.0, 1.0), np.clip(max_b, -1.0, 1.0)
    # A latent of the other side without a defined correlation counts as similarity 0.
    if not right.alive.all():
        out_a = np.maximum(out_a, 0.0)
    if not left.alive.all():
        out_b = np.maximum(out_b, 0.0)
    return out_a, out_b


def _maxima(cols: ByLatent, rows: ByRow, threads: int) -> tuple[np.ndarray, np.ndarray]:
    n_a, n_b = cols.ids.size, rows.ids.size
    max_a = np.empty(n_a)
    states = [(*scratch(n_b), np.full(n_b + padding(n_b), -np.inf)) for _ in range(threads)]

    def work(state: tuple[np.ndarray, np.ndarray, np.ndarray], first: int, last: int) -> None:
        kernels.max_block(cols, rows, first, last, *state[:2], max_a, state[2])

    over_blocks(work, work_ranges(cols), states)
    return max_a, np.maximum.reduce([state[2] for state in states])[:n_b]


@checked(threads=whole(1))
def pairs_above(A: Matrix, B: Matrix, *, threads: int | None = None) -> Callable[[np.ndarray, np.ndarray], PairList]:
    """A search for all pairs whose correlation is above a floor of their own.

    It is what an exact assignment asks: given prices of all latents, which pair of the full problem, listed
    or not, is worth more than its two prices?

    Args:
        A: scipy sparse (n_rows, n_a). B: (n_rows, n_b), the same rows in the same order. Laid out once.
        threads: threads to use, all cores by default; no byte of the result depends on it.

    Returns:
        ``search(floor_a (n_a,), floor_b (n_b,)) -> (indices_a, indices_b, r)``: exactly the pairs of latents
        with a defined correlation and ``r > floor_a[a] + floor_b[b]``, sorted by (a, b). Memory grows with
        their number. A second search walks only latents whose floors fell since the first, for the same result:
        a pair of two others is above its floors only if it was before.

    Raises:
        InputError: different rows, or not finite.
    """
    left, right = operands(A, B, n_threads(threads))
    # Floors and pairs of the last search, so that the next one walks only latents whose floor fell.
    before: list[tuple[np.ndarray, np.ndarray, PairList]] = []

    def search(floor_a: np.ndarray, floor_b: np.ndarray) -> PairList:
        floor_a, floor_b = np.array(floor_a, np.float64), np.array(floor_b, np.float64)
        fell_a, fell_b = np.ones(left.n_latents, bool), np.zeros(right.n_latents, bool)
        parts = []
        if before:
            last_a, last_b, (ia, ib, r) = before.pop()
            fell_a, fell_b = floor_a < last_a, floor_b < last_b
            still = (r > floor_a[ia] + floor_b[ib]) & ~fell_a[ia] & ~fell_b[ib]
            parts.append((ia[still], ib[still], r[still]))
        parts.append(_above(left, right, fell_a, floor_a, floor_b, n_threads(threads)))
        ib, ia, r = _above(right, left, fell_b, floor_b, floor_a, n_threads(threads))
        new = ~fell_a[ia]  # the others were met from a's side just now
        parts.append((ia[new], ib[new], r[new]))
        ia, ib, r = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((ib, ia))
        ia, ib, r = ia[order], ib[order], r[order]
        if r.size <= _PAIRS_KEPT:
            before.append((floor_a, floor_b, (ia.copy(), ib.copy(), r)))
        return ia, ib, np.clip(r, -1.0, 1.0)

    return search


def _above(
    left: KernelOperand,
    right: KernelOperand,
    of: np.ndarray,
    floor_a: np.ndarray,
    floor_b: np.ndarray,
    threads: int,
) -> PairList:
    """Pairs above their floors of some latents of a, those that ``of`` (n_a,) marks, in no order."""
    n_b = right.ids.size
    places = np.flatnonzero(of[left.ids])
    if not (places.size and n_b):
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0)
    low_a = floor_a[left.ids[places]]
    low_b = np.pad(floor_b[right.ids], (0, padding(n_b)), constant_values=np.inf)
    block_low = low_b.reshape(-1, BLOCK).min(axis=1)
    cols, rows, room = left.subset(places), right.by_row, n_b + _PAIRS_AT_ONCE
    written: list[tuple[np.ndarray, ...]] = []

    def work(state: tuple[np.ndarray, ...], first: int, last: int) -> None:
        while first < last:
            first, size = kernels.above_block(
                cols, rows, first, last, state[0], state[1], low_a, low_b, block_low, *state[2:]
            )
            written.append(tuple(column[:size].copy() for column in state[2:]))

    states = [
        (*scratch(n_b), np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room)) for _ in range(threads)
    ]
    over_blocks(work, work_ranges(cols), states)
    ia, ib, r = (np.concatenate(column) for column in zip(*written, strict=True))
    return ia, ib, r
