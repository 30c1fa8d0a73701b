"""Dictionaries whose sparsity is paid for by a penalty: ReLU with L1, and Gated.

Losses are means over rows of squared errors, on inputs of a fixed norm; the penalty rises linearly at the start.
"""

from __future__ import annotations

import numpy as np
import torch

from universality.sae.architectures.resampling import resample
from universality.sae.autograd_step import AutogradStep, Losses, Parameters, batch_spread
from universality.sae.stream import MEASURED_BLOCK


class PenalisedStep(AutogradStep):
    """The penalty's weight and its warm-up.

    Args:
        p, m, v, silent: as :class:`AutogradStep` takes them.
        coefficient: weight of the penalty.
        warmup_steps: steps over which it rises from 0.
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
    ):
        super().__init__(p, m, v, silent)
        self.coefficient, self.warmup_steps = coefficient, warmup_steps

    def weight(self, t: int) -> float:
        """The penalty's weight at step t (from 1)."""
        return self.coefficient * min(1.0, t / max(1, self.warmup_steps))


class ReLUStep(PenalisedStep):
    """``mean ||x - recon||^2 + weight * mean sum_i acts_i ||W_dec_i||``, ``pre = x @ W_enc + b_enc``.

    The decoder is free: weighting by its norms leaves nothing to gain from small activations and long rows.
    The gradient's norm is cut at 1.

    Source: Conerly et al., "Update on how we train SAEs" (Anthropic, Circuits Updates, April 2024): the penalty, a
        decoder of fixed small norm and its transpose at the start, zero biases, no bias before the encoder, lr 5e-5,
        the gradient's norm cut at 1, the penalty rising over 5 % and the learning rate falling over the last 20 %.
    """

    unit_decoder, clip = False, 1.0

    def losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor | None, t: int = 1
    ) -> Losses:
        """What the batch costs; values are (..., n, d_sae)."""
        W_dec = leaves["W_dec"]
        acts = torch.relu(self.affine(leaves["b_enc"], x, leaves["W_enc_rows"].mT))
        squared = (x - self.affine(leaves["b_dec"], acts, W_dec)).square().sum(dim=(-2, -1))
        norms = W_dec.norm(dim=-1)
        # A matrix times a vector, whose bytes older trainings have, knows no leading axis.
        costs = acts @ norms if norms.ndim == 1 else (acts @ norms.unsqueeze(-1)).squeeze(-1)
        penalty = costs.sum(dim=-1)
        loss = (squared + self.weight(t) * penalty) / len(x)
        return Losses(loss, squared / batch_spread(x), fired(acts), acts)


class ReLU2023Step(PenalisedStep):
    """``mean ||x - recon||^2 + weight * mean sum_i acts_i``, ``pre = (x - b_dec) @ W_enc + b_enc``, unit decoder.

    Dead latents start afresh a few times, :meth:`resample`. When, the warm-up of the penalty and the scale of the
    inputs, on which the weight depends, are ours; the lr of 1e-3 is that of a public trainer.

    Source: Bricken et al. 2023, "Towards Monosemanticity", appendix on the training of the autoencoder.
    """

    def row_losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, t: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Each row's loss, its squared error (..., n), and the activations (..., n, d_sae)."""
        b_dec = leaves["b_dec"]
        acts = torch.relu(self.affine(leaves["b_enc"], x - b_dec.unsqueeze(-2), leaves["W_enc_rows"].mT))
        squared = (x - self.affine(b_dec, acts, leaves["W_dec"])).square().sum(dim=-1)
        return squared + self.weight(t) * acts.sum(dim=-1), squared, acts

    def losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor | None, t: int = 1
    ) -> Losses:
        """What the batch costs; values are (..., n, d_sae)."""
        loss, squared, acts = self.row_losses(leaves, x, t)
        return Losses(loss.mean(dim=-1), squared.sum(dim=-1) / batch_spread(x), fired(acts), acts)

    def resample(self, rows: torch.Tensor, silent_for: int, t: int, rng: np.random.Generator) -> int:
        """Let latents silent for as many rows start afresh from ``rows (n, d_in)``; how many did. For one seed."""
        dead = torch.nonzero(self.silent >= silent_for).flatten()
        leaves = self.p.named()
        losses = torch.cat([self.row_losses(leaves, block, t)[0] for block in rows.split(MEASURED_BLOCK)])
        changed = resample(self.p, (self.m, self.v), dead, rows, losses, rng)
        self.silent[changed] = 0
        return len(changed)


class GatedStep(PenalisedStep):
    """``mean ||x - recon||^2 + weight * mean sum relu(gate) + mean ||x - recon_gate||^2``.

    ``shared = (x - b_dec) @ W_enc``, ``gate = shared + b_enc``, ``acts = (gate > 0) * relu(shared * exp(r_mag) +
    b_mag)``; ``recon_gate`` decodes ``relu(gate)`` by a frozen copy of the decoder, so that only the gate learns
    from it. The decoder's rows are unit vectors.

    Source: Rajamanoharan et al. 2024, "Improving Dictionary Learning with Gated Sparse Autoencoders": activation
        and loss. Betas 0 and 0.999 are those of a public trainer of it; lr 3e-4 (that of SAEBench, Karvonen et al.
        2025), the warm-up of the penalty, inputs of mean squared norm 1 and no resampling are ours.
    """

    def losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor | None, t: int = 1
    ) -> Losses:
        """What the batch costs; values are (..., n, d_sae)."""
        W_dec, b_dec = leaves["W_dec"], leaves["b_dec"]
        b_enc, r_mag, b_mag = (leaves[name].unsqueeze(-2) for name in ("b_enc", "r_mag", "b_mag"))
        shared = self.affine(None, x - b_dec.unsqueeze(-2), leaves["W_enc_rows"].mT)
        gate = shared + b_enc
        opened = torch.relu(gate)
        acts = (gate > 0) * torch.relu(shared * r_mag.exp() + b_mag)
        squared = (x - self.affine(b_dec, acts, W_dec)).square().sum(dim=(-2, -1))
        by_gate = (x - self.affine(b_dec.detach(), opened, W_dec.detach())).square().sum(dim=(-2, -1))
        loss = (squared + self.weight(t) * opened.sum(dim=(-2, -1)) + by_gate) / len(x)
        return Losses(loss, squared / batch_spread(x), fired(acts), acts)


def fired(acts: torch.Tensor) -> torch.Tensor:
    """Which latents of dense activations (..., n, d_sae) are active in some row, bool (..., d_sae)."""
    return (acts > 0).any(dim=-2)
