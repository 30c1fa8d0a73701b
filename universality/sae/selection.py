"""Selection of the largest positive pre-activations, of each row or of a whole batch: numba, exact, ties to the first.

Positive floats order as their bits do, so all comparisons are on integers.
"""

import numpy as np

from universality.sae.kernels import jit

BLOCK = 64
"""Pre-activations that are passed over together when none of them can be among the largest."""


@jit
def _count_from(bits, limit):
    """Number of entries at or above ``limit``."""
    total = 0
    for i in range(len(bits)):  # indexed on purpose: iterating over the array does not vectorise
        total += bits[i] >= limit
    return total


@jit
def _highest_limit(bits, k, low, high):
    """The highest limit that at least k entries reach, by bisection; ``low`` must be one."""
    while high - low > 1:
        middle = (low + high) >> 1
        reached = _count_from(bits, np.int32(middle))
        if reached >= k:
            low = middle
            if reached == k:
                break
        else:
            high = middle
    return low


@jit
def select_top(pre, lane_max, k, indices, values):
    """The k largest positive entries of every row, in rising order of their index.

    Equal values go to the lower index. Zeros and negatives never count, so rows may hold fewer than k.
    The k-th largest lane maximum bounds the k-th largest entry from below, and only lanes that reach it
    are looked into.

    Args:
        pre: float32 ``(n, d_sae)``.
        lane_max: float32 ``(n, L)``, ``lane_max[i, l] = max_s pre[i, s * L + l]`` over the whole
            multiples of L; L may be 0.
        k: most entries per row.
        indices: int32 ``(n, k)``, overwritten; free slots -1.
        values: float32 ``(n, k)``, overwritten; free slots 0.
    """
    n, d_sae = pre.shape
    lanes = lane_max.shape[1]
    whole = d_sae - d_sae % lanes if lanes else 0
    # Candidates of a row; one spare place, because an entry is written before it is known to count: no branch.
    bits_of = np.empty(d_sae + 1, np.int32)
    where = np.empty(d_sae + 1, np.int32)
    open_lanes = np.empty(lanes + 1, np.int32)
    pre_bits, value_bits, lane_bits = pre.view(np.int32), values.view(np.int32), lane_max.view(np.int32)
    for row in range(n):
        line, peaks = pre_bits[row], lane_bits[row]
        highest = np.int32(0)
        for lane in range(lanes):
            highest = max(highest, peaks[lane])
        # k lanes reach the k-th largest lane maximum, and each has an entry that large: nothing below it is selected.
        bound = 1  # the bits of the smallest positive float: zeros and negatives never count
        if lanes >= k and _count_from(peaks, np.int32(1)) > k:
            bound = _highest_limit(peaks, k, 1, int(highest) + 1)
        n_open = 0
        for lane in range(lanes):
            open_lanes[n_open] = lane
            n_open += peaks[lane] >= bound
        count = 0
        for start in range(0, whole, lanes if lanes else 1):
            part = line[start : start + lanes]
            for i in range(n_open):
                bits = part[open_lanes[i]]
                bits_of[count] = bits
                where[count] = start + open_lanes[i]
                count += bits >= bound
        # What is beyond the whole multiples of L is in no lane.
        for j in range(whole, d_sae):
            bits_of[count] = line[j]
            where[count] = j
            highest = max(highest, line[j])
            count += line[j] >= bound
        _keep_top(bits_of[:count], where, k, bound, int(highest) + 1, indices[row], value_bits[row])


@jit
def _keep_top(candidates, where, k, low, high, index, value):
    """Fill k slots with the k largest of the candidates, ties to the first; returns the lowest value let in."""
    count = len(candidates)
    limit, spare = low, k
    if count > k:
        limit = _highest_limit(candidates, k, low, high)
        # All above the limit have a place; of those at it as many as are left, in order.
        spare = k - _count_from(candidates, np.int32(limit + 1))
    slot = 0
    # Slots never overtake the candidates, so index and value may be where and candidates themselves.
    for j in range(count):
        bits = candidates[j]
        if bits >= limit:
            if bits == limit:
                if spare == 0:
                    continue
                spare -= 1
            value[slot] = bits
            index[slot] = where[j]
            slot += 1
    for j in range(slot, k):
        value[j] = 0
        index[j] = -1
    return limit


@jit
def collect_top(pre, start, keep, state, bits, where):
    """Add to the candidates what of some rows may be among the ``keep`` largest positive entries of a batch.

    Where the room ends, the candidates are cut to the ``keep`` largest of all that were seen, equal values to the
    lower position; from then on an entry must reach the least of these.

    Args:
        pre: float32 ``(n, d_sae)``, the batch's rows from ``start`` on; calls come in rising order.
        keep: entries to select from the whole batch.
        state: int64 ``(2,)``, number of candidates and the least bits that still count, at first (0, 1); changed in
            place.
        bits: int32 ``(room,)``, room >= keep + BLOCK, the candidates' values as bits; changed in place.
        where: int64 ``(room,)``, their positions ``row * d_sae + latent``, rising; changed in place.
    """
    n, d_sae = pre.shape
    lines = pre.view(np.int32)
    count, bound = state[0], np.int32(state[1])
    for row in range(n):
        for first in range(0, d_sae, BLOCK):
            part = lines[row, first : first + BLOCK]
            # A maximum vectorises; most blocks end here once the bound has risen.
            peak = np.int32(0)
            for i in range(len(part)):
                peak = max(peak, part[i])
            if peak < bound:
                continue
            # A whole block must fit, because its entries are written before they are known to count.
            if count + BLOCK > len(bits):
                bound = cut_top(count, keep, bound, bits, where)
                count = keep
            position = (start + row) * d_sae + first
            for i in range(len(part)):
                bits[count] = part[i]
                where[count] = position + i
                count += part[i] >= bound
    state[0], state[1] = count, bound


@jit
def cut_top(count, keep, bound, bits, where):
    """Cut the first ``count`` candidates to the ``keep`` largest, in place and order; returns the new bound.

    Fewer candidates than ``keep`` leave the bound as it is. All candidates must reach the bound.
    """
    if count < keep:
        return bound
    highest, candidates = np.int32(0), bits[:count]
    for i in range(count):
        highest = max(highest, candidates[i])
    return np.int32(_keep_top(candidates, where, keep, int(bound), int(highest) + 1, where, bits))
