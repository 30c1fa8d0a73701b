"""What one optimiser step of any architecture is given and gives back, and the shared half of those under autograd."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from universality.sae.topk import top_k

Losses = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Loss, fvu, and the active latents: indices (any shape) and their values (the same shape; 0 is free)."""


@dataclass(frozen=True, eq=False)
class Parameters:
    """Weights with a latent's row together: ``W_enc_rows`` and ``W_dec`` (d_sae, d_in), ``b_enc``, ``b_dec``.

    ``extra`` holds what only one architecture has, by name, (d_sae,) each.
    """

    W_enc_rows: torch.Tensor
    W_dec: torch.Tensor
    b_enc: torch.Tensor
    b_dec: torch.Tensor
    extra: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def of_seed(self, number: int) -> Parameters:
        """One seed's part, as views, of weights with a leading axis of seeds."""
        return Parameters.of({name: held[number] for name, held in self.named().items()})

    def named(self) -> dict[str, torch.Tensor]:
        """The tensors by name, in a fixed order."""
        shared = {name: getattr(self, name) for name in ("W_enc_rows", "W_dec", "b_enc", "b_dec")}
        return {**shared, **self.extra}

    def zeros_like(self) -> Parameters:
        """Zeros of the same shapes, for a moment of Adam."""
        return Parameters.of({name: torch.zeros_like(value) for name, value in self.named().items()})

    @classmethod
    def of(cls, held: Mapping[str, torch.Tensor]) -> Parameters:
        """The inverse of :meth:`named`."""
        shared = {name: held[name] for name in ("W_enc_rows", "W_dec", "b_enc", "b_dec")}
        return cls(**shared, extra={name: held[name] for name in held if name not in shared})


@dataclass(frozen=True)
class Rates:
    """Adam's numbers at one step: learning rate, decays, epsilon, and the number of the step (from 1)."""

    lr: float
    beta1: float
    beta2: float
    eps: float
    t: int

    def packed(self) -> np.ndarray:
        """As :func:`kernels.adam_row` takes them."""
        corrected = (self.lr / (1 - self.beta1**self.t), 1 / math.sqrt(1 - self.beta2**self.t))
        return np.array([corrected[0], self.beta1, self.beta2, self.eps, corrected[1]], dtype=np.float32)


@dataclass(frozen=True)
class StepOutcome:
    """What a step found in its batch, before it changed the weights.

    Attributes:
        loss: the whole loss; where it is not finite nothing was changed.
        fvu: its first term. l0: active latents per row.
    """

    loss: float
    fvu: float
    l0: float


class Stepper(Protocol):
    """One architecture's step on one device; it owns no weights and changes those it was given in place."""

    def step(self, x: torch.Tensor, dead: torch.Tensor, rates: Rates) -> StepOutcome:
        """Train on the batch ``x (n, d_in)``; ``dead`` are the latents (int64) counted as dead."""
        ...

    def extra_state(self) -> dict[str, torch.Tensor]:
        """What else a resumed training needs, by name; written back in place."""
        ...

    def close(self) -> None:
        """End what it started."""
        ...


class AutogradStep:
    """A step in torch operations on any device: a family says its :meth:`losses`.

    Pre-activations are dense, (n, d_sae), and so are the gradients. Adam's state is two moments per tensor.

    Args:
        p, m, v: weights and Adam's moments, changed in place.
        silent: int64 (d_sae,), rows since a latent last fired; changed in place.
    """

    unit_decoder = True
    """Whether the decoder's rows stay unit vectors."""
    clip: float | None = None
    """Largest norm of the whole gradient."""

    def __init__(self, p: Parameters, m: Parameters, v: Parameters, silent: torch.Tensor):
        self.p, self.m, self.v, self.silent = p, m, v, silent

    def step(self, x: torch.Tensor, dead: torch.Tensor, rates: Rates) -> StepOutcome:
        """Train on the batch ``x (n, d_in)``; ``dead`` are the latents (int64) that auxiliary slots may use."""
        leaves = {name: value.detach().requires_grad_() for name, value in self.p.named().items()}
        loss, fvu, indices, values = self.losses(leaves, x, dead, rates.t)
        outcome = StepOutcome(float(loss.detach()), float(fvu.detach()), float((values > 0).sum()) / len(x))
        if math.isfinite(outcome.loss):
            grads = torch.autograd.grad(loss, list(leaves.values()))
            self.apply(dict(zip(leaves, grads, strict=True)), rates)
            self.silent += len(x)
            self.silent[indices[values > 0]] = 0
            self.observe(values.detach())
        return outcome

    def losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor, t: int = 1
    ) -> Losses:
        """Loss, fvu, and the indices and values of the active latents; t is the number of the step."""
        raise NotImplementedError

    def observe(self, values: torch.Tensor) -> None:
        """Look at the active values of a batch that was trained on."""

    def extra_state(self) -> dict[str, torch.Tensor]:
        """What else a resumed training needs, by name; written back in place."""
        return {}

    def close(self) -> None:
        """Nothing to end."""

    def apply(self, grads: dict[str, torch.Tensor], rates: Rates) -> None:
        """Adam, in place; the decoder's rows stay unit vectors where the architecture says so."""
        if self.clip is not None:
            norm = torch.stack([grad.norm() for grad in grads.values()]).norm()
            grads = {name: grad * (self.clip / norm.clamp_min(self.clip)) for name, grad in grads.items()}
        adam(self.p, self.m, self.v, grads, rates, unit_decoder=self.unit_decoder)


def adam(
    p: Parameters,
    m: Parameters,
    v: Parameters,
    grads: Mapping[str, torch.Tensor],
    rates: Rates,
    *,
    unit_decoder: bool,
) -> None:
    """One step of Adam, in place, with any leading axes; with a unit decoder its rows stay unit vectors.

    Of such a row the part of the gradient along it is removed before, and the row is rescaled after.

    Source: Kingma and Ba 2015; Bricken et al. 2023 for the decoder.
    """
    correct1, correct2 = 1 - rates.beta1**rates.t, 1 - rates.beta2**rates.t
    means, squares = m.named(), v.named()
    for name, weight in p.named().items():
        grad, unit = grads[name], name == "W_dec" and unit_decoder
        if unit:
            grad = grad - (grad * weight).sum(dim=-1, keepdim=True) * weight
        means[name].mul_(rates.beta1).add_(grad, alpha=1 - rates.beta1)
        squares[name].mul_(rates.beta2).addcmul_(grad, grad, value=1 - rates.beta2)
        bound = (squares[name] / correct2).sqrt_().add_(rates.eps)
        weight.addcdiv_(means[name], bound, value=-rates.lr / correct1)
        if unit:
            weight.div_(weight.norm(dim=-1, keepdim=True).clamp_min(1e-30))


def batch_spread(x: torch.Tensor) -> torch.Tensor:
    """``sum ||x - mean||^2`` of a batch, at least 1e-30."""
    return (x - x.mean(0)).square().sum().clamp_min(1e-30)


def decode_slots(indices: torch.Tensor, values: torch.Tensor, W_dec: torch.Tensor) -> torch.Tensor:
    """Sums of decoder rows, (n, d_in), of indices and values (n, k)."""
    return torch.nn.functional.embedding_bag(indices, W_dec, per_sample_weights=values, mode="sum")


def auxiliary_loss(
    W_dec: torch.Tensor, pre: torch.Tensor, error: torch.Tensor, dead: torch.Tensor, aux_k: int, c: float
) -> torch.Tensor | float:
    """``c * sum ||e - recon_aux||^2 / sum ||e||^2`` with e constant, of the ``aux_k`` largest dead latents; 0 for none.

    Source: Gao et al. 2024, appendix A.2.
    """
    k = min(aux_k, len(dead))
    if not k or not c:
        return 0.0
    local, values = top_k(pre.index_select(1, dead), k)
    rest = error.detach() - decode_slots(torch.take(dead, local.long()), values, W_dec)
    return c * rest.square().sum() / error.detach().square().sum().clamp_min(1e-30)
