"""How activations are laid out for the kernel, and how its work is cut into ranges."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from universality.correlation.inputs import latent_moments, pivots, shifted
from universality.correlation.kernels import BLOCK, ByLatent, ByRow
from universality.matrices import Matrix, aligned, as_csr

_RANGES = 512


class KernelOperand:
    """One dictionary's activations, laid out for the kernel; made once, used for any number of shifts.

    Attributes:
        csr: (n_rows, n_latents) activations, latents that hardly rest measured from their mean.
        alive: (n_latents,) whether a correlation is defined.
        ids: (n_alive,) int32 alive latents, frequent ones first; kernels number latents by their place here.
        total, scale: (n_alive,) sums and reciprocal centred norms, in the order of ``ids``.
    """

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
        self.csr = csr

    @cached_property
    def by_latent(self) -> ByLatent:
        """This side as the kernel's left operand."""
        csc = self.csr.tocsc()
        return ByLatent(
            csc.indptr.astype(np.int64), csc.indices.astype(np.int32, copy=False), csc.data,
            self.ids, self.total, self.scale,
        )  # fmt: skip

    @cached_property
    def by_row(self) -> ByRow:
        """This side as the kernel's right operand, rows in their own order."""
        place = np.full(self.n_latents, -1, dtype=np.int32)
        place[self.ids] = np.arange(self.ids.size, dtype=np.int32)
        indices, values, indptr = place[self.csr.indices], self.csr.data, self.csr.indptr.astype(np.int64)
        keep = indices >= 0  # -1: constant latents have entries, but no correlation
        if not keep.all():
            indptr = np.concatenate([[0], np.cumsum(keep)])[indptr]
            indices, values = indices[keep], values[keep]
        # Column and value of an entry side by side, so that one cache line brings both: integers as wide as the values,
        # and the same memory seen as floats.
        entries = np.empty(2 * indices.size, dtype=np.int32 if values.dtype == np.float32 else np.int64)
        as_values = entries.view(values.dtype)
        entries[0::2], as_values[1::2] = indices, values
        spans = 2 * np.stack([indptr[:-1], indptr[1:]], axis=1).ravel()
        # r of a pair that never co-fires is -mass_a mass_b / n: the extremes of a block bound all its r from above.
        mass = self.total * self.scale
        starts = np.arange(0, mass.size, BLOCK)
        low, high = (edge.reduceat(mass, starts) if mass.size else mass for edge in (np.minimum, np.maximum))
        total, scale = (np.pad(x, (0, padding(x.size))) for x in (self.total, self.scale))
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

    def without_cofiring(self, other: KernelOperand) -> np.ndarray:
        """(n_alive,) upper bound of each latent's similarity with latents of ``other`` that never co-fire."""
        mass, others = self.total * self.scale, other.total * other.scale
        bound = np.maximum(-mass * others.min(), -mass * others.max()) / self.n_rows
        return bound + 1e-12 * np.abs(bound)


def operands(a: Matrix, b: Matrix) -> tuple[KernelOperand, KernelOperand]:
    """Validate and lay out both sides; see :class:`KernelOperand`."""
    a, b, _ = aligned(a, b)
    return KernelOperand(a, "A"), KernelOperand(b, "B")


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
