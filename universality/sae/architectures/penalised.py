"""Dictionaries whose sparsity is paid for by a penalty: ReLU with L1, and Gated.

Losses are means over rows of squared errors, on inputs of a fixed norm; the penalty rises linearly at the start.
"""

from __future__ import annotations

import torch

from universality.sae.stepper import AutogradStep, Losses, Parameters, batch_spread


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

    Source: Conerly et al., "Update on how we train SAEs" (Anthropic, Circuits Updates, April 2024).
    """

    unit_decoder, clip = False, 1.0

    def losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor, t: int = 1
    ) -> Losses:
        """Loss, fvu, and the indices and values (n, d_sae)."""
        W_dec = leaves["W_dec"]
        acts = torch.relu(torch.addmm(leaves["b_enc"], x, leaves["W_enc_rows"].T))
        squared = (x - torch.addmm(leaves["b_dec"], acts, W_dec)).square().sum()
        penalty = (acts @ W_dec.norm(dim=1)).sum()
        loss = (squared + self.weight(t) * penalty) / len(x)
        return loss, squared / batch_spread(x), every_latent(acts), acts


class GatedStep(PenalisedStep):
    """``mean ||x - recon||^2 + weight * mean sum relu(gate) + mean ||x - recon_gate||^2``.

    ``shared = (x - b_dec) @ W_enc``, ``gate = shared + b_enc``, ``acts = (gate > 0) * relu(shared * exp(r_mag) +
    b_mag)``; ``recon_gate`` decodes ``relu(gate)`` by a frozen copy of the decoder, so that only the gate learns
    from it. The decoder's rows are unit vectors.

    Source: Rajamanoharan et al. 2024, "Improving Dictionary Learning with Gated Sparse Autoencoders", section 3.2
        and its pseudo-code in the appendix.
    """

    def losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor, t: int = 1
    ) -> Losses:
        """Loss, fvu, and the indices and values (n, d_sae)."""
        W_dec, b_dec = leaves["W_dec"], leaves["b_dec"]
        shared = (x - b_dec) @ leaves["W_enc_rows"].T
        gate = shared + leaves["b_enc"]
        opened = torch.relu(gate)
        acts = (gate > 0) * torch.relu(shared * leaves["r_mag"].exp() + leaves["b_mag"])
        squared = (x - torch.addmm(b_dec, acts, W_dec)).square().sum()
        by_gate = (x - torch.addmm(b_dec.detach(), opened, W_dec.detach())).square().sum()
        loss = (squared + self.weight(t) * opened.sum() + by_gate) / len(x)
        return loss, squared / batch_spread(x), every_latent(acts), acts


def every_latent(acts: torch.Tensor) -> torch.Tensor:
    """Numbers of the latents of dense activations, (n, d_sae) without memory of its own."""
    return torch.arange(acts.shape[1], device=acts.device).expand_as(acts)
