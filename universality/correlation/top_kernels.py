"""The kernel of the best lists: one latent of a against all of b, those it meets block by block or one by one.

A latent that meets many b is walked as in :mod:`~universality.correlation.kernels`. For one that meets few, a block of
neighbours has hardly more than one of them: its co-products stand one behind the other, and nothing else is touched.

numba keeps compiled code by the file of the caller: after a change in ``kernels.py`` or ``top_lists.py``, touch this
file too.
"""

import numpy as np

from universality.compiled import njit
from universality.correlation.kernels import BLOCK, SHIFT, accumulate, ask_ahead, bound_of
from universality.correlation.top_lists import count, cut_to_best, floor_of, keep_above

_NO_FLOOR = -1.5  # below every r
_FEW = 8  # a latent that meets fewer than one in so many of b is walked one by one
_U = np.uint64  # an unsigned index is not asked whether it counts from the end: a fifth of the time


@njit(nogil=True, inline="always")
def _accumulate_few(left, right, latent, sums, place, met):
    """Co-products of a latent that meets few b, one behind the other; returns how many it meets.

    Args:
        sums: (n_b padded,) zeros; out, co-products with ``met``. place: (n_b padded,) zeros; out, place in ``met`` + 1.
        met: (n_b padded,) out, b in the order in which they are met.
    """
    spans, entries, as_values = right.spans, right.entries, right.as_values
    last, n = left.indptr[latent + 1], 0
    for t in range(left.indptr[latent], last):
        ask_ahead(left.rows, t, last, spans, entries)
        row = 2 * left.rows[t]
        x = np.float64(left.values[t])
        for s in range(_U(spans[row]), _U(spans[row + 1]), _U(2)):
            b = _U(entries[s])
            known = place[b]
            # Without a branch: whether two meet again, no processor guesses.
            n += known == 0
            at = _U((known if known else n) - 1)
            place[b], met[at] = at + _U(1), b
            sums[at] += x * as_values[s + _U(1)]
    return n


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


@njit(nogil=True, inline="always")
def _few_similarities(met, n_met, right, total, scale, latent, sums, worst_b, near_b, near_r, hits, size):
    """Turn the co-products of ``met`` into r, leave zeros, and write down what lists of b might take."""
    per_row, b_total, b_scale = 2.0 / right.spans.size, right.total, right.scale
    for k in range(n_met):
        b = _U(met[k])
        r = (sums[k] - total * b_total[b] * per_row) * (scale * b_scale[b])
        near_b[k], near_r[k], sums[k] = right.ids[b], r, 0.0
        hits.b[size], hits.a[size], hits.r[size] = b, latent, r
        size += r >= worst_b[b]
    return size


@njit(nogil=True)
def _add_apart(right, total, scale, place, near_b, near_r, n_near, worst, top):
    """Complete a list by latents of b that never co-fire with this one; ``place`` is not 0 for those that do."""
    per_row = 2.0 / right.spans.size
    b_total, b_scale, n_b = right.total, right.scale, right.ids.size
    falling = total * scale > 0
    for k in range(n_b):
        # r of such pairs is in the order of the masses: what follows is not above this.
        b = right.by_mass[k if falling else n_b - 1 - k]
        mass = b_total[b] * b_scale[b]
        if worst > bound_of(total, scale, per_row, mass, mass):
            break
        r = (0.0 - total * b_total[b] * per_row) * (scale * b_scale[b])
        if place[b] or r < worst:
            continue
        near_b[n_near], near_r[n_near] = right.ids[b], r
        n_near += 1
        if n_near >= 4 * top:
            n_near, worst = cut_to_best(near_r, near_b, n_near, top)
    return cut_to_best(near_r, near_b, n_near, top)[0]


@njit(nogil=True)
def top_block(left, right, first, last, products, touched, place, near_b, near_r, best_b, best_r, worst_b, hits, size):
    """Best partners of latents ``first..last`` of a; co-firing pairs that lists of b might take are written down.

    Rare latents come last and are walked first: their correlations are the noisiest, so the lists of b fill with
    high values early and refuse most of what follows.

    Args:
        left: side a. right: side b. first, last: range of places in ``left.ids``.
        products: (n_b padded,), touched: (n_blocks,), place: (n_b padded,): zeros; scratch.
        near_b, near_r: (n_b padded + BLOCK,) scratch.
        best_b, best_r: (latents of the caller, top) out, exact; ids and r, -1 and 0 behind a list that is not full.
        worst_b: (n_b padded,) what a list of b must be offered at least; +inf in the padding.
        hits: out; room for at least ``n_b padded + BLOCK`` more. size: how many hits there are.

    Returns:
        The end of what is not done (``first`` if all is), and the number of hits.
    """
    per_row = 2.0 / right.spans.size
    top, lowest, highest = best_b.shape[1], right.low.min(), right.high.max()
    # The best of each of 4 top groups of places: the top-th of those is a bound that few pairs beyond ``top`` reach.
    peak = np.empty((max(4 * top >> SHIFT, 1), BLOCK))
    peaks, met = peak.reshape(-1), np.empty(products.size + 1, np.int32)
    entries_a_row = right.entries.size * per_row / 2.0
    for at in range(last - 1, first - 1, -1):
        if size + products.size + BLOCK > hits.r.size:
            return at + 1, size
        total, scale, latent = left.total[at], left.scale[at], left.ids[at]
        meets = (left.indptr[latent + 1] - left.indptr[latent]) * entries_a_row
        few = meets * _FEW < products.size
        if few:
            n_met = _accumulate_few(left, right, latent, products, place, met)
            size = _few_similarities(
                met, n_met, right, total, scale, latent, products, worst_b, near_b, near_r, hits, size
            )
            n_near = n_met
            if n_met > 2 * top:
                n_near = keep_above(near_r, near_b, n_met, floor_of(near_r, n_met, top, top >> 3, _NO_FLOOR))
        else:
            accumulate(left, right, latent, products, touched)
            n_met = _touched_blocks(touched, met)
            peak[:] = -np.inf
            size = _similarities(met, n_met, right, total, scale, latent, products, peak, worst_b, hits, size)
            floor = _NO_FLOOR
            if n_met << SHIFT > 2 * top and count(peaks, peaks.size, _NO_FLOOR) >= top:
                floor = floor_of(peaks, peaks.size, top, top >> 3, _NO_FLOOR)
            n_near = _near(met, n_met, products, right.ids, floor, near_b, near_r)
        n_near, worst = cut_to_best(near_r, near_b, n_near, top)
        if worst <= bound_of(total, scale, per_row, lowest, highest):
            if not few:
                for k in range(n_met):
                    place[met[k] << SHIFT : (met[k] + 1) << SHIFT] = 1
            n_near = _add_apart(right, total, scale, place, near_b, near_r, n_near, worst, top)
            if not few:
                place[:] = 0
        if few:
            for k in range(n_met):
                place[met[k]] = 0
        best_b[latent, :n_near], best_r[latent, :n_near] = near_b[:n_near], near_r[:n_near]
        best_b[latent, n_near:], best_r[latent, n_near:] = -1, 0.0
    return first, size
