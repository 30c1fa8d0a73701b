"""Exact Pearson correlation of all latents of one dictionary with all of another, from sparse rows."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse

from universality.correlation import kernels, lists
from universality.correlation.inputs import (
    Matrix,
    as_csr,
    check_same_rows,
    is_dense,
    latent_moments,
    pivots,
    shifted,
)
from universality.correlation.kernels import BLOCK, ByLatent, ByRow
from universality.correlation.lists import Lists
from universality.correlation.threads import n_threads, over_blocks
from universality.correlation.top import TopSimilarity, from_lists
from universality.errors import InputError, must_be

_RANGES = 512
_LIST_BYTES = 1 << 31  # private lists of all threads together


class Side:
    """One dictionary's activations, laid out for the kernel; made once, used for any number of shifts."""

    def __init__(self, matrix: Matrix, where: str) -> None:
        csr = as_csr(matrix, where)
        moments = latent_moments(csr)
        pivot = pivots(csr, moments)
        if pivot.any():
            csr = shifted(csr, pivot)
            moments = latent_moments(csr)
        self.n_rows, self.n_latents = csr.shape
        self.alive = moments.alive
        # Frequent latents first: what co-fires often then lies in the same blocks, and big work starts early.
        alive = np.flatnonzero(moments.alive)
        self.ids = alive[np.argsort(-moments.count[alive], kind="stable")].astype(np.int32)
        self.total = moments.total[self.ids]
        self.scale = moments.scale[self.ids]
        self._csr = csr

    @cached_property
    def by_latent(self) -> ByLatent:
        """This side as the kernel's left operand."""
        csc = self._csr.tocsc()
        return ByLatent(
            csc.indptr.astype(np.int64), csc.indices.astype(np.int32, copy=False), csc.data,
            self.ids, self.total, self.scale,
        )  # fmt: skip

    @cached_property
    def by_row(self) -> ByRow:
        """This side as the kernel's right operand, rows in their own order."""
        place = np.full(self.n_latents, -1, dtype=np.int32)
        place[self.ids] = np.arange(self.ids.size, dtype=np.int32)
        indices, values, indptr = place[self._csr.indices], self._csr.data, self._csr.indptr.astype(np.int64)
        keep = indices >= 0
        if not keep.all():  # constant latents have entries, but no correlation
            indptr = np.concatenate([[0], np.cumsum(keep)])[indptr]
            indices, values = indices[keep], values[keep]
        entries = np.empty(2 * indices.size, dtype=np.int32 if values.dtype == np.float32 else np.int64)
        as_values = entries.view(values.dtype)
        entries[0::2], as_values[1::2] = indices, values
        spans = 2 * np.stack([indptr[:-1], indptr[1:]], axis=1).ravel()
        mass = self.total * self.scale
        starts = np.arange(0, mass.size, BLOCK)
        low, high = (edge.reduceat(mass, starts) if mass.size else mass for edge in (np.minimum, np.maximum))
        total, scale = (np.pad(x, (0, _padding(x.size))) for x in (self.total, self.scale))
        return ByRow(spans, entries, as_values, self.ids, total, scale, low, high)

    def rolled(self, rows: np.ndarray | None) -> ByRow:
        """The right operand with row ``rows[i]`` in the place of row i (marginals stay as they are)."""
        if rows is None:
            return self.by_row
        return self.by_row._replace(spans=self.by_row.spans.reshape(-1, 2)[rows].ravel())

    def subset(self, places: np.ndarray) -> ByLatent:
        """The left operand reduced to some of its latents."""
        left = self.by_latent
        return left._replace(ids=left.ids[places], total=left.total[places], scale=left.scale[places])

    def without_cofiring(self, other: Side) -> np.ndarray:
        """(n_alive,) upper bound of each latent's similarity with latents of ``other`` that never co-fire."""
        mass, others = self.total * self.scale, other.total * other.scale
        bound = np.maximum(-mass * others.min(), -mass * others.max()) / self.n_rows
        return bound + 1e-12 * np.abs(bound)


def sides(a: Matrix, b: Matrix) -> tuple[Side, Side]:
    """Validate and lay out both sides; see :class:`Side`."""
    check_same_rows(a, b)
    return Side(a, "A"), Side(b, "B")


def _padding(n: int) -> int:
    return -n % BLOCK


def _scratch(n: int) -> tuple[np.ndarray, np.ndarray]:
    padded = n + _padding(n)
    return np.zeros(padded), np.zeros(padded // BLOCK, dtype=np.uint8)


def _work_ranges(cols: ByLatent) -> list[tuple[int, int]]:
    """Ranges of latents of like work, a few latents where they fire often."""
    work = np.cumsum(np.diff(cols.indptr)[cols.ids] + 64)
    pieces = np.searchsorted(work, np.linspace(0, work[-1], _RANGES + 1)[1:-1])
    edges = np.unique(np.concatenate([[0], pieces, [cols.ids.size]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def correlate(A: Matrix, B: Matrix, *, top: int = 64, threads: int | None = None) -> TopSimilarity:  # noqa: N803
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
    if top < 1:
        raise InputError(must_be("top", "correlate", ">= 1", top, "Ask for at least one candidate."))
    if is_dense(A) and is_dense(B):
        from universality.correlation.dense import correlate_dense

        return correlate_dense(A, B, top=top)
    left, right = sides(A, B)
    lists_a = lists.empty_lists(left.ids.size, top)
    lists_b = lists.empty_lists(right.ids.size, top, _padding(right.ids.size))
    if left.ids.size and right.ids.size:
        _fill_lists(left, right, lists_a, lists_b, n_threads(threads))
        short = np.flatnonzero(lists_b.worst[: right.ids.size] <= right.without_cofiring(left))
        if short.size:
            again = _refill(right, left, short, top, n_threads(threads))
            lists_b.partner[short], lists_b.r[short] = again.partner, again.r
    return from_lists(
        _spread(lists_a, left), _spread(lists_b, right), left.alive, right.alive, left.n_rows, top
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
    private = [lists_b, *(lists.empty_lists(n_b, top, _padding(n_b)) for _ in range(threads - 1))]
    cols, rows = left.by_latent, right.by_row

    def work(state: tuple[np.ndarray, np.ndarray, Lists], first: int, last: int) -> None:
        kernels.top_block(cols, rows, first, last, state[0], state[1], lists_a, state[2])

    over_blocks(work, _work_ranges(cols)[::-1], [(*_scratch(n_b), mine) for mine in private])
    for other in private[1:]:
        lists.merge(lists_b, other)
    lists.finish(lists_a)
    lists.finish(lists_b)


def _refill(left: Side, right: Side, places: np.ndarray, top: int, threads: int) -> Lists:
    """Exact lists of a few latents: their best partners may never co-fire with them."""
    n_b = right.ids.size
    cols, rows = left.subset(places), right.by_row
    found, closed = lists.empty_lists(places.size, top), lists.closed_lists(n_b, _padding(n_b))

    def work(state: tuple[np.ndarray, np.ndarray], first: int, last: int) -> None:
        kernels.top_block(cols, rows, first, last, state[0], state[1], found, closed)

    over_blocks(work, _work_ranges(cols)[::-1], [_scratch(n_b) for _ in range(threads)])
    lists.finish(found)
    return found


def max_correlation(A: Matrix, B: Matrix, threads: int | None = None) -> tuple[np.ndarray, np.ndarray]:  # noqa: N803
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
        from universality.correlation.dense import max_correlation_dense

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
    states = [(*_scratch(n_b), np.full(n_b + _padding(n_b), -np.inf)) for _ in range(threads)]

    def work(state: tuple[np.ndarray, np.ndarray, np.ndarray], first: int, last: int) -> None:
        kernels.max_block(cols, rows, first, last, *state[:2], max_a, state[2])

    over_blocks(work, _work_ranges(cols), states)
    return max_a, np.maximum.reduce([state[2] for state in states])[:n_b]
