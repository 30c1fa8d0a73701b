"""Training a dictionary of any architecture: exactly resumable, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from universality.denormals import flushed_denormals
from universality.errors import InputError, must_be
from universality.sae.architectures import folded, input_scale, make_stepper, starting_point
from universality.sae.architectures.penalised import ReLU2023Step
from universality.sae.architectures.resampling import rows_to_measure
from universality.sae.base import SparseAutoencoder
from universality.sae.config import SAETrainingConfig
from universality.sae.stepper import Parameters, Rates
from universality.sae.stream import RowStream, geometric_median, sample_rows
from universality.seeds import derive_seed, generator

SAMPLE_ROWS = 8192
"""Rows that the scale and the initial bias are estimated on."""
REPORTED_TAIL = 0.05
"""Share of the steps at the end over which the reported fvu and l0 are averaged."""
HISTORY = ("loss", "fvu", "l0")

State = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]
"""Arrays and JSON-able facts of an interrupted training, as ``on_state`` received them."""


@dataclass(frozen=True, eq=False)
class SAETrainingResult:
    """Outcome of :func:`train_sae`.

    Attributes:
        status: ``ok``; ``diverged`` (a loss that is not finite; the weights are those before it); ``dead`` (no
            latent fired in the last ``dead_after`` rows).
        sae: the dictionary, on raw activations, unit-norm decoder.
        fvu, l0: means over the last steps of training.
        dead_fraction: share of latents that did not fire in the last ``dead_after`` rows.
        init_cosine: (d_sae,) cosine of each decoder row to its own initialisation, in [-1, 1].
        history: ``loss``, ``fvu`` and ``l0`` of every step, float32 (n_steps,).
        tokens: rows trained on.
    """

    status: Literal["ok", "diverged", "dead"]
    sae: SparseAutoencoder
    fvu: float
    l0: float
    dead_fraction: float
    init_cosine: np.ndarray
    history: dict[str, np.ndarray]
    tokens: int

    @property
    def max_init_cosine(self) -> float:
        """The largest of ``init_cosine``: how much of its start the least moved latent keeps."""
        return float(self.init_cosine.max())


def train_sae(
    activations: Any,
    config: SAETrainingConfig,
    *,
    sae_seed: int,
    state: State | None = None,
    on_state: Callable[[dict[str, np.ndarray], dict[str, Any]], None] | None = None,
    state_every: int = 200,
    progress: Callable[..., None] | None = None,
    device: str = "cpu",
) -> SAETrainingResult:
    """Train a dictionary of the config's architecture on stored activations.

    On the CPU it uses as many threads as torch does.

    Args:
        activations: (n, d_in), an array, memory map or sharded rows; float16 is widened as it is read.
        config: architecture, size and optimiser.
        sae_seed: seed of initialisation and order of rows, nothing else.
        state: what ``on_state`` received, to resume. With one number of CPU threads the outcome has the same
            bytes as without the interruption.
        on_state: called as ``on_state(arrays, meta)`` every ``state_every`` steps.
        state_every: steps between two states; no influence on the result.
        progress: called as ``progress(done_rows, all_rows, fvu=…, dead=…)``.
        device: ``"cpu"`` or a torch device.

    Returns:
        The outcome; numbers that stop being finite are a status.

    Raises:
        InputError: activations that are no (n, d_in) rows or not finite, or a foreign state.

    Source: Gao et al. 2024 (TopK, aux-k, unit-norm decoder, tied initialisation); Bricken et al. 2023
        (geometric median, gradient parallel to the decoder removed); the other architectures' in
        :mod:`universality.sae.architectures`.
    """
    sample = _sample(activations, sae_seed)
    n, d_in = (int(size) for size in activations.shape)
    scale = input_scale(sample, config.architecture) if config.normalise else 1.0
    initial = starting_point(_initialise(sample * np.float32(scale), config.d_sae, sae_seed), config)
    run = _Run(initial, config, scale, device)
    identity = {"config": config.model_dump(mode="json"), "sae_seed": int(sae_seed), "rows": [n, d_in]}
    if state is not None:
        run.restore(state, identity)
    stream = RowStream(activations, config.batch_rows, derive_seed(sae_seed, "sae-order"))
    diverged = False
    with flushed_denormals():
        while run.done < run.n_steps and not diverged:
            diverged = not run.step(stream.batch(run.done * config.batch_rows, config.batch_rows))
            if not diverged:
                run.resample(activations, sae_seed)
            if (
                on_state is not None
                and run.done % state_every == 0
                and not diverged
                and run.done < run.n_steps
            ):
                on_state(run.arrays(), {"step": run.done, **identity})
            if progress is not None and (run.done % 10 == 0 or run.done == run.n_steps):
                progress(*run.progress(), fvu=round(run.history["fvu"][-1], 4), dead=len(run.dead()))
    run.stepper.close()
    return run.result("diverged" if diverged else "ok", initial["W_dec"])


def schedule(step: int, n_steps: int, config: SAETrainingConfig) -> float:
    """Learning rate of a step as a share of the peak: linear rise, plateau, linear fall to 0."""
    warmup, decay = round(config.warmup * n_steps), round(config.decay * n_steps)
    rise = (step + 1) / warmup if step < warmup else 1.0
    return min(rise, (n_steps - step) / decay if decay else 1.0, 1.0)


def _sample(activations: Any, sae_seed: int) -> np.ndarray:
    shape = tuple(activations.shape)
    if len(shape) != 2 or shape[0] < 1 or shape[1] < 1:
        remedy = "Flatten contexts into rows."
        raise InputError(must_be("shape", "activations", "(n >= 1, d_in >= 1)", shape, remedy))
    sample = sample_rows(activations, SAMPLE_ROWS, derive_seed(sae_seed, "sae-sample"))
    if not np.isfinite(sample).all():
        remedy = "Harvest them again, in float32 if they overflow."
        raise InputError(must_be("values", "activations", "finite", "NaN or infinity", remedy))
    return sample


def _initialise(sample: np.ndarray, d_sae: int, sae_seed: int) -> dict[str, np.ndarray]:
    """Random unit decoder, encoder its transpose, decoder bias the geometric median."""
    directions = generator(sae_seed, "sae-init").standard_normal((d_sae, sample.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return {
        "W_enc_rows": directions.astype(np.float32),
        "W_dec": directions.astype(np.float32),
        "b_enc": np.zeros(d_sae, dtype=np.float32),
        "b_dec": geometric_median(sample).astype(np.float32),
    }


class _Run:
    """Weights, moments and counters of a training."""

    def __init__(self, initial: dict[str, np.ndarray], config: SAETrainingConfig, scale: float, device: str):
        self.config, self.scale, self.device = config, np.float32(scale), torch.device(device)
        self.n_steps = max(1, math.ceil(config.tokens / config.batch_rows))
        self.p = Parameters.of({k: torch.from_numpy(held.copy()).to(device) for k, held in initial.items()})
        self.m, self.v = self.p.zeros_like(), self.p.zeros_like()
        self.silent = torch.zeros(config.d_sae, dtype=torch.int64, device=device)
        self.history: dict[str, list[float]] = {name: [] for name in HISTORY}
        self.stepper = make_stepper(config, self.p, self.m, self.v, self.silent, self.n_steps)
        self.resampling = config.resampling(self.n_steps)

    @property
    def done(self) -> int:
        """Steps taken."""
        return len(self.history["loss"])

    def dead(self) -> torch.Tensor:
        """Numbers of the latents that did not fire in ``dead_after`` rows."""
        return torch.nonzero(self.silent >= self.config.dead_after).flatten()

    def progress(self) -> tuple[int, int]:
        """Rows trained on, and rows in all."""
        return self.done * self.config.batch_rows, self.n_steps * self.config.batch_rows

    def step(self, batch: np.ndarray) -> bool:
        """One optimiser step; False, and nothing changed, where the loss is not finite."""
        config = self.config
        lr = config.peak_lr * schedule(self.done, self.n_steps, config)
        x = torch.from_numpy(np.multiply(batch, self.scale, out=batch)).to(self.device)
        outcome = self.stepper.step(x, self.dead(), Rates(lr, *config.betas, config.eps, self.done + 1))
        if not math.isfinite(outcome.loss):
            return False
        for name in HISTORY:
            self.history[name].append(getattr(outcome, name))
        return True

    def resample(self, activations: Any, sae_seed: int) -> None:
        """Where the recipe says so after this step, let dead latents start afresh."""
        silent_for = self.resampling.get(self.done)
        if silent_for is None or not isinstance(self.stepper, ReLU2023Step):
            return
        count = rows_to_measure(int(activations.shape[1]))
        rows = sample_rows(activations, count, derive_seed(sae_seed, "sae-resample-rows", self.done))
        x = torch.from_numpy(rows * self.scale).to(self.device)
        self.stepper.resample(x, silent_for, self.done, generator(sae_seed, "sae-resample", self.done))

    def arrays(self) -> dict[str, np.ndarray]:
        """All that a resumed training needs."""
        found = {"silent": self.silent.cpu().numpy().copy()}
        for group, held in (("weight", self.p), ("m", self.m), ("v", self.v)):
            found |= {f"{group}/{k}": value.cpu().numpy().copy() for k, value in held.named().items()}
        found |= {f"extra/{k}": held.cpu().numpy().copy() for k, held in self.stepper.extra_state().items()}
        return found | {k: np.array(values, dtype=np.float64) for k, values in self.history.items()}

    def restore(self, state: State, identity: dict[str, Any]) -> None:
        """Take over a state, if it belongs to this training."""
        arrays, meta = state
        stored = {name: meta.get(name) for name in identity}
        if stored != identity:
            wanted = f"of the same training ({identity})"
            remedy = "Resume with the config, sae_seed and activations it was started with, or start afresh."
            raise InputError(must_be("state", "a resumed training", wanted, stored, remedy))
        for group, held in (("weight", self.p), ("m", self.m), ("v", self.v)):
            for name, value in held.named().items():
                value.copy_(torch.from_numpy(np.array(arrays[f"{group}/{name}"])))
        for name, held in self.stepper.extra_state().items():
            held.copy_(torch.from_numpy(np.array(arrays[f"extra/{name}"])))
        self.silent.copy_(torch.from_numpy(np.array(arrays["silent"])))
        self.history = {name: np.asarray(arrays[name]).tolist() for name in HISTORY}

    def result(self, status: Literal["ok", "diverged", "dead"], initial: np.ndarray) -> SAETrainingResult:
        """What the training came to; ``initial`` is the decoder it started from."""
        tail = max(1, round(REPORTED_TAIL * self.n_steps))
        last = {name: values[-tail:] or [math.nan] for name, values in self.history.items()}
        dead = len(self.dead())
        if status == "ok" and dead == self.config.d_sae:
            status = "dead"
        now = self.p.W_dec.cpu().numpy().astype(np.float64)
        norms = np.linalg.norm(now, axis=1) * np.linalg.norm(initial.astype(np.float64), axis=1)
        return SAETrainingResult(
            status=status,
            sae=folded(self.config, self.p, self.stepper, float(self.scale)),
            fvu=float(np.mean(last["fvu"])) if self.done else 1.0,
            l0=float(np.mean(last["l0"])) if self.done else 0.0,
            dead_fraction=dead / self.config.d_sae,
            init_cosine=(now * initial).sum(axis=1) / np.where(norms > 0, norms, 1.0),
            history={name: np.array(values, dtype=np.float32) for name, values in self.history.items()},
            tokens=self.done * self.config.batch_rows,
        )
