"""One dictionary in training: its weights, moments, counters and history, all that a resumed training needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from universality.sae.architectures import folded
from universality.sae.architectures.penalised import ReLU2023Step
from universality.sae.autograd_step import Parameters, Rates, StepOutcome, Stepper
from universality.sae.base import SparseAutoencoder
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.stream import rows_to_measure, sample_rows
from universality.seeds import derive_seed, generator

REPORTED_TAIL = 0.05
"""Share of the steps at the end over which the reported fvu and l0 are averaged."""
HISTORY = ("loss", "fvu", "l0")


@dataclass(frozen=True, eq=False)
class SAETrainingResult:
    """Outcome of a training.

    Attributes:
        status: ``ok``; ``diverged`` (a loss that is not finite; the weights are those before it); ``dead`` (no
            latent fired in the last ``dead_after`` rows).
        sae: the dictionary, on raw activations, unit-norm decoder.
        fvu, l0: means over the last steps of training.
        dead_fraction: share of latents that did not fire in the last ``dead_after`` rows.
        init_cosine: (d_sae,) cosine of each decoder row to its own initialisation, in [-1, 1].
        history: ``loss``, ``fvu`` and ``l0`` of every step, float32 (n_steps,).
        tokens: rows trained on.
        warnings: what did not go as asked, in sentences.
    """

    status: Literal["ok", "diverged", "dead"]
    sae: SparseAutoencoder
    fvu: float
    l0: float
    dead_fraction: float
    init_cosine: np.ndarray
    history: dict[str, np.ndarray]
    tokens: int
    warnings: tuple[str, ...] = ()

    @property
    def max_init_cosine(self) -> float:
        """The largest of ``init_cosine``: how much of its start the least moved latent keeps."""
        return float(self.init_cosine.max())


class Trainee:
    """One dictionary in training.

    Args:
        initial: weights to start from, by name.
        held: where they lie, and Adam's two moments: tensors of the same names, written to in place.
        silent: int64 (d_sae,), rows since a latent last fired.
        stepper: takes its steps on these.
        config: architecture, size and optimiser.
        sae_seed: of the rows that dead latents start afresh from.
        scale: factor on the rows.
        n_steps: optimiser steps in all.
    """

    def __init__(
        self,
        initial: Mapping[str, np.ndarray],
        held: tuple[Parameters, Parameters, Parameters],
        silent: torch.Tensor,
        stepper: Stepper,
        config: SAETrainingConfig,
        *,
        sae_seed: int,
        scale: np.float32,
        n_steps: int,
    ):
        self.config, self.sae_seed, self.scale, self.n_steps = config, sae_seed, scale, n_steps
        (self.p, self.m, self.v), self.silent, self.stepper = held, silent, stepper
        for name, value in self.p.named().items():
            value.copy_(torch.from_numpy(initial[name]))
        self._first = initial["W_dec"]
        self.diverged = False
        self.history: dict[str, list[float]] = {name: [] for name in HISTORY}
        self._resampling = config.resampling(n_steps)

    @property
    def done(self) -> int:
        """Steps taken."""
        return len(self.history["loss"])

    def dead(self) -> torch.Tensor:
        """Numbers of the latents that did not fire in ``dead_after`` rows."""
        return torch.nonzero(self.silent >= self.config.dead_after).flatten()

    def step(self, x: torch.Tensor, rates: Rates) -> None:
        """One optimiser step on scaled rows."""
        self.record(self.stepper.step(x, self.dead(), rates))

    def record(self, outcome: StepOutcome) -> None:
        """Note a step; where its loss was not finite nothing was changed, and the training has diverged."""
        if not math.isfinite(outcome.loss):
            self.diverged = True
            return
        for name in HISTORY:
            self.history[name].append(getattr(outcome, name))

    def resample(self, activations: Any) -> None:
        """Where the recipe says so after this step, let dead latents start afresh."""
        silent_for = self._resampling.get(self.done)
        if silent_for is None or self.diverged or not isinstance(self.stepper, ReLU2023Step):
            return
        count = rows_to_measure(int(activations.shape[1]))
        rows = sample_rows(activations, count, derive_seed(self.sae_seed, "sae-resample-rows", self.done))
        x = torch.from_numpy(rows * self.scale).to(self.silent.device)
        rng = generator(self.sae_seed, "sae-resample", self.done)
        self.stepper.resample(x, silent_for, self.done, rng)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that a resumed training needs."""
        found = {"silent": self.silent.cpu().numpy().copy()}
        for group, held in (("weight", self.p), ("m", self.m), ("v", self.v)):
            found |= {f"{group}/{k}": value.cpu().numpy().copy() for k, value in held.named().items()}
        found |= {f"extra/{k}": held.cpu().numpy().copy() for k, held in self.stepper.extra_state().items()}
        return found | {k: np.array(values, dtype=np.float64) for k, values in self.history.items()}

    def restore(self, arrays: Mapping[str, np.ndarray], done: int) -> None:
        """Take over what :meth:`arrays` gave after so many steps; fewer than these of its own: it had diverged."""
        for group, held in (("weight", self.p), ("m", self.m), ("v", self.v)):
            for name, value in held.named().items():
                value.copy_(torch.from_numpy(np.array(arrays[f"{group}/{name}"])))
        for name, held in self.stepper.extra_state().items():
            held.copy_(torch.from_numpy(np.array(arrays[f"extra/{name}"])))
        self.silent.copy_(torch.from_numpy(np.array(arrays["silent"])))
        self.history = {name: np.asarray(arrays[name]).tolist() for name in HISTORY}
        self.diverged = self.done < done

    def result(self, warnings: tuple[str, ...] = ()) -> SAETrainingResult:
        """What the training came to."""
        tail = max(1, round(REPORTED_TAIL * self.n_steps))
        last = {name: values[-tail:] or [math.nan] for name, values in self.history.items()}
        dead = len(self.dead())
        status = "diverged" if self.diverged else "dead" if dead == self.config.d_sae else "ok"
        now = self.p.W_dec.cpu().numpy().astype(np.float64)
        norms = np.linalg.norm(now, axis=1) * np.linalg.norm(self._first.astype(np.float64), axis=1)
        return SAETrainingResult(
            status=status,
            sae=folded(self.config, self.p, self.stepper, float(self.scale)),
            fvu=float(np.mean(last["fvu"])) if self.done else 1.0,
            l0=float(np.mean(last["l0"])) if self.done else 0.0,
            dead_fraction=dead / self.config.d_sae,
            init_cosine=(now * self._first).sum(axis=1) / np.where(norms > 0, norms, 1.0),
            history={name: np.array(values, dtype=np.float32) for name, values in self.history.items()},
            tokens=self.done * self.config.batch_rows,
            warnings=warnings,
        )
