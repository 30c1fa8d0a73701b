"""A TopK dictionary's step on a GPU: selection, decoding, gradients by latent, the decoder's update; in Triton.

Every sum has one order, so that a training that is resumed ends in the same bytes. Imported only where Triton is; see
:mod:`universality.sae.device_kernels`.
"""
# pyright: reportMissingImports=false, reportIndexIssue=false

from __future__ import annotations

import torch
import triton
import triton.language as tl

WIDEST = 8192
"""Most entries of a row that one program selects from; wider rows are cut, and selected from once more."""
PART, AT_ONCE = 256, 8
"""Columns of a weight's gradient that a program sums, and rows that it reads at once."""


def select(pre: torch.Tensor, k: int, bias: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest positive entries of each row of ``pre + bias``, which is never written down.

    Args:
        pre: float32 or bfloat16 (..., n, d_sae). A sum that is not a number counts as larger than all that are.
        k: most entries per row.
        bias: float32 (..., d_sae), added to every row; None for nothing.

    Returns:
        float32 values and int64 indices (..., n, k), indices rising; ties go to the lower index. Free slots come last,
        with value 0 and index 0.
    """
    n, width = pre.shape[:-1].numel(), pre.shape[-1]
    rows_each = n if bias is None or bias.ndim == 1 else pre.shape[-2]
    block = min(triton.next_power_of_2(width), WIDEST)
    parts = triton.cdiv(width, block)
    values = pre.new_empty((n, parts * k), dtype=torch.float32)
    indices = pre.new_empty((n, parts * k), dtype=torch.int64)
    added = values if bias is None else bias.contiguous()
    sizes = width, rows_each, k, bias is not None, block, triton.next_power_of_2(k)
    _select[n, parts](pre.contiguous(), added, values, indices, *sizes, **warps(block))
    if parts > 1:  # what may be largest of each part, rising, so that ties go to the lower index here too
        few, names = select(values, k)
        values, indices = few, torch.where(few > 0, indices.gather(-1, names), 0)
    return values.view(*pre.shape[:-1], k), indices.view(*pre.shape[:-1], k)


def warps(block: int) -> dict[str, int]:
    """So many that each thread holds at most 8 of a block's entries, which fit its registers."""
    return {"num_warps": min(32, max(4, block // 256))}


def decode(values: torch.Tensor, table: torch.Tensor, W_dec: torch.Tensor) -> torch.Tensor:
    """``sum_j values[i, j] * W_dec[table[i, j]]``, float32 (n, d_in).

    Args:
        values, table: float32 and int64 (n, k).
        W_dec: float32 or bfloat16 (latents, d_in); sums are of float32.
    """
    (n, k), d_in = values.shape, W_dec.shape[1]
    recon = values.new_empty((n, d_in))
    part = min(triton.next_power_of_2(d_in), 1024)
    _decode[n, triton.cdiv(d_in, part)](values, table, W_dec, recon, d_in, k, part)
    return recon


def gradients(
    rows: torch.Tensor, grad: torch.Tensor, values: torch.Tensor, table: torch.Tensor, W_dec: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of encoder rows, biases and decoder rows: sums over the rows in which a latent is active.

    Args:
        rows, grad: float32 (n, d_in), what the encoder sees, and the gradient of what :func:`decode` gave.
        values, table, W_dec: as there; rows and grad are rounded as W_dec is.

    Returns:
        float32 (latents, d_in), (latents,) and (latents, d_in).
    """
    (latents, d_in), k = W_dec.shape, values.shape[1]
    rows, grad = (part.to(W_dec.dtype).contiguous() for part in (rows, grad))
    block, slopes = triton.next_power_of_2(d_in), torch.empty_like(values)
    _slopes[(len(grad),)](grad, values, table, W_dec, slopes, d_in, k, block, **warps(block))
    # Slots that are free go behind the last latent. Stable, so that each latent's rows rise.
    keys, order = torch.where(values > 0, table, latents).flatten().int().sort(stable=True)
    first = torch.searchsorted(keys, torch.arange(latents + 1, dtype=torch.int32, device=keys.device), out_int32=True)
    by_enc, by_dec, by_bias = (values.new_empty(shape) for shape in (W_dec.shape, W_dec.shape, latents))
    part = min(block, PART)
    _by_latent[latents, triton.cdiv(d_in, part)](
        rows, grad, values, slopes, order, first, by_enc, by_bias, by_dec, d_in, k, part, AT_ONCE
    )
    return by_enc, by_bias, by_dec


def gathered(W_dec: torch.Tensor, *, bfloat16: bool) -> torch.Tensor:
    """The decoder (latents, d_in) as :func:`decode` and :func:`gradients` read it: half as many bytes where it may."""
    return W_dec.bfloat16() if bfloat16 else W_dec.contiguous()


def update_units(
    weight: torch.Tensor,
    mean: torch.Tensor,
    square: torch.Tensor,
    grad: torch.Tensor,
    held: torch.Tensor,
    rates: torch.Tensor,
    constants: tuple[float, float, float],
) -> None:
    """Adam on unit rows, in one pass: the gradient's part along each row is left out, and it stays a unit vector.

    Args:
        weight, mean, square: float32 (..., latents, d_in), rows and Adam's moments; changed in place.
        grad: the same shape.
        held: bool (...), of whom nothing changes.
        rates: float32 (2,), learning rate by the first moment's correction, and the root of the second's.
        constants: both decays and epsilon.
    """
    (latents, d_in), (beta1, beta2, eps) = weight.shape[-2:], constants
    decays = beta1, 1 - beta1, beta2, 1 - beta2, eps  # their rests in float32 would be off in the fifth digit
    block = triton.next_power_of_2(d_in)
    tensors = (weight, mean, square, grad.contiguous(), held.to(torch.int32), rates)
    _update_units[(weight.numel() // d_in,)](*tensors, *decays, latents, d_in, block, **warps(block))


@triton.jit
def _select(
    pre, bias, values, indices, d_sae, rows_each, k, BIASED: tl.constexpr, BLOCK: tl.constexpr, K: tl.constexpr
):
    """A program holds a row, or part of one, and finds its k-th largest entry bit by bit: bits order as values do."""
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    at = part * BLOCK + tl.arange(0, BLOCK)
    inside = at < d_sae
    x = tl.load(pre + row * d_sae + at, mask=inside, other=0.0).to(tl.float32)
    if BIASED:
        x += tl.load(bias + row // rows_each * d_sae + at, mask=inside, other=0.0)
    bits = x.to(tl.int32, bitcast=True)
    # What is not a number is above infinity, whatever its sign: a training that diverges must be seen to.
    bits = tl.where((bits & 0x7FFFFFFF) > 0x7F800000, 0x7FC00000, tl.maximum(bits, 0))
    limit = tl.full((), 0, tl.int32)
    for number in range(31):
        higher = limit | (1 << (30 - number))
        limit = tl.where(tl.sum((bits >= higher).to(tl.int32)) >= k, higher, limit)
    limit = tl.maximum(limit, 1)  # zeros and negatives never count
    above, tie = bits > limit, bits == limit
    spare = k - tl.sum(above.to(tl.int32))
    kept = above | (tie & (tl.cumsum(tie.to(tl.int32), 0) <= spare))
    first = (row * tl.num_programs(1) + part) * k
    slot = first + tl.cumsum(kept.to(tl.int32), 0) - 1
    tl.store(values + slot, x, mask=kept)
    tl.store(indices + slot, at.to(tl.int64), mask=kept)
    slots = tl.arange(0, K)
    free = (slots >= tl.sum(kept.to(tl.int32))) & (slots < k)
    tl.store(values + first + slots, tl.zeros([K], tl.float32), mask=free)
    tl.store(indices + first + slots, tl.zeros([K], tl.int64), mask=free)


@triton.jit
def _decode(values, table, W_dec, recon, d_in, k, PART: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * PART + tl.arange(0, PART)
    inside = column < d_in
    total = tl.zeros([PART], tl.float32)
    for slot in range(k):
        latent = tl.load(table + row * k + slot)
        weight = tl.load(W_dec + latent * d_in + column, mask=inside, other=0.0).to(tl.float32)
        total += tl.load(values + row * k + slot) * weight
    tl.store(recon + row * d_in + column, total, mask=inside)


@triton.jit
def _slopes(grad, values, table, W_dec, out, d_in, k, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < d_in
    error = tl.load(grad + row * d_in + column, mask=inside, other=0.0).to(tl.float32)
    for slot in range(k):
        latent = tl.load(table + row * k + slot)
        weight = tl.load(W_dec + latent * d_in + column, mask=inside, other=0.0).to(tl.float32)
        along = tl.sum(error * weight)
        tl.store(out + row * k + slot, tl.where(tl.load(values + row * k + slot) > 0, along, 0.0))


@triton.jit
def _by_latent(
    rows, grad, values, slope, order, first, by_enc, by_bias, by_dec, d_in, k, PART: tl.constexpr, AT_ONCE: tl.constexpr
):
    """A program sums some columns of one latent's gradients over its rows, which lie together in ``order``."""
    latent = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * PART + tl.arange(0, PART)
    inside = column < d_in
    of_enc, of_dec = tl.zeros([PART], tl.float32), tl.zeros([PART], tl.float32)
    of_bias = tl.zeros([AT_ONCE], tl.float32)
    stop = tl.load(first + latent + 1)
    for start in range(tl.load(first + latent), stop, AT_ONCE):
        place = start + tl.arange(0, AT_ONCE)
        there = place < stop
        entry = tl.load(order + place, mask=there, other=0)
        value = tl.load(values + entry, mask=there, other=0.0)
        by_value = tl.load(slope + entry, mask=there, other=0.0)
        cell = (entry // k)[:, None] * d_in + column[None, :]
        both = there[:, None] & inside[None, :]
        of_enc += tl.sum(by_value[:, None] * tl.load(rows + cell, mask=both, other=0.0).to(tl.float32), 0)
        of_dec += tl.sum(value[:, None] * tl.load(grad + cell, mask=both, other=0.0).to(tl.float32), 0)
        of_bias += by_value
    tl.store(by_enc + latent * d_in + column, of_enc, mask=inside)
    tl.store(by_dec + latent * d_in + column, of_dec, mask=inside)
    if tl.program_id(1) == 0:
        tl.store(by_bias + latent, tl.sum(of_bias))


@triton.jit
def _update_units(
    weight, mean, square, grad, held, rates, beta1, rest1, beta2, rest2, eps, latents, d_in, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < d_in
    if tl.load(held + row // latents) == 0:
        place = row * d_in + column
        w = tl.load(weight + place, mask=inside, other=0.0)
        g = tl.load(grad + place, mask=inside, other=0.0)
        g -= tl.sum(g * w) * w
        m = tl.load(mean + place, mask=inside, other=0.0)
        v = tl.load(square + place, mask=inside, other=0.0)
        m = beta1 * m + rest1 * g
        v = beta2 * v + rest2 * g * g
        w -= tl.load(rates) * m / (tl.sqrt(v) / tl.load(rates + 1) + eps)
        tl.store(weight + place, w / tl.maximum(tl.sqrt(tl.sum(w * w)), 1e-30), mask=inside)
        tl.store(mean + place, m, mask=inside)
        tl.store(square + place, v, mask=inside)
