"""One optimiser step in torch operations: any architecture, on any device, one dictionary or several seeds at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from universality.sae.architectures.architecture import Losses
from universality.sae.sparse_code import Dead
from universality.sae.training_state import TrainingState

if TYPE_CHECKING:
    from universality.sae.sae_config import SAETrainingConfig

Named = Mapping[str, torch.Tensor]
Moving = tuple[float | torch.Tensor, float | torch.Tensor]
Decays = tuple[float, float, float]


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
        return np.array([corrected[0], *self.constants, corrected[1]], dtype=np.float32)


@dataclass(frozen=True)
class StepOutcome:
    """What a step measured on its batch, before it changed the weights.

    Attributes:
        loss: the whole loss; where it is not finite nothing was changed.
        fvu: fraction of variance unexplained. l0: active latents per row.
    """

    loss: float
    fvu: float
    l0: float


class Stepper(Protocol):
    """One architecture's step on one device; it changes the state that it was given in place."""

    def step(self, x: torch.Tensor, dead: torch.Tensor, rates: Rates) -> StepOutcome:
        """Train on the batch ``x (n, d_in)``; ``dead`` are the latents (int64) counted as dead."""
        ...

    def close(self) -> None:
        """End what it started."""
        ...


LEAST_FVU = 1e-12
"""An fvu below which its root counts as flat: less than float32 tells of a reconstruction."""


@dataclass(frozen=True)
class Batch:
    """Rows to train on and all that a loss depends on beside the weights.

    Attributes:
        config: of the training.
        x: (n, d_in), scaled.
        dead: bool (..., d_sae), latents that the auxiliary loss may use; None for none.
        penalty_weight: of the penalty in this step, a number or a scalar tensor.
        dead_slots: latents that the auxiliary loss looks at, at least as many as are dead; None for all.
    """

    config: SAETrainingConfig
    x: torch.Tensor
    dead: torch.Tensor | None
    penalty_weight: float | torch.Tensor
    dead_slots: int | None = None

    @cached_property
    def spread(self) -> torch.Tensor:
        """``sum ||x - mean||^2``, at least 1e-30."""
        return (self.x - self.x.mean(0)).square().sum().clamp_min(1e-30)

    def affine(self, bias: torch.Tensor | None, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """``bias + rows @ weights``, (..., n, b), in the precision of the config.

        Args:
            bias: (..., b), or None.
            rows: (n, a) or (..., n, a).
            weights: (..., a, b).
        """
        if self.config.precision == "bfloat16":
            # What autocast does to a product and its gradients, said of these alone; a bias is not rounded.
            product = (rows.bfloat16() @ weights.bfloat16()).to(weights.dtype)
            return product if bias is None else product + bias.unsqueeze(-2)
        if bias is None:
            return rows @ weights
        if weights.ndim == 2:
            return torch.addmm(bias, rows, weights)
        return torch.baddbmm(bias.unsqueeze(-2), rows.expand(len(weights), -1, -1), weights)

    def encoded(self, w: Named, seen: torch.Tensor) -> torch.Tensor:
        """``bias_of + seen @ W_enc_rows^T``, (..., n, d_sae), of rows (..., n, d_in) that need no gradient."""
        return self.affine(bias_of(w), seen, w["W_enc_rows"].mT)

    def selected_from(self, w: Named, seen: torch.Tensor) -> torch.Tensor:
        """:meth:`encoded`; of bfloat16 the products as they are rounded, without the bias, half as many bytes."""
        if self.config.precision == "bfloat16":
            return seen.bfloat16() @ w["W_enc_rows"].mT.bfloat16()
        return self.encoded(w, seen)

    def dead_among(self, d_sae: int) -> Dead | None:
        """The latents that the auxiliary loss looks at; None where there is no such loss or nothing is dead."""
        aux_k = self.config.auxiliary_latents(self.x.shape[-1])
        if self.dead is None or not aux_k or not self.config.aux_coefficient:
            return None
        return Dead.among(self.dead, min(self.dead_slots or d_sae, d_sae), aux_k)

    def error_loss(self, fvu: torch.Tensor) -> torch.Tensor:
        """What an fvu (...), or the mean of several, costs: itself or twice its root, as the config says."""
        # Where nothing is left the root has no gradient; that of the clamp is 0.
        return fvu if self.config.loss == "fvu" else 2 * fvu.clamp_min(LEAST_FVU).sqrt()

    def auxiliary_loss(self, unmodelled: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
        """``c * sum ||e - recon_aux||^2 / sum ||e||^2`` with e constant, by the ``aux_k`` largest dead latents.

        Args:
            unmodelled: (...), the first sum.
            error: (..., n, d_in), e, what the active latents leave of the rows.

        Returns:
            (...); 0 of seeds in which nothing is dead.

        Source: Gao et al. 2024, appendix A.2.
        """
        assert self.dead is not None
        share = unmodelled / error.detach().square().sum(dim=(-2, -1)).clamp_min(1e-30)
        return self.config.aux_coefficient * share * self.dead.any(dim=-1)


def bias_of(w: Named) -> torch.Tensor:
    """``b_enc`` with the gradient that the encoder has by ``b_dec``, (..., d_sae).

    Of ``pre = (x - b_dec) @ W^T + b_enc`` the gradient of b_dec is ``-W^T`` times that of b_enc: a product with one
    vector, where following ``x - b_dec`` takes one with all rows. What is subtracted is zero.
    """
    shift = (w["b_dec"] - w["b_dec"].detach()).unsqueeze(-1)
    return w["b_enc"] - (w["W_enc_rows"].detach() @ shift).squeeze(-1)


class AutogradStep:
    """A step of any architecture in torch operations, by the :meth:`~SAEArchitecture.losses` that it states.

    Weights may have a leading axis of S seeds, which then take their step as one, (S, n, d_in) @ (S, d_in, d_sae), on
    the same rows; no seed's loss touches another's weights. Pre-activations are dense, (..., n, d_sae), and so are the
    gradients. Adam's state is two moments per tensor.

    Args:
        config: of the training.
        state: changed in place.
        n_steps: steps of the whole training.
        fused: a compiled Adam in the place of :func:`update`.
    """

    def __init__(
        self,
        config: SAETrainingConfig,
        state: TrainingState,
        n_steps: int,
        fused: Callable[..., None] | None = None,
    ):
        self.config, self.state, self.n_steps = config, state, n_steps
        self.update = fused or update

    def of_seed(self, number: int) -> AutogradStep:
        """The step of one seed of several, on views of its state."""
        return AutogradStep(self.config, self.state.of_seed(number), self.n_steps, self.update)

    def step(self, x: torch.Tensor, dead: torch.Tensor, rates: Rates) -> StepOutcome:
        """Train on the batch ``x (n, d_in)``; ``dead`` are the latents (int64) counted as dead."""
        mask = torch.zeros_like(self.state.silent, dtype=torch.bool).index_fill(0, dead, True)
        return self.steps(x, mask, rates)[0]

    def steps(self, x: torch.Tensor, dead: torch.Tensor, rates: Rates) -> list[StepOutcome]:
        """Train every seed on the batch ``x (n, d_in)``; ``dead`` (..., d_sae) says which latents count as dead.

        Returns:
            An outcome per seed. Where one loss is not finite nothing was changed in any.
        """
        silent = self.state.silent
        leaves = {name: value.detach().requires_grad_() for name, value in self.state.p.named().items()}
        losses = self.losses(leaves, x, dead if bool(dead.any()) else None, rates.t)
        values = losses.values.detach()
        counts = (values > 0).flatten(silent.ndim - 1).sum(dim=-1)
        numbers = (part.detach().reshape(-1).tolist() for part in (losses.loss, losses.fvu, counts))
        outcomes = [StepOutcome(loss, fvu, n / len(x)) for loss, fvu, n in zip(*numbers, strict=True)]
        if all(math.isfinite(outcome.loss) for outcome in outcomes):
            # No seed's loss depends on another's weights, so the sum's gradient is each seed's own.
            grads = torch.autograd.grad(losses.loss.sum(), list(leaves.values()))
            self.apply(dict(zip(leaves, grads, strict=True)), rates)
            # Rows since a latent fired, counted to the end of the batch; in place, for views of seeds share it.
            silent += len(x)
            silent.masked_fill_(losses.fired, 0)
            self.observe(values)
        return outcomes

    def batch(self, x: torch.Tensor, dead: torch.Tensor | None, t: int) -> Batch:
        """Rows (n, d_in) as the architecture's losses take them; ``dead`` bool (..., d_sae) or None."""
        return Batch(self.config, x, dead, penalty_weight(self.config, t, self.n_steps))

    def losses(self, leaves: dict[str, torch.Tensor], x: torch.Tensor, dead: torch.Tensor | None, t: int = 1) -> Losses:
        """What the batch costs by weights of these values; ``dead`` bool (..., d_sae), None for none."""
        return self.config.kind.losses(leaves, self.batch(x, dead, t))

    def observe(self, values: torch.Tensor) -> None:
        """Let the architecture look at the active values of a batch that was trained on."""
        self.config.kind.observe(values, self.state, observation_decay(self.n_steps))

    def apply(self, grads: dict[str, torch.Tensor], rates: Rates) -> None:
        """Adam, in place; the decoder's rows stay unit vectors where the architecture says so."""
        kind, state = self.config.kind, self.state
        if kind.clip is not None:
            grads = clipped(grads, kind.clip, state.silent.ndim - 1)
        weights, means, squares = (part.named() for part in (state.p, state.m, state.v))
        self.update(weights, means, squares, grads, rates.moving, rates.constants, kind.unit_decoder)

    def close(self) -> None:
        """Nothing to end."""


def penalty_weight(config: SAETrainingConfig, t: int, n_steps: int) -> float:
    """Weight of the penalty in step t, from 1: it rises linearly over the first ``sparsity_warmup`` of the steps."""
    return config.penalty_coefficient * min(1.0, t / max(1, round(config.sparsity_warmup * n_steps)))


OBSERVED_STEPS = 100
"""Steps that running means over batches look back, at most: a decay of 0.99, as in the code of BatchTopK's authors."""
OBSERVED_SHARE, FEWEST_STEPS = 0.02, 10
"""The same as a share of the training, and at least (ours: in a short one, a hundred steps ago was another
dictionary)."""


def observation_decay(n_steps: int) -> float:
    """Decay of running means over the batches of a training of so many steps."""
    return 1 - 1 / min(OBSERVED_STEPS, max(FEWEST_STEPS, OBSERVED_SHARE * n_steps))


def clipped(grads: Named, largest: float, leading: int) -> dict[str, torch.Tensor]:
    """Gradients whose whole norm, over all tensors and all but the leading axes, is cut at ``largest``."""
    norms = [torch.linalg.vector_norm(g, dim=tuple(range(leading, g.ndim))) for g in grads.values()]
    share = largest / torch.stack(norms).norm(dim=0).clamp_min(largest)
    return {name: g * share.reshape(share.shape + (1,) * (g.ndim - leading)) for name, g in grads.items()}


def update(
    weights: Named, means: Named, squares: Named, grads: Named, rates: Moving, constants: Decays, unit: bool
) -> None:
    """One step of Adam, in place, with any leading axes; with a unit decoder its rows stay unit vectors.

    Of such a row the part of the gradient along it is removed before, and the row is rescaled after.

    Args:
        weights, means, squares, grads: by name; weights and Adam's moments are changed.
        rates, constants: ``moving`` and ``constants`` of :class:`Rates`; compiled, the first are scalar tensors.
        unit: whether the rows of ``W_dec`` are unit vectors.

    Source: Kingma and Ba 2015; Bricken et al. 2023 for the decoder.
    """
    if unit:
        grads = {**grads, "W_dec": across(grads["W_dec"], weights["W_dec"])}
    advance(weights, means, squares, grads, rates, constants, unit)


def across(grad: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
    """A gradient without its part along the unit rows (..., d_in) that it is of."""
    return grad - (grad * units).sum(dim=-1, keepdim=True) * units


def advance(
    weights: Named, means: Named, squares: Named, grads: Named, rates: Moving, constants: Decays, unit: bool
) -> None:
    """:func:`update` by gradients that lie across unit rows already."""
    # In place, tensor by tensor: beside the gradients nothing of the size of the weights is made but ``bound``.
    (step, correct2), (beta1, beta2, eps) = rates, constants
    for name, weight in weights.items():
        grad = grads[name]
        means[name].mul_(beta1).add_(grad, alpha=1 - beta1)
        squares[name].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        bound = (squares[name] / correct2).sqrt_().add_(eps)
        weight.addcdiv_(means[name], bound, value=step)  # pyright: ignore[reportArgumentType,reportCallIssue]
        if name == "W_dec" and unit:
            weight.div_(weight.norm(dim=-1, keepdim=True).clamp_min(1e-30))
