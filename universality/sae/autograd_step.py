"""What one optimiser step of any architecture is given and gives back, and the shared half of those under autograd."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np
import torch


class Losses(NamedTuple):
    """What a batch costs; leading axes are those of the weights: none, or one of seeds.

    Attributes:
        loss, fvu: (...).
        fired: bool (..., d_sae), latents that are active in some row.
        values: (..., slots) or (..., n, slots), activations, at least 0; 0 is no active latent.
    """

    loss: torch.Tensor
    fvu: torch.Tensor
    fired: torch.Tensor
    values: torch.Tensor


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

    @property
    def moving(self) -> tuple[float, float]:
        """What :func:`update` multiplies the ratio of moments with, and what it divides the second by."""
        return -self.lr / (1 - self.beta1**self.t), 1 - self.beta2**self.t

    @property
    def constants(self) -> tuple[float, float, float]:
        """What no step changes: decays and epsilon."""
        return self.beta1, self.beta2, self.eps

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

    Weights may have a leading axis of S seeds, which then take their step as one, (S, n, d_in) @ (S, d_in, d_sae), on
    the same rows; no seed's loss touches another's weights. Pre-activations are dense, (..., n, d_sae), and so are the
    gradients. Adam's state is two moments per tensor.

    Args:
        p, m, v: weights and Adam's moments, changed in place.
        silent: int64 (..., d_sae), rows since a latent last fired; changed in place.
    """

    unit_decoder = True
    """Whether the decoder's rows stay unit vectors."""
    clip: float | None = None
    """Largest norm of the whole gradient of a seed."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What products of matrices are rounded to; what they are added to and all that follows is float32."""

    def __init__(self, p: Parameters, m: Parameters, v: Parameters, silent: torch.Tensor):
        self.p, self.m, self.v, self.silent = p, m, v, silent
        self.update: Callable[..., None] = update

    def of_seed(self, number: int) -> Self:
        """The step of one seed of several, on views of its weights and its state."""
        own = copy.copy(self)
        own.p, own.m, own.v = (held.of_seed(number) for held in (self.p, self.m, self.v))
        own.silent = self.silent[number]
        return own

    def step(self, x: torch.Tensor, dead: torch.Tensor, rates: Rates) -> StepOutcome:
        """Train on the batch ``x (n, d_in)``; ``dead`` are the latents (int64) that auxiliary slots may use."""
        return self.steps(
            x, torch.zeros_like(self.silent, dtype=torch.bool).index_fill(0, dead, True), rates
        )[0]

    def steps(self, x: torch.Tensor, dead: torch.Tensor, rates: Rates) -> list[StepOutcome]:
        """Train every seed on the batch ``x (n, d_in)``; ``dead`` (..., d_sae) says which latents count as dead.

        Returns:
            An outcome per seed. Where one loss is not finite nothing was changed in any.
        """
        leaves = {name: value.detach().requires_grad_() for name, value in self.p.named().items()}
        found = self.losses(leaves, x, dead if bool(dead.any()) else None, rates.t)
        values = found.values.detach()
        counts = (values > 0).flatten(self.silent.ndim - 1).sum(dim=-1)
        numbers = (part.detach().reshape(-1).tolist() for part in (found.loss, found.fvu, counts))
        outcomes = [StepOutcome(loss, fvu, n / len(x)) for loss, fvu, n in zip(*numbers, strict=True)]
        if all(math.isfinite(outcome.loss) for outcome in outcomes):
            # The sum of the losses has each seed's own gradient.
            grads = torch.autograd.grad(found.loss.sum(), list(leaves.values()))
            self.apply(dict(zip(leaves, grads, strict=True)), rates)
            self.silent += len(x)
            self.silent.masked_fill_(found.fired, 0)
            self.observe(values)
        return outcomes

    def losses(
        self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor | None, t: int = 1
    ) -> Losses:
        """What the batch costs; ``dead`` bool (..., d_sae), None for none; t is the number of the step."""
        raise NotImplementedError

    def affine(self, bias: torch.Tensor | None, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """:func:`affine` in the precision in force."""
        if self.precision == "float32":
            return affine(bias, rows, weights)
        # What autocast does to a product and its gradients, said of these alone; a bias is not rounded.
        product = (rows.bfloat16() @ weights.bfloat16()).to(weights.dtype)
        return product if bias is None else product + bias.unsqueeze(-2)

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
            grads = clipped(grads, self.clip, self.silent.ndim - 1)
        held = (part.named() for part in (self.p, self.m, self.v))
        self.update(*held, grads, rates.moving, rates.constants, self.unit_decoder)


def clipped(grads: Mapping[str, torch.Tensor], largest: float, leading: int) -> dict[str, torch.Tensor]:
    """Gradients whose whole norm, over all tensors and all but the leading axes, is cut at ``largest``."""
    norms = [torch.linalg.vector_norm(g, dim=tuple(range(leading, g.ndim))) for g in grads.values()]
    share = largest / torch.stack(norms).norm(dim=0).clamp_min(largest)
    return {name: g * share.reshape(share.shape + (1,) * (g.ndim - leading)) for name, g in grads.items()}


def update(
    weights: Mapping[str, torch.Tensor],
    means: Mapping[str, torch.Tensor],
    squares: Mapping[str, torch.Tensor],
    grads: Mapping[str, torch.Tensor],
    rates: tuple[float | torch.Tensor, float | torch.Tensor],
    constants: tuple[float, float, float],
    unit_decoder: bool,
) -> None:
    """One step of Adam, in place, with any leading axes; with a unit decoder its rows stay unit vectors.

    Of such a row the part of the gradient along it is removed before, and the row is rescaled after.

    Args:
        weights, means, squares, grads: by name; weights and Adam's moments are changed.
        rates, constants: ``moving`` and ``constants`` of :class:`Rates`; compiled, the first are scalar tensors.
        unit_decoder: whether the rows of ``W_dec`` are unit vectors.

    Source: Kingma and Ba 2015; Bricken et al. 2023 for the decoder.
    """
    if unit_decoder:
        grads = {**grads, "W_dec": across(grads["W_dec"], weights["W_dec"])}
    advance(weights, means, squares, grads, rates, constants, unit_decoder)


def across(grad: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
    """A gradient without its part along the unit rows (..., d_in) that it is of."""
    return grad - (grad * units).sum(dim=-1, keepdim=True) * units


def advance(
    weights: Mapping[str, torch.Tensor],
    means: Mapping[str, torch.Tensor],
    squares: Mapping[str, torch.Tensor],
    grads: Mapping[str, torch.Tensor],
    rates: tuple[float | torch.Tensor, float | torch.Tensor],
    constants: tuple[float, float, float],
    unit_decoder: bool,
) -> None:
    """:func:`update` by gradients that lie across unit rows already."""
    (step, correct2), (beta1, beta2, eps) = rates, constants
    for name, weight in weights.items():
        grad = grads[name]
        means[name].mul_(beta1).add_(grad, alpha=1 - beta1)
        squares[name].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        bound = (squares[name] / correct2).sqrt_().add_(eps)
        weight.addcdiv_(means[name], bound, value=step)  # pyright: ignore[reportArgumentType,reportCallIssue]
        if name == "W_dec" and unit_decoder:
            weight.div_(weight.norm(dim=-1, keepdim=True).clamp_min(1e-30))


def batch_spread(x: torch.Tensor) -> torch.Tensor:
    """``sum ||x - mean||^2`` of a batch, at least 1e-30."""
    return (x - x.mean(0)).square().sum().clamp_min(1e-30)


def affine(bias: torch.Tensor | None, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """``bias + rows @ weights``, (..., n, b), of rows (n, a) or (..., n, a), weights (..., a, b) and bias (..., b)."""
    if bias is None:
        return rows @ weights
    if weights.ndim == 2:
        return torch.addmm(bias, rows, weights)
    return torch.baddbmm(bias.unsqueeze(-2), rows.expand(len(weights), -1, -1), weights)


def decode_slots(indices: torch.Tensor, values: torch.Tensor, W_dec: torch.Tensor) -> torch.Tensor:
    """Sums of decoder rows, (..., n, d_in), of indices and values (..., n, k), by W_dec (..., d_sae, d_in)."""
    if W_dec.ndim > 2:  # the rows of all seeds as one table
        indices = indices + torch.arange(len(W_dec), device=W_dec.device).view(-1, 1, 1) * W_dec.shape[1]
    summed = torch.nn.functional.embedding_bag(
        indices.flatten(0, -2), W_dec.flatten(0, -2), per_sample_weights=values.flatten(0, -2), mode="sum"
    )
    return summed.view(*indices.shape[:-1], -1)


def auxiliary_loss(
    W_dec: torch.Tensor,
    pre: torch.Tensor,
    error: torch.Tensor,
    dead: torch.Tensor | None,
    aux_k: int,
    c: float,
) -> torch.Tensor | float:
    """``c * sum ||e - recon_aux||^2 / sum ||e||^2`` with e constant, of the ``aux_k`` largest dead latents; 0 for none.

    Args:
        W_dec: (..., d_sae, d_in).
        pre: (..., n, d_sae). error: (..., n, d_in).
        dead: bool (..., d_sae), or None.
        aux_k, c: as in the config.

    Source: Gao et al. 2024, appendix A.2.
    """
    if dead is None or not aux_k or not c:
        return 0.0
    # Slots beyond a seed's dead latents hold zeros: they are free.
    own = torch.where(dead.unsqueeze(-2), torch.relu(pre), 0.0)
    values, slots = own.topk(min(aux_k, own.shape[-1]), dim=-1, sorted=False)
    error = error.detach()
    rest = error - decode_slots(slots, values, W_dec)
    share = rest.square().sum(dim=(-2, -1)) / error.square().sum(dim=(-2, -1)).clamp_min(1e-30)
    return c * share * dead.any(dim=-1)
