"""Exact Pearson correlation of all latents of one dictionary with all of another, from sparse rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from universality.correlation import kernels
from universality.correlation import top_lists as lists
from universality.correlation.inputs import Matrix, is_dense
from universality.correlation.kernels import BLOCK, ByLatent, ByRow
from universality.correlation.operands import Side, padding, scratch, sides, work_ranges
from universality.correlation.threads import n_threads, over_blocks
from universality.correlation.top import TopSimilarity, from_lists
from universality.correlation.top_lists import Lists
from universality.errors import InputError, must_be

_LIST_BYTES = 1 << 31  # private lists of all threads together
_PAIRS_AT_ONCE = 1 << 20
_PAIRS_KEPT = 1 << 24  # what a search remembers of the one before
Found = tuple[np.ndarray, np.ndarray, np.ndarray]


def correlate(
    A: Matrix, B: Matrix, *, top: int = 64, threads: int | None = None, device: str | None = None
) -> TopSimilarity:
    r"""Exact Pearson correlation of every latent of A with every latent of B; the best ``top`` both ways.

    .. math:: r_{ab} = \frac{\sum_i a_i b_i - n \bar a \bar b}{\|a - \bar a\| \|b - \bar b\|}

    Args:
        A: scipy sparse (n_rows, n_a), zeros are rows in which a latent does not fire. Dense arrays are
            accepted and go to :func:`correlate_dense`.
        B: (n_rows, n_b), the same rows in the same order.
        top: length of each latent's list, >= 1.
        threads: threads to use, all cores by default; no byte of the result depends on it.
        device: a torch device, as ``"cuda"``, for dense products there; by default the sparse kernel on the CPU.
            The result is the same (see :func:`~universality.correlation.torch_dense.correlate_on`).

    Returns:
        A :class:`TopSimilarity`. Time grows with the sum over rows of ``k_a * k_b`` (active latents); memory
        with ``nnz + (n_a + n_b) * top``, never with ``n_a * n_b``.

    Raises:
        InputError: different rows, not finite, ``top < 1``, or a device that is not there.

    Source: definition in Bricken et al. 2023, section "Universality"; algorithm ours.
    """
    if top < 1:
        raise InputError(must_be("top", "correlate", ">= 1", top, "Ask for at least one candidate."))
    if device is not None:
        from universality.correlation.torch_dense import correlate_on

        return correlate_on(A, B, top=top, device=device, threads=threads)
    if is_dense(A) and is_dense(B):
        from universality.correlation.neurons import correlate_dense

        return correlate_dense(A, B, top=top)
    left, right = sides(A, B)
    lists_a = lists.empty_lists(left.ids.size, top)
    lists_b = lists.empty_lists(right.ids.size, top, padding(right.ids.size))
    if left.ids.size and right.ids.size:
        _fill_lists(left, right, lists_a, lists_b, n_threads(threads))
        short = np.flatnonzero(lists_b.worst[: right.ids.size] <= right.without_cofiring(left))
        if short.size:
            again = exact_lists(right, left, short, top, n_threads(threads))
            lists_b.partner[short], lists_b.r[short] = again.partner, again.r
    return from_lists(
        _spread(lists_a, left), _spread(lists_b, right), left.alive, right.alive, n_rows=left.n_rows, top=top
    )


def _spread(found: Lists, side: Side) -> tuple[np.ndarray, np.ndarray]:
    """Lists of alive latents, put in the places of all latents."""
    partner = np.full((side.n_latents, found.top), -1, dtype=np.int32)
    r = np.zeros((side.n_latents, found.top))
    partner[side.ids], r[side.ids] = found.partner[:, : found.top], found.r[:, : found.top]
    return partner, r


def _fill_lists(left: Side, right: Side, lists_a: Lists, lists_b: Lists, threads: int) -> None:
    n_b, top = lists_b.length.size, lists_b.top
    threads = max(1, min(threads, _LIST_BYTES // max(1, n_b * lists.bytes_per_latent(top))))
    private = [lists_b, *(lists.empty_lists(n_b, top, padding(n_b)) for _ in range(threads - 1))]
    cols, rows = left.by_latent, right.by_row

    def work(state: tuple[np.ndarray, np.ndarray, Lists], first: int, last: int) -> None:
        kernels.top_block(cols, rows, first, last, state[0], state[1], lists_a, state[2])

    over_blocks(work, work_ranges(cols)[::-1], [(*scratch(n_b), mine) for mine in private])
    for other in private[1:]:
        lists.merge(lists_b, other)
    lists.finish(lists_a)
    lists.finish(lists_b)


def exact_lists(left: Side, right: Side, places: np.ndarray, top: int, threads: int) -> Lists:
    """Exact lists of a few latents: their best partners may never co-fire with them."""
    n_b = right.ids.size
    cols, rows = left.subset(places), right.by_row
    found, closed = lists.empty_lists(places.size, top), lists.closed_lists(n_b, padding(n_b))

    def work(state: tuple[np.ndarray, np.ndarray], first: int, last: int) -> None:
        kernels.top_block(cols, rows, first, last, state[0], state[1], found, closed)

    over_blocks(work, work_ranges(cols)[::-1], [scratch(n_b) for _ in range(threads)])
    lists.finish(found)
    return found


def max_correlation(A: Matrix, B: Matrix, threads: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Each latent's highest correlation with any latent of the other side.

    Pairs that never co-fire count too: their r is negative and known in closed form.

    Args:
        A: scipy sparse (n_rows, n_a), or dense (then B must be dense too, or it is made sparse).
        B: (n_rows, n_b), the same rows in the same order.
        threads: threads to use, all cores by default; no byte of the result depends on it.

    Returns:
        ``(max_a (n_a,), max_b (n_b,))`` in [-1, 1]; 0 for dead and constant latents.

    Raises:
        InputError: different rows, or not finite.
    """
    if is_dense(A) and is_dense(B):
        from universality.correlation.neurons import max_correlation_dense

        return max_correlation_dense(A, B)
    left, right = sides(A, B)
    return max_between(left, right, None, threads)


def max_between(
    left: Side, right: Side, rows: np.ndarray | None, threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`max_correlation` of prepared sides, with row ``rows[i]`` of b meeting row i of a."""
    out_a, out_b = np.zeros(left.n_latents), np.zeros(right.n_latents)
    if not (left.ids.size and right.ids.size):
        return out_a, out_b
    n = n_threads(threads)
    max_a, max_b = _maxima(left.by_latent, right.rolled(rows), n)
    open_ = np.flatnonzero(max_b <= right.without_cofiring(left))
    if open_.size:
        back = None if rows is None else np.argsort(rows, kind="stable")
        max_b[open_], _ = _maxima(right.subset(open_), left.rolled(back), n)
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


def pairs_above(
    A: Matrix,
    B: Matrix,
    *,
    threads: int | None = None,
) -> Callable[[np.ndarray, np.ndarray], Found]:
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
    left, right = sides(A, B)
    before: list[tuple[np.ndarray, np.ndarray, Found]] = []

    def search(floor_a: np.ndarray, floor_b: np.ndarray) -> Found:
        floor_a, floor_b = np.array(floor_a, np.float64), np.array(floor_b, np.float64)
        fell_a, fell_b = np.ones(left.n_latents, bool), np.zeros(right.n_latents, bool)
        parts = []
        if before:
            last_a, last_b, known = before.pop()
            fell_a, fell_b = floor_a < last_a, floor_b < last_b
            ia, ib, r = known
            still = (r > floor_a[ia] + floor_b[ib]) & ~fell_a[ia] & ~fell_b[ib]
            parts.append((ia[still], ib[still], r[still]))
        parts.append(_above(left, right, fell_a, floor_a, floor_b, n_threads(threads)))
        ib, ia, r = _above(right, left, fell_b, floor_b, floor_a, n_threads(threads))
        other = ~fell_a[ia]
        parts.append((ia[other], ib[other], r[other]))
        ia, ib, r = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((ib, ia))
        ia, ib, r = ia[order], ib[order], r[order]
        if r.size <= _PAIRS_KEPT:
            before.append((floor_a, floor_b, (ia.copy(), ib.copy(), r)))
        return ia, ib, np.clip(r, -1.0, 1.0)

    return search


def _above(
    left: Side, right: Side, of: np.ndarray, floor_a: np.ndarray, floor_b: np.ndarray, threads: int
) -> Found:
    """Pairs above their floors of some latents of a, those that ``of`` (n_a,) marks, in no order."""
    n_b = right.ids.size
    places = np.flatnonzero(of[left.ids])
    if not (places.size and n_b):
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0)
    low_a = floor_a[left.ids[places]]
    low_b = np.pad(floor_b[right.ids], (0, padding(n_b)), constant_values=np.inf)
    block_low = low_b.reshape(-1, BLOCK).min(axis=1)
    cols, rows, room = left.subset(places), right.by_row, n_b + _PAIRS_AT_ONCE
    found: list[tuple[np.ndarray, ...]] = []

    def work(state: tuple[np.ndarray, ...], first: int, last: int) -> None:
        while first < last:
            first, size = kernels.above_block(
                cols, rows, first, last, state[0], state[1], low_a, low_b, block_low, *state[2:]
            )
            found.append(tuple(column[:size].copy() for column in state[2:]))

    states = [
        (*scratch(n_b), np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room))
        for _ in range(threads)
    ]
    over_blocks(work, work_ranges(cols), states)
    ia, ib, r = (np.concatenate(column) for column in zip(*found, strict=True))
    return ia, ib, r
