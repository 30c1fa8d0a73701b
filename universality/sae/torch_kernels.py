"""What :mod:`universality.sae.triton_kernels` do, by operations of torch: for every device and any shape."""

from __future__ import annotations

import torch

SUM = 0
"""Torch's number for embedding bags that add up."""


def select(pre: torch.Tensor, k: int, bias: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and indices (..., n, k) of the k largest positive entries (..., n, d_sae), in any order."""
    if bias is not None:
        pre = pre.to(bias.dtype) + bias.unsqueeze(-2)
    values, indices = pre.topk(k, dim=-1, sorted=False)
    return values.relu_(), indices


def gathered(W_dec: torch.Tensor, *, bfloat16: bool) -> torch.Tensor:
    """The decoder (latents, d_in) as the others read it: as it is, for torch's gathers win little by rounding."""
    return W_dec


def decode(values: torch.Tensor, table: torch.Tensor, W_dec: torch.Tensor) -> torch.Tensor:
    """``sum_j values[i, j] * W_dec[table[i, j]]``, (n, d_in)."""
    return torch.nn.functional.embedding_bag(table, W_dec, per_sample_weights=values, mode="sum")


def gradients(
    rows: torch.Tensor, grad: torch.Tensor, values: torch.Tensor, table: torch.Tensor, W_dec: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of encoder rows (latents, d_in), biases (latents,) and decoder rows; arguments as Triton's have them."""
    k, latents, table = table.shape[1], len(W_dec), table.flatten()
    bags = torch.arange(2 * len(grad), device=grad.device).unsqueeze(1).expand(-1, k).flatten()
    own = bags.narrow(0, 0, table.numel())  # the bag, so the row, of every slot
    slopes = torch.ops.aten._embedding_bag_per_sample_weights_backward(
        grad, W_dec, table, own.view(-1, k).select(1, 0).contiguous(), own, SUM
    )
    slopes = slopes.masked_fill_(values.view(-1) <= 0, 0)
    # Encoder and decoder as one table of twice as many latents: one sort for both.
    both = torch.ops.aten._embedding_bag_dense_backward(
        torch.cat([rows, grad]),
        torch.cat([table, table + latents]),
        bags,
        own,  # sizes and maxima are for means and maxima
        own,
        2 * latents,
        False,
        SUM,
        torch.cat([slopes, values.view(-1)]),
    )
    # By sorting too, so that the sum has one order, which atomic additions would not; the range needs no check.
    by_bias = torch.ops.aten._index_put_impl_(slopes.new_zeros(latents), [table], slopes, True, True)
    return both.narrow(0, 0, latents), by_bias, both.narrow(0, latents, latents)
