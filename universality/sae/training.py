"""Training dictionaries of any architecture: exactly resumable, in bounded memory, several seeds at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from scipy.sparse import issparse

from universality.arguments import checked, flag, function, instance, matrix, maybe, several, whole
from universality.errors import refusal
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.seed_group import State
from universality.sae.seed_training import SAETrainingResult
from universality.sae.stream import SAMPLE_ROWS, sample_rows
from universality.sae.training_loop import TrainingLoop, run_loops
from universality.seeds import derive_seed


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
    config.check_device(torch.device(options.get("device", "cpu")).type)
    loop = TrainingLoop(activations, _sample(activations, seed), config, [sae_seed], identity, **options)
    run_loops([loop], activations, seed, options.get("device", "cpu"))
    return loop.results()[0]


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
    return train_points(activations, [config], sae_seeds=sae_seeds, order_seed=order_seed, options=[options])[0]


@checked(activations=_rows, configs=several(_CONFIG), sae_seeds=several(whole()), order_seed=whole())
def train_points(
    activations: Any,
    configs: Sequence[SAETrainingConfig],
    *,
    sae_seeds: Sequence[int],
    order_seed: int,
    options: Sequence[TrainingOptions],
) -> list[tuple[SAETrainingResult, ...]]:
    """:func:`train_saes` of several configs side by side: every shuffle buffer is read once for all of them.

    Each ends in the bytes of its own call, on every device.

    Args:
        activations: as :func:`train_sae` takes them.
        configs: with equal ``tokens``, ``batch_rows`` and ``buffer_mb``.
        sae_seeds: seeds of initialisation, the same for all, all different.
        order_seed: as of :func:`train_saes`.
        options: of each, with one device. Where one is interrupted, all save their state.

    Raises:
        InputError: configs whose batches differ, and as :func:`train_saes`.
    """
    batches = [(config.tokens, config.batch_rows, config.buffer_mb) for config in configs]
    if len(set(batches)) != 1:
        remedy = "Train those that differ by themselves."
        raise refusal("tokens, batch_rows and buffer_mb", "train_points", "equal in all configs", batches, remedy)
    seeds, order_seed, device = _seeds(sae_seeds), int(order_seed), options[0].get("device", "cpu")
    for config in configs:
        config.check_device(torch.device(device).type)
    sample = _sample(activations, order_seed)
    loops = [
        TrainingLoop(activations, sample, config, seeds, _identity(config, seeds, order_seed), **each)
        for config, each in zip(configs, options, strict=True)
    ]
    run_loops(loops, activations, order_seed, device)
    return [loop.results() for loop in loops]


def _seeds(sae_seeds: Sequence[int]) -> list[int]:
    seeds = [int(seed) for seed in sae_seeds]
    if not seeds or len(set(seeds)) != len(seeds):
        raise refusal("sae_seeds", "train_saes", "at least one, all different", seeds, "Drop equals.")
    return seeds


def _identity(config: SAETrainingConfig, seeds: list[int], order_seed: int) -> dict[str, Any]:
    return {"config": config.model_dump(mode="json"), "sae_seeds": seeds, "order_seed": order_seed}


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
