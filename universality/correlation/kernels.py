"""The kernel: one latent of a against all latents of b, from sparse rows, in float64.

For a latent a, the co-products with every b are accumulated in one dense array by walking the rows in which
a fires. Blocks of ``1 << SHIFT`` neighbouring b are marked when touched, so that rare latents pay only for
what they meet. A block nobody touched needs no walk: its similarities are known in closed form,
``-sum_a sum_b / (n |a| |b|)``, and are looked at only when that could matter.

Each pair is one sum over rows in rising order, whoever computes it, so results have the same bytes for
any number of threads and for swapped sides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

SHIFT = 4
_UP = 1.0 + 1e-12  # bounds are formed in another order than the values they bound


class ByLatent(NamedTuple):
    """One side, read latent by latent. The k-th latent here is ``ids[k]`` of the caller."""

    indptr: np.ndarray  # (n_latents of the caller + 1,) int64
    rows: np.ndarray  # (nnz,) int32
    values: np.ndarray  # (nnz,)
    ids: np.ndarray  # (n,) int32 alive latents
    total: np.ndarray  # (n,) sums
    scale: np.ndarray  # (n,) reciprocal centred norms


class ByRow(NamedTuple):
    """The other side, read row by row; columns are numbered by place in ``ids``."""

    spans: np.ndarray  # (n_rows, 2) int64 first and last entry of the row that meets row i
    indices: np.ndarray  # (nnz,) int32
    values: np.ndarray  # (nnz,)
    ids: np.ndarray  # (n,) int32 alive latents
    total: np.ndarray  # (n,) sums
    scale: np.ndarray  # (n,) reciprocal centred norms
    low: np.ndarray  # (n_blocks,) least total * scale of the block
    high: np.ndarray  # (n_blocks,) greatest total * scale of the block


class Lists(NamedTuple):
    """Bounded lists of best partners: binary heaps whose root is the worst entry kept."""

    partner: np.ndarray  # (n, top) int32
    r: np.ndarray  # (n, top)
    length: np.ndarray  # (n,) int32
    worst: np.ndarray  # (n,) r of the root, -inf while the list is not full


def empty_lists(n: int, top: int) -> Lists:
    """Lists of ``n`` latents with nothing in them."""
    return Lists(
        np.full((n, top), -1, dtype=np.int32), np.zeros((n, top)), np.zeros(n, np.int32), np.full(n, -np.inf)
    )


@njit(nogil=True, cache=True, inline="always")
def _accumulate(left, right, latent, products, touched):
    for t in range(left.indptr[latent], left.indptr[latent + 1]):
        row = left.rows[t]
        x = np.float64(left.values[t])
        for s in range(right.spans[row, 0], right.spans[row, 1]):
            b = right.indices[s]
            products[b] += x * right.values[s]
            touched[b >> SHIFT] = 1


@njit(nogil=True, cache=True)
def _worse(r, i, other_r, other_i):
    return r < other_r or (r == other_r and i > other_i)


@njit(nogil=True, cache=True)
def offer(lists, at, partner, r):
    """Put a partner into list ``at`` if it is among the best; ties go to the smaller index."""
    heap_r, heap_i = lists.r[at], lists.partner[at]
    size = lists.length[at]
    if size < heap_r.size:
        k = size
        lists.length[at] = size + 1
        while k > 0:
            up = (k - 1) >> 1
            if not _worse(r, partner, heap_r[up], heap_i[up]):
                break
            heap_r[k], heap_i[k] = heap_r[up], heap_i[up]
            k = up
        heap_r[k], heap_i[k] = r, partner
        if size + 1 == heap_r.size:
            lists.worst[at] = heap_r[0]
        return
    if not _worse(heap_r[0], heap_i[0], r, partner):
        return
    k = 0
    while True:
        down = 2 * k + 1
        if down >= size:
            break
        if down + 1 < size and _worse(heap_r[down + 1], heap_i[down + 1], heap_r[down], heap_i[down]):
            down += 1
        if not _worse(heap_r[down], heap_i[down], r, partner):
            break
        heap_r[k], heap_i[k] = heap_r[down], heap_i[down]
        k = down
    heap_r[k], heap_i[k] = r, partner
    lists.worst[at] = heap_r[0]


@njit(nogil=True, cache=True, inline="always")
def _bound(total, scale, per_row, low, high):
    z = -total * scale * per_row
    bound = max(z * low, z * high)
    return bound * _UP if bound > 0 else bound / _UP


@njit(nogil=True, cache=True)
def max_block(left, right, first, last, products, touched, max_a, max_b):
    """Maximum similarity of latents ``first..last`` of a; maxima of b are raised by the pairs that co-fire.

    Args:
        left: side a. right: side b. first, last: range of places in ``left.ids``.
        products: (n_b,) zeros; scratch. touched: (n_blocks,) zeros; scratch.
        max_a: (n_a,) out, exact. max_b: (n_b,) in and out, exact but for latents that never co-fire.
    """
    per_row = 1.0 / right.spans.shape[0]
    n_b, n_blocks = right.total.size, touched.size
    lowest, highest = right.low.min(), right.high.max()
    for at in range(first, last):
        total, scale = left.total[at], left.scale[at]
        _accumulate(left, right, left.ids[at], products, touched)
        best = -np.inf
        for block in range(n_blocks):
            if touched[block]:
                for b in range(block << SHIFT, min(n_b, (block + 1) << SHIFT)):
                    r = (products[b] - total * right.total[b] * per_row) * (scale * right.scale[b])
                    products[b] = 0.0
                    best = max(best, r)
                    max_b[b] = max(max_b[b], r)
        if best <= _bound(total, scale, per_row, lowest, highest):
            for block in range(n_blocks):
                if not touched[block] and best <= _bound(total, scale, per_row, right.low[block], right.high[block]):
                    for b in range(block << SHIFT, min(n_b, (block + 1) << SHIFT)):
                        best = max(best, (0.0 - total * right.total[b] * per_row) * (scale * right.scale[b]))
        touched[:] = 0
        max_a[at] = best


@njit(nogil=True, cache=True)
def top_block(left, right, first, last, products, touched, lists_a, lists_b):
    """Best partners of latents ``first..last`` of a; lists of b are offered the pairs that co-fire.

    Args:
        left: side a. right: side b. first, last: range of places in ``left.ids``.
        products: (n_b,) zeros; scratch. touched: (n_blocks,) zeros; scratch.
        lists_a: out, exact. lists_b: in and out, exact but for latents that never co-fire.
    """
    per_row = 1.0 / right.spans.shape[0]
    n_b, n_blocks = right.total.size, touched.size
    lowest, highest = right.low.min(), right.high.max()
    for at in range(first, last):
        total, scale, latent = left.total[at], left.scale[at], left.ids[at]
        _accumulate(left, right, latent, products, touched)
        for block in range(n_blocks):
            if touched[block]:
                for b in range(block << SHIFT, min(n_b, (block + 1) << SHIFT)):
                    r = (products[b] - total * right.total[b] * per_row) * (scale * right.scale[b])
                    products[b] = 0.0
                    if r >= lists_a.worst[at]:
                        offer(lists_a, at, right.ids[b], r)
                    if r >= lists_b.worst[b]:
                        offer(lists_b, b, latent, r)
        if lists_a.worst[at] <= _bound(total, scale, per_row, lowest, highest):
            for block in range(n_blocks):
                if touched[block]:
                    continue
                if lists_a.worst[at] <= _bound(total, scale, per_row, right.low[block], right.high[block]):
                    for b in range(block << SHIFT, min(n_b, (block + 1) << SHIFT)):
                        r = (0.0 - total * right.total[b] * per_row) * (scale * right.scale[b])
                        if r >= lists_a.worst[at]:
                            offer(lists_a, at, right.ids[b], r)
        touched[:] = 0


@njit(nogil=True, cache=True)
def merge_lists(into, other):
    """Offer every entry of ``other`` to ``into`` (lists over the same latents)."""
    for at in range(other.length.size):
        for k in range(other.length[at]):
            if other.r[at, k] >= into.worst[at]:
                offer(into, at, other.partner[at, k], other.r[at, k])


@njit(nogil=True, cache=True)
def offer_dense(r, first_a, alive_a, alive_b, lists_a, lists_b):
    """Offer a dense block of similarities, rows ``first_a..``, to the lists of both sides."""
    for a in alive_a:
        for b in alive_b:
            x = r[a - first_a, b]
            if x >= lists_a.worst[a]:
                offer(lists_a, a, b, x)
            if x >= lists_b.worst[b]:
                offer(lists_b, b, a, x)
