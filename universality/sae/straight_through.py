"""Steps whose thresholds learn although their true gradient is zero: straight-through estimates by a kernel.

The kernel is a rectangle of width ``bandwidth`` around the threshold, ``K(u) = 1`` for ``|u| < 1/2``. Pre-activations
are (..., n, d_sae), thresholds (..., 1, d_sae), and so are their gradients, summed over rows.

Source: Rajamanoharan et al. 2024, "Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse Autoencoders",
section 3.
"""

from typing import Any, cast

import torch


def jump(pre: torch.Tensor, threshold: torch.Tensor, bandwidth: float) -> torch.Tensor:
    """``pre * (pre > threshold)``; gradient of the threshold ``-threshold * K / bandwidth``, of pre its own."""
    return cast(torch.Tensor, _Jump.apply(pre, threshold, bandwidth))


def fires(pre: torch.Tensor, threshold: torch.Tensor, bandwidth: float) -> torch.Tensor:
    """``pre > threshold`` as a number; gradient of the threshold ``-K / bandwidth``, of pre none."""
    return cast(torch.Tensor, _Fires.apply(pre, threshold, bandwidth))


def _window(pre: torch.Tensor, threshold: torch.Tensor, bandwidth: float) -> torch.Tensor:
    """``K / bandwidth`` of each entry."""
    return ((pre - threshold).abs() < bandwidth / 2).to(pre.dtype) / bandwidth


class _Jump(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre: torch.Tensor, threshold: torch.Tensor, bandwidth: float) -> torch.Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return pre * (pre > threshold)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        (pre, threshold), (grad,) = ctx.saved_tensors, grads
        slope = -threshold * _window(pre, threshold, ctx.bandwidth)
        return grad * (pre > threshold), (grad * slope).sum(-2, keepdim=True), None


class _Fires(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre: torch.Tensor, threshold: torch.Tensor, bandwidth: float) -> torch.Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return (pre > threshold).to(pre.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, torch.Tensor, None]:
        (pre, threshold), (grad,) = ctx.saved_tensors, grads
        return None, -(grad * _window(pre, threshold, ctx.bandwidth)).sum(-2, keepdim=True), None
