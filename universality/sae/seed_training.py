"""The training of one seed's dictionary: its state, its history, and what it ends in."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from universality.brief_repr import brief_repr
from universality.sae.autograd_step import AutogradStep, Rates, StepOutcome, Stepper
from universality.sae.base import SparseAutoencoder
from universality.sae.fused import FusedUpdate
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.stream import rows_to_measure, sample_rows
from universality.sae.topk import runs_kernels
from universality.sae.training_state import TrainingState
from universality.seeds import derive_seed, generator

REPORTED_TAIL = 0.05
"""Share of the steps at the end over which the reported fvu and l0 are averaged."""
HISTORY = ("loss", "fvu", "l0")


@brief_repr
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


def make_stepper(
    config: SAETrainingConfig, state: TrainingState, n_steps: int, fused: FusedUpdate | None = None
) -> Stepper:
    """The step of one dictionary: by kernels where its architecture has some and its tensors suit them."""
    kernels = config.kind.kernel_step(config, state, n_steps) if runs_kernels(state.p.W_dec) else None
    return kernels or AutogradStep(config, state, n_steps, fused)


def folded(config: SAETrainingConfig, state: TrainingState, scale: float) -> SparseAutoencoder:
    """The dictionary for raw activations, of a training on activations times ``scale``.

    What its activation does not tell, ``metadata`` does: the architecture it was trained as.
    """
    p, kind = state.p, config.kind
    weights: dict[str, Any] = {"W_enc_rows": p.W_enc_rows, "W_dec": p.W_dec.clone(), "b_enc": p.b_enc / scale}
    weights |= kind.folded(config, state, scale)
    return SparseAutoencoder(
        W_enc=weights.pop("W_enc_rows").T.contiguous(),
        **weights,
        b_dec=p.b_dec / scale,
        subtract_b_dec=kind.subtract_b_dec,
        metadata={"training_architecture": kind.name} if kind.named_in_metadata else {},
    )


class SeedTraining:
    """The training of one dictionary.

    Args:
        config: architecture, size and optimiser.
        start: weights to start from, by name.
        state: where they lie, with moments and counters; written to in place.
        stepper: takes its steps on these.
        sae_seed: of the rows that dead latents start afresh from.
        scale: factor on the rows.
    """

    def __init__(
        self,
        config: SAETrainingConfig,
        start: Mapping[str, np.ndarray],
        state: TrainingState,
        stepper: Stepper,
        *,
        sae_seed: int,
        scale: np.float32,
    ):
        self.config, self.state, self.stepper = config, state, stepper
        self.sae_seed, self.scale = sae_seed, scale
        for name, value in state.p.named().items():
            value.copy_(torch.from_numpy(start[name]))
        self._first = start["W_dec"]
        self.diverged = False
        self.history: dict[str, list[float]] = {name: [] for name in HISTORY}
        self._resampling = config.resampling(config.n_steps)

    @property
    def done(self) -> int:
        """Steps taken."""
        return len(self.history["loss"])

    def dead(self) -> torch.Tensor:
        """Numbers of the latents that did not fire in ``dead_after`` rows."""
        return torch.nonzero(self.state.silent >= self.config.dead_after).flatten()

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
        if silent_for is None or self.diverged:
            return
        assert isinstance(self.stepper, AutogradStep)
        count = rows_to_measure(int(activations.shape[1]))
        rows = sample_rows(activations, count, derive_seed(self.sae_seed, "sae-resample-rows", self.done))
        x = torch.from_numpy(rows * self.scale).to(self.state.silent.device)
        rng = generator(self.sae_seed, "sae-resample", self.done)
        self.config.kind.resample(self.stepper, x, silent_for, self.done, rng)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that a resumed training needs."""
        tensors = {name: value.cpu().numpy().copy() for name, value in self.state.named().items()}
        return tensors | {k: np.array(values, dtype=np.float64) for k, values in self.history.items()}

    def restore(self, arrays: Mapping[str, np.ndarray], done: int) -> None:
        """Take over what :meth:`arrays` gave after so many steps; fewer than these of its own: it had diverged."""
        for name, value in self.state.named().items():
            value.copy_(torch.from_numpy(np.array(arrays[name])))
        self.history = {name: np.asarray(arrays[name]).tolist() for name in HISTORY}
        self.diverged = self.done < done

    def result(self, warnings: tuple[str, ...] = ()) -> SAETrainingResult:
        """What the training came to."""
        tail = max(1, round(REPORTED_TAIL * self.config.n_steps))
        last = {name: values[-tail:] or [math.nan] for name, values in self.history.items()}
        dead = len(self.dead())
        status = "diverged" if self.diverged else "dead" if dead == self.config.d_sae else "ok"
        decoder = self.state.p.W_dec.cpu().numpy().astype(np.float64)
        norms = np.linalg.norm(decoder, axis=1) * np.linalg.norm(self._first.astype(np.float64), axis=1)
        return SAETrainingResult(
            status=status,
            sae=folded(self.config, self.state, float(self.scale)),
            fvu=float(np.mean(last["fvu"])) if self.done else 1.0,
            l0=float(np.mean(last["l0"])) if self.done else 0.0,
            dead_fraction=dead / self.config.d_sae,
            init_cosine=(decoder * self._first).sum(axis=1) / np.where(norms > 0, norms, 1.0),
            history={name: np.array(values, dtype=np.float32) for name, values in self.history.items()},
            tokens=self.done * self.config.batch_rows,
            warnings=warnings,
        )
