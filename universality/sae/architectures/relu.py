"""ReLU with a penalty that is weighted by the norms of a free decoder, as Anthropic trained them from 2024 on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from universality.sae.architectures.architecture import Losses, SAEArchitecture

if TYPE_CHECKING:
    import torch

    from universality.sae.autograd_step import Batch
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training_state import TrainingState

FREE_DECODER_NORM = 0.1
"""Norm of a free decoder's rows at the start (ours, of the 0.05 to 1 of the April 2024 update)."""


class ReLUArchitecture(SAEArchitecture):
    """``mean ||x - recon||^2 + weight * mean sum_i acts_i ||W_dec_i||``, ``pre = x @ W_enc + b_enc``.

    The decoder is free: weighting by its norms leaves nothing to gain from small activations and long rows.
    The gradient's norm is cut at 1.

    Source: Conerly et al., "Update on how we train SAEs" (Anthropic, Circuits Updates, April 2024): the penalty, a
        decoder of fixed small norm and its transpose at the start, zero biases, no bias before the encoder, lr 5e-5,
        the gradient's norm cut at 1, the penalty rising over 5 % and the learning rate falling over the last 20 %.
    """

    name, label, citation = "relu", "ReLU (norm-weighted penalty)", "conerly2024"
    settings = ("l1_coefficient", "sparsity_warmup")
    peak_lr = 5e-5
    usual_penalty = 5.0
    unit_decoder, clip, subtract_b_dec = False, 1.0, False

    def start(self, shared: dict[str, np.ndarray], config: SAETrainingConfig) -> dict[str, np.ndarray]:
        """Short decoder rows, the encoder their transpose, zero biases."""
        rows = shared["W_dec"] * np.float32(FREE_DECODER_NORM)
        return {**shared, "W_dec": rows, "W_enc_rows": rows, "b_dec": np.zeros_like(shared["b_dec"])}

    def losses(self, w: dict[str, torch.Tensor], batch: Batch) -> Losses:
        """What a batch costs; values are (..., n, d_sae)."""
        acts = batch.affine(w["b_enc"], batch.x, w["W_enc_rows"].mT).relu()
        squared = (batch.x - batch.affine(w["b_dec"], acts, w["W_dec"])).square().sum(dim=(-2, -1))
        norms = w["W_dec"].norm(dim=-1)
        # A matrix times a vector, whose bytes older trainings have, knows no leading axis.
        costs = acts @ norms if norms.ndim == 1 else (acts @ norms.unsqueeze(-1)).squeeze(-1)
        loss = (squared + batch.penalty_weight * costs.sum(dim=-1)) / len(batch.x)
        return Losses(loss, squared / batch.spread, (acts > 0).any(dim=-2), acts)

    def folded(self, config: SAETrainingConfig, state: TrainingState, scale: float) -> dict[str, Any]:
        """Saved as ReLU with unit rows: ``norm * relu(pre) = relu(norm * pre)``; rows of norm 0 stay."""
        from universality.sae.activations import ReLU

        p = state.p
        norms = p.W_dec.norm(dim=1)
        norms = norms.where(norms > 0, 1.0)
        return {
            "activation": ReLU(),
            "W_enc_rows": p.W_enc_rows * norms[:, None],
            "W_dec": p.W_dec / norms[:, None],
            "b_enc": p.b_enc / scale * norms,
        }
