"""JumpReLU: a learned threshold per latent, reached by straight-through gradients."""

from __future__ import annotations

from typing import Any

import torch

from universality.sae.architectures.penalised import PenalisedStep, fired
from universality.sae.autograd_step import Losses, Parameters, batch_spread


def _window(pre: torch.Tensor, threshold: torch.Tensor, bandwidth: float) -> torch.Tensor:
    """The rectangle kernel over its bandwidth: ``1 / bandwidth`` within half of it from the threshold."""
    return ((pre - threshold).abs() < bandwidth / 2).to(pre.dtype) / bandwidth


class _Jump(torch.autograd.Function):
    """``pre * (pre > threshold)``; gradient of the threshold ``-threshold * K / bandwidth``.

    ``pre`` (..., n, d_sae), ``threshold`` (..., 1, d_sae).
    """

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
    """``pre > threshold`` as a number; gradient of the threshold ``-K / bandwidth``, of pre none."""

    @staticmethod
    def forward(ctx: Any, pre: torch.Tensor, threshold: torch.Tensor, bandwidth: float) -> torch.Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return (pre > threshold).to(pre.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, torch.Tensor, None]:
        (pre, threshold), (grad,) = ctx.saved_tensors, grads
        return None, -(grad * _window(pre, threshold, ctx.bandwidth)).sum(-2, keepdim=True), None


class JumpReLUStep(PenalisedStep):
    """``mean ||x - recon||^2 + weight * penalty``, ``acts = relu(pre) * (pre > exp(log_threshold))``.

    The penalty is ``(l0 / target_l0 - 1)^2`` with a target, else ``l0``, of the batch's mean l0: the paper squares
    row by row, which asks of every row the same number; public trainers square the mean, as here. Thresholds learn
    from rows whose pre-activation lies within half a bandwidth of them. The decoder's rows are unit vectors.

    Args:
        p, m, v, silent, coefficient, warmup_steps: as :class:`PenalisedStep` takes them.
        target_l0: wanted latents per row, or None.
        bandwidth: of the kernel, in units of inputs of mean squared norm 1.

    Source: Rajamanoharan et al. 2024, "Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse
        Autoencoders": activation, straight-through gradients, L0 penalty, and in its appendix F the target. Betas
        0 and 0.999, epsilon 1e-8, lr 7e-5 and bandwidth 0.001 are those of a public trainer of it; tied directions
        at the start, a first threshold of one bandwidth and the bandwidth 0.1 in force are ours.
    """

    def __init__(
        self,
        p: Parameters,
        m: Parameters,
        v: Parameters,
        silent: torch.Tensor,
        *,
        coefficient: float,
        warmup_steps: int,
        target_l0: float | None,
        bandwidth: float,
    ):
        super().__init__(p, m, v, silent, coefficient=coefficient, warmup_steps=warmup_steps)
        self.target_l0, self.bandwidth = target_l0, bandwidth

    def losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor | None, t: int = 1
    ) -> Losses:
        """What the batch costs; values are (..., n, d_sae)."""
        b_dec, threshold = leaves["b_dec"], leaves["log_threshold"].exp().unsqueeze(-2)
        pre = torch.relu(self.affine(leaves["b_enc"], x - b_dec.unsqueeze(-2), leaves["W_enc_rows"].mT))
        acts: torch.Tensor = _Jump.apply(pre, threshold, self.bandwidth)  # pyright: ignore[reportAssignmentType]
        fires: torch.Tensor = _Fires.apply(pre, threshold, self.bandwidth)  # pyright: ignore[reportAssignmentType]
        squared = (x - self.affine(b_dec, acts, leaves["W_dec"])).square().sum(dim=(-2, -1))
        l0 = fires.sum(dim=(-2, -1)) / len(x)
        penalty = l0 if self.target_l0 is None else (l0 / self.target_l0 - 1).square()
        loss = squared / len(x) + self.weight(t) * penalty
        return Losses(loss, squared / batch_spread(x), fired(acts), acts)
