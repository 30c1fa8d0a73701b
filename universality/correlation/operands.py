"""How activations are laid out for the kernel, and how its work is cut into ranges."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from universality.compiled import njit
from universality.correlation.inputs import like_blocks, moments_by_latent, pivots, shifted
from universality.correlation.kernels import BLOCK, ByLatent, ByRow
from universality.correlation.threads import blocks, over_blocks
from universality.matrices import Csr, Matrix, aligned, as_csr

_RANGES = 512


class KernelOperand:
    """One dictionary's activations, laid out for the kernel; made once, used for any number of shifts.

    Attributes:
        csr: (n_rows, n_latents) activations, latents that hardly rest measured from their mean.
        alive: (n_latents,) whether a correlation is defined.
        mean, square: (n_latents,) means as given, and centred sums of squares, 0 for latents that are not alive.
        ids: (n_alive,) int32 alive latents, frequent ones first; kernels number latents by their place here.
        total, scale: (n_alive,) sums and reciprocal centred norms, in the order of ``ids``.
    """

    def __init__(self, matrix: Matrix, where: str, threads: int, by_latent: bool) -> None:
        """Check and measure a matrix; ``by_latent``: keep its columns, which are made for that anyway."""
        csr = as_csr(matrix, where, threads)
        self.n_rows, self.n_latents = csr.shape
        self._threads = threads
        columns = by_column(csr, threads)
        moments = moments_by_latent(self.n_rows, columns[0], columns[2], threads)
        pivot = pivots(csr, moments)
        if pivot.any():
            csr = shifted(csr, pivot)
            columns = by_column(csr, threads)
            moments = moments_by_latent(self.n_rows, columns[0], columns[2], threads)
        self.alive = moments.alive
        self.mean = pivot + moments.total / max(self.n_rows, 1)
        self.square = np.where(moments.alive, moments.square, 0.0)
        # Frequent latents first: what co-fires often then lies in the same blocks, and big work starts early.
        alive = np.flatnonzero(moments.alive)
        self.ids = alive[np.argsort(-moments.count[alive], kind="stable")].astype(np.int32)
        self.total = moments.total[self.ids]
        self.scale = moments.scale[self.ids]
        self.csr = csr
        if by_latent:
            self.by_latent = ByLatent(*columns, self.ids, self.total, self.scale)

    @cached_property
    def by_latent(self) -> ByLatent:
        """This side as the kernel's left operand."""
        return ByLatent(*by_column(self.csr, self._threads), self.ids, self.total, self.scale)

    @cached_property
    def by_row(self) -> ByRow:
        """This side as the kernel's right operand, rows in their own order."""
        place = np.full(self.n_latents, -1, dtype=np.int32)
        place[self.ids] = np.arange(self.ids.size, dtype=np.int32)
        indptr, everywhere = self.csr.indptr.astype(np.int64), [None] * self._threads
        ranges, starts = like_blocks(indptr, self._threads), indptr
        if not self.alive.all():  # constant latents have entries, but no correlation
            n_kept = np.zeros(self.n_rows + 1, np.int64)
            over_blocks(
                lambda _, first, last: _count_kept(indptr, self.csr.indices, place, first, last, n_kept),
                ranges, everywhere,
            )  # fmt: skip
            starts = np.cumsum(n_kept)
        # Column and value of an entry side by side, so that one cache line brings both: integers as wide as the values,
        # and the same memory seen as floats.
        dtype = self.csr.data.dtype
        entries = np.empty(2 * int(starts[-1]), dtype=np.int32 if dtype == np.float32 else np.int64)
        as_values = entries.view(dtype)

        def interleave(_: None, first: int, last: int) -> None:
            _interleave(indptr, self.csr.indices, self.csr.data, place, starts, first, last, entries, as_values)

        over_blocks(interleave, ranges, everywhere)
        spans = 2 * np.stack([starts[:-1], starts[1:]], axis=1).ravel()
        # r of a pair that never co-fires is -mass_a mass_b / n: the extremes of a block bound all its r from above.
        mass = self.total * self.scale
        firsts = np.arange(0, mass.size, BLOCK)
        low, high = (edge.reduceat(mass, firsts) if mass.size else mass for edge in (np.minimum, np.maximum))
        total, scale = (np.pad(x, (0, padding(x.size))) for x in (self.total, self.scale))
        by_mass = np.argsort(mass, kind="stable").astype(np.int32)
        return ByRow(spans, entries, as_values, self.ids, total, scale, low, high, by_mass)

    def rolled(self, rows: np.ndarray | None) -> ByRow:
        """The right operand with row ``rows[i]`` in the place of row i (marginals stay as they are)."""
        if rows is None:
            return self.by_row
        return self.by_row._replace(spans=self.by_row.spans.reshape(-1, 2)[rows].ravel())

    def subset(self, places: np.ndarray) -> ByLatent:
        """The left operand reduced to some of its latents."""
        left = self.by_latent
        return left._replace(ids=left.ids[places], total=left.total[places], scale=left.scale[places])

    def without_cofiring(self, other: KernelOperand) -> np.ndarray:
        """(n_alive,) upper bound of each latent's similarity with latents of ``other`` that never co-fire."""
        mass, others = self.total * self.scale, other.total * other.scale
        bound = np.maximum(-mass * others.min(), -mass * others.max()) / self.n_rows
        return bound + 1e-12 * np.abs(bound)


def operands(a: Matrix, b: Matrix, threads: int) -> tuple[KernelOperand, KernelOperand]:
    """Validate and lay out both sides; see :class:`KernelOperand`."""
    a, b, _ = aligned(a, b)
    return KernelOperand(a, "A", threads, by_latent=True), KernelOperand(b, "B", threads, by_latent=False)


def by_column(csr: Csr, threads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A canonical CSR column by column: ``(indptr int64, rows int32, values)``, rows rising within a column.

    Every thread turns rows of its own: all count first, and then know where theirs go.
    """
    n = csr.shape[1]
    indptr = csr.indptr.astype(np.int64)
    ends = np.searchsorted(indptr, np.linspace(0, indptr[-1], threads + 1)[1:-1])
    edges = np.concatenate([[0], np.minimum(ends, csr.shape[0]), [csr.shape[0]]])
    at = np.zeros((threads + 1, n), np.int64)
    rows, values = np.empty(csr.nnz, np.int32), np.empty_like(csr.data)

    def count(_: None, part: int, __: int) -> None:
        _count_columns(csr.indices, indptr[edges[part]], indptr[edges[part + 1]], at[part + 1])

    def turn(_: None, part: int, __: int) -> None:
        _turn(indptr, csr.indices, csr.data, edges[part], edges[part + 1], at[part], rows, values)

    over_blocks(count, blocks(threads, 1), [None] * threads)
    starts = np.concatenate([[0], np.cumsum(at.sum(axis=0))])
    at[0] = starts[:-1]
    np.cumsum(at, axis=0, out=at)
    over_blocks(turn, blocks(threads, 1), [None] * threads)
    return starts, rows, values


@njit(nogil=True)
def _count_columns(indices, first, last, counts):
    for s in range(first, last):
        counts[indices[s]] += 1


@njit(nogil=True)
def _turn(indptr, indices, data, first, last, at, rows, values):
    for row in range(first, last):
        for s in range(indptr[row], indptr[row + 1]):
            t = at[indices[s]]
            rows[t], values[t] = row, data[s]
            at[indices[s]] = t + 1


@njit(nogil=True)
def _count_kept(indptr, indices, place, first, last, n_kept):
    for row in range(first, last):
        for s in range(indptr[row], indptr[row + 1]):
            n_kept[row + 1] += place[indices[s]] >= 0


@njit(nogil=True)
def _interleave(indptr, indices, data, place, starts, first, last, entries, as_values):
    for row in range(first, last):
        t = 2 * starts[row]
        for s in range(indptr[row], indptr[row + 1]):
            if place[indices[s]] >= 0:
                entries[t], as_values[t + 1] = place[indices[s]], data[s]
                t += 2


def padding(n: int) -> int:
    """Latents to add to ``n`` to fill whole blocks."""
    return -n % BLOCK


def scratch(n: int) -> tuple[np.ndarray, np.ndarray]:
    """``products`` and ``touched`` of a kernel call against ``n`` latents."""
    padded = n + padding(n)
    return np.zeros(padded), np.zeros(padded // BLOCK, dtype=np.uint8)


def work_ranges(cols: ByLatent) -> list[tuple[int, int]]:
    """Ranges of latents of like work, a few latents where they fire often."""
    work = np.cumsum(np.diff(cols.indptr)[cols.ids] + 64)
    pieces = np.searchsorted(work, np.linspace(0, work[-1], _RANGES + 1)[1:-1])
    edges = np.unique(np.concatenate([[0], pieces, [cols.ids.size]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
