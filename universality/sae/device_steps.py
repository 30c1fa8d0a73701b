"""Optimiser steps that a GPU takes on its own, as one graph where it can: the host looks every 50 steps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch

from universality.gpu import captured, compiled
from universality.sae.autograd_step import Batch, across, clipped, observation_decay, penalty_weight
from universality.sae.device_kernels import fused_for

if TYPE_CHECKING:
    from universality.sae.device_stream import Batches
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training_state import TrainingState

EVERY = 50
"""Steps between two looks of the host."""
SLOT_SHARE, FEWEST_SLOTS = 64, 64
"""The auxiliary loss looks at multiples of this part of the latents, and at least at so many: one graph for each."""
TOO_MANY_DEAD = -1.0
"""What stands in the place of a loss where more latents were dead than the step looks at; no loss is negative."""


class Look(NamedTuple):
    """What the host saw of some steps.

    Attributes:
        loss, fvu, l0: of every step that was taken, one number per seed. A loss that is not finite belongs to a seed
            that had diverged: that step and those after it changed nothing of it.
        dead: latents counted as dead after them, per seed.
    """

    loss: list[list[float]]
    fvu: list[list[float]]
    l0: list[list[float]]
    dead: list[int]


class DeviceSteps:
    """Steps of one dictionary, or of several seeds as one, in operations of the device alone.

    What a step depends on lies in tensors that stay: its batch, the rates of the next 50 steps, the number of the step
    among them, what it measured. A loss that is not finite raises its seed's flag there, and from then on nothing of
    that seed changes, so weights are never worse than one by one, however late the host looks.

    How many latents the auxiliary loss looks at is a shape, so it is the host's to say: ``slots``. Where more are dead
    a step changes nothing, nor do those after it; the host sees that, gives it more slots, and takes them again. So
    every step has the gradient of all its dead latents.

    On the CPU it takes the same steps, uncaptured.

    Args:
        config: of the training.
        state: changed in place, always in the same memory; its tensors may have a leading axis of seeds.
        learning_rate: maps the number of a step, from 0, to its learning rate.
        compile_: whether the decoder's projection is compiled too.

    Attributes:
        slots: latents that the auxiliary loss looks at; part of what a resumed training must know, for products over
            more slots round differently.
        stopped: bool, one per seed: nothing of it changes any more.
        warnings: what did not go as asked.
    """

    def __init__(
        self,
        config: SAETrainingConfig,
        state: TrainingState,
        learning_rate: Callable[[int], float],
        *,
        compile_: bool = False,
    ):
        self.config, self.state, self._learning_rate = config, state, learning_rate
        self.slots, self.warnings, self._compile = 0, list[str](), compile_
        W_dec = state.p.W_dec
        self.device, self._seeds = W_dec.device, W_dec.shape[:-2]
        zeros = partial(torch.zeros, device=self.device)
        self._x = zeros(config.batch_rows, W_dec.shape[-1])
        # Learning rate and weight of the penalty of the next steps, and of this one.
        self._settings, self._lr, self._penalty = zeros(EVERY, 4), zeros(()), zeros(())
        self._corrected = zeros(2)  # learning rate by the first moment's correction, and the root of the second's
        self._number, self._t = zeros(1, dtype=torch.int64), zeros(())
        self.stopped, self._short = zeros(self._seeds, dtype=torch.bool), zeros((), dtype=torch.bool)
        d_in = W_dec.shape[-1]
        self._revives = config.kind.revives and config.aux_coefficient > 0 and config.auxiliary_latents(d_in) > 0
        self._told = zeros(EVERY, 3, *self._seeds)
        self._across, self._unit = across, unit_rows
        self._graphs: dict[int, Callable[[], None]] = {}
        self._captures = self.device.type == "cuda"
        self._pool = torch.cuda.graph_pool_handle() if self.device.type == "cuda" else None
        self._fused, reason = fused_for(W_dec)
        self.warnings += [reason] if reason else []

    @property
    def n_seeds(self) -> int:
        """Dictionaries that take their steps as one."""
        return self._seeds.numel()

    def run(self, batches: Batches, first: int, count: int, scale: float) -> Look:
        """Take steps ``first … first + count - 1``, at most ``EVERY``, or the first of them; then look, once.

        Args:
            batches: rows of the steps.
            first: number of the first step, from 0.
            count: of steps.
            scale: factor on the rows.
        """
        self._load(first)
        if self.slots not in self._graphs:
            with batches.paused():
                self._graphs[self.slots] = self._fastest()
        take, size = self._graphs[self.slots], self.config.batch_rows
        for step in range(first, first + count):
            torch.mul(batches.batch(step * size, size), scale, out=self._x)
            take()
        dead = (self.state.silent >= self.config.dead_after).sum(dim=-1)
        told = torch.cat([self._told.flatten(), dead.flatten().to(self._told.dtype)]).tolist()
        n, measures = self.n_seeds, iter(told)
        rows = [[[next(measures) for _ in range(n)] for _ in range(3)] for _ in range(EVERY)][:count]
        dead = [round(next(measures)) for _ in range(n)]
        taken = next((i for i, row in enumerate(rows) if row[0][0] == TOO_MANY_DEAD), count)
        if taken < count:
            self.fit_slots(dead)
        loss, fvu, l0 = ([row[part] for row in rows[:taken]] for part in range(3))
        return Look(loss, fvu, l0, dead)

    def fit_slots(self, dead: Sequence[int]) -> None:
        """As many slots as are needed for so many dead latents of each seed."""
        piece = max(FEWEST_SLOTS, self.config.d_sae // SLOT_SHARE)
        wanted = math.ceil(max(dead) / piece) * piece if self._revives else 0
        self.slots = min(self.config.d_sae, wanted)

    def step(self) -> None:
        """One step, in operations of the device alone."""
        config, state, kind = self.config, self.state, self.config.kind
        now = self._settings.index_select(0, self._number)[0]
        self._lr.copy_(now[0])
        self._penalty.copy_(now[1])
        self._corrected.copy_(now[2:])
        dead = state.silent >= config.dead_after
        if self._revives:
            self._short.logical_or_(dead.sum(dim=-1).max() > self.slots)
        leaves = {name: value.detach().requires_grad_() for name, value in state.p.named().items()}
        batch = Batch(config, self._x, dead if self.slots else None, self._penalty, self.slots or None)
        losses = kind.losses(leaves, batch)
        loss, values = losses.loss.detach(), losses.values.detach()
        self.stopped.logical_or_((torch.isfinite(loss) | self._short).logical_not())
        held = self.stopped | self._short
        # No seed's loss depends on another's weights, so the sum's gradient is each seed's own.
        grads = torch.autograd.grad(losses.loss.sum(), list(leaves.values()))
        active = (values > 0).flatten(held.ndim).sum(dim=-1)
        measures = torch.stack([loss, losses.fvu.detach(), active / len(self._x)])
        measures = measures.masked_fill(held, math.nan).masked_fill(self._short, TOO_MANY_DEAD)
        self._told.index_copy_(0, self._number, measures.unsqueeze(0))
        self._apply(dict(zip(leaves, grads, strict=True)), held)
        keep = held.unsqueeze(-1)
        # Rows since a latent fired, counted to the end of the batch.
        silent = (state.silent + len(self._x)).masked_fill(losses.fired, 0)
        state.silent.copy_(torch.where(keep, state.silent, silent))
        before = {name: value.clone() for name, value in state.buffers.items()}
        kind.observe(values, state, observation_decay(config.n_steps))
        for name, value in state.buffers.items():
            value.copy_(torch.where(held.view(*held.shape, *[1] * (value.ndim - held.ndim)), before[name], value))
        self._number += 1
        self._t += 1

    def _apply(self, grads: dict[str, torch.Tensor], held: torch.Tensor) -> None:
        """Adam in one kernel per seed; of a seed that is held nothing changes."""
        config, kind, axes = self.config, self.config.kind, held.ndim
        weights, means, squares = (part.named() for part in (self.state.p, self.state.m, self.state.v))
        if kind.clip is not None:
            grads = clipped(grads, kind.clip, axes)
        fused = self._fused if kind.unit_decoder else None
        by_torch = kind.unit_decoder and fused is None
        if by_torch:
            grads = {**grads, "W_dec": self._across(grads["W_dec"], weights["W_dec"])}
        elif fused:
            decoder = (part.pop("W_dec") for part in (weights, means, squares, grads))
            fused.update_units(*decoder, held, self._corrected, (*config.betas, config.eps))
        grads = {name: grad.contiguous() for name, grad in grads.items()}
        parts = [[part[name] for name in weights] for part in (weights, grads, means, squares)]
        for number, of_seed in enumerate(held.reshape(-1).unbind()):
            own = [[value.select(0, number) for value in part] for part in parts] if axes else parts
            torch.ops.aten._fused_adam_.tensor_lr(
                *own,
                [],
                [self._t] * len(weights),
                lr=self._lr,
                beta1=config.betas[0],
                beta2=config.betas[1],
                weight_decay=0.0,
                eps=config.eps,
                amsgrad=False,
                maximize=False,
                found_inf=of_seed.to(self._lr.dtype),  # as for scaled gradients: where it is 1, nothing is changed
            )
        if by_torch:
            self._unit(weights["W_dec"], held.view(*held.shape, 1, 1))

    def _load(self, first: int) -> None:
        """Bring what the steps from ``first`` on depend on to the device."""
        steps = range(first, first + EVERY)
        config, (beta1, beta2) = self.config, self.config.betas
        rates = [
            (
                lr := self._learning_rate(i),
                penalty_weight(config, i + 1, config.n_steps),
                lr / (1 - beta1 ** (i + 1)),
                math.sqrt(1 - beta2 ** (i + 1)),
            )
            for i in steps
        ]
        self._settings.copy_(torch.tensor(rates))
        self._rewind(first)

    def _rewind(self, first: int) -> None:
        self._number.zero_()
        self._t.fill_(first + 1)
        self._short.zero_()

    def _fastest(self) -> Callable[[], None]:
        """The step by the fastest way that works here: compiled and captured, captured, one kernel after the other."""
        if not self._captures:
            return self.step
        plain, take = (self._across, self._unit), None
        if self._compile:
            self._across, self._unit = compiled(across), compiled(unit_rows)
            take = self._attempt("The decoder's projection could not be compiled and runs uncompiled")
        if take is None:
            self._compile, (self._across, self._unit) = False, plain
            take = self._attempt("The dictionary's step could not be captured as a CUDA graph and runs without")
            self._captures = take is not None
        return take or self.step

    def _attempt(self, failure: str) -> Callable[[], None] | None:
        """The step as a graph; None, and a warning, where that fails. Nothing that is trained changes here."""
        first, stopped = float(self._t) - 1, self.stopped.clone()
        self.stopped.fill_(True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice of the compiler
                return captured(self.step, pool=self._pool)
        except Exception as error:
            # Compilers and drivers fail in many ways; a fault of the step itself is raised by the plain step again.
            reason = str(error).strip().split("\n")[0]
            self.warnings.append(f"{failure}: {type(error).__name__}: {reason}")
            return None
        finally:
            self.stopped.copy_(stopped)
            self._rewind(int(first))


def unit_rows(W_dec: torch.Tensor, held: torch.Tensor) -> None:
    """Rescale the decoder's rows (..., d_sae, d_in) to unit vectors, in place, but of those that are held.

    Args:
        W_dec: changed.
        held: bool (..., 1, 1).
    """
    norms = W_dec.norm(dim=-1, keepdim=True).clamp_min(1e-30)
    W_dec.div_(norms.masked_fill(held, 1.0))
