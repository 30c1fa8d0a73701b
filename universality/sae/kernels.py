"""Sparse kernels of the top-k family on the CPU: numba, one thread each, without the GIL.

Shapes: n rows, k slots per row, ``W_enc_rows`` and ``W_dec`` both ``(d_sae, d_in)`` so that a latent's
weights lie together. A free slot has index -1 and value 0. Nothing here is as large as ``(n, k, d_in)``
or a second ``(n, d_sae)``, and no gradient matrix exists: a latent's gradient is formed and spent while
its weights are in the nearest cache.
"""

from typing import Any

import numpy as np

from universality.compiled import njit

# Sums may be reordered (that is what lets LLVM vectorise them); NaN and infinity keep their meaning.
# The numpy error model spares a zero check per division, which would forbid vectors.
jit: Any = njit(nogil=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy", inline="never")


@jit
def decode_rows(indices, values, W_dec, bias, recon):
    """``recon[i] = bias + sum_slot values[i, slot] * W_dec[indices[i, slot]]``."""
    n, k = indices.shape
    d_in = W_dec.shape[1]
    for row in range(n):
        out = recon[row]  # (d_in,) stays in the nearest cache while the k decoder rows pass by
        for j in range(d_in):
            out[j] = bias[j]
        for slot in range(k):
            latent = indices[row, slot]
            if latent >= 0:
                scale = values[row, slot]
                direction = W_dec[latent]
                for j in range(d_in):
                    out[j] += scale * direction[j]


@jit
def row_errors(indices, values, W_dec, target, error, slopes, squared):
    """What the slots leave of the target, and how the error changes with each slot.

    ``error[i] = target[i] - sum_slot values[i, slot] * W_dec[indices[i, slot]]``,
    ``slopes[i, slot] = error[i] . W_dec[indices[i, slot]]`` (0 for free slots),
    ``squared[i] = ||error[i]||^2``.
    """
    for row in range(len(indices)):
        squared[row] = _explain(indices[row], values[row], W_dec, target[row], error[row])
        _slopes_along(indices[row], W_dec, error[row], slopes[row])


@jit
def _explain(indices, values, W_dec, goal, rest):
    """Write to ``rest`` what some slots of a row leave of the goal; returns its squared norm."""
    d_in = W_dec.shape[1]
    # The goal is the row itself, or what the level before left of it.
    for j in range(d_in):
        rest[j] = goal[j]
    for slot in range(len(indices)):
        latent = indices[slot]
        if latent >= 0:
            scale = values[slot]
            direction = W_dec[latent]
            for j in range(d_in):
                rest[j] -= scale * direction[j]
    total = np.float32(0.0)
    for j in range(d_in):
        total += rest[j] * rest[j]
    return total


@jit
def _slopes_along(indices, W_dec, rest, slopes):
    """``slopes[slot] = rest . W_dec[indices[slot]]``, 0 for free slots."""
    d_in = W_dec.shape[1]
    for slot in range(len(indices)):
        latent = indices[slot]
        slope = np.float32(0.0)
        if latent >= 0:
            direction = W_dec[latent]
            for j in range(d_in):
                slope += rest[j] * direction[j]
        slopes[slot] = slope


@jit
def nested_errors(first, last, starts, indices, values, ends, W_dec, target, errors, slopes, squared):
    """What nested dictionaries leave of the rows ``first .. last - 1``, and how that changes with each slot.

    Level p reconstructs by the latents before ``ends[p]``. With ``e_p[i] = target[i] - sum_slot values[slot] *
    W_dec[indices[slot]]`` over the slots of row i in these: ``errors[p, i] = sum_{q >= p} e_q[i]``, what the latents
    that level p adds must lower; ``slopes[slot] = errors[p, i] . W_dec[indices[slot]]`` for these; ``squared[p, i] =
    ||e_p[i]||^2``.

    Args:
        first, last: range of rows.
        starts: int64 ``(n + 1,)``: row i has the slots ``starts[i] .. starts[i + 1] - 1``, rising by index.
        indices, values, slopes: ``(slots,)``; slopes are overwritten.
        ends: int64 ``(levels,)``, rising, the last is d_sae.
        target: float32 ``(n, d_in)``. errors ``(levels, n, d_in)`` and squared ``(levels, n)`` are overwritten.
    """
    d_in, levels = target.shape[1], len(ends)
    cuts = np.empty(levels + 1, np.int64)  # level p adds the slots cuts[p] .. cuts[p + 1] - 1 of the row
    for row in range(first, last):
        slot = cuts[0] = starts[row]
        # Upwards: what a level leaves is the target of the next, so every decoder row is read once.
        for p in range(levels):
            while slot < starts[row + 1] and indices[slot] < ends[p]:
                slot += 1
            own = slice(cuts[p], slot)
            goal = target[row] if p == 0 else errors[p - 1, row]
            squared[p, row] = _explain(indices[own], values[own], W_dec, goal, errors[p, row])
            cuts[p + 1] = slot
        # Downwards: a latent of level p is in the reconstruction of that level and of all after it, so the loss's
        # derivative by it sees the sum of their errors. The last level's own error stays as it is: aux-k needs it.
        for p in range(levels - 1, -1, -1):
            rest = errors[p, row]
            if p < levels - 1:
                later = errors[p + 1, row]
                for j in range(d_in):
                    rest[j] += later[j]
            own = slice(cuts[p], cuts[p + 1])
            _slopes_along(indices[own], W_dec, rest, slopes[own])


@jit
def group_by_latent(indices, starts, entries):
    """Counting sort of the filled slots by latent.

    Args:
        indices: int32 ``(n, k)``.
        starts: int64 ``(d_sae + 1,)``, overwritten: latent's entries are ``entries[starts[l]:starts[l+1]]``.
        entries: int64 ``(n * k,)``, overwritten with flat positions ``row * k + slot``, rows rising.
    """
    n, k = indices.shape
    d_sae = len(starts) - 1
    # Count into the place after each latent, so that the running sum makes beginnings of the counts.
    starts[:] = 0
    for row in range(n):
        for slot in range(k):
            latent = indices[row, slot]
            if latent >= 0:
                starts[latent + 1] += 1
    for latent in range(d_sae):
        starts[latent + 1] += starts[latent]
    # Rows in rising order make the sort stable: sums over a latent's entries have one order on any machine.
    for row in range(n):
        for slot in range(k):
            latent = indices[row, slot]
            if latent >= 0:
                entries[starts[latent]] = row * k + slot
                starts[latent] += 1
    # Each beginning has moved to its latent's end, which is the next one's beginning: move them back by one.
    for latent in range(d_sae, 0, -1):
        starts[latent] = starts[latent - 1]
    starts[0] = 0


@jit
def _add_entries(entries, rows, values, slopes, error, x, scale, grad_enc, grad_dec):
    """Add one latent's slots to its gradients; returns the gradient of its encoder bias."""
    d_in = x.shape[1]
    bias = np.float32(0.0)
    for at in range(len(entries)):
        entry = entries[at]
        row = rows[entry]
        value, slope = scale * values[entry], scale * slopes[entry]
        rest, seen = error[row], x[row]
        # One pass over the row for both gradients: the rows are what does not fit a cache.
        for j in range(d_in):
            grad_dec[j] += value * rest[j]
            grad_enc[j] += slope * seen[j]
        bias += slope
    return bias


@jit
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
    # Along a unit vector the loss has a slope, but the vector may not move: left in, it would fill the moments.
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
    # A step across a unit vector still lengthens it, in second order, and Adam's scaling turns it.
    if unit:
        length = np.float32(0.0)
        for j in range(len(w)):
            length += w[j] * w[j]
        if length > 0:
            shrink = np.float32(1.0) / np.sqrt(length)
            for j in range(len(w)):
                w[j] *= shrink


@jit
def update_latents(first, last, x, groups, extra, weights, moments, rates, grad_b_enc, through_encoder):
    """Gradients and Adam for the latents ``first .. last - 1``, one latent at a time.

    ``grad_W_dec[l] = scale * sum values * error[row]``, ``grad_W_enc_rows[l] = scale * sum slopes * x[row]``,
    ``grad_b_enc[l] = scale * sum slopes``, sums over the latent's slots in all groups.

    Args:
        first, last: range of latents.
        x: float32 ``(n, d_in)``, what the encoder sees.
        groups: tuple of (starts, entries, rows, values, slopes, error, scale) per group of slots; rows (of the
            slots), values and slopes flat.
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
    # Gradients of one latent, (d_in,) each: formed, spent by adam_row, which zeroes them, and used again.
    grad_enc, grad_dec = np.zeros(d_in, np.float32), np.zeros(d_in, np.float32)
    through_encoder[:] = 0
    for latent in range(first, last):
        bias = np.float32(0.0)
        for which in range(len(groups)):
            starts, entries, rows, values, slopes, error, scale = groups[which]
            own = entries[starts[latent] : starts[latent + 1]]
            bias += _add_entries(own, rows, values, slopes, error, x, scale, grad_enc, grad_dec)
        if row_of[latent] >= 0:
            own_enc, own_dec = extra_enc[row_of[latent]], extra_dec[row_of[latent]]
            for j in range(d_in):
                grad_enc[j] += own_enc[j]
                grad_dec[j] += own_dec[j]
            bias += extra_b_enc[row_of[latent]]
        grad_b_enc[latent] = bias
        # b_dec is subtracted before the encoder: its gradient needs these rows as they were before the step.
        row = W_enc_rows[latent]
        if bias != 0:
            for j in range(d_in):
                through_encoder[j] += bias * row[j]
        adam_row(row, grad_enc, m_enc[latent], v_enc[latent], rates, False)
        adam_row(W_dec[latent], grad_dec, m_dec[latent], v_dec[latent], rates, True)
