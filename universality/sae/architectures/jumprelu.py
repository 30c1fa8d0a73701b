"""JumpReLU: a learned threshold per latent, reached by straight-through gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from universality.sae.architectures.architecture import Losses, SAEArchitecture

if TYPE_CHECKING:
    import torch

    from universality.sae.autograd_step import Batch
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training_state import TrainingState

BANDWIDTH = 0.1
"""Width of the straight-through kernel unless given (ours: the paper's 0.001 is for billions of tokens)."""


class JumpReLUArchitecture(SAEArchitecture):
    """``mean ||x - recon||^2 + weight * penalty``, ``acts = relu(pre) * (pre > exp(log_threshold))``.

    The penalty is ``(l0 / target_l0 - 1)^2`` with a target, else ``l0``, of the batch's mean l0: the paper squares
    row by row, which asks of every row the same number; public trainers square the mean, as here. Thresholds learn
    from rows whose pre-activation lies within half a bandwidth of them. The decoder's rows are unit vectors.

    Source: Rajamanoharan et al. 2024, "Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse
        Autoencoders": activation, straight-through gradients, L0 penalty, and in its appendix F the target. Betas
        0 and 0.999, epsilon 1e-8, lr 7e-5 and bandwidth 0.001 are those of a public trainer of it; tied directions
        at the start, a first threshold of one bandwidth and the bandwidth 0.1 in force are ours.
    """

    name, label, citation = "jumprelu", "JumpReLU", "rajamanoharan2024jumprelu"
    settings = ("l0_coefficient", "target_l0", "bandwidth", "sparsity_warmup")
    optimiser: ClassVar = {"eps": 1e-8, "betas": (0.0, 0.999)}
    peak_lr = 7e-5
    usual_penalty = 1.0
    unit_norm_inputs = True

    def check(self, config: SAETrainingConfig) -> None:
        """A target or a price must be given, and the target be at most d_sae."""
        if config.target_l0 is None and config.l0_coefficient is None:
            remedy = "Say how many latents should fire per row, or what one costs."
            raise ValueError(f"target_l0 or l0_coefficient must be given for jumprelu; got neither. {remedy}")
        if (config.target_l0 or 0) > config.d_sae:
            legal = f"at most d_sae ({config.d_sae})"
            raise ValueError(f"target_l0 must be {legal}; got {config.target_l0}. Lower it.")

    def start(self, shared: dict[str, np.ndarray], config: SAETrainingConfig) -> dict[str, np.ndarray]:
        """Thresholds of one bandwidth."""
        threshold = np.full(config.d_sae, math.log(config.bandwidth or BANDWIDTH), dtype=np.float32)
        return {**shared, "log_threshold": threshold}

    def losses(self, w: dict[str, torch.Tensor], batch: Batch) -> Losses:
        """What a batch costs; values are (..., n, d_sae)."""
        from universality.sae.straight_through import fires, jump

        config, x, threshold = batch.config, batch.x, w["log_threshold"].exp().unsqueeze(-2)
        bandwidth = config.bandwidth or BANDWIDTH
        pre = batch.affine(w["b_enc"], x - w["b_dec"].unsqueeze(-2), w["W_enc_rows"].mT).relu()
        acts = jump(pre, threshold, bandwidth)
        squared = (x - batch.affine(w["b_dec"], acts, w["W_dec"])).square().sum(dim=(-2, -1))
        l0 = fires(pre, threshold, bandwidth).sum(dim=(-2, -1)) / len(x)
        penalty = l0 if config.target_l0 is None else (l0 / config.target_l0 - 1).square()
        loss = squared / len(x) + batch.penalty_weight * penalty
        return Losses(loss, squared / batch.spread, (acts > 0).any(dim=-2), acts)

    def folded(self, config: SAETrainingConfig, state: TrainingState, scale: float) -> dict[str, Any]:
        """Saved as JumpReLU with a threshold per latent."""
        from universality.sae.activations import JumpReLU

        return {"activation": JumpReLU(state.p.extra["log_threshold"].exp() / scale)}
