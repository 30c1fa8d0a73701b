"""Dense products of latents on a device, block by block: who can be among the best partners of whom.

The device holds the entries of the activations, one dense block of either side and one block of similarities;
never a dense ``n_rows x n_latents`` nor an ``n_a x n_b`` array. For two blocks of latents only the rows count in
which both blocks fire, so blocks of rare latents cost little.

Everything here is an upper bound, not a result: see :class:`Bounds`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from universality.correlation.neurons import DenseMoments
from universality.correlation.operands import KernelOperand
from universality.correlation.threads import blocks

_UNDERFLOW = 1e-27  # more than products too small for float32 can add up to


class Sizes(NamedTuple):
    """How much is worked on at once: a rows x latents block of each side, a latents x latents block of r."""

    rows: int = 2048
    latents: int = 2048


DEFAULT_SIZES = Sizes()


class Bounds(NamedTuple):
    r"""What turns the device's product of two latents into an upper bound of their correlation.

    With :math:`u = a / \|a - \bar a\|` and :math:`m = \sqrt n \, \bar u` the correlation is
    :math:`r = \sum_i u_i v_i - m_a m_b`. The sum is formed in the device's arithmetic, in blocks of rows, in any
    order: it is off by at most :math:`\gamma \sum_i |u_i v_i|` with :math:`\gamma = s \epsilon / (1 - s \epsilon)`
    for s roundings on the way, and adding zeros rounds nothing, so s is at most the rarer latent's rows in a
    block. The sum of absolute values is the sum itself where nothing is negative, else at most
    :math:`\|u\| \|v\|` (Cauchy–Schwarz) with :math:`\|u\|^2 = 1 + m^2`.

    Source: Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1.
    """

    mean: Tensor  # (n,) m
    norm: Tensor  # (n,) |u|
    gamma: Tensor  # (n,) the relative error
    signed: Tensor  # (n,) bool, whether any value is negative

    def at(self, first: int, last: int) -> Bounds:
        """The bounds of a range of latents."""
        return Bounds(*(x.narrow(0, first, last - first) for x in self))


class Operand(Protocol):
    """One side: its latents numbered 0..n, cut into blocks."""

    n: int
    spans: list[tuple[int, int]]
    bounds: Bounds | None

    def fires(self, block: int) -> np.ndarray:
        """(n_rows,) bool: rows that matter to a block."""
        ...

    def dense(self, block: int, rows: np.ndarray, on_device: Tensor) -> Tensor:
        """(rows.size, latents of the block) values in the given rows, which rise."""
        ...


def put(array: np.ndarray, device: torch.device) -> Tensor:
    """An array on a device."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


class SparseOperand:
    """Entries of alive latents, grouped by block and then by row, with values ``u`` in the device's precision."""

    def __init__(self, side: KernelOperand, sizes: Sizes, device: torch.device, dtype: torch.dtype) -> None:
        self.n, self.n_rows = side.ids.size, side.n_rows
        self.spans = blocks(self.n, sizes.latents)
        csr = side.csr
        place = np.full(side.n_latents, -1, dtype=np.int32)
        place[side.ids] = np.arange(self.n, dtype=np.int32)
        place = place[csr.indices]
        rows = np.repeat(np.arange(self.n_rows, dtype=np.int32), np.diff(csr.indptr))
        group = np.where(place >= 0, place // sizes.latents, len(self.spans))
        order = np.argsort(group, kind="stable")
        edges = np.searchsorted(group[order], np.arange(len(self.spans) + 1))
        values = (csr.data * np.append(side.scale, 0.0)[place]).astype(str(dtype).removeprefix("torch."))
        self._rows: list[np.ndarray] = []
        self._entries: list[tuple[Tensor, Tensor, Tensor]] = []
        for (first, _), start, end in zip(self.spans, edges[:-1], edges[1:], strict=True):
            entries = order[start:end]
            self._rows.append(rows[entries])
            parts = (rows[entries], place[entries] - first, values[entries])
            self._entries.append((put(parts[0], device), put(parts[1], device), put(parts[2], device)))
        self.bounds: Bounds | None = _bounds(side, sizes, device, dtype)

    def fires(self, block: int) -> np.ndarray:
        """See :class:`Operand`."""
        fires = np.zeros(self.n_rows, dtype=bool)
        fires[self._rows[block]] = True
        return fires

    def dense(self, block: int, rows: np.ndarray, on_device: Tensor) -> Tensor:
        """See :class:`Operand`."""
        start, end = np.searchsorted(self._rows[block], [rows[0], rows[-1] + 1]).tolist()
        row, column, values = (x.narrow(0, start, end - start) for x in self._entries[block])
        width = self.spans[block][1] - self.spans[block][0]
        # Entries in other rows go to a row of their own, which is cut off: no size depends on the data.
        at = torch.searchsorted(on_device, row)
        at = torch.where(on_device.take(at) == row, at, rows.size)
        out = torch.zeros((rows.size + 1) * width, dtype=values.dtype, device=values.device)
        out.scatter_(0, at * width + column, values)
        return out.view(rows.size + 1, width).narrow(0, 0, rows.size)


def _bounds(side: KernelOperand, sizes: Sizes, device: torch.device, dtype: torch.dtype) -> Bounds:
    mean = side.total * side.scale / np.sqrt(side.n_rows)
    csr, eps = side.csr, torch.finfo(dtype).eps / 2
    steps = np.minimum(np.diff(side.by_latent.indptr)[side.ids], sizes.rows) + 4  # and u, v and two more
    # The second term covers what float64 rounds, on the device and in the exact kernel.
    gamma = 1.01 * steps * eps + (side.n_rows + 64) * 2.0**-52
    negative = np.zeros(side.n_latents, dtype=bool)
    negative[csr.indices[csr.data < 0]] = True
    return Bounds(*(put(x, device) for x in (mean, np.sqrt(1.0 + mean**2), gamma, negative[side.ids])))


class DenseOperand:
    """Columns of a dense array, centred and scaled in float64 as they are read."""

    def __init__(self, x: np.ndarray, moments: DenseMoments, sizes: Sizes, device: torch.device) -> None:
        self.bounds: Bounds | None = None  # exact enough as they are
        self.ids = np.flatnonzero(moments.alive)
        self.n = self.ids.size
        self.spans = blocks(self.n, sizes.latents)
        self._x, self._moments, self._device = x, moments, device

    def fires(self, block: int) -> np.ndarray:
        """See :class:`Operand`; every row."""
        return np.ones(self._x.shape[0], dtype=bool)

    def dense(self, block: int, rows: np.ndarray, on_device: Tensor) -> Tensor:
        """See :class:`Operand`."""
        first, last = self.spans[block]
        ids = self.ids[first:last]
        values = np.asarray(self._x[rows[0] : rows[-1] + 1], np.float64)[:, ids]
        return put((values - self._moments.mean[ids]) * self._moments.scale[ids], self._device)


class Nominees(NamedTuple):
    """The best partners of each latent by upper bound, falling; -1 and -inf where there are fewer."""

    partner: Tensor  # (n, width) int64
    upper: Tensor  # (n, width) float64: no partner left out has a similarity above the last


def nominate(
    left: Operand, right: Operand, widths: tuple[int, int], sizes: Sizes, device: torch.device
) -> tuple[Nominees, Nominees]:
    """The ``widths`` best partners by upper bound of every latent, of a and of b.

    Args:
        left: side a. right: side b. Both on ``device``.
        widths: partners to keep of each latent of a, and of b; at most the other side's latents.
        sizes: as the operands were made with.
        device: where the products are formed.

    Returns:
        Nominees of a and of b. Device memory: the entries, ``(n_a + n_b) width``, and a few blocks of ``sizes``.
    """
    best_a, best_b = (
        [_nobody(last - first, width, device) for first, last in side.spans]
        for side, width in ((left, widths[0]), (right, widths[1]))
    )
    for i, (first_a, _) in enumerate(left.spans):
        fires = left.fires(i)
        for j, (first_b, _) in enumerate(right.spans):
            upper = _upper(left, right, i, j, np.flatnonzero(fires & right.fires(j)), sizes.rows, device)
            best_a[i] = _best(best_a[i], upper, first_b)
            best_b[j] = _best(best_b[j], upper.T, first_a)
    nominees = [Nominees(*(torch.cat(part) for part in zip(*best, strict=True))) for best in (best_a, best_b)]
    return nominees[0], nominees[1]


def _upper(
    left: Operand, right: Operand, i: int, j: int, rows: np.ndarray, at_once: int, device: torch.device
) -> Tensor:
    """(latents of block i, latents of block j) float64 upper bounds of r, from the rows in which both fire."""
    shape = [last - first for first, last in (left.spans[i], right.spans[j])]
    products = torch.zeros(shape, dtype=torch.float64, device=device)
    for first, last in blocks(rows.size, at_once):
        chunk = rows[first:last]
        on_device = put(chunk.astype(np.int32), device)
        products += left.dense(i, chunk, on_device).T @ right.dense(j, chunk, on_device)
    if left.bounds is None or right.bounds is None:
        return products
    a, b = left.bounds.at(*left.spans[i]), right.bounds.at(*right.spans[j])
    means = torch.outer(a.mean, b.mean)
    mass = torch.where(a.signed.unsqueeze(1) | b.signed, torch.outer(a.norm, b.norm), products)
    error = torch.minimum(a.gamma.unsqueeze(1), b.gamma) * mass + means.abs() * 2.0**-48
    return products - means + (error + _UNDERFLOW)


def _nobody(n: int, width: int, device: torch.device) -> Nominees:
    return Nominees(
        torch.full((n, width), -1, dtype=torch.int64, device=device),
        torch.full((n, width), -torch.inf, dtype=torch.float64, device=device),
    )


def _best(nominees: Nominees, upper: Tensor, first: int) -> Nominees:
    """Join the nominees so far with a block, whose columns are partners ``first``, ``first + 1``, …."""
    width = nominees.upper.shape[1]
    block_upper, at = upper.topk(min(width, upper.shape[1]), dim=1)
    joined, at_joined = torch.cat([nominees.upper, block_upper], dim=1).topk(width, dim=1)
    return Nominees(torch.cat([nominees.partner, at + first], dim=1).gather(1, at_joined), joined)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No TF32, no autocast, no gradients: float32 products round as the bounds assume."""
    matmul = torch.backends.cuda.matmul
    if hasattr(matmul, "fp32_precision"):  # torch 2.9 and later
        switches, name, exact = (matmul, torch.backends.mkldnn.matmul), "fp32_precision", "ieee"  # pyright: ignore
    else:
        switches, name, exact = (matmul,), "allow_tf32", False
    before = [getattr(switch, name) for switch in switches]
    try:
        for switch in switches:
            setattr(switch, name, exact)
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            setattr(switch, name, value)
