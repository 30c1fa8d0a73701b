"""TopK: the k largest positive pre-activations of every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from universality.sae.architectures.architecture import Losses, SAEArchitecture

if TYPE_CHECKING:
    import torch

    from universality.sae.autograd_step import Batch, Stepper
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training_state import TrainingState


class TopKArchitecture(SAEArchitecture):
    """``fvu = sum ||x - recon||^2 / sum ||x - mean||^2`` or its root, and a loss of dead latents on the residual.

    Dividing by the batch's own variance makes the learning rate independent of the scale of the data. Of the root,
    ``2 sqrt(fvu)``, gradients are those of fvu divided by the size of the error. That of fvu fades as the error falls,
    and Adam, which remembers about ``1 / (1 - beta2)`` steps, goes on dividing by the large first ones; this and the
    short rows of the encoder at the start are ours (``docs/DICTIONARIES.md`` has what they gain).

    Source: Gao et al. 2024, "Scaling and evaluating sparse autoencoders": section 2.3, and appendix A.2 for the
        auxiliary loss; lr ``2e-4 * sqrt(16384 / d_sae)`` and epsilon are the paper's.
    """

    name, label, citation = "topk", "TopK", "gao2024"
    settings = ("k", "aux_k", "encoder_norm", "loss")
    optimiser: ClassVar = {}
    named_in_metadata = False  # it was there before there were others
    revives = True
    sparse_on = ("cpu", "cuda")

    def check(self, config: SAETrainingConfig) -> None:
        """k must be given, and at most d_sae."""
        if config.k is None:
            remedy = "Say how many latents may fire per row."
            raise ValueError(f"k must be given for {self.name}; got nothing. {remedy}")
        if config.k > config.d_sae:
            raise ValueError(f"k must be at most d_sae ({config.d_sae}); got {config.k}. Lower k.")

    def start(self, shared: dict[str, np.ndarray], config: SAETrainingConfig) -> dict[str, np.ndarray]:
        """The encoder's rows are the decoder's, shortened."""
        return {**shared, "W_enc_rows": shared["W_enc_rows"] * np.float32(config.encoder_norm)}

    def losses(self, w: dict[str, torch.Tensor], batch: Batch) -> Losses:
        """What a batch costs; values are (..., n, k)."""
        import torch

        from universality.sae.autograd_step import bias_of
        from universality.sae.sparse_code import sparse_code

        rows = batch.x - w["b_dec"].unsqueeze(-2)
        seen = rows.detach()
        with torch.no_grad():
            pre = batch.selected_from(w, seen)
        k, bfloat16 = batch.config.active_per_row, batch.config.precision == "bfloat16"
        dead = batch.dead_among(pre.shape[-1])
        code = sparse_code(seen, pre, w["W_enc_rows"], bias_of(w), w["W_dec"], k, dead, bfloat16=bfloat16)
        error = rows - code.recon
        fvu = error.square().sum(dim=(-2, -1)) / batch.spread
        loss = batch.error_loss(fvu)
        if dead is not None:
            loss = loss + batch.auxiliary_loss(code.unmodelled, error)
        hits = torch.zeros_like(w["b_enc"], dtype=torch.int32)
        hits = hits.scatter_add(-1, code.indices.flatten(-2), (code.values > 0).flatten(-2).int())
        return Losses(loss, fvu, hits > 0, code.values)

    def kernel_step(self, config: SAETrainingConfig, state: TrainingState, n_steps: int) -> Stepper | None:
        """The same by sparse kernels."""
        from universality.sae.topk_kernel_step import TopKKernelStep

        return TopKKernelStep(config, state, n_steps)

    def folded(self, config: SAETrainingConfig, state: TrainingState, scale: float) -> dict[str, Any]:
        """Saved as TopK."""
        from universality.sae.activations import TopK

        return {"activation": TopK(config.active_per_row)}
