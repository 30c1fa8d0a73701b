"""TopK: the k largest positive pre-activations of every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from universality.sae.architectures.architecture import Losses, SAEArchitecture

if TYPE_CHECKING:
    import torch

    from universality.sae.autograd_step import Batch, Stepper
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training_state import TrainingState


class TopKArchitecture(SAEArchitecture):
    """``sum ||x - recon||^2 / sum ||x - mean||^2``, and an auxiliary loss by which dead latents model the residual.

    Dividing by the batch's own variance makes the learning rate independent of the scale of the data.

    Source: Gao et al. 2024, "Scaling and evaluating sparse autoencoders": section 2.3, and appendix A.2 for the
        auxiliary loss; lr ``2e-4 * sqrt(16384 / d_sae)`` and epsilon are the paper's.
    """

    name, label, citation = "topk", "TopK", "gao2024"
    settings = ("k", "aux_k")
    optimiser: ClassVar = {}
    named_in_metadata = False  # it was there before there were others
    sparse_on = ("cpu", "cuda")

    def check(self, config: SAETrainingConfig) -> None:
        """k must be given, and at most d_sae."""
        if config.k is None:
            remedy = "Say how many latents may fire per row."
            raise ValueError(f"k must be given for {self.name}; got nothing. {remedy}")
        if config.k > config.d_sae:
            raise ValueError(f"k must be at most d_sae ({config.d_sae}); got {config.k}. Lower k.")

    def losses(self, w: dict[str, torch.Tensor], batch: Batch) -> Losses:
        """What a batch costs; values are (..., n, k)."""
        from universality.sae.autograd_step import decode_slots

        seen = batch.x - w["b_dec"].unsqueeze(-2)
        pre = batch.affine(w["b_enc"], seen, w["W_enc_rows"].mT).relu()
        values, indices = pre.topk(batch.config.active_per_row, dim=-1, sorted=False)
        error = seen - decode_slots(indices, values, w["W_dec"])
        loss = fvu = error.square().sum(dim=(-2, -1)) / batch.spread
        loss = loss + batch.auxiliary_loss(w["W_dec"], pre, error)
        hits = indices.new_zeros(w["b_enc"].shape).scatter_add(-1, indices.flatten(-2), (values > 0).flatten(-2).long())
        return Losses(loss, fvu, hits > 0, values)

    def kernel_step(self, config: SAETrainingConfig, state: TrainingState, n_steps: int) -> Stepper | None:
        """The same by sparse kernels."""
        from universality.sae.topk_kernel_step import TopKKernelStep

        return TopKKernelStep(config, state, n_steps)

    def folded(self, config: SAETrainingConfig, state: TrainingState, scale: float) -> dict[str, Any]:
        """Saved as TopK."""
        from universality.sae.activations import TopK

        return {"activation": TopK(config.active_per_row)}
