"""Gated: one path decides which latents fire, another how strongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from universality.sae.architectures.architecture import Losses, SAEArchitecture

if TYPE_CHECKING:
    import torch

    from universality.sae.autograd_step import Batch
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training_state import TrainingState


class GatedArchitecture(SAEArchitecture):
    """``mean ||x - recon||^2 + weight * mean sum relu(gate) + mean ||x - recon_gate||^2``.

    ``shared = (x - b_dec) @ W_enc``, ``gate = shared + b_enc``, ``acts = (gate > 0) * relu(shared * exp(r_mag) +
    b_mag)``; ``recon_gate`` decodes ``relu(gate)`` by a frozen copy of the decoder, so that only the gate learns
    from it. The decoder's rows are unit vectors.

    Source: Rajamanoharan et al. 2024, "Improving Dictionary Learning with Gated Sparse Autoencoders": activation
        and loss. Betas 0 and 0.999 are those of a public trainer of it; lr 3e-4 (that of SAEBench, Karvonen et al.
        2025), the warm-up of the penalty, inputs of mean squared norm 1 and no resampling are ours.
    """

    name, label, citation = "gated", "Gated", "rajamanoharan2024gated"
    settings = ("l1_coefficient", "sparsity_warmup")
    optimiser: ClassVar = {"eps": 1e-8, "betas": (0.0, 0.999)}
    peak_lr = 3e-4
    unit_norm_inputs = True

    def check(self, config: SAETrainingConfig) -> None:
        """The weight of the penalty must be given."""
        if config.l1_coefficient is None:
            remedy = "Start at 0.1 and look at l0."
            raise ValueError(f"l1_coefficient must be given for gated; got nothing. {remedy}")

    def start(self, shared: dict[str, np.ndarray], config: SAETrainingConfig) -> dict[str, np.ndarray]:
        """Magnitudes as the gate has them."""
        zeros = np.zeros(config.d_sae, dtype=np.float32)
        return {**shared, "r_mag": zeros, "b_mag": zeros}

    def losses(self, w: dict[str, torch.Tensor], batch: Batch) -> Losses:
        """What a batch costs; values are (..., n, d_sae)."""
        x, W_dec, b_dec = batch.x, w["W_dec"], w["b_dec"]
        b_enc, r_mag, b_mag = (w[name].unsqueeze(-2) for name in ("b_enc", "r_mag", "b_mag"))
        shared = batch.affine(None, x - b_dec.unsqueeze(-2), w["W_enc_rows"].mT)
        gate = shared + b_enc
        opened = gate.relu()
        acts = (gate > 0) * (shared * r_mag.exp() + b_mag).relu()
        squared = (x - batch.affine(b_dec, acts, W_dec)).square().sum(dim=(-2, -1))
        by_gate = (x - batch.affine(b_dec.detach(), opened, W_dec.detach())).square().sum(dim=(-2, -1))
        loss = (squared + batch.penalty_weight * opened.sum(dim=(-2, -1)) + by_gate) / len(x)
        return Losses(loss, squared / batch.spread, (acts > 0).any(dim=-2), acts)

    def folded(self, config: SAETrainingConfig, state: TrainingState, scale: float) -> dict[str, Any]:
        """Saved as Gated, whose gate takes the encoder's bias over."""
        from universality.sae.activations import Gated

        b_gate = state.p.b_enc / scale
        activation = Gated(b_gate, state.p.extra["b_mag"] / scale, state.p.extra["r_mag"].clone())
        return {"activation": activation, "b_enc": b_gate.new_zeros(b_gate.shape)}
