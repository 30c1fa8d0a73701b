"""What the models of a run write after a prompt, with a feature turned up, without, and along a random direction."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from results.steering import Member, Sampling, Steering, strengths_text

if TYPE_CHECKING:
    from universality.effects import SteeringEffect

#: Tokens whose logits rise and fall most that are told.
TOP_TOKENS = 10


@dataclass(frozen=True)
class Written:
    """Continuations of a prompt, judged.

    Attributes:
        tokens: ids (n_samples, n_tokens).
        in_domain: which tokens the judge takes for the domain; None without a domain.
        share: share of them; None without a domain.
        script: share of the characters that are of the domain's script; None where it is Latin or none.
        distinct: share of the tokens of a continuation that are different ones, mean over continuations.
    """

    tokens: np.ndarray
    in_domain: np.ndarray | None
    share: float | None
    script: float | None
    distinct: float


@dataclass(frozen=True)
class Steered:
    """One model, with and without.

    Attributes:
        member: the feature.
        strength: multiple of the push.
        norm: length of what was added.
        without: continuations of the model as it is.
        steered: those with the push, from the same noise.
        random: those with a random direction of equal norm.
        effect: over the prompt and the continuations without: KL, logit shift, norm of the residual stream.
        up, down: ids of the tokens whose logits rise and fall most, strongest first.
        n_dropped: tokens of the prompt beyond the context, which were not read.
    """

    member: Member
    strength: float
    norm: float
    without: Written
    steered: Written
    random: Written
    effect: SteeringEffect
    up: list[int]
    down: list[int]
    n_dropped: int


def steer_prompt(
    steering: Steering,
    member: Member,
    strength: float,
    prompt: str,
    *,
    domain: str | None = None,
    sampling: Sampling | None = None,
) -> Steered:
    """Continue a prompt with and without a feature turned up.

    Args:
        steering: the opened comparison.
        member: the feature.
        strength: multiples of the 95th percentile of its activation.
        prompt: text; longer than the context it keeps its last tokens.
        domain: whose share of the continuations is told; None for none.
        sampling: how continuations are sampled.

    Raises:
        InputError: an unknown domain, and what ``continue_prompt`` or ``latent_push`` of universality.effects refuses.
        StoreError: weights, dictionaries or the tokenizer are missing or damaged.
    """
    from universality.effects import continue_prompt, random_push, steer

    sampling = sampling or Sampling()
    transformer, push = steering.model(member.model)[0], steering.push(member)
    ids, options = steering.encode(prompt), steering.options(member.model, sampling)
    pushes = (None, push, random_push(push, sampling.seed))
    without, steered, random = (continue_prompt(transformer, ids, one, strength, **options) for one in pushes)
    read = np.concatenate([without.read, without.tokens], axis=1)[:, : steering.stored.text.n_ctx]
    effect = steer(transformer, push, read, strength)
    up, down = effect.top_tokens(TOP_TOKENS)
    texts = [judged(steering, part.tokens, domain) for part in (without, steered, random)]
    return Steered(
        member, float(strength), abs(strength) * push.norm, texts[0], texts[1], texts[2], effect, up.tolist(),
        down.tolist(), without.n_dropped,
    )  # fmt: skip


def judged(steering: Steering, tokens: np.ndarray, domain: str | None) -> Written:
    """Continuations ``(n, n_tokens)`` with what is said of them.

    Raises:
        InputError: the run has no such domain.
    """
    from universality.effects.domain_judge import script_share

    inside, script = None, steering.script(domain)
    if domain is not None and steering.judge is not None:
        inside = steering.judge.judge(tokens) == steering.judge.code(domain)
    share = None if inside is None else float(inside.mean())
    own_script = None if script is None else script_share([steering.spelled(row) for row in tokens], script)
    distinct = float(np.mean([len(np.unique(row)) / len(row) for row in tokens]))
    return Written(tokens, inside, share, own_script, distinct)


def document(steering: Steering, side: Steered) -> dict[str, Any]:
    """One model's part of the JSON document; values that are not there are null."""
    effect, text = side.effect, steering.stored.text
    columns: dict[str, Any] = {
        "model": side.member.model, "latent": side.member.latent, "strength": side.strength, "norm": side.norm,
        "norm_ratio": effect.norm_ratio, "kl": effect.kl, "ce_without": effect.ce_clean,
        "ce_steered": effect.ce_steered, "prompt_tokens_dropped": side.n_dropped,
    }  # fmt: skip
    for name in ("share", "script", "distinct"):
        for part in ("without", "steered", "random"):
            columns[f"{name}_{part}"] = getattr(getattr(side, part), name)
    columns |= {"up": [text.token(i) for i in side.up], "down": [text.token(i) for i in side.down]}
    for part in ("without", "steered", "random"):
        columns[part] = [steering.spelled(row) for row in getattr(side, part).tokens]
    return {name: finite(value) for name, value in columns.items()}


def finite(value: Any) -> Any:
    """A number that JSON has, or None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def command(
    run: str,
    subject: str,
    prompt: str,
    strengths: Mapping[str, float],
    sampling: Sampling,
    options: Mapping[str, str | None],
) -> str:
    """The command line that writes the same continuations.

    Args:
        run: name of the run.
        subject: a cluster's number or a latent.
        prompt: text.
        strengths: by model.
        sampling: how continuations are sampled.
        options: further ones by name: store, comparison, domain; None leaves one out.
    """
    given = {
        "prompt": prompt, "strength": strengths_text(strengths), "tokens": sampling.tokens,
        "samples": sampling.samples, "temperature": f"{sampling.temperature:g}", "seed": sampling.seed,
        **options,
    }  # fmt: skip
    words: Sequence[str] = [f"--{name}={value}" for name, value in given.items() if value is not None]
    return shlex.join(["universality", "steer", run, subject, *words])
