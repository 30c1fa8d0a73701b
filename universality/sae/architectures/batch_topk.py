"""BatchTopK: the ``n * k`` largest pre-activations of a batch of n rows, and one threshold afterwards."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from universality.sae.architectures.architecture import Losses
from universality.sae.architectures.topk import TopKArchitecture

if TYPE_CHECKING:
    import torch

    from universality.sae.autograd_step import Batch, Stepper
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training_state import TrainingState


class BatchTopKArchitecture(TopKArchitecture):
    """``acts`` = the ``n * k`` largest of ``relu(pre)`` (n, d_sae); loss of the mean over prefixes of ``fvu_p``, + aux.

    ``fvu_p`` is that of the reconstruction by the first p latents; here there is one prefix, the whole dictionary.
    At inference rows must not depend on each other: the running mean of the smallest active pre-activation of a
    batch becomes the threshold of a JumpReLU.

    Source: Bussmann et al. 2024, "BatchTopK Sparse Autoencoders". Dividing by the batch's variance and the auxiliary
        loss are TopK's.
    """

    name, label, citation = "batch_topk", "BatchTopK", "bussmann2024"
    # Sum of the weighted minima and of their weights, so that early means are not drawn to 0.
    buffers: ClassVar = {"running_threshold": (2,)}
    named_in_metadata = True
    sparse_on = ("cpu",)

    def losses(self, w: dict[str, torch.Tensor], batch: Batch) -> Losses:
        """What a batch costs; values are (..., n * k)."""
        import torch

        from universality.sae.autograd_step import bias_of
        from universality.sae.sparse_code import DeadLoss, rows_at

        W_dec, error = w["W_dec"], batch.x - w["b_dec"].unsqueeze(-2)
        seen = error.detach()
        pre = batch.encoded(w, seen).relu()
        positive = pre.flatten(-2)
        values, places = positive.topk(len(batch.x) * batch.config.active_per_row, dim=-1, sorted=False)
        acts = torch.zeros_like(positive).scatter(-1, places, values).view_as(pre)
        sizes = [last - first for first, last in pairwise((0, *self.prefixes(batch.config)))]
        parts = []
        # Each prefix adds its own latents to the reconstruction of the one before.
        for part, rows in zip(acts.split(sizes, dim=-1), W_dec.split(sizes, dim=-2), strict=True):
            error = error - batch.affine(None, part, rows)
            parts.append(error.square().sum(dim=(-2, -1)) / batch.spread)
        loss = batch.error_loss(torch.stack(parts).mean(dim=0))
        if (dead := batch.dead_among(pre.shape[-1])) is not None:
            few = (rows_at(part, dead.order) for part in (w["W_enc_rows"], bias_of(w), W_dec))
            bfloat16 = batch.config.precision == "bfloat16"
            loss = loss + batch.auxiliary_loss(DeadLoss.apply(seen, error.detach(), *few, dead, bfloat16), error)
        return Losses(loss, parts[-1], (acts > 0).any(dim=-2), values)

    def observe(self, values: torch.Tensor, state: TrainingState, decay: float) -> None:
        """Add the smallest active value of a batch to the running mean; a batch without any changes nothing."""
        import torch

        if not values.numel():
            return
        running = state.buffers["running_threshold"]
        lowest = torch.where(values > 0, values, torch.inf).flatten(running.ndim - 1).amin(-1, keepdim=True)
        seen = torch.cat([lowest, torch.ones_like(lowest)], dim=-1).to(running)
        running.copy_(torch.where(torch.isfinite(lowest), decay * running + (1 - decay) * seen, running))

    def kernel_step(self, config: SAETrainingConfig, state: TrainingState, n_steps: int) -> Stepper | None:
        """The same by sparse kernels."""
        from universality.sae.batch_kernel_step import BatchKernelStep

        return BatchKernelStep(config, state, n_steps)

    def folded(self, config: SAETrainingConfig, state: TrainingState, scale: float) -> dict[str, Any]:
        """Saved as JumpReLU with one threshold for all latents."""
        from universality.sae.activations import JumpReLU

        return {"activation": JumpReLU(running_threshold(state) / scale)}


def running_threshold(state: TrainingState) -> torch.Tensor:
    """The running mean of the smallest active value, a scalar per seed; 0 before the first batch."""
    running = state.buffers["running_threshold"]
    return running[..., 0] / running[..., 1].clamp_min(1e-30)
