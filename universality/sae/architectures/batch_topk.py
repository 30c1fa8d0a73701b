"""BatchTopK and its nested form: the ``n * k`` largest pre-activations of a batch, one threshold afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import torch

from universality.sae.autograd_step import AutogradStep, Losses, Parameters, auxiliary_loss, batch_spread

THRESHOLD_STEPS = 100
"""Steps that the running mean of the threshold looks back, at most: a decay of 0.99, as in the authors' code."""
THRESHOLD_SHARE, FEWEST_STEPS = 0.02, 10
"""The same as a share of the training, and at least (ours: in a short one, a hundred steps ago was another
dictionary)."""


def threshold_decay(n_steps: int) -> float:
    """Decay of the running mean of the threshold in a training of so many steps."""
    return 1 - 1 / min(THRESHOLD_STEPS, max(FEWEST_STEPS, THRESHOLD_SHARE * n_steps))


class RunningThreshold:
    """The running mean of the smallest active pre-activation of a batch: the threshold of inference.

    There rows must not depend on each other.

    Args:
        decay: in [0, 1).
        device: where it lies.
        leading: axes of seeds, each of which has its own.
    """

    def __init__(self, decay: float, device: torch.device | str = "cpu", leading: Sequence[int] = ()):
        self.decay = decay
        # Sum of the weighted minima and of their weights, so that early means are not drawn to 0.
        self.running = torch.zeros((*leading, 2), dtype=torch.float32, device=device)

    def observe(self, values: torch.Tensor) -> None:
        """Add the smallest active of a batch's values; a batch without any changes nothing."""
        if not values.numel():
            return
        lowest = (
            torch.where(values > 0, values, torch.inf).flatten(self.running.ndim - 1).amin(-1, keepdim=True)
        )
        seen = torch.cat([lowest, torch.ones_like(lowest)], dim=-1).to(self.running)
        moved = self.decay * self.running + (1 - self.decay) * seen
        self.running.copy_(torch.where(torch.isfinite(lowest), moved, self.running))

    def extra_state(self) -> dict[str, torch.Tensor]:
        """The running threshold."""
        return {"running_threshold": self.running}

    @property
    def threshold(self) -> torch.Tensor:
        """The running mean, a scalar per seed; 0 before the first batch."""
        return self.running[..., 0] / self.running[..., 1].clamp_min(1e-30)


class BatchTopKStep(RunningThreshold, AutogradStep):
    """``acts`` = the ``n * k`` largest of ``relu(pre)`` (n, d_sae); loss = mean over prefixes p of ``fvu_p`` + aux.

    ``fvu_p`` is that of the reconstruction by the first p latents. One prefix, the whole dictionary, is
    BatchTopK; several are Matryoshka BatchTopK, in which the first latents must also explain the data alone.
    On any device; on the CPU in float32 :class:`BatchCPUStep` takes its place.

    Args:
        p, m, v, silent: as :class:`AutogradStep` takes them.
        k: latents per row, in the mean over a batch.
        aux_k, aux_coefficient: as TopK's.
        prefixes: rising, the last is d_sae.
        decay: of the running threshold, in [0, 1).

    Source: Bussmann et al. 2024, "BatchTopK Sparse Autoencoders"; Bussmann et al. 2025, "Learning Multi-Level
        Features with Matryoshka Sparse Autoencoders" (prefixes of a sixteenth to the whole: its appendix D; the
        loss of its appendix B is the sum over prefixes, that of its trainer the mean, which keeps the weight of aux
        independent of their number). Dividing by the batch's variance is TopK's.
    """

    def __init__(
        self,
        p: Parameters,
        m: Parameters,
        v: Parameters,
        silent: torch.Tensor,
        *,
        k: int,
        aux_k: int,
        aux_coefficient: float,
        prefixes: Sequence[int],
        decay: float,
    ):
        AutogradStep.__init__(self, p, m, v, silent)
        RunningThreshold.__init__(self, decay, p.b_enc.device, silent.shape[:-1])
        self.k, self.aux_k, self.c, self.prefixes = k, aux_k, aux_coefficient, tuple(prefixes)

    def of_seed(self, number: int) -> Self:
        """The step of one seed of several, on views of its weights and its state."""
        own = super().of_seed(number)
        own.running = self.running[number]
        return own

    def losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor | None, t: int = 1
    ) -> Losses:
        """What the batch costs; values are (..., n * k)."""
        W_dec, error = leaves["W_dec"], x - leaves["b_dec"].unsqueeze(-2)
        pre = torch.relu(self.affine(leaves["b_enc"], error, leaves["W_enc_rows"].mT))
        positive = pre.flatten(-2)
        values, places = positive.topk(len(x) * self.k, dim=-1, sorted=False)
        acts = torch.zeros_like(positive).scatter(-1, places, values).view_as(pre)
        parts, spread = [], batch_spread(x)
        sizes = [last - first for first, last in pairwise((0, *self.prefixes))]
        for part, rows in zip(acts.split(sizes, dim=-1), W_dec.split(sizes, dim=-2), strict=True):
            error = error - self.affine(None, part, rows)
            parts.append(error.square().sum(dim=(-2, -1)) / spread)
        loss = torch.stack(parts).mean(dim=0)
        loss = loss + auxiliary_loss(W_dec, pre, error, dead, self.aux_k, self.c)
        return Losses(loss, parts[-1], (acts > 0).any(dim=-2), values)
