"""What a push does to a model on given text: predictions, loss, and the norm of the residual stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from transformer_lens.model_bridge import TransformerBridge

from universality.arguments import checked, instance, number, whole
from universality.brief_repr import brief_repr
from universality.effects.push import Push
from universality.errors import refusal, require
from universality.transformers.harvest import USABLE, check_editable, hooked, splice

#: Predictions of up to so many bytes are kept for the next push on the same contexts.
KEPT_BYTES = 2**28


@brief_repr
@dataclass(frozen=True, eq=False)
class SteeringEffect:
    """A model with a push against the same model without, over the pushed positions of some contexts.

    Attributes:
        strength: multiple of the push.
        n_positions: positions that were pushed: all but the first of each context, which is no row of any dictionary.
        logit_shift: (d_vocab,) float64, mean change of the logits, centred (the softmax does not see a constant).
        kl: Kullback–Leibler divergence of the steered predictions from the clean ones, nats per position, at least 0.
        ce_clean, ce_steered: cross-entropy of the contexts' own next tokens, nats; NaN for contexts of two tokens.
        norm_clean, norm_steered: mean norm of the residual stream behind the last block.
        log_p_clean, log_p_steered: mean log-probability of the set of tokens that was asked for; NaN without one.
    """

    strength: float
    n_positions: int
    logit_shift: Float[np.ndarray, " d_vocab"]
    kl: float
    ce_clean: float
    ce_steered: float
    norm_clean: float
    norm_steered: float
    log_p_clean: float
    log_p_steered: float

    @property
    def norm_ratio(self) -> float:
        """Norm of the residual stream with the push over that without; far above 1 the model is out of its range."""
        return self.norm_steered / self.norm_clean if self.norm_clean > 0 else float("inf")

    def top_tokens(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the tokens whose logits rise most and of those that fall most, strongest first."""
        order = np.argsort(self.logit_shift, kind="stable")
        return order[::-1][:n], order[:n]


@checked(model=instance(TransformerBridge), push=instance(Push), strength=number(), batch_contexts=whole(1))
def steer(
    model: TransformerBridge,
    push: Push,
    contexts: Int[np.ndarray, "n_contexts n_ctx"],
    strength: float,
    *,
    tokens: Sequence[int] | np.ndarray = (),
    batch_contexts: int = 16,
) -> SteeringEffect:
    """What adding ``strength`` times a push does to the predictions on some contexts.

    Args:
        model: any bridge.
        push: of :func:`universality.effects.latent_push` and its neighbours.
        contexts: token ids; every position but the first of a context is pushed.
        strength: any finite number; 0 changes nothing, a negative one pushes away.
        tokens: a set of tokens whose joint log-probability is measured.
        batch_contexts: contexts per forward pass.

    Raises:
        InputError: no contexts, contexts longer than the model's or of less than two tokens, token ids that the model
            does not know, a hook point that is unknown or cannot be edited, a strength that overflows.
    """
    return Unsteered(model, contexts, batch_contexts).steer(push, strength, tokens)


class Unsteered:
    """A model as it is on some contexts: computed once for all pushes that are held against it.

    Args:
        model, contexts, batch_contexts: as of :func:`steer`, which see for what is refused.
    """

    def __init__(self, model: TransformerBridge, contexts: np.ndarray, batch_contexts: int = 16) -> None:
        self.model, self.contexts, self.batch_contexts = model, _checked(model, contexts), batch_contexts
        self._keeps = 12 * self.contexts.size * int(model.cfg.d_vocab) <= KEPT_BYTES
        self._kept: dict[int, tuple[torch.Tensor, float, torch.Tensor]] = {}

    def steer(self, push: Push, strength: float, tokens: Sequence[int] | np.ndarray = ()) -> SteeringEffect:
        """As :func:`steer`, on these contexts."""
        chosen = torch.as_tensor(np.asarray(tokens, dtype=np.int64))
        sums = np.zeros(7)
        shift: np.ndarray | float = 0.0
        for start in range(0, len(self.contexts), self.batch_contexts):
            batch = self._batch(start)
            clean_logits, clean_norm, clean = self._clean(start)
            logits, norm = _run(self.model, push, strength, batch)
            check_finite(logits, strength, push)
            steered = torch.log_softmax(logits[:, 1:].double(), dim=-1)
            moved = (logits - clean_logits)[:, 1:].double()
            shift = shift + (moved - moved.mean(dim=-1, keepdim=True)).sum(dim=(0, 1)).cpu().numpy()
            losses = [-part[:, :-1].gather(2, batch[:, 2:, None]).sum() for part in (clean, steered)]
            sets = [part[..., chosen.to(part.device)].logsumexp(dim=-1).sum() for part in (clean, steered)]
            kl = (clean.exp() * (clean - steered)).sum()
            sums += [float(value) for value in (kl, *losses, clean_norm, norm, *sets)]
        n_contexts, n_ctx = self.contexts.shape
        n = n_contexts * (n_ctx - 1)
        n_next = n_contexts * (n_ctx - 2) or np.nan
        sets_of = sums[5:] / n if len(chosen) else np.full(2, np.nan)
        return SteeringEffect(
            float(strength), n, shift / n, max(float(sums[0]) / n, 0.0), *(float(x) for x in sums[1:3] / n_next),
            *(float(x) for x in sums[3:5] / n), *(float(x) for x in sets_of),
        )  # fmt: skip

    def _batch(self, start: int) -> torch.Tensor:
        return torch.from_numpy(self.contexts[start : start + self.batch_contexts]).to(device_of(self.model))

    def _clean(self, start: int) -> tuple[torch.Tensor, float, torch.Tensor]:
        """Logits, summed norms, and log-probabilities of all positions but the first."""
        if start in self._kept:
            return self._kept[start]
        logits, norm = _run(self.model, None, 0.0, self._batch(start))
        made = logits, float(norm), torch.log_softmax(logits[:, 1:].double(), dim=-1)
        if self._keeps:
            self._kept[start] = made
        return made


def _checked(model: TransformerBridge, contexts: np.ndarray) -> np.ndarray:
    contexts = np.asarray(contexts, dtype=np.int64)
    longest, d_vocab = int(model.cfg.n_ctx), int(model.cfg.d_vocab)
    remedy = "Pass contexts of one length as rows."
    require(contexts.ndim == 2 and len(contexts), "shape", "contexts", "(n_contexts, n_ctx)", contexts.shape, remedy)
    n_ctx = contexts.shape[1]
    remedy = "Cut the contexts, or put a start token in front."
    require(2 <= n_ctx <= longest, "length", "contexts", f"2 to {longest} tokens (the model's)", n_ctx, remedy)
    bad = contexts[(contexts < 0) | (contexts >= d_vocab)]
    require(bad.size == 0, "token ids", "contexts", f"below {d_vocab}", bad[:5].tolist(), "Use the model's tokenizer.")
    return contexts


def _run(
    model: TransformerBridge, push: Push | None, strength: float, tokens: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits ``(batch, n_ctx, d_vocab)`` and the summed norms of the residual stream at the pushed positions."""
    norms: list[torch.Tensor] = []

    def measure(value: torch.Tensor, hook: object) -> None:
        norms.append(value[:, 1:].double().norm(dim=-1).sum())

    last = f"blocks.{int(model.cfg.n_layers) - 1}.hook_resid_post"
    with steered(model, push, strength, tokens.shape, [(last, measure)]), torch.no_grad():
        logits = model.forward(tokens, return_type="logits")
    return logits.float(), norms[0]


class Edit(Protocol):
    """What changes the activations at a hook point: a push, or several side by side."""

    @property
    def hook_point(self) -> str:
        """Where."""
        ...

    def edit(self, strength: float, /) -> Callable[[torch.Tensor], torch.Tensor]:
        """Activations ``(n, d_in)`` to what they are then."""
        ...


@contextmanager
def steered(
    model: TransformerBridge,
    push: Edit | None,
    strength: float,
    shape: torch.Size,
    more: Sequence[tuple[str, Callable]] = (),
) -> Iterator[None]:
    """The model with a push at all positions but the first of each context.

    Args:
        model: any bridge.
        push: what is added; None leaves the model as it is.
        strength: multiple of the push.
        shape: (batch, n_ctx) of the tokens that are read within.
        more: further hooks, which see what was changed.

    Raises:
        InputError: a hook point that is unknown, does not fire or cannot be edited, a strength that overflows.
    """
    if push is None:
        with hooked(model, list(more)):
            yield
        return
    check_editable(model, push.hook_point)
    edit, fired = push.edit(strength), False

    def pushed(value: torch.Tensor, hook: object) -> torch.Tensor:
        nonlocal fired
        fired = True
        if value.shape[:2] != shape or value.ndim not in (3, 4):
            legal, got = "one whose activations are (batch, n_ctx, d_in)", f"shape {tuple(value.shape)}"
            raise refusal("hook_point", push.hook_point, legal, got, USABLE)
        rows = torch.arange(value.shape[0] * value.shape[1], device=value.device).view(value.shape[:2])
        return splice(edit, rows[:, 1:].flatten())(value, hook)

    with hooked(model, [(push.hook_point, pushed), *more]):
        yield
    if not fired:
        raise refusal("hook_point", push.hook_point, "one that fires", "one that does not", USABLE)


def check_finite(logits: torch.Tensor, strength: float, push: Push) -> None:
    """Refuse a strength with which the predictions are no numbers any more."""
    if not bool(torch.isfinite(logits).all()):
        got = f"{strength:g}, which adds a norm of {abs(strength) * push.norm:.3g} and gives NaN or infinite logits"
        raise refusal("strength", push.hook_point, "one that the model can compute with", got, "Take a smaller one.")


def device_of(model: TransformerBridge) -> torch.device:
    """Where the model lies."""
    return next(iter(model.parameters())).device
