"""TopK dictionaries of several seeds in one step: what a launch costs on a GPU is paid once for all."""

from __future__ import annotations

import torch

from universality.sae.stepper import Parameters, Rates, StepOutcome, adam, batch_spread, decode_slots


class BatchedTopKStep:
    """:class:`universality.sae.step.TorchStep` for S seeds on the same rows, on any device.

    Pre-activations are dense, (S, n, d_sae); no seed's loss touches another's weights.

    Args:
        p, m, v: weights and Adam's moments with a leading axis of S, changed in place.
        silent: int64 (S, d_sae), rows since a latent last fired; changed in place.
        k, aux_k, aux_coefficient: as in the config; aux_k at most d_sae.
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
    ):
        self.p, self.m, self.v, self.silent = p, m, v, silent
        self.k, self.aux_k, self.c = k, aux_k, aux_coefficient
        self._shift = torch.arange(len(silent), device=silent.device).view(-1, 1, 1) * silent.shape[1]

    def step(self, x: torch.Tensor, dead: torch.Tensor, rates: Rates) -> list[StepOutcome]:
        """Train on the batch ``x (n, d_in)``; ``dead`` (S, d_sae) says which latents auxiliary slots may use.

        Returns:
            An outcome per seed. Where one loss is not finite nothing was changed in any.
        """
        leaves = {name: value.detach().requires_grad_() for name, value in self.p.named().items()}
        losses, fvu, indices, values = self.losses(leaves, x, dead if bool(dead.any()) else None)
        l0 = (values > 0).sum(dim=(1, 2)) / len(x)
        outcomes = [
            StepOutcome(*found) for found in zip(losses.tolist(), fvu.tolist(), l0.tolist(), strict=True)
        ]
        if bool(torch.isfinite(losses).all()):
            self.apply(losses, leaves, rates)
            self.silent += len(x)
            self.silent.view(-1)[(indices + self._shift)[values > 0]] = 0
        return outcomes

    def losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Loss and fvu (S,), and the indices and values (S, n, k) of the active latents."""
        seen = x - leaves["b_dec"].unsqueeze(1)
        acts = torch.relu(
            torch.baddbmm(leaves["b_enc"].unsqueeze(1), seen, leaves["W_enc_rows"].transpose(1, 2))
        )
        values, indices = acts.topk(self.k, dim=-1, sorted=False)
        error = seen - self._decode(indices, values, leaves["W_dec"])
        squared = error.square().sum(dim=(1, 2))
        loss = fvu = squared / batch_spread(x)
        if dead is not None and self.aux_k and self.c:
            # Slots beyond a seed's dead latents hold zeros: they are free.
            values_aux, slots = (acts * dead.unsqueeze(1)).topk(self.aux_k, dim=-1, sorted=False)
            rest = error.detach() - self._decode(slots, values_aux, leaves["W_dec"])
            share = rest.square().sum(dim=(1, 2)) / squared.detach().clamp_min(1e-30)
            loss = loss + self.c * share * dead.any(dim=1)
        return loss, fvu, indices, values

    def apply(self, losses: torch.Tensor, leaves: dict[str, torch.Tensor], rates: Rates) -> None:
        """Gradients and Adam: the sum of the losses has each seed's own gradient."""
        grads = torch.autograd.grad(losses.sum(), list(leaves.values()))
        adam(self.p, self.m, self.v, dict(zip(leaves, grads, strict=True)), rates, unit_decoder=True)

    def _decode(self, indices: torch.Tensor, values: torch.Tensor, W_dec: torch.Tensor) -> torch.Tensor:
        """Sums of each seed's decoder rows, (S, n, d_in), of indices and values (S, n, k)."""
        flat = (indices + self._shift).flatten(0, 1)
        return decode_slots(flat, values.flatten(0, 1), W_dec.flatten(0, 1)).view(*indices.shape[:2], -1)
