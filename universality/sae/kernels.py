"""Sparse kernels of a TopK dictionary on the CPU: numba, one thread each, without the GIL.

Shapes: n rows, k active latents per row, ``W_enc_rows`` and ``W_dec`` both ``(d_sae, d_in)`` so that a
latent's weights lie together. A free slot has index -1 and value 0. Nothing here is as large as
``(n, k, d_in)`` or a second ``(n, d_sae)``.
"""

from __future__ import annotations

import numba
import numpy as np

# Sums may be reordered (that is what lets LLVM vectorise them); NaN and infinity keep their meaning.
FAST = {"contract", "reassoc", "nsz"}


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def select_top(pre, k, first, indices, values):
    """The k largest positive entries of every row of ``pre``, as (index, value) in falling order.

    Equal values go to the lower index. Zeros and negatives never count, so rows may hold fewer.

    Args:
        pre: float32 ``(n, d_sae)``.
        k: most entries per row.
        first: int32 offset added to the indices (for a block of columns).
        indices: int32 ``(n, k)``, overwritten.
        values: float32 ``(n, k)``, overwritten.
    """
    n, d_sae = pre.shape
    width = 16
    whole = d_sae - d_sae % width
    for row in range(n):
        line = pre[row]
        value = values[row]
        index = indices[row]
        for slot in range(k):
            value[slot] = 0.0
            index[slot] = -1
        limit = np.float32(0.0)
        for start in range(0, whole, width):
            # One vectorised look at 16 entries; most blocks hold none above the limit.
            hits = 0
            for j in range(width):
                hits += line[start + j] > limit
            if hits:
                for j in range(start, start + width):
                    if line[j] > limit:
                        limit = _insert(value, index, k, line[j], j + first)
        for j in range(whole, d_sae):
            if line[j] > limit:
                limit = _insert(value, index, k, line[j], j + first)


@numba.njit(nogil=True, cache=True, fastmath=FAST, inline="always")
def _insert(value, index, k, new, where):
    """Put ``new`` into the falling list and return the value a newcomer must exceed."""
    slot = k - 1
    while slot > 0 and value[slot - 1] < new:
        value[slot] = value[slot - 1]
        index[slot] = index[slot - 1]
        slot -= 1
    value[slot] = new
    index[slot] = where
    return value[k - 1]


@numba.njit(nogil=True, cache=True, fastmath=FAST)
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


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def value_gradients(indices, error, W_dec, gradients):
    """``gradients[i, slot] = error[i] . W_dec[indices[i, slot]]``; 0 for free slots."""
    n, k = indices.shape
    d_in = W_dec.shape[1]
    for row in range(n):
        e = error[row]
        for slot in range(k):
            latent = indices[row, slot]
            total = np.float32(0.0)
            if latent >= 0:
                direction = W_dec[latent]
                for j in range(d_in):
                    total += e[j] * direction[j]
            gradients[row, slot] = total


@numba.njit(nogil=True, cache=True)
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


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def latent_gradients(k, starts, entries, values, gradients, error, x, grad_enc, grad_dec, grad_b_enc):
    """Add the gradients of one group of slots to the encoder's, decoder's and encoder bias' rows.

    ``grad_dec[l] += sum values * error[row]``, ``grad_enc[l] += sum gradients * x[row]``,
    ``grad_b_enc[l] += sum gradients``, sums over the latent's slots.
    """
    d_sae = len(starts) - 1
    d_in = x.shape[1]
    flat_values = values.reshape(-1)
    flat_gradients = gradients.reshape(-1)
    for latent in range(d_sae):
        enc = grad_enc[latent]
        dec = grad_dec[latent]
        for at in range(starts[latent], starts[latent + 1]):
            entry = entries[at]
            row = entry // k
            scale, slope = flat_values[entry], flat_gradients[entry]
            e, xi = error[row], x[row]
            for j in range(d_in):
                dec[j] += scale * e[j]
                enc[j] += slope * xi[j]
            grad_b_enc[latent] += slope


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def adam_rows(weight, grad, m, v, lr, beta1, beta2, eps, correct1, correct2, unit):
    """Adam on a matrix, row by row; zeroes ``grad``; with ``unit`` the rows stay unit vectors.

    For unit rows the part of the gradient along the row is removed first and the row is rescaled to
    norm 1 afterwards.
    """
    rows, columns = weight.shape
    step = lr / correct1
    scale2 = np.float32(1.0 / np.sqrt(correct2))
    for row in range(rows):
        w, g, m1, v1 = weight[row], grad[row], m[row], v[row]
        along = np.float32(0.0)
        if unit:
            for j in range(columns):
                along += w[j] * g[j]
        length = np.float32(0.0)
        for j in range(columns):
            slope = g[j] - along * w[j]
            m1[j] = beta1 * m1[j] + (np.float32(1.0) - beta1) * slope
            v1[j] = beta2 * v1[j] + (np.float32(1.0) - beta2) * slope * slope
            w[j] -= step * m1[j] / (np.sqrt(v1[j]) * scale2 + eps)
            length += w[j] * w[j]
            g[j] = 0.0
        if unit and length > 0.0:
            shrink = np.float32(1.0) / np.sqrt(length)
            for j in range(columns):
                w[j] *= shrink
