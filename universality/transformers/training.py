"""Training a transformer: AdamW, exactly resumable, data order apart from the weights' seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from transformer_lens.model_bridge import TransformerBridge

from universality.brief_repr import brief_repr
from universality.denormals import flushed_denormals
from universality.errors import refusal
from universality.transformers.batches import Batches
from universality.transformers.native import load_weights, weights
from universality.transformers.objective import NextTokenLoss
from universality.transformers.steps import DeviceSteps, HostSteps, Steps, parameters
from universality.transformers.transformer_config import TrainingConfig, is_compiled

State = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]
"""Arrays and JSON-able facts of an interrupted training, as ``on_state`` received them."""


@brief_repr
@dataclass(frozen=True)
class TrainingResult:
    """Outcome of :func:`train`; the weights are in the model.

    Invariants: ``len(losses)`` is the number of steps taken; ``tokens`` counts them; ``heldout_loss``
    is in nats per token and infinite when the training diverged; ``warnings`` say what did not go as asked;
    ``checkpoints`` are the weights after the steps that were asked for.
    """

    status: Literal["ok", "diverged"]
    losses: np.ndarray
    heldout_loss: float
    tokens: int
    warnings: tuple[str, ...] = ()
    checkpoints: Mapping[int, Mapping[str, np.ndarray]] = field(default_factory=dict)


def train(
    model: TransformerBridge,
    contexts: np.ndarray,
    validation_contexts: np.ndarray,
    config: TrainingConfig,
    *,
    data_seed: int,
    state: State | None = None,
    on_state: Callable[[dict[str, np.ndarray], dict[str, Any]], None] | None = None,
    state_every: int = 200,
    progress: Callable[..., None] | None = None,
    checkpoints: Collection[int] = (),
    compile: bool | None = None,  # noqa: A002 - the name that torch has for it
) -> TrainingResult:
    """Train ``model`` in place on next-token cross-entropy.

    Every pass over the contexts is a fresh permutation drawn from ``data_seed`` and the pass's number,
    so a step's data follow from its number alone. On one CPU thread count, or one kind of GPU, a training that is
    interrupted and resumed from any state ends with the same bytes as one that was not.

    On a CUDA device the step is one graph, and losses are read every 50 steps; see
    :class:`~universality.transformers.steps.DeviceSteps`.

    Args:
        model: a bridge; it is trained where it lies.
        contexts: int ``(n_contexts, n_ctx)`` token ids.
        validation_contexts: the same kind, never trained on; may be empty: the held-out loss is then 0.
        config: optimiser and length.
        data_seed: seed of the data order only.
        state: what ``on_state`` received, to resume.
        on_state: called as ``on_state(arrays, meta)`` every ``state_every`` steps.
        state_every: steps between two states; has no influence on the result.
        progress: called as ``progress(done_tokens, total_tokens, loss=…)``; where it raises an interrupt the state
            is saved before that goes on.
        checkpoints: steps after which the weights are kept, 0 for the initial ones; no influence on the result. States
            hold those kept so far.
        compile: whether the step is compiled on a CUDA device; default where the training is long enough to win back
            the half minute that it takes.

    Returns:
        The outcome; a loss or gradient that is not finite ends the training as ``diverged`` before it
        touches the weights.

    Raises:
        InputError: contexts of a wrong shape or with ids outside the vocabulary, a state that
            belongs to another training, or a precision that the CPU does not have.

    Source: Loshchilov & Hutter 2019 (AdamW).
    """
    _check_contexts(contexts, model, "contexts")
    n_contexts, n_ctx = contexts.shape
    step_tokens = config.batch_contexts * n_ctx
    n_steps = config.n_steps(n_ctx)
    identity: dict[str, Any] = {
        "config": config.model_dump(mode="json"),
        "data_seed": int(data_seed),
        "contexts": [int(n_contexts), int(n_ctx)],
    }
    if checkpoints:
        identity["checkpoints"] = sorted(checkpoints)
    device = parameters(model)[0].device
    config.check_device(device.type)
    batches = Batches(contexts, config.batch_contexts, data_seed)
    steps: Steps
    if device.type == "cuda":
        n_parameters = sum(p.numel() for p in parameters(model))
        pays = is_compiled(n_parameters, n_steps * step_tokens) if compile is None else compile
        steps = DeviceSteps(model, batches, config, n_steps, compile_=pays)
    else:
        steps = HostSteps(model, batches, config, n_steps)
    losses = [] if state is None else _restore(model, steps.optimizer, state, identity)
    kept = ({0: weights(model)} if 0 in checkpoints else {}) if state is None else _kept(state)

    def save() -> None:
        if on_state is not None:
            on_state(*_state(model, steps.optimizer, losses, kept, identity))

    status: Literal["ok", "diverged"] = "ok"
    was_training = model.training
    model.train()
    with flushed_denormals():
        while len(losses) < n_steps:
            done = len(losses)
            ahead = [step for step in checkpoints if step > done]
            end = min(n_steps, *(done - done % pace + pace for pace in (steps.every, state_every)), *ahead)
            losses += steps.run(done, end - done)
            if len(losses) < end:
                status = "diverged"
                break
            if end in checkpoints:
                kept[end] = weights(model)
            if end % state_every == 0 and end < n_steps:
                save()
            if progress is not None and (end % steps.every == 0 or end == n_steps):
                try:
                    progress(end * step_tokens, n_steps * step_tokens, loss=losses[-1])
                except (KeyboardInterrupt, InterruptedError):
                    save()
                    raise
    steps.optimizer.zero_grad(set_to_none=True)
    model.train(was_training)
    heldout = math.inf if status == "diverged" else heldout_loss(model, validation_contexts)
    taken = np.array(losses, dtype=np.float32), heldout, len(losses) * step_tokens
    return TrainingResult(status, *taken, tuple(steps.warnings), kept)


def heldout_loss(model: TransformerBridge, contexts: np.ndarray, *, batch_contexts: int = 32) -> float:
    """Mean next-token cross-entropy over ``contexts`` in nats per token; 0 when there are none."""
    if len(contexts) == 0:
        return 0.0
    _check_contexts(contexts, model, "validation contexts")
    objective = NextTokenLoss(model)
    device = next(iter(model.parameters())).device
    # Losses are read when all are there: each read would wait for the device.
    losses: list[torch.Tensor] = []
    sizes: list[int] = []
    with torch.no_grad():
        for start in range(0, len(contexts), batch_contexts):
            batch = np.asarray(contexts[start : start + batch_contexts], dtype=np.int64)
            losses.append(objective(torch.from_numpy(batch).to(device)))
            sizes.append(len(batch))
    total = sum(loss * size for loss, size in zip(torch.stack(losses).tolist(), sizes, strict=True))
    return total / len(contexts)


def _named(model: TransformerBridge) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def _state(model, optimizer, losses: list[float], kept: dict[int, Any], identity: dict) -> tuple[dict, dict]:
    arrays = {f"weight/{name}": value for name, value in weights(model).items()}
    arrays |= {f"checkpoint/{step}/{name}": value for step, of in kept.items() for name, value in of.items()}
    for name, parameter in _named(model):
        for moment in ("exp_avg", "exp_avg_sq"):
            arrays[f"{moment}/{name}"] = optimizer.state[parameter][moment].cpu().numpy().copy()
    arrays["losses"] = np.array(losses, dtype=np.float64)
    return arrays, {"step": len(losses), **identity}


def _kept(state: State) -> dict[int, dict[str, np.ndarray]]:
    """The weights that an interrupted training had kept, by step."""
    kept: dict[int, dict[str, np.ndarray]] = {}
    for key, value in state[0].items():
        kind, _, rest = key.partition("/")
        if kind == "checkpoint":
            step, _, name = rest.partition("/")
            kept.setdefault(int(step), {})[name] = np.array(value)
    return kept


def _restore(model, optimizer, state: State, identity: dict) -> list[float]:
    arrays, meta = state
    stored = {key: meta.get(key) for key in identity}
    if stored != identity:
        legal = f"of the same training ({identity})"
        remedy = "Resume with the config, data_seed and contexts it was started with, or start afresh."
        raise refusal("state", "a resumed training", legal, stored, remedy)
    load_weights(model, {k.removeprefix("weight/"): v for k, v in arrays.items() if k.startswith("weight/")})
    for name, parameter in _named(model):
        optimizer.state[parameter] = {
            "step": torch.tensor(float(meta["step"]), device=parameter.device),
            **{
                moment: torch.from_numpy(np.array(arrays[f"{moment}/{name}"])).to(parameter.device)
                for moment in ("exp_avg", "exp_avg_sq")
            },
        }
    return arrays["losses"].tolist()


def _check_contexts(contexts: np.ndarray, model: TransformerBridge, what: str) -> None:
    n_ctx, d_vocab = int(model.cfg.n_ctx), int(model.cfg.d_vocab)
    shape = tuple(np.shape(contexts))
    if len(shape) != 2 or shape[0] == 0 or not 2 <= shape[1] <= n_ctx:
        remedy = "Pack tokens into contexts of n_ctx."
        raise refusal("shape", what, f"(n_contexts >= 1, 2..{n_ctx})", shape, remedy)
    low, high = int(np.min(contexts)), int(np.max(contexts))
    if low < 0 or high >= d_vocab:
        remedy = "Use the tokenizer that d_vocab was set for."
        raise refusal("token ids", what, f"in [0, {d_vocab})", f"[{low}, {high}]", remedy)
