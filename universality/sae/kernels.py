"""Sparse kernels of a TopK dictionary on the CPU: numba, one thread each, without the GIL.

Shapes: n rows, k slots per row, ``W_enc_rows`` and ``W_dec`` both ``(d_sae, d_in)`` so that a latent's
weights lie together. A free slot has index -1 and value 0. Nothing here is as large as ``(n, k, d_in)``
or a second ``(n, d_sae)``, and no gradient matrix exists: a latent's gradient is formed and spent while
its weights are in the nearest cache.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# Sums may be reordered (that is what lets LLVM vectorise them); NaN and infinity keep their meaning.
# The numpy error model spares a zero check per division, which would forbid vectors.
_jit: Any = numba.njit(
    nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy", inline="never"
)


@_jit
def _count_from(bits, limit):
    """Number of entries at or above ``limit``."""
    total = 0
    for i in range(len(bits)):  # indexed on purpose: iterating over the array does not vectorise
        total += bits[i] >= limit
    return total


@_jit
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


@_jit
def select_top(pre, lane_max, k, indices, values):
    """The k largest positive entries of every row, in rising order of their index.

    Equal values go to the lower index. Zeros and negatives never count, so rows may hold fewer than k.
    Positive floats order as their bits do, so all comparisons are on integers. The k-th largest lane
    maximum bounds the k-th largest entry from below, and only lanes that reach it are looked into.

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
    found = np.empty(d_sae + 1, np.int32)
    where = np.empty(d_sae + 1, np.int32)
    open_lanes = np.empty(lanes + 1, np.int32)
    pre_bits, value_bits, lane_bits = pre.view(np.int32), values.view(np.int32), lane_max.view(np.int32)
    for row in range(n):
        line, peaks = pre_bits[row], lane_bits[row]
        highest = np.int32(0)
        for lane in range(lanes):
            highest = max(highest, peaks[lane])
        bound = 1
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
                found[count] = bits
                where[count] = start + open_lanes[i]
                count += bits >= bound
        for j in range(whole, d_sae):
            found[count] = line[j]
            where[count] = j
            highest = max(highest, line[j])
            count += line[j] >= bound
        _keep_top(found[:count], where, k, bound, int(highest) + 1, indices[row], value_bits[row])


@_jit
def _keep_top(found, where, k, low, high, index, value):
    """Fill one row's slots with the k largest of the candidates, ties to the first."""
    count = len(found)
    limit, spare = low, k
    if count > k:
        limit = _highest_limit(found, k, low, high)
        spare = k - _count_from(found, np.int32(limit + 1))
    slot = 0
    for j in range(count):
        bits = found[j]
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


@_jit
def decode_rows(indices, values, W_dec, bias, recon):
    """``recon[i] = bias + sum_slot values[i, slot] * W_dec[indices[i, slot]]``."""
    n, k = indices.shape
    d_in = W_dec.shape[1]
    for row in range(n):
        out = recon[row]
        for j in range(d_in):
            out[j] = bias[j]
        for slot in range(k):
            latent = indices[row, slot]
            if latent >= 0:
                scale = values[row, slot]
                direction = W_dec[latent]
                for j in range(d_in):
                    out[j] += scale * direction[j]


@_jit
def row_errors(indices, values, W_dec, target, error, slopes, squared):
    """What the slots leave of the target, and how the error changes with each slot.

    ``error[i] = target[i] - sum_slot values[i, slot] * W_dec[indices[i, slot]]``,
    ``slopes[i, slot] = error[i] . W_dec[indices[i, slot]]`` (0 for free slots),
    ``squared[i] = ||error[i]||^2``.
    """
    n, k = indices.shape
    d_in = W_dec.shape[1]
    for row in range(n):
        rest = error[row]
        goal = target[row]
        for j in range(d_in):
            rest[j] = goal[j]
        for slot in range(k):
            latent = indices[row, slot]
            if latent >= 0:
                scale = values[row, slot]
                direction = W_dec[latent]
                for j in range(d_in):
                    rest[j] -= scale * direction[j]
        total = np.float32(0.0)
        for j in range(d_in):
            total += rest[j] * rest[j]
        squared[row] = total
        for slot in range(k):
            latent = indices[row, slot]
            slope = np.float32(0.0)
            if latent >= 0:
                direction = W_dec[latent]
                for j in range(d_in):
                    slope += rest[j] * direction[j]
            slopes[row, slot] = slope


@_jit
def group_by_latent(indices, starts, entries):
    """Counting sort of the filled slots by latent.

    Args:
        indices: int32 ``(n, k)``.
        starts: int64 ``(d_sae + 1,)``, overwritten: latent's entries are ``entries[starts[l]:starts[l+1]]``.
        entries: int64 ``(n * k,)``, overwritten with flat positions ``row * k + slot``, rows rising.
    """
    n, k = indices.shape
    d_sae = len(starts) - 1
    starts[:] = 0
    for row in range(n):
        for slot in range(k):
            latent = indices[row, slot]
            if latent >= 0:
                starts[latent + 1] += 1
    for latent in range(d_sae):
        starts[latent + 1] += starts[latent]
    for row in range(n):
        for slot in range(k):
            latent = indices[row, slot]
            if latent >= 0:
                entries[starts[latent]] = row * k + slot
                starts[latent] += 1
    for latent in range(d_sae, 0, -1):
        starts[latent] = starts[latent - 1]
    starts[0] = 0


@_jit
def _add_entries(mine, k, values, slopes, error, x, scale, grad_enc, grad_dec):
    """Add one latent's slots to its gradients; returns the gradient of its encoder bias."""
    d_in = x.shape[1]
    bias = np.float32(0.0)
    for at in range(len(mine)):
        entry = mine[at]
        row = entry // k
        value, slope = scale * values[entry], scale * slopes[entry]
        rest, seen = error[row], x[row]
        for j in range(d_in):
            grad_dec[j] += value * rest[j]
            grad_enc[j] += slope * seen[j]
        bias += slope
    return bias


@_jit
def adam_row(w, grad, m, v, rates, unit):
    """One Adam step of one row of weights; with ``unit`` the row is a unit vector and stays one.

    For a unit row the part of the gradient along it is removed first, and it is rescaled to norm 1 after.

    Args:
        w, grad, m, v: float32 ``(d,)``; the gradient is zeroed.
        rates: float32 ``(5,)``: ``lr / (1 - beta1^t)``, beta1, beta2, eps, ``1 / sqrt(1 - beta2^t)``.
        unit: whether the row is a unit vector.
    """
    step, beta1, beta2, eps, scale2 = rates[0], rates[1], rates[2], rates[3], rates[4]
    fresh1, fresh2 = np.float32(1.0) - beta1, np.float32(1.0) - beta2
    along = np.float32(0.0)
    if unit:
        for j in range(len(w)):
            along += w[j] * grad[j]
    for j in range(len(w)):
        slope = grad[j] - along * w[j]
        mean = beta1 * m[j] + fresh1 * slope
        square = beta2 * v[j] + fresh2 * slope * slope
        m[j] = mean
        v[j] = square
        w[j] -= step * mean / (np.sqrt(square) * scale2 + eps)
        grad[j] = np.float32(0.0)
    if unit:
        length = np.float32(0.0)
        for j in range(len(w)):
            length += w[j] * w[j]
        if length > 0:
            shrink = np.float32(1.0) / np.sqrt(length)
            for j in range(len(w)):
                w[j] *= shrink


@_jit
def update_latents(first, last, k, x, groups, extra, weights, moments, rates, grad_b_enc, through_encoder):
    """Gradients and Adam for the latents ``first .. last - 1``, one latent at a time.

    ``grad_W_dec[l] = scale * sum values * error[row]``, ``grad_W_enc_rows[l] = scale * sum slopes * x[row]``,
    ``grad_b_enc[l] = scale * sum slopes``, sums over the latent's slots in all groups.

    Args:
        first, last: range of latents.
        k: slots per row in each group (a tuple of as many numbers as groups).
        x: float32 ``(n, d_in)``, what the encoder sees.
        groups: tuple of (starts, entries, values, slopes, error, scale) per group of slots; values and
            slopes flat.
        extra: (row_of, grad_enc, grad_dec, grad_b_enc): gradients that were formed densely for some latents,
            added to those of row ``row_of[l]``; -1 for latents without.
        weights: (W_enc_rows, W_dec). moments: (m, v) of each, four arrays. rates: of :func:`adam_row`.
        grad_b_enc: float32 ``(d_sae,)``, overwritten in the range.
        through_encoder: float32 ``(d_in,)``, overwritten with ``sum_l grad_b_enc[l] * W_enc_rows[l]`` of the
            weights before the step: what the subtracted decoder bias receives.
    """
    d_in = x.shape[1]
    W_enc_rows, W_dec = weights
    m_enc, v_enc, m_dec, v_dec = moments
    row_of, extra_enc, extra_dec, extra_b_enc = extra
    grad_enc, grad_dec = np.zeros(d_in, np.float32), np.zeros(d_in, np.float32)
    through_encoder[:] = 0
    for latent in range(first, last):
        bias = np.float32(0.0)
        for which in range(len(groups)):
            starts, entries, values, slopes, error, scale = groups[which]
            mine = entries[starts[latent] : starts[latent + 1]]
            bias += _add_entries(mine, k[which], values, slopes, error, x, scale, grad_enc, grad_dec)
        if row_of[latent] >= 0:
            own_enc, own_dec = extra_enc[row_of[latent]], extra_dec[row_of[latent]]
            for j in range(d_in):
                grad_enc[j] += own_enc[j]
                grad_dec[j] += own_dec[j]
            bias += extra_b_enc[row_of[latent]]
        grad_b_enc[latent] = bias
        row = W_enc_rows[latent]
        if bias != 0:
            for j in range(d_in):
                through_encoder[j] += bias * row[j]
        adam_row(row, grad_enc, m_enc[latent], v_enc[latent], rates, False)
        adam_row(W_dec[latent], grad_dec, m_dec[latent], v_dec[latent], rates, True)
