"""Training a transformer: AdamW, exactly resumable, data order apart from the weights' seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from transformer_lens.model_bridge import TransformerBridge

from universality.denormals import flushed_denormals
from universality.errors import refusal
from universality.seeds import generator
from universality.transformers.native import load_weights, weights
from universality.transformers.objective import NextTokenLoss
from universality.transformers.transformer_config import TrainingConfig

State = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]
"""Arrays and JSON-able facts of an interrupted training, as ``on_state`` received them."""


@dataclass(frozen=True)
class TrainingResult:
    """Outcome of :func:`train`; the weights are in the model.

    Invariants: ``len(losses)`` is the number of steps taken; ``tokens`` counts them; ``heldout_loss``
    is in nats per token and infinite when the training diverged.
    """

    status: Literal["ok", "diverged"]
    losses: np.ndarray
    heldout_loss: float
    tokens: int


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
) -> TrainingResult:
    """Train ``model`` in place on next-token cross-entropy.

    Every pass over the contexts is a fresh permutation drawn from ``data_seed`` and the pass's number,
    so a step's data follow from its number alone. On one CPU thread count, a training that is
    interrupted and resumed from any state ends with the same bytes as one that was not.

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

    Returns:
        The outcome; a loss or gradient that is not finite ends the training as ``diverged`` before it
        touches the weights.

    Raises:
        InputError: contexts of a wrong shape or with ids outside the vocabulary, or a state that
            belongs to another training.

    Source: Loshchilov & Hutter 2019 (AdamW).
    """
    _check_contexts(contexts, model, "contexts")
    n_contexts, n_ctx = contexts.shape
    step_tokens = config.batch_contexts * n_ctx
    n_steps = max(1, math.ceil(config.tokens / step_tokens))
    identity = {
        "config": config.model_dump(mode="json"),
        "data_seed": int(data_seed),
        "contexts": [int(n_contexts), int(n_ctx)],
    }
    objective = NextTokenLoss(model)
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    optimizer = _optimizer(named, config)
    losses: list[float] = []
    if state is not None:
        losses = _restore(model, optimizer, named, state, identity)
    device = named[0][1].device
    order = _Order(n_contexts, data_seed)
    status: Literal["ok", "diverged"] = "ok"
    was_training = model.training
    model.train()
    with flushed_denormals():
        while len(losses) < n_steps:
            step = len(losses)
            for group in optimizer.param_groups:
                group["lr"] = config.lr * schedule(step, n_steps, config)
            rows = order.rows(step * config.batch_contexts, config.batch_contexts)
            batch = torch.from_numpy(np.asarray(contexts[rows], dtype=np.int64)).to(device)
            loss = objective(batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            limit = config.gradient_clip or math.inf
            norm = torch.nn.utils.clip_grad_norm_([p for _, p in named], limit)
            value = float(loss.detach())
            if not (math.isfinite(value) and math.isfinite(float(norm))):
                status = "diverged"
                break
            optimizer.step()
            losses.append(value)
            done = len(losses)
            if on_state is not None and done % state_every == 0 and done < n_steps:
                on_state(*_state(model, optimizer, named, losses, identity))
            if progress is not None and (done % 20 == 0 or done == n_steps):
                try:
                    progress(done * step_tokens, n_steps * step_tokens, loss=value)
                except (KeyboardInterrupt, InterruptedError):
                    if on_state is not None:
                        on_state(*_state(model, optimizer, named, losses, identity))
                    raise
    model.train(was_training)
    heldout = math.inf if status == "diverged" else heldout_loss(model, validation_contexts)
    return TrainingResult(status, np.array(losses, dtype=np.float32), heldout, len(losses) * step_tokens)


def heldout_loss(model: TransformerBridge, contexts: np.ndarray, *, batch_contexts: int = 32) -> float:
    """Mean next-token cross-entropy over ``contexts`` in nats per token; 0 when there are none."""
    if len(contexts) == 0:
        return 0.0
    _check_contexts(contexts, model, "validation contexts")
    objective = NextTokenLoss(model)
    device = next(iter(model.parameters())).device
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(contexts), batch_contexts):
            batch = np.asarray(contexts[start : start + batch_contexts], dtype=np.int64)
            total += float(objective(torch.from_numpy(batch).to(device))) * len(batch)
    return total / len(contexts)


def schedule(step: int, n_steps: int, config: TrainingConfig) -> float:
    """Learning rate of a step as a share of the peak: linear rise, then ``config.decay`` to ``final_lr``."""
    warmup = round(config.warmup * n_steps)
    if step < warmup:
        return (step + 1) / warmup
    if config.decay == "none":
        return 1.0
    done = (step - warmup) / max(1, n_steps - warmup)
    left = 1 - done if config.decay == "linear" else (1 + math.cos(math.pi * done)) / 2
    return config.final_lr + (1 - config.final_lr) * left


class _Order:
    """The endless stream of context numbers: one permutation per pass, each from its own seed."""

    def __init__(self, n: int, data_seed: int):
        self.n, self.data_seed = n, data_seed
        self.current: tuple[int, np.ndarray] | None = None

    def _pass(self, number: int) -> np.ndarray:
        if self.current is None or self.current[0] != number:
            draw = generator(self.data_seed, "transformer-data-order", number)
            self.current = (number, draw.permutation(self.n))
        return self.current[1]

    def rows(self, start: int, count: int) -> np.ndarray:
        parts: list[np.ndarray] = []
        while count > 0:
            number, offset = divmod(start, self.n)
            part = self._pass(number)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts)


def _optimizer(named: list[tuple[str, torch.nn.Parameter]], config: TrainingConfig) -> torch.optim.AdamW:
    matrices = [p for _, p in named if p.ndim >= 2]
    others = [p for _, p in named if p.ndim < 2]
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(
        groups, lr=config.lr, betas=config.betas, eps=config.eps, weight_decay=config.weight_decay, fused=True
    )


def _state(model, optimizer, named, losses: list[float], identity: dict) -> tuple[dict, dict]:
    arrays = {f"weight/{name}": value for name, value in weights(model).items()}
    for name, parameter in named:
        for moment in ("exp_avg", "exp_avg_sq"):
            arrays[f"{moment}/{name}"] = optimizer.state[parameter][moment].cpu().numpy().copy()
    arrays["losses"] = np.array(losses, dtype=np.float64)
    return arrays, {"step": len(losses), **identity}


def _restore(model, optimizer, named, state: State, identity: dict) -> list[float]:
    arrays, meta = state
    stored = {key: meta.get(key) for key in identity}
    if stored != identity:
        legal = f"of the same training ({identity})"
        remedy = "Resume with the config, data_seed and contexts it was started with, or start afresh."
        raise refusal("state", "a resumed training", legal, stored, remedy)
    load_weights(model, {k.removeprefix("weight/"): v for k, v in arrays.items() if k.startswith("weight/")})
    for name, parameter in named:
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
