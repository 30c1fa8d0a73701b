"""Whether a device takes :mod:`universality.sae.triton_kernels`: where Triton is, once they have proven right."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol

import torch

from universality.sae import torch_kernels

if TYPE_CHECKING:
    from collections.abc import Callable

WIDEST_ROW = 1 << 14
"""Most columns of a dictionary's weights that one program holds."""
EXACT, ROUNDED = 1e-4, 2e-2
"""How far from float64 sums of float32, and of factors of 8 bits, may be, as a part of the largest."""


class Kernels(Protocol):
    """Functions of :mod:`universality.sae.triton_kernels`, as their docstrings say."""

    select: Callable[..., tuple[torch.Tensor, torch.Tensor]]
    gathered: Callable[..., torch.Tensor]
    decode: Callable[..., torch.Tensor]
    gradients: Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


class TritonKernels(Kernels, Protocol):
    """Those and what torch has in several operations only."""

    update_units: Callable[..., None]


def kernels_for(weights: torch.Tensor) -> Kernels:
    """The kernels for a step on such weights (..., latents, d_in)."""
    return fused_for(weights)[0] or torch_kernels


def fused_for(weights: torch.Tensor) -> tuple[TritonKernels | None, str | None]:
    """Triton's kernels, where a step on such weights (..., latents, d_in) takes them; else why not, if that is news."""
    real = type(weights) in (torch.Tensor, torch.nn.Parameter)  # kernels read memory, which fake tensors have not
    fits = weights.dtype == torch.float32 and weights.shape[-1] <= WIDEST_ROW
    return triton_on(weights.device) if weights.device.type == "cuda" and real and fits else (None, None)


@cache
def triton_on(device: torch.device) -> tuple[TritonKernels | None, str | None]:
    """The kernels, if they give what torch gives there; else why they do not. None and None where Triton is missing.

    Compilers, drivers and cards fail in many ways, and a kernel that is wrong would train a wrong dictionary without a
    word. So each is tried on a small step first, once a process.
    """
    try:
        from universality.sae import triton_kernels
    except ImportError:
        return None, None
    try:
        check(triton_kernels, device)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        return None, f"Triton's kernels are not used here, torch's are: {type(error).__name__}: {reason}"
    return triton_kernels, None


def check(kernels: TritonKernels, device: torch.device) -> None:
    """Compare every kernel with plain operations of torch on a few rows.

    Raises:
        ArithmeticError: one gives something else.
    """
    n, d_in, latents, k = 12, 40, 70, 7
    draw = torch.Generator().manual_seed(0)
    shapes = ((n, d_in), (n, d_in), (latents, d_in), (n, latents), (latents,))
    rows, grad, W_dec, pre, bias = (torch.randn(shape, generator=draw).to(device) for shape in shapes)
    added = kernels.select(pre.bfloat16(), k, bias)[0].sort(descending=True).values
    same("select", added, (pre.bfloat16().float() + bias).relu().topk(k).values)
    pre[0] -= 3  # few are active
    pre[1, ::3] = 5.0  # ties
    values, table = kernels.select(pre, k)
    same("select", values, pre.relu().gather(-1, table) * (values > 0))
    same("select", values.sort(descending=True).values, pre.relu().topk(k).values)
    acts = torch.zeros_like(pre).scatter_add(-1, table, values)
    # Products in float64: a card may round those of float32 to 10 bits.
    by_pre = (grad.double() @ W_dec.double().T) * (acts > 0)
    right = by_pre.T @ rows.double(), by_pre.sum(0), acts.double().T @ grad.double()
    for bfloat16, off in ((False, EXACT), (True, ROUNDED)):
        few = kernels.gathered(W_dec, bfloat16=bfloat16)
        same("decode", kernels.decode(values, table, few), acts.double() @ W_dec.double(), off)
        sums = kernels.gradients(rows, grad, values, table, few)
        for found, expected in zip(sums, right, strict=True):
            same("gradients", found, expected, off)
    W_dec /= W_dec.norm(dim=-1, keepdim=True)
    weight, mean, square = W_dec.clone(), torch.zeros_like(W_dec), torch.zeros_like(W_dec)
    by_dec, rates = right[2].float(), torch.tensor([0.01 / 0.1, 0.001**0.5], device=device)
    kernels.update_units(weight, mean, square, by_dec, rates.new_zeros(()), rates, (0.9, 0.999, 1e-8))
    across = by_dec - (by_dec * W_dec).sum(dim=-1, keepdim=True) * W_dec
    same("update_units", mean, 0.1 * across)
    same("update_units", square, 0.001 * across.square())
    moved = W_dec - 0.01 * across / (across.abs() + 1e-8)
    same("update_units", weight, moved / moved.norm(dim=-1, keepdim=True))


def same(name: str, found: torch.Tensor, right: torch.Tensor, most: float = EXACT) -> None:
    """Raise unless both agree to so much of the largest of them."""
    off = float((found.double() - right.double()).abs().max() / right.double().abs().max())
    if not off < most:  # not a number is not below either
        raise ArithmeticError(f"{name} is off by {off:.1g} of the largest value")
