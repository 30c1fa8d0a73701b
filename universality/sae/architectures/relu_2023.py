"""ReLU with an L1 penalty, a unit decoder and dead latents that start afresh, as Anthropic trained them in 2023."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from universality.sae.architectures.architecture import Losses, SAEArchitecture

if TYPE_CHECKING:
    import torch

    from universality.sae.autograd_step import AutogradStep, Batch
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training_state import TrainingState

ENCODER_SHARE = 0.2
"""Norm of a new encoder row, as a share of the mean norm of the living ones (the paper's)."""
RESAMPLE_AT = (0.2, 0.4, 0.6)
"""Shares of the training after which dead latents start afresh (ours)."""


class ReLU2023Architecture(SAEArchitecture):
    """``mean ||x - recon||^2 + weight * mean sum_i acts_i``, ``pre = (x - b_dec) @ W_enc + b_enc``, unit decoder.

    Dead latents start afresh a few times. When, the warm-up of the penalty and the scale of the inputs, on which the
    weight depends, are ours; the lr of 1e-3 is that of a public trainer.

    Source: Bricken et al. 2023, "Towards Monosemanticity", appendix on the training of the autoencoder; resampling is
        its "Neuron Resampling".
    """

    name, label, citation = "relu_2023", "ReLU", "bricken2023"
    settings = ("l1_coefficient", "resample_at", "sparsity_warmup")
    peak_lr = 1e-3
    usual_penalty = 5.0

    def check(self, config: SAETrainingConfig) -> None:
        """Shares at which latents start afresh must rise between 0 and 1."""
        shares = config.resample_at
        if shares and not (shares[0] > 0 and all(a < b for a, b in pairwise(shares)) and shares[-1] < 1):
            legal, remedy = "rising between 0 and 1", "They are shares of the training."
            raise ValueError(f"resample_at must be {legal}; got {list(shares)}. {remedy}")

    def resampling(self, config: SAETrainingConfig, n_steps: int) -> dict[int, int]:
        """Dead is who was silent for half the rows since the last such step, or since the start.

        The paper: 12,500 of 25,000 steps.
        """
        shares = RESAMPLE_AT if config.resample_at is None else config.resample_at
        steps = sorted({round(share * n_steps) for share in shares} - {0, n_steps})
        return {step: max(1, (step - last) * config.batch_rows // 2) for last, step in pairwise((0, *steps))}

    def losses(self, w: dict[str, torch.Tensor], batch: Batch) -> Losses:
        """What a batch costs; values are (..., n, d_sae)."""
        loss, squared, acts = _row_losses(w, batch)
        fvu = squared.sum(dim=-1) / batch.spread
        return Losses(loss.mean(dim=-1), fvu, (acts > 0).any(dim=-2), acts)

    def resample(
        self, step: AutogradStep, rows: torch.Tensor, silent_for: int, t: int, rng: np.random.Generator
    ) -> int:
        """Let latents that were silent for so many rows start afresh from the rows that are explained worst."""
        import torch

        from universality.sae.stream import MEASURED_BLOCK

        state = step.state
        dead = torch.nonzero(state.silent >= silent_for).flatten()
        # In blocks of rows, which bounds the dense activations.
        blocks = (step.batch(block, None, t) for block in rows.split(MEASURED_BLOCK))
        losses = torch.cat([_row_losses(state.p.named(), block)[0] for block in blocks])
        changed = start_afresh(state, dead, rows, losses, rng)
        state.silent[changed] = 0
        return len(changed)

    def folded(self, config: SAETrainingConfig, state: TrainingState, scale: float) -> dict[str, Any]:
        """Saved as ReLU."""
        from universality.sae.activations import ReLU

        return {"activation": ReLU()}


def _row_losses(w: dict[str, torch.Tensor], batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each row's loss, its squared error (..., n), and the activations (..., n, d_sae)."""
    acts = batch.affine(w["b_enc"], batch.x - w["b_dec"].unsqueeze(-2), w["W_enc_rows"].mT).relu()
    squared = (batch.x - batch.affine(w["b_dec"], acts, w["W_dec"])).square().sum(dim=-1)
    return squared + batch.penalty_weight * acts.sum(dim=-1), squared, acts


def start_afresh(
    state: TrainingState,
    dead: torch.Tensor,
    rows: torch.Tensor,
    losses: torch.Tensor,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Give dead latents new weights and empty moments, in place.

    A row is drawn with a probability proportional to its squared loss, and none twice: two latents of equal weights
    would stay equal. The decoder's row becomes the direction of ``row - b_dec``, which is what the encoder sees
    (ours; the paper takes that of the row), the encoder's the same at a fifth of the living rows' mean norm, and
    its bias 0.

    Args:
        state: of one dictionary with unit decoder rows.
        dead: int64 numbers of latents.
        rows: (n, d_in), scaled as in training.
        losses: (n,) each row's loss, at least 0.
        rng: draws the rows.

    Returns:
        The latents that got new weights: all, or the first as many as there are rows of a loss above 0.
    """
    import torch

    p = state.p
    seen = rows - p.b_dec
    norms = seen.norm(dim=1)
    weight = torch.where(norms > 0, losses, torch.zeros_like(losses)).cpu().numpy().astype(np.float64) ** 2
    dead = dead[: np.count_nonzero(weight)]
    if not len(dead):
        return dead
    chosen = rng.choice(len(weight), len(dead), replace=False, p=weight / weight.sum())
    drawn = torch.from_numpy(chosen).to(dead.device)
    directions = seen[drawn] / norms[drawn, None]
    living = torch.ones(len(p.b_enc), dtype=torch.bool, device=dead.device)
    living[dead] = False
    encoder_norms = p.W_enc_rows.norm(dim=1)
    typical = (encoder_norms[living] if bool(living.any()) else encoder_norms).mean()
    p.W_dec[dead], p.b_enc[dead] = directions, 0.0
    p.W_enc_rows[dead] = ENCODER_SHARE * typical * directions
    for moment in (state.m, state.v):
        for name in ("W_enc_rows", "W_dec", "b_enc"):
            getattr(moment, name)[dead] = 0.0
    return dead
