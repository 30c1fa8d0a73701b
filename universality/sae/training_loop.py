"""The loop of a training, and several of them side by side over one read of their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from universality.denormals import flushed_denormals
from universality.sae.device_stream import batches
from universality.sae.seed_group import DeviceGroup, SeedGroup, State, steps_until
from universality.sae.seed_training import SAETrainingResult
from universality.sae.stream import RowStream, training_stream

if TYPE_CHECKING:
    from universality.sae.device_stream import Batches
    from universality.sae.sae_config import SAETrainingConfig

OnState = Callable[[dict[str, np.ndarray], dict[str, Any]], None]


class TrainingLoop:
    """Dictionaries of one config on their way, from step to step.

    Args:
        activations: rows, as ``train_sae`` takes them.
        sample: those that scale and centre are estimated on.
        config: of all.
        sae_seeds: seeds of their initialisation.
        identity: what a state must belong to.
        state, on_state, state_every, progress, device, compile: see ``TrainingOptions``.
    """

    def __init__(
        self,
        activations: Any,
        sample: np.ndarray,
        config: SAETrainingConfig,
        sae_seeds: Sequence[int],
        identity: dict[str, Any],
        *,
        state: State | None = None,
        on_state: OnState | None = None,
        state_every: int = 200,
        progress: Callable[..., None] | None = None,
        device: str = "cpu",
        compile: bool = False,  # noqa: A002 - the name that torch has for it
    ) -> None:
        self.config, self._activations = config, activations
        self._identity = {**identity, "rows": [int(size) for size in activations.shape]}
        self._on_state, self._state_every, self._progress = on_state, state_every, progress
        kind = DeviceGroup if runs_batched(config, torch.device(device)) else SeedGroup
        self._group = kind(
            sample,
            config,
            sae_seeds,
            device,
            lambda step: config.peak_lr * schedule(step, config.n_steps, config),
            compile_=compile,
        )
        if state is not None:
            self._group.restore(state, self._identity)
        self._fresh_starts = sorted(config.resampling(config.n_steps))
        self.interrupted = False

    @property
    def finished(self) -> bool:
        """Whether no step is left, or nobody to take it."""
        return self._group.done >= self.config.n_steps or not self._group.running

    @property
    def place(self) -> int:
        """Place in the stream of the next row."""
        return self._group.done * self.config.batch_rows

    def advance(self, rows: Batches, most: int | None = None) -> None:
        """Take one step or several, at most ``most``, and tell of them."""
        group, before, size = self._group, self._group.done, self.config.batch_rows
        until = steps_until(before, self._state_every if self._on_state else None, self._fresh_starts)
        group.advance(rows, until if most is None else min(most, until))
        if group.done == before and group.running:
            return  # it has to be taken otherwise
        with rows.paused():
            for training in group.running:
                training.resample(self._activations)
        if not group.running:
            return
        if group.done % self._state_every == 0 and group.done < self.config.n_steps:
            self.save()
        if self._progress is not None and group.reports:
            try:
                self._progress(group.done * size, self.config.n_steps * size, **group.facts())
            except (KeyboardInterrupt, InterruptedError):
                self.save()
                self.interrupted = True
                raise

    def save(self) -> None:
        """Hand out the state, if somebody takes it."""
        if self._on_state is not None:
            self._on_state(self._group.arrays(), {**self._group.meta(), **self._identity})

    def results(self) -> tuple[SAETrainingResult, ...]:
        """What became of each dictionary."""
        return tuple(training.result(self._group.warnings) for training in self._group.trainings)

    def close(self) -> None:
        """End what the steps started."""
        self._group.close()


class SharedBatches:
    """The batches of several trainings: one that lies in two buffers is kept, so that neither is read again for it.

    Args:
        batches: of the stream.
        layout: a stream of the same order; nothing is read from it.
        several: whether there are several trainings.
    """

    def __init__(self, batches: Batches, layout: RowStream, several: bool) -> None:
        self._batches, self._layout, self._several = batches, layout, several
        self._kept: tuple[tuple[int, int], torch.Tensor] | None = None
        self.paused = batches.paused

    def left(self, place: int) -> int:
        """Rows from a place to the end of its buffer."""
        buffer = self._layout.buffer_at(place)
        return buffer.first + len(buffer.order) - place

    def batch(self, start: int, count: int) -> torch.Tensor:
        """As :meth:`Batches.batch`."""
        if self._kept is not None and self._kept[0] == (start, count):
            return self._kept[1].clone()
        x = self._batches.batch(start, count)
        if self._several and count > self.left(start):
            self._kept = ((start, count), x.clone())
        return x

    def close(self) -> None:
        """End what reads ahead."""
        self._batches.close()


def run_loops(loops: Sequence[TrainingLoop], activations: Any, order_seed: int, device: str) -> None:
    """Take all loops to their ends over one stream of rows: each buffer is read once for all of them.

    They take turns at a buffer, whoever is furthest behind first; so those that go on from states of their own meet
    after a while. Where one is interrupted, all save their state.

    Args:
        loops: of configs with equal batches, steps and buffers.
        activations, order_seed, device: of all.
    """
    config = loops[0].config
    stream, layout = (training_stream(activations, config, order_seed) for _ in range(2))
    rows = batches(stream, torch.device(device), config.n_steps * config.batch_rows)
    shared = SharedBatches(rows, layout, len(loops) > 1)
    with ExitStack() as stack:
        for part in (shared, *loops):
            stack.enter_context(closing(part))
        stack.enter_context(flushed_denormals())
        try:
            _take_turns(loops, shared)
        except (KeyboardInterrupt, InterruptedError):
            if any(loop.interrupted for loop in loops):  # else in the midst of a step
                for loop in loops:
                    if not loop.interrupted:
                        loop.save()
            raise


def _take_turns(loops: Sequence[TrainingLoop], rows: SharedBatches) -> None:
    while len(loops) == 1 and not loops[0].finished:
        loops[0].advance(rows)
    while waiting := [loop for loop in loops if not loop.finished]:
        behind = min(waiting, key=lambda loop: loop.place)
        size = behind.config.batch_rows
        end = behind.place + size * max(1, rows.left(behind.place) // size)
        while not behind.finished and behind.place < end:
            behind.advance(rows, (end - behind.place) // size)


def schedule(step: int, n_steps: int, config: SAETrainingConfig) -> float:
    """Learning rate of a step as a share of the peak: linear rise, plateau, linear fall to 0."""
    warmup, decay = round(config.warmup * n_steps), round(config.decay * n_steps)
    rise = (step + 1) / warmup if step < warmup else 1.0
    return min(rise, (n_steps - step) / decay if decay else 1.0, 1.0)


def runs_batched(config: SAETrainingConfig, device: torch.device) -> bool:
    """Whether the device takes steps on its own, of all seeds as one; on the CPU each keeps its step and its bytes."""
    return device.type != "cpu"
