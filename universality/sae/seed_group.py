"""Dictionaries of one config that are trained on the same batches: each by its own steps, or all as one on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from universality.errors import refusal
from universality.sae.autograd_step import AutogradStep, Rates, StepOutcome, Stepper
from universality.sae.device_steps import EVERY, DeviceSteps
from universality.sae.fused import FusedUpdate
from universality.sae.seed_training import SeedTraining, make_stepper
from universality.sae.stream import geometric_median
from universality.sae.training_state import Parameters, TrainingState
from universality.seeds import generator

if TYPE_CHECKING:
    from universality.sae.device_stream import Batches
    from universality.sae.sae_config import SAETrainingConfig

State = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]
"""Arrays and JSON-able facts of an interrupted training, as ``on_state`` received them."""
LearningRate = Callable[[int], float]
"""The learning rate of a step, by its number from 0."""
TOLD_EVERY = 10
"""Steps of the CPU between two reports of progress."""
REFIT_EVERY = 200
"""Steps after which the auxiliary loss looks at no more latents than need be; a multiple of EVERY."""


def initialised(centre: np.ndarray, d_sae: int, sae_seed: int) -> dict[str, np.ndarray]:
    """Random unit decoder, encoder its transpose, decoder bias the centre."""
    directions = generator(sae_seed, "sae-init").standard_normal((d_sae, len(centre)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return {
        "W_enc_rows": directions.astype(np.float32),
        "W_dec": directions.astype(np.float32),
        "b_enc": np.zeros(d_sae, dtype=np.float32),
        "b_dec": centre,
    }


class SeedGroup:
    """Dictionaries of one config that see the same batches, each with a step of its own, read after every step.

    Args:
        sample: rows that scale and centre are estimated on.
        config: of all.
        sae_seeds: seeds of their initialisation.
        device: where they are trained.
        learning_rate: of a step.
        compile_: whether what can be compiled is.
    """

    def __init__(
        self,
        sample: np.ndarray,
        config: SAETrainingConfig,
        sae_seeds: Sequence[int],
        device: str,
        learning_rate: LearningRate,
        *,
        compile_: bool = False,
    ):
        self.config, self.device, self._learning_rate = config, torch.device(device), learning_rate
        self.scale = np.float32(config.kind.scale(sample) if config.normalise else 1.0)
        centre = geometric_median(sample * self.scale).astype(np.float32)
        starts = [config.kind.start(initialised(centre, config.d_sae, seed), config) for seed in sae_seeds]
        # Weights of all seeds lie in one tensor per name, so that a batched step may take them as they are.
        zeros = {name: torch.zeros((len(starts), *v.shape), device=device) for name, v in starts[0].items()}
        self._state = TrainingState.fresh(Parameters.of(zeros), config.kind.buffers)
        self._begin(compile_)
        own = [self._state.of_seed(number) for number in range(len(starts))]
        self.trainings = [
            SeedTraining(config, start, state, self._stepper(state), sae_seed=seed, scale=self.scale)
            for start, state, seed in zip(starts, own, sae_seeds, strict=True)
        ]

    def _begin(self, compile_: bool) -> None:
        self._fused = FusedUpdate() if compile_ else None

    def _stepper(self, state: TrainingState) -> Stepper:
        return make_stepper(self.config, state, self.config.n_steps, self._fused)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What did not go as asked."""
        return () if self._fused is None or self._fused.warning is None else (self._fused.warning,)

    @property
    def running(self) -> list[SeedTraining]:
        """Those that did not diverge."""
        return [training for training in self.trainings if not training.diverged]

    @property
    def done(self) -> int:
        """Steps taken."""
        return max(training.done for training in self.trainings)

    @property
    def reports(self) -> bool:
        """Whether progress is told after this step."""
        return self.done % TOLD_EVERY == 0 or self.done == self.config.n_steps

    def facts(self) -> dict[str, float]:
        """Mean fvu of the last batch, and dead latents of all."""
        fvu = [training.history["fvu"][-1] for training in self.running]
        return {"fvu": round(sum(fvu) / len(fvu), 4), "dead": self._n_dead()}

    def _n_dead(self) -> int:
        return sum(len(training.dead()) for training in self.running)

    def advance(self, batches: Batches, most: int) -> None:
        """One optimiser step, or up to ``most``, of each that did not diverge."""
        config, size = self.config, self.config.batch_rows
        rates = Rates(self._learning_rate(self.done), *config.betas, config.eps, self.done + 1)
        x = batches.batch(self.done * size, size).mul_(float(self.scale))
        for training in self.running:
            training.step(x, rates)

    def meta(self) -> dict[str, Any]:
        """What a resumed training must know beside its identity and its arrays."""
        return {"step": self.done}

    def arrays(self) -> dict[str, np.ndarray]:
        """All that a resumed training needs; of several seeds under their numbers."""
        return {f"{at}{name}": v for at, training in self._named() for name, v in training.arrays().items()}

    def restore(self, state: State, identity: dict[str, Any]) -> None:
        """Take over a state, if it belongs to this training."""
        arrays, meta = state
        stored = {name: meta.get(name) for name in identity}
        if stored != identity:
            legal = f"of the same training ({identity})"
            remedy = "Resume with the config, seeds and activations it was started with, or start afresh."
            raise refusal("state", "a resumed training", legal, stored, remedy)
        for at, training in self._named():
            own = {name.removeprefix(at): value for name, value in arrays.items() if name.startswith(at)}
            training.restore(own, meta["step"])

    def close(self) -> None:
        """End what the steps started."""
        for training in self.trainings:
            training.stepper.close()

    def _named(self) -> list[tuple[str, SeedTraining]]:
        several = len(self.trainings) > 1
        return [(f"{i}/" if several else "", training) for i, training in enumerate(self.trainings)]


class DeviceGroup(SeedGroup):
    """The same by steps of a GPU, all seeds as one; looked at every 50 steps, when they are reported too."""

    def _begin(self, compile_: bool) -> None:
        # One seed has no axis of its own: plain products have better kernels than batches of one.
        state = self._state if len(self._state.silent) > 1 else self._state.of_seed(0)
        self._steps = DeviceSteps(self.config, state, self._learning_rate, compile_=compile_)
        self._dead = [0] * self._steps.n_seeds

    def _stepper(self, state: TrainingState) -> Stepper:
        return AutogradStep(self.config, state, self.config.n_steps)  # for fresh starts: it measures losses

    @property
    def warnings(self) -> tuple[str, ...]:
        """What did not go as asked."""
        return tuple(self._steps.warnings)

    @property
    def reports(self) -> bool:
        """Whether progress is told after these steps."""
        return True

    def _n_dead(self) -> int:
        return sum(n for n, training in zip(self._dead, self.trainings, strict=True) if not training.diverged)

    def advance(self, batches: Batches, most: int) -> None:
        """Up to ``most`` steps, and to the next multiple of 50 of them; the first of these where many latents died."""
        done = self.done
        if done % REFIT_EVERY == 0:  # at steps that no interrupt moves, and from what it saves
            self._steps.fit_slots(self._dead)
        count = min(most, EVERY - done % EVERY, self.config.n_steps - done)
        look = self._steps.run(batches, done, count, float(self.scale))
        for seed, training in enumerate(self.trainings):
            for measures in zip(look.loss, look.fvu, look.l0, strict=True):
                if not training.diverged:
                    training.record(StepOutcome(*(part[seed] for part in measures)))
        self._dead = look.dead

    def meta(self) -> dict[str, Any]:
        """What a resumed training must know beside its identity and its arrays."""
        return {**super().meta(), "slots": self._steps.slots}

    def restore(self, state: State, identity: dict[str, Any]) -> None:
        """Take over a state, if it belongs to this training."""
        super().restore(state, identity)
        self._steps.slots = int(state[1].get("slots", 0))
        self._dead = [len(training.dead()) for training in self.trainings]
        stopped = torch.tensor([training.diverged for training in self.trainings])
        self._steps.stopped.copy_(stopped.view_as(self._steps.stopped))


def steps_until(done: int, state_every: int | None, stops: Sequence[int]) -> int:
    """Steps until the state is saved or latents start afresh; of neither, as many as are taken between two looks."""
    ahead = [stop - done for stop in stops if stop > done]
    if state_every is not None:
        ahead.append(state_every - done % state_every)
    return min(ahead, default=EVERY)
