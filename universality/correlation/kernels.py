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
from universality.correlation.top_lists import count, cut_to_best, floor_of

SHIFT = 4
BLOCK = 1 << SHIFT
_UP = 1.0 + 1e-12  # bounds are formed in another order than the values they bound
_SPANS_AHEAD, _ROWS_AHEAD, _LINES = 12, 4, 12
_RUN = 32  # blocks whose similarities stay in the nearest cache
_NO_FLOOR = -1.5  # below every r
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


@njit(nogil=True, inline="always")
def _accumulate(left, right, latent, products, touched):
    spans, entries, as_values = right.spans, right.entries, right.as_values
    last = left.indptr[latent + 1]
    # Rows of a latent are known in advance: their spans are asked for first, the entries behind them a little later.
    for t in range(left.indptr[latent], last):
        if t + _SPANS_AHEAD < last:
            prefetch(spans, 2 * np.int64(left.rows[t + _SPANS_AHEAD]))  # pyright: ignore[reportCallIssue]
        if t + _ROWS_AHEAD < last:
            ahead = 2 * left.rows[t + _ROWS_AHEAD]
            start = spans[ahead]
            for line in range(start, min(spans[ahead + 1] + 15, start + 16 * _LINES), 16):
                prefetch(entries, line)  # pyright: ignore[reportCallIssue]
        row = 2 * left.rows[t]
        x = np.float64(left.values[t])
        s, end = _U(spans[row]), _U(spans[row + 1])
        while s < end:
            b = _U(entries[s])
            products[b] += x * as_values[s + _U(1)]
            touched[b >> _U(SHIFT)] = 1
            s += _U(2)


@njit(nogil=True, inline="always")
def _bound(total, scale, per_row, low, high):
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
        _accumulate(left, right, left.ids[at], products, touched)
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
        if best <= _bound(total, scale, per_row, lowest, highest):
            for block in range(n_whole):
                bound = _bound(total, scale, per_row, right.low[block], right.high[block])
                if not touched[block] and best <= bound:
                    for b in range(block << SHIFT, (block + 1) << SHIFT):
                        best = max(best, (0.0 - total * b_total[b] * per_row) * (scale * b_scale[b]))
        touched[:] = 0
        max_a[at] = best


@njit(nogil=True, inline="always")
def _touched_blocks(touched, met):
    """Write down which blocks are touched, and forget it; returns how many.

    Without a branch: which of many blocks a latent touches, no processor guesses.
    """
    n = 0
    for block in range(touched.size):
        met[n] = block
        n += touched[block]
        touched[block] = 0
    return n


@njit(nogil=True, inline="always")
def _similarities(met, n_met, right, total, scale, latent, products, peak, worst_b, hits, size):
    """Turn the products of touched blocks into r, raise ``peak`` by them, and write down what lists of b might take."""
    per_row, n_b, rows = 2.0 / right.spans.size, right.ids.size, _U(peak.shape[0])
    b_total, b_scale = right.total, right.scale
    for k in range(n_met):
        block = _U(met[k])
        start, lane, n_hits = block << _U(SHIFT), peak[block % rows], 0
        for b in range(start, start + _U(BLOCK)):
            products[b] = (products[b] - total * b_total[b] * per_row) * (scale * b_scale[b])
        if start + _U(BLOCK) > n_b:
            products[n_b:] = -np.inf
        for i in range(_U(BLOCK)):
            r = products[start + i]
            lane[i] = r if r > lane[i] else lane[i]
        for b in range(start, start + _U(BLOCK)):
            n_hits += products[b] >= worst_b[b]
        if n_hits:
            for b in range(start, start + _U(BLOCK)):
                # Written always, counted if it is one: one in many is, and a branch would be guessed wrongly.
                hits.b[size], hits.a[size], hits.r[size] = b, latent, products[b]
                size += products[b] >= worst_b[b]
    return size


@njit(nogil=True, inline="always")
def _near(met, n_met, products, ids, floor, near_b, near_r):
    """Gather the pairs of touched blocks with ``r >= floor``, and leave zeros; returns how many there are."""
    size = 0
    for k in range(n_met):
        start, n_hits = _U(met[k]) << _U(SHIFT), 0
        for b in range(start, start + _U(BLOCK)):
            n_hits += products[b] >= floor
        if n_hits:
            for b in range(start, start + _U(BLOCK)):
                near_b[size], near_r[size] = b, products[b]
                size += products[b] >= floor
        for b in range(start, start + _U(BLOCK)):
            products[b] = 0.0
    for k in range(size):
        near_b[k] = ids[near_b[k]]
    return size


@njit(nogil=True)
def top_block(left, right, first, last, products, touched, near_b, near_r, best_b, best_r, worst_b, hits, size):
    """Best partners of latents ``first..last`` of a; co-firing pairs that lists of b might take are written down.

    Rare latents come last and are walked first: their correlations are the noisiest, so the lists of b fill with
    high values early and refuse most of what follows.

    Args:
        left: side a. right: side b. first, last: range of places in ``left.ids``.
        products: (n_b padded,) zeros; scratch. touched: (n_blocks,) zeros; scratch.
        near_b, near_r: (n_b padded + BLOCK,) scratch.
        best_b, best_r: (latents of the caller, top) out, exact; ids and r, -1 and 0 behind a list that is not full.
        worst_b: (n_b padded,) what a list of b must be offered at least; +inf in the padding.
        hits: out; room for at least ``n_b padded + BLOCK`` more. size: how many hits there are.

    Returns:
        The end of what is not done (``first`` if all is), and the number of hits.
    """
    per_row = 2.0 / right.spans.size
    b_total, b_scale, n_b, top = right.total, right.scale, right.ids.size, best_b.shape[1]
    n_blocks, lowest, highest = touched.size, right.low.min(), right.high.max()
    # The best of each of 4 top groups of places: the top-th of those is a bound that few pairs beyond ``top`` reach.
    peak = np.empty((max(4 * top >> SHIFT, 1), BLOCK))
    peaks, met = peak.reshape(-1), np.empty(n_blocks + 1, np.int32)
    for at in range(last - 1, first - 1, -1):
        if size + products.size + BLOCK > hits.r.size:
            return at + 1, size
        total, scale, latent = left.total[at], left.scale[at], left.ids[at]
        _accumulate(left, right, latent, products, touched)
        n_met = _touched_blocks(touched, met)
        peak[:] = -np.inf
        size = _similarities(met, n_met, right, total, scale, latent, products, peak, worst_b, hits, size)
        floor = _NO_FLOOR
        if n_met << SHIFT > 2 * top and count(peaks, peaks.size, _NO_FLOOR) >= top:
            floor = floor_of(peaks, peaks.size, top, top >> 3, _NO_FLOOR)
        n_near = _near(met, n_met, products, right.ids, floor, near_b, near_r)
        n_near, worst = cut_to_best(near_r, near_b, n_near, top)
        if worst <= _bound(total, scale, per_row, lowest, highest):
            for k in range(n_met):
                touched[met[k]] = 1
            for block in range(n_blocks - 1, -1, -1):
                bound = _bound(total, scale, per_row, right.low[block], right.high[block])
                if touched[block] or worst > bound:
                    continue
                for b in range(block << SHIFT, min(n_b, (block + 1) << SHIFT)):
                    r = (0.0 - total * b_total[b] * per_row) * (scale * b_scale[b])
                    if r >= worst:
                        near_b[n_near], near_r[n_near] = right.ids[b], r
                        n_near += 1
                if n_near >= 4 * top:
                    n_near, worst = cut_to_best(near_r, near_b, n_near, top)
            n_near, worst = cut_to_best(near_r, near_b, n_near, top)
            touched[:] = 0
        best_b[latent, :n_near], best_r[latent, :n_near] = near_b[:n_near], near_r[:n_near]
        best_b[latent, n_near:], best_r[latent, n_near:] = -1, 0.0
    return first, size


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
        _accumulate(left, right, left.ids[at], products, touched)
        for block in range(touched.size):
            bound = _bound(total, scale, per_row, right.low[block], right.high[block])
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
