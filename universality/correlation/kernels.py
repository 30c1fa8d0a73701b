"""The kernel: one latent of a against all latents of b, from sparse rows, in float64.

For a latent a, the co-products with every b are accumulated in one dense array by walking the rows in which
a fires. Blocks of ``BLOCK`` neighbouring b are marked when touched, so that rare latents pay only for what
they meet. A block nobody touched needs no walk: its similarities are known in closed form,
``-sum_a sum_b / (n |a| |b|)``, and are looked at only when that could matter.

Each pair is one sum over rows in rising order, whoever computes it, so results have the same bytes for
any number of threads.
"""

from typing import NamedTuple

import numpy as np

from universality.compiled import njit, prefetch

SHIFT = 4
BLOCK = 1 << SHIFT
_UP = 1.0 + 1e-12  # bounds are formed in another order than the values they bound
_SPANS_AHEAD, _ROWS_AHEAD, _LINES = 12, 4, 12
_RUN = 32  # blocks whose similarities stay in the nearest cache
_U = np.uint64  # an unsigned index is not asked whether it counts from the end: a fifth of the time


class ByLatent(NamedTuple):
    """One side, read latent by latent. The k-th latent here is ``ids[k]`` of the caller."""

    indptr: np.ndarray  # (n_latents of the caller + 1,) int64
    rows: np.ndarray  # (nnz,) int32
    values: np.ndarray  # (nnz,)
    ids: np.ndarray  # (n,) int32 alive latents
    total: np.ndarray  # (n,) sums
    scale: np.ndarray  # (n,) reciprocal centred norms


class ByRow(NamedTuple):
    """The other side, read row by row; columns are numbered by place in ``ids``, padded to whole blocks."""

    spans: np.ndarray  # (2 n_rows,) int64 where the row that meets row i starts and ends in ``entries``
    entries: np.ndarray  # (2 nnz,) integers: column, value, column, value, …
    as_values: np.ndarray  # the same memory read as floats
    ids: np.ndarray  # (n,) int32 alive latents
    total: np.ndarray  # (n padded,) sums
    scale: np.ndarray  # (n padded,) reciprocal centred norms
    low: np.ndarray  # (n_blocks,) least total * scale of the block
    high: np.ndarray  # (n_blocks,) greatest total * scale of the block
    by_mass: np.ndarray  # (n,) int32 places, total * scale rising


@njit(nogil=True, inline="always")
def ask_ahead(rows, t, last, spans, entries):
    """Ask for what row t of a latent is followed by: spans of rows first, the entries behind them a little later."""
    if t + _SPANS_AHEAD < last:
        prefetch(spans, 2 * np.int64(rows[t + _SPANS_AHEAD]))  # pyright: ignore[reportCallIssue]
    if t + _ROWS_AHEAD < last:
        ahead = 2 * rows[t + _ROWS_AHEAD]
        start = spans[ahead]
        for line in range(start, min(spans[ahead + 1] + 15, start + 16 * _LINES), 16):
            prefetch(entries, line)  # pyright: ignore[reportCallIssue]


@njit(nogil=True, inline="always")
def accumulate(left, right, latent, products, touched):
    """Add up the co-products of a latent with every b, and mark the blocks of b that it touches."""
    spans, entries, as_values = right.spans, right.entries, right.as_values
    last = left.indptr[latent + 1]
    for t in range(left.indptr[latent], last):
        ask_ahead(left.rows, t, last, spans, entries)
        row = 2 * left.rows[t]
        x = np.float64(left.values[t])
        s, end = _U(spans[row]), _U(spans[row + 1])
        while s < end:
            b = _U(entries[s])
            products[b] += x * as_values[s + _U(1)]
            touched[b >> _U(SHIFT)] = 1
            s += _U(2)


@njit(nogil=True, inline="always")
def bound_of(total, scale, per_row, low, high):
    """What r of a latent with any b that it never co-fires with does not exceed; their masses are low..high."""
    z = -total * scale * per_row
    bound = max(z * low, z * high)
    return bound * _UP if bound > 0 else bound / _UP


@njit(nogil=True)
def max_block(left, right, first, last, products, touched, max_a, max_b):
    """Maximum similarity of latents ``first..last`` of a; maxima of b are raised by the pairs that co-fire.

    Args:
        left: side a. right: side b. first, last: range of places in ``left.ids``.
        products: (n_b padded,) zeros; scratch. touched: (n_blocks,) zeros; scratch.
        max_a: (n_a,) out, exact. max_b: (n_b padded,) in and out, exact but for latents that never co-fire.
    """
    per_row = 2.0 / right.spans.size
    b_total, b_scale, n_b = right.total, right.scale, right.ids.size
    n_whole = n_b >> SHIFT
    lowest, highest = right.low.min(), right.high.max()
    lane = np.empty(BLOCK)
    for at in range(first, last):
        total, scale = left.total[at], left.scale[at]
        accumulate(left, right, left.ids[at], products, touched)
        lane[:] = -np.inf
        block = 0
        while block < n_whole:
            if not touched[block]:
                block += 1
                continue
            # Touched neighbours in one run, and one thing at a time: long plain loops become vector instructions.
            first_block, stop = block, min(n_whole, block + _RUN)
            while block < stop and touched[block]:
                block += 1
            low, high = _U(first_block << SHIFT), _U(block << SHIFT)
            for b in range(low, high):
                products[b] = (products[b] - total * b_total[b] * per_row) * (scale * b_scale[b])
            for b in range(low, high):
                max_b[b] = products[b] if products[b] > max_b[b] else max_b[b]
            for start in range(first_block << SHIFT, block << SHIFT, BLOCK):
                for k in range(BLOCK):
                    r = products[start + k]
                    lane[k] = r if r > lane[k] else lane[k]
            products[low:high] = 0.0
        best = lane.max()
        # The last, partly padded block: padding has scale 0, hence r = 0, and must not count.
        for b in range(n_whole << SHIFT, n_b):
            r = (products[b] - total * b_total[b] * per_row) * (scale * b_scale[b])
            products[b] = 0.0
            best, max_b[b] = max(best, r), max(max_b[b], r)
        if best <= bound_of(total, scale, per_row, lowest, highest):
            for block in range(n_whole):
                bound = bound_of(total, scale, per_row, right.low[block], right.high[block])
                if not touched[block] and best <= bound:
                    for b in range(block << SHIFT, (block + 1) << SHIFT):
                        best = max(best, (0.0 - total * b_total[b] * per_row) * (scale * b_scale[b]))
        touched[:] = 0
        max_a[at] = best


@njit(nogil=True)
def above_block(left, right, first, last, products, touched, floor_a, floor_b, low_b, out_a, out_b, out_r):
    """Write down every pair with ``r > floor_a + floor_b``, until the output might not hold one latent more.

    Args:
        left: side a. right: side b. first, last: range of places in ``left.ids``.
        products: (n_b padded,) zeros; scratch. touched: (n_blocks,) zeros; scratch.
        floor_a: (n_a,). floor_b: (n_b padded,), +inf in the padding. low_b: (n_blocks,) least of each block.
        out_a, out_b, out_r: (room,) out; room for at least ``n_b`` pairs.

    Returns:
        The first place not done, and the number of pairs written.
    """
    per_row = 2.0 / right.spans.size
    b_total, b_scale, n_b = right.total, right.scale, right.ids.size
    size = 0
    for at in range(first, last):
        if size + n_b > out_r.size:
            return at, size
        total, scale, floor = left.total[at], left.scale[at], floor_a[at]
        accumulate(left, right, left.ids[at], products, touched)
        for block in range(touched.size):
            bound = bound_of(total, scale, per_row, right.low[block], right.high[block])
            if not touched[block] and bound <= floor + low_b[block]:
                continue
            for b in range(block << SHIFT, min(n_b, (block + 1) << SHIFT)):
                r = (products[b] - total * b_total[b] * per_row) * (scale * b_scale[b])
                products[b] = 0.0
                if r > floor + floor_b[b]:
                    out_a[size], out_b[size], out_r[size] = left.ids[at], right.ids[b], r
                    size += 1
        touched[:] = 0
    return last, size
