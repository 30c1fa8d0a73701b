"""Sampled continuations of a prompt, with and without a push, from the same random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from transformer_lens.model_bridge import TransformerBridge

from universality.arguments import checked, instance, number, whole
from universality.brief_repr import brief_repr
from universality.effects.push import Push
from universality.effects.steering import check_finite, device_of, steered
from universality.errors import require
from universality.seeds import generator


@brief_repr
@dataclass(frozen=True, eq=False)
class Continuations:
    """What a model writes after a prompt.

    Attributes:
        tokens: sampled ids, each row a continuation: all of the first prompt, then all of the second, …
        read: for each, the ids of the prompt that its first token was predicted from, the start token first.
        n_dropped: tokens of a prompt that were not read, because it is longer than the context.
    """

    tokens: Int[np.ndarray, "n_continuations n_tokens"]
    read: Int[np.ndarray, "n_continuations n_read"]
    n_dropped: int


@checked(
    model=instance(TransformerBridge),
    push=instance(Push),
    strength=number(),
    n_tokens=whole(1),
    n_samples=whole(1),
    temperature=number(),
    seed=whole(),
    n_ctx=whole(1),
)
def continue_prompt(
    model: TransformerBridge,
    prompt: Sequence[int] | np.ndarray,
    push: Push | None = None,
    strength: float = 0.0,
    *,
    n_tokens: int = 40,
    n_samples: int = 8,
    temperature: float = 1.0,
    seed: int = 0,
    n_ctx: int | None = None,
    never: Sequence[int] | np.ndarray = (),
) -> Continuations:
    """Sample continuations; every position but the first is pushed, those of the prompt as well as those written.

    A token is the largest of ``logits / temperature + Gumbel noise``, which samples the softmax. The noise depends on
    ``seed``, the number of the prompt, that of its continuation and the place in it alone: continuations with and
    without a push differ by the push, and a longer or a wider request begins with the shorter one. Each token is
    predicted by a pass over the whole window: once the window slides every position changes, and no earlier
    computation can be kept.

    Args:
        model: any bridge.
        prompt: token ids, the first of which starts a context and stays in front when the window slides; one prompt,
            or several of one length as rows.
        push: what is added; None for the model as it is.
        strength: multiple of the push.
        n_tokens: tokens of each continuation.
        n_samples: continuations of each prompt.
        temperature: above 0, or 0 for the likeliest token.
        seed: of the noise.
        n_ctx: longest window; default, and at most, the model's. Longer prompts keep their start and their last tokens.
        never: ids that are not sampled (special tokens: a continuation is one document).

    Raises:
        InputError: an empty prompt, numbers out of their range, a hook point that cannot be edited, a strength that
            overflows.
    """
    arms = [] if push is None else [(push, strength)]
    options = {"n_tokens": n_tokens, "n_samples": n_samples, "temperature": temperature, "seed": seed}
    return continue_along(model, prompt, arms, **options, n_ctx=n_ctx, never=never)[0]


def continue_along(
    model: TransformerBridge,
    prompt: Sequence[int] | np.ndarray,
    arms: Sequence[tuple[Push, float]],
    *,
    n_tokens: int = 40,
    n_samples: int = 8,
    temperature: float = 1.0,
    seed: int = 0,
    n_ctx: int | None = None,
    never: Sequence[int] | np.ndarray = (),
) -> list[Continuations]:
    """As :func:`continue_prompt`, along several pushes at once: as many passes as for one.

    Args:
        arms: pushes at one hook point of a model, each with its strength; none for the model as it is.
        model, prompt, n_tokens, n_samples, temperature, seed, n_ctx, never: as of :func:`continue_prompt`.

    Returns:
        The continuations of every arm, all from the same noise; of the model as it is where there is none.
    """
    ids = np.atleast_2d(np.asarray(prompt, dtype=np.int64))
    longest = int(model.cfg.n_ctx) if n_ctx is None else min(int(n_ctx), int(model.cfg.n_ctx))
    _check(ids, int(model.cfg.d_vocab), longest, n_tokens, n_samples, temperature)
    read = np.repeat(_window(ids, longest), n_samples, axis=0)
    joint, n_arms = (_Joint(arms) if arms else None), max(len(arms), 1)
    device = device_of(model)
    banned = torch.as_tensor(np.asarray(never, dtype=np.int64), device=device)
    noise = [generator(seed, "continuation", i, sample) for i in range(len(ids)) for sample in range(n_samples)]
    written = np.tile(read, (n_arms, 1))
    for _ in range(n_tokens):
        window = torch.from_numpy(_window(written, longest)).to(device)
        with steered(model, joint, 1.0, window.shape), _last_alone(model), torch.no_grad():
            logits = model.forward(window, return_type="logits")[:, -1].double()
        for part, (push, strength) in zip(logits.chunk(n_arms), arms, strict=False):
            check_finite(part, strength, push)
        logits[:, banned] = -np.inf
        scores = logits.cpu().numpy()
        if temperature > 0:
            drawn = np.stack([rng.gumbel(size=scores.shape[1]) for rng in noise])
            scores = scores / temperature + np.tile(drawn, (n_arms, 1))
        written = np.concatenate([written, scores.argmax(axis=1)[:, None]], axis=1)
    n_dropped = ids.shape[1] - read.shape[1]
    return [Continuations(part[:, read.shape[1] :], read, n_dropped) for part in np.split(written, n_arms)]


class _Joint:
    """Several pushes at one hook point, each on its part of the batch."""

    def __init__(self, arms: Sequence[tuple[Push, float]]) -> None:
        self.hook_point = arms[0][0].hook_point
        self._edits = arms

    def edit(self, times: float) -> Callable[[torch.Tensor], torch.Tensor]:
        """As of a push; of the rows, which come by context, every arm has an equal share."""
        edits = [push.edit(times * strength) for push, strength in self._edits]

        def push(rows: torch.Tensor) -> torch.Tensor:
            parts = rows.chunk(len(edits))
            return torch.cat([edit(part) for edit, part in zip(edits, parts, strict=True)])

        return push


@contextmanager
def _last_alone(model: TransformerBridge) -> Iterator[None]:
    """The model with logits of the last position only: of small models most of the time goes into those of the rest."""
    handle = model.unembed.register_forward_pre_hook(lambda _, args: (args[0][:, -1:], *args[1:]))
    try:
        yield
    finally:
        handle.remove()


def _window(tokens: np.ndarray, longest: int) -> np.ndarray:
    """The first token and as many of the last as fit."""
    if tokens.shape[1] <= longest:
        return tokens
    return np.concatenate([tokens[:, :1], tokens[:, 1 - longest :]], axis=1)


def _check(ids: np.ndarray, d_vocab: int, longest: int, n_tokens: int, n_samples: int, temperature: float) -> None:
    remedy = "Write at least one character."
    require(
        ids.ndim == 2 and ids.shape[1] > 1,
        "length",
        "the prompt",
        "a start token and at least 1 more",
        len(ids),
        remedy,
    )
    bad = ids[(ids < 0) | (ids >= d_vocab)]
    require(
        bad.size == 0, "token ids", "the prompt", f"below {d_vocab}", bad[:5].tolist(), "Use the model's tokenizer."
    )
    require(longest >= 2, "longest window", "steering", "at least 2 tokens", longest, "Take a larger n_ctx.")
    for name, value in (("n_tokens", n_tokens), ("n_samples", n_samples)):
        require(value >= 1, name, "steering", "at least 1", value, "Take a larger number.")
    usable = np.isfinite(temperature) and temperature >= 0
    require(usable, "temperature", "steering", "0 or above, and finite", temperature, "1 samples as the model says.")
