"""Dead latents start afresh from the rows that a dictionary explains worst."""

from __future__ import annotations

import numpy as np
import torch

from universality.sae.autograd_step import Parameters

ENCODER_SHARE = 0.2
"""Norm of a new encoder row, as a share of the mean norm of the living ones (the paper's)."""


def resample(
    p: Parameters,
    moments: tuple[Parameters, Parameters],
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
        p: weights with unit decoder rows.
        moments: Adam's two.
        dead: int64 numbers of latents.
        rows: (n, d_in), scaled as in training.
        losses: (n,) each row's loss, at least 0.
        rng: draws the rows.

    Returns:
        The latents that got new weights: all, or the first as many as there are rows of a loss above 0.

    Source: Bricken et al. 2023, "Towards Monosemanticity", appendix on the training of the autoencoder, "Neuron
        Resampling".
    """
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
    for held in moments:
        for name in ("W_enc_rows", "W_dec", "b_enc"):
            getattr(held, name)[dead] = 0.0
    return dead
