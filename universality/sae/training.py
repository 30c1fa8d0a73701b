"""Training dictionaries of any architecture: exactly resumable, in bounded memory, several seeds at once."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from scipy.sparse import issparse

from universality.arguments import checked, flag, function, instance, matrix, maybe, several, whole
from universality.denormals import flushed_denormals
from universality.errors import refusal
from universality.sae.autograd_step import AutogradStep, Rates
from universality.sae.device_stream import batches
from universality.sae.fused import FusedUpdate
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.seed_training import SAETrainingResult, SeedTraining, make_stepper
from universality.sae.stream import SAMPLE_ROWS, geometric_median, sample_rows, training_stream
from universality.sae.training_state import Parameters, TrainingState
from universality.seeds import derive_seed, generator

State = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]
"""Arrays and JSON-able facts of an interrupted training, as ``on_state`` received them."""


class TrainingOptions(TypedDict, total=False):
    """How a training is run.

    With one number of CPU threads none but the device and ``compile`` has an influence on the result's bytes.

    Attributes:
        state: what ``on_state`` received, to resume.
        on_state: called as ``on_state(arrays, meta)`` every ``state_every`` (200) steps.
        progress: called as ``progress(done_rows, all_rows, fvu=…, dead=…)`` every 10 steps; of several seeds the mean
            fvu and the sum of dead latents. Where it raises an interrupt the state is saved before that goes on.
        device: ``"cpu"`` (the default) or a torch device.
        compile: whether the optimiser of a step under autograd is compiled, where there is a compiler; it rounds
            otherwise. The kernels of the top-k family on the CPU are compiled anyway.
    """

    state: State | None
    on_state: Callable[[dict[str, np.ndarray], dict[str, Any]], None] | None
    state_every: int
    progress: Callable[..., None] | None
    device: str
    compile: bool


def _rows(value: Any, name: str, call: str) -> Any:
    """Rows to train on: an array, or what has a shape and is read by slices."""
    is_stream = hasattr(value, "shape") and not isinstance(value, (np.ndarray, torch.Tensor)) and not issparse(value)
    return value if is_stream else matrix(value, name, call)


def _device(value: Any, name: str, call: str) -> str:
    try:
        torch.device(value)
    except (RuntimeError, TypeError) as error:
        raise refusal(name, call, "a torch device", repr(value), "Write cpu, cuda or cuda:1.") from error
    return str(value)


def _state(value: Any, name: str, call: str) -> Any:
    fits = isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(part, Mapping) for part in value)
    if not fits:
        raise refusal(name, call, "what on_state received, (arrays, meta)", type(value).__name__, "Leave it out.")
    return value


_OPTIONS = {
    "state": maybe(_state), "on_state": maybe(function), "state_every": whole(1), "progress": maybe(function),
    "device": _device, "compile": flag,
}  # fmt: skip
_CONFIG = instance(SAETrainingConfig, remedy="Write SAETrainingConfig(d_sae=1024, k=32, tokens=1_000_000).")


@checked(activations=_rows, config=_CONFIG, sae_seed=whole(), order_seed=whole(), **_OPTIONS)
def train_sae(
    activations: Any,
    config: SAETrainingConfig,
    *,
    sae_seed: int,
    order_seed: int | None = None,
    **options: Unpack[TrainingOptions],
) -> SAETrainingResult:
    """Train a dictionary of the config's architecture on stored activations.

    On the CPU it uses as many threads as torch does.

    Args:
        activations: (n, d_in), an array, memory map or sharded rows; float16 is widened as it is read.
        config: architecture, size and optimiser.
        sae_seed: seed of initialisation and, without an order_seed, order of rows; of nothing else.
        order_seed: seed of the order of rows and of the sample that tells their scale and centre.
        options: see :class:`TrainingOptions`.

    Returns:
        The outcome; numbers that stop being finite are a status.

    Raises:
        InputError: activations that are no (n, d_in) rows or not finite, a foreign state, or bfloat16 on the CPU.

    Source: Gao et al. 2024 (TopK, aux-k, unit-norm decoder, tied initialisation); Bricken et al. 2023
        (geometric median, gradient parallel to the decoder removed); the other architectures' in
        :mod:`universality.sae.architectures`.
    """
    order = {} if order_seed is None else {"order_seed": int(order_seed)}
    identity = {"config": config.model_dump(mode="json"), "sae_seed": int(sae_seed), **order}
    seed = sae_seed if order_seed is None else order_seed
    return _train(activations, config, [sae_seed], seed, identity, **options)[0]


@checked(activations=_rows, config=_CONFIG, sae_seeds=several(whole()), order_seed=whole(), **_OPTIONS)
def train_saes(
    activations: Any,
    config: SAETrainingConfig,
    *,
    sae_seeds: Sequence[int],
    order_seed: int,
    **options: Unpack[TrainingOptions],
) -> tuple[SAETrainingResult, ...]:
    """Train dictionaries of one config from several seeds on the same batches: rows are read and scaled once.

    On the CPU each ends in the bytes of ``train_sae(…, sae_seed=seed, order_seed=order_seed)``. Elsewhere they take
    their step as one, by products ``(n_seeds, n, d_in) @ (n_seeds, d_in, d_sae)``, which rounds differently: there the
    seeds of a group belong to the identity of its outcome.

    Args:
        activations: as :func:`train_sae` takes them.
        config: architecture, size and optimiser of all.
        sae_seeds: seeds of initialisation, all different.
        order_seed: seed of the order of rows and of the sample that tells their scale and centre.
        options: see :class:`TrainingOptions`.

    Returns:
        An outcome per seed, in their order. One that diverges stops; the others go on.

    Raises:
        InputError: no or equal seeds, and as :func:`train_sae`.
    """
    seeds = [int(seed) for seed in sae_seeds]
    if not seeds or len(set(seeds)) != len(seeds):
        raise refusal("sae_seeds", "train_saes", "at least one, all different", seeds, "Drop equals.")
    identity = {"config": config.model_dump(mode="json"), "sae_seeds": seeds, "order_seed": int(order_seed)}
    return _train(activations, config, seeds, order_seed, identity, **options)


def _train(
    activations: Any,
    config: SAETrainingConfig,
    sae_seeds: Sequence[int],
    order_seed: int,
    identity: dict[str, Any],
    *,
    state: State | None = None,
    on_state: Callable[[dict[str, np.ndarray], dict[str, Any]], None] | None = None,
    state_every: int = 200,
    progress: Callable[..., None] | None = None,
    device: str = "cpu",
    compile: bool = False,  # noqa: A002 - the name that torch has for it
) -> tuple[SAETrainingResult, ...]:
    config.check_device(torch.device(device).type)
    sample = _sample(activations, order_seed)
    identity = {**identity, "rows": [int(size) for size in activations.shape]}
    group = _Group(sample, config, sae_seeds, device, FusedUpdate() if compile else None)
    if state is not None:
        group.restore(state, identity)
    stream = training_stream(activations, config, order_seed)
    rows = batches(stream, group.device, config.n_steps * config.batch_rows)
    with closing(rows), closing(group), flushed_denormals():
        while group.done < config.n_steps and group.running:
            group.step(rows.batch(group.done * config.batch_rows, config.batch_rows))
            with rows.paused():
                for training in group.running:
                    training.resample(activations)
            if not group.running:
                break
            if on_state is not None and group.done % state_every == 0 and group.done < config.n_steps:
                on_state(group.arrays(), {"step": group.done, **identity})
            if progress is not None and (group.done % 10 == 0 or group.done == config.n_steps):
                try:
                    size = config.batch_rows
                    progress(group.done * size, config.n_steps * size, **group.facts())
                except (KeyboardInterrupt, InterruptedError):
                    if on_state is not None:
                        on_state(group.arrays(), {"step": group.done, **identity})
                    raise
    return tuple(training.result(group.warnings) for training in group.trainings)


def schedule(step: int, n_steps: int, config: SAETrainingConfig) -> float:
    """Learning rate of a step as a share of the peak: linear rise, plateau, linear fall to 0."""
    warmup, decay = round(config.warmup * n_steps), round(config.decay * n_steps)
    rise = (step + 1) / warmup if step < warmup else 1.0
    return min(rise, (n_steps - step) / decay if decay else 1.0, 1.0)


def runs_batched(config: SAETrainingConfig, device: torch.device) -> bool:
    """Whether several seeds take their steps as one; on the CPU each keeps its own step and its bytes."""
    return device.type != "cpu"


def _sample(activations: Any, seed: int) -> np.ndarray:
    shape = tuple(activations.shape)
    if len(shape) != 2 or shape[0] < 1 or shape[1] < 1:
        remedy = "Flatten contexts into rows."
        raise refusal("shape", "activations", "(n >= 1, d_in >= 1)", shape, remedy)
    sample = sample_rows(activations, SAMPLE_ROWS, derive_seed(seed, "sae-sample"))
    if not np.isfinite(sample).all():
        remedy = "Harvest them again, in float32 if they overflow."
        raise refusal("values", "activations", "finite", "NaN or infinity", remedy)
    return sample


def _initialise(centre: np.ndarray, d_sae: int, sae_seed: int) -> dict[str, np.ndarray]:
    """Random unit decoder, encoder its transpose, decoder bias the centre."""
    directions = generator(sae_seed, "sae-init").standard_normal((d_sae, len(centre)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return {
        "W_enc_rows": directions.astype(np.float32),
        "W_dec": directions.astype(np.float32),
        "b_enc": np.zeros(d_sae, dtype=np.float32),
        "b_dec": centre,
    }


class _Group:
    """Dictionaries of one config that see the same batches."""

    def __init__(
        self,
        sample: np.ndarray,
        config: SAETrainingConfig,
        sae_seeds: Sequence[int],
        device: str,
        fused: FusedUpdate | None,
    ):
        self.config, self.device, self._fused = config, torch.device(device), fused
        self.scale = np.float32(config.kind.scale(sample) if config.normalise else 1.0)
        centre = geometric_median(sample * self.scale).astype(np.float32)
        starts = [config.kind.start(_initialise(centre, config.d_sae, seed), config) for seed in sae_seeds]
        # Weights of all seeds lie in one tensor per name, so that a batched step may take them as they are.
        n = len(sae_seeds)
        zeros = {name: torch.zeros((n, *v.shape), device=device) for name, v in starts[0].items()}
        self._state = TrainingState.fresh(Parameters.of(zeros), config.kind.buffers)
        as_one = n > 1 and runs_batched(config, self.device)
        self._batched = AutogradStep(config, self._state, config.n_steps, fused) if as_one else None
        self.trainings = [self._training(i, *own) for i, own in enumerate(zip(starts, sae_seeds, strict=True))]

    def _training(self, number: int, start: dict[str, np.ndarray], sae_seed: int) -> SeedTraining:
        state = self._state.of_seed(number)
        if self._batched is None:
            stepper = make_stepper(self.config, state, self.config.n_steps, self._fused)
        else:
            stepper = self._batched.of_seed(number)
        return SeedTraining(self.config, start, state, stepper, sae_seed=sae_seed, scale=self.scale)

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

    def facts(self) -> dict[str, float]:
        """Mean fvu of the last batch, and dead latents of all."""
        fvu = [training.history["fvu"][-1] for training in self.running]
        dead = sum(len(training.dead()) for training in self.running)
        return {"fvu": round(sum(fvu) / len(fvu), 4), "dead": dead}

    def step(self, batch: torch.Tensor) -> None:
        """One optimiser step of each that did not diverge."""
        config = self.config
        lr = config.peak_lr * schedule(self.done, config.n_steps, config)
        rates = Rates(lr, *config.betas, config.eps, self.done + 1)
        x = batch.mul_(float(self.scale))
        if self._batched is not None and len(self.running) == len(self.trainings):
            outcomes = self._batched.steps(x, self._state.silent >= config.dead_after, rates)
            if all(math.isfinite(outcome.loss) for outcome in outcomes):
                for training, outcome in zip(self.trainings, outcomes, strict=True):
                    training.record(outcome)
                return
        # One by one: the step that diverges must change nothing, the others go on.
        for training in self.running:
            training.step(x, rates)

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
