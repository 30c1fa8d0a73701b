"""Loss and gradients of one TopK step: sparse kernels on the CPU, autograd elsewhere.

``loss = sum ||x - recon||² / sum ||x - mean||² + c * sum ||e - recon_aux(e)||² / sum ||e||²`` over the batch, with
``e = x - recon`` held constant and ``recon_aux`` made of the ``aux_k`` largest dead latents (Gao et al. 2024,
appendix A.2). Dividing by the batch's own variance makes the learning rate independent of the scale of the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from universality.sae import kernels


@dataclass
class Parameters:
    """Weights with a latent's row together: ``W_enc_rows`` and ``W_dec`` (d_sae, d_in), ``b_enc``, ``b_dec``."""

    W_enc_rows: torch.Tensor
    W_dec: torch.Tensor
    b_enc: torch.Tensor
    b_dec: torch.Tensor

    def named(self) -> dict[str, torch.Tensor]:
        """The tensors by name, in a fixed order."""
        return dict(vars(self))


@dataclass
class StepOutcome:
    """What a step found; gradients lie in the buffers given.

    Attributes:
        loss: the whole loss. fvu: its first term. l0: active latents per row. fired: (d_sae,) bool.
    """

    loss: float
    fvu: float
    l0: float
    fired: np.ndarray


class CPUGradients:
    """Buffers and kernels of a step on the CPU; nothing as large as (n, k, d_in) or a second (n, d_sae)."""

    def __init__(self, parameters: Parameters, k: int, aux_k: int, aux_coefficient: float):
        self.p, self.k, self.aux_k, self.c = parameters, k, aux_k, aux_coefficient
        d_sae = len(parameters.b_enc)
        self.grads = {name: np.zeros(tuple(t.shape), dtype=np.float32) for name, t in parameters.named().items()}
        self._starts = np.zeros(d_sae + 1, dtype=np.int64)

    def step(self, x: torch.Tensor, dead: np.ndarray) -> StepOutcome:
        """Gradients of the batch ``x (n, d_in)``; ``dead`` (d_sae,) bool are the latents that auxiliary slots may use."""
        p = self.p
        centred = x - p.b_dec
        pre = torch.addmm(p.b_enc, centred, p.W_enc_rows.T)
        indices, values, recon = self._top(pre, self.k)
        kernels.decode_rows(indices, values, p.W_dec.numpy(), p.b_dec.numpy(), recon)
        rows, xs = x.numpy(), centred.numpy()
        error = rows - recon
        scale = 1 / max(float(((rows - rows.mean(axis=0)) ** 2).sum(dtype=np.float64)), 1e-30)
        squared = float((error**2).sum(dtype=np.float64))
        fvu = squared * scale
        # d loss / d recon = -2 error * scale
        self._backward(indices, values, xs, error * np.float32(-2 * scale), decoder_bias=True)
        loss = fvu
        if self.aux_k and self.c and dead.any() and squared > 0:
            loss += self._auxiliary(pre, error, squared, xs, dead)
        fired = np.zeros(len(p.b_enc), dtype=bool)
        fired[indices[values > 0]] = True
        return StepOutcome(loss, fvu, float((values > 0).sum()) / len(rows), fired)

    def _top(self, pre: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n = len(pre)
        indices, values = np.empty((n, k), dtype=np.int32), np.empty((n, k), dtype=np.float32)
        kernels.select_top(pre.numpy(), k, np.int32(0), indices, values)
        return indices, values, np.empty((n, self.p.W_dec.shape[1]), dtype=np.float32)

    def _auxiliary(self, pre: torch.Tensor, error: np.ndarray, squared: float, xs: np.ndarray, dead: np.ndarray) -> float:
        which = np.flatnonzero(dead).astype(np.int32)
        k = min(self.aux_k, len(which))
        local, values, recon = self._top(pre[:, torch.from_numpy(which).long()].contiguous(), k)
        indices = np.where(local >= 0, which[np.maximum(local, 0)], np.int32(-1)).astype(np.int32)
        zero = np.zeros(recon.shape[1], dtype=np.float32)
        kernels.decode_rows(indices, values, self.p.W_dec.numpy(), zero, recon)
        rest = error - recon
        scale = self.c / squared
        self._backward(indices, values, xs, rest * np.float32(-2 * scale), decoder_bias=False)
        return scale * float((rest**2).sum(dtype=np.float64))

    def _backward(
        self, indices: np.ndarray, values: np.ndarray, xs: np.ndarray, slope: np.ndarray, *, decoder_bias: bool
    ) -> None:
        """Add the gradients of one group of slots, ``slope`` = d loss / d recon (n, d_in)."""
        g, p = self.grads, self.p
        gradients = np.empty_like(values)
        kernels.value_gradients(indices, slope, p.W_dec.numpy(), gradients)
        gradients[values <= 0] = 0
        entries = np.empty(indices.size, dtype=np.int64)
        kernels.group_by_latent(indices, self._starts, entries)
        b_enc = np.zeros_like(g["b_enc"])
        kernels.latent_gradients(
            indices.shape[1], self._starts, entries, values, gradients, slope, xs, g["W_enc_rows"], g["W_dec"], b_enc
        )
        g["b_enc"] += b_enc
        # b_dec is subtracted before the encoder and added after the decoder.
        g["b_dec"] -= b_enc @ p.W_enc_rows.numpy()
        if decoder_bias:
            g["b_dec"] += slope.sum(axis=0)


class AutogradGradients:
    """The same step in torch operations, for any device."""

    def __init__(self, parameters: Parameters, k: int, aux_k: int, aux_coefficient: float):
        self.p, self.k, self.aux_k, self.c = parameters, k, aux_k, aux_coefficient
        self.grads: dict[str, torch.Tensor] = {}

    def step(self, x: torch.Tensor, dead: np.ndarray) -> StepOutcome:
        """As :meth:`CPUGradients.step`."""
        leaves = {name: t.detach().requires_grad_() for name, t in self.p.named().items()}
        pre = torch.relu(torch.addmm(leaves["b_enc"], x - leaves["b_dec"], leaves["W_enc_rows"].T))
        values, indices = pre.topk(self.k, dim=-1)
        recon = self._decode(indices, values, leaves["W_dec"]) + leaves["b_dec"]
        error = x - recon
        scale = 1 / (x - x.mean(0)).square().sum().clamp_min(1e-30)
        squared = error.square().sum()
        loss = fvu = squared * scale
        if self.aux_k and self.c and dead.any() and float(squared.detach()) > 0:
            which = torch.from_numpy(np.flatnonzero(dead)).to(x.device)
            values_aux, local = pre[:, which].topk(min(self.aux_k, len(which)), dim=-1)
            rest = error.detach() - self._decode(which[local], values_aux, leaves["W_dec"])
            loss = loss + self.c * rest.square().sum() / squared.detach()
        found = torch.autograd.grad(loss, list(leaves.values()))
        self.grads = dict(zip(leaves, found, strict=True))
        fired = np.zeros(len(self.p.b_enc), dtype=bool)
        fired[indices[values > 0].unique().cpu().numpy()] = True
        l0 = float((values > 0).sum()) / len(x)
        return StepOutcome(float(loss.detach()), float(fvu.detach()), l0, fired)

    @staticmethod
    def _decode(indices: torch.Tensor, values: torch.Tensor, W_dec: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.embedding_bag(indices, W_dec, per_sample_weights=values, mode="sum")
