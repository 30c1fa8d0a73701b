"""What the models of a run write after a prompt, with a feature turned up, without, and along a random direction."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from results import words
from results.steering import Member, Sampling, Steering, strengths_text

if TYPE_CHECKING:
    from universality.effects import SteeringEffect

#: Tokens whose logits rise and fall most that are told.
TOP_TOKENS = 10
#: Norm of the residual stream over the usual one above which a model counts as broken, and share of the usual number of
#: distinct tokens below which it does.
BROKEN_NORM, BROKEN_DISTINCT = 2.0, 0.5


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
    ids = steering.encode(prompt)
    with steering.lock:
        transformer, push = steering.model(member.model)[0], steering.push(member)
        options = steering.options(member.model, sampling)
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


def doubt(side: Steered) -> str:
    """That a model is rather broken than steered, in words; empty where nothing says so."""
    if side.effect.norm_ratio > BROKEN_NORM:
        return (
            f"The residual stream is {side.effect.norm_ratio:.1f} times as long as usual: rather broken than steered."
        )
    if side.steered.distinct < BROKEN_DISTINCT * side.without.distinct:
        return "It writes few tokens again and again: rather broken than steered."
    return ""


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


def judge_values(steering: Steering, domain: str | None) -> dict[str, Any] | None:
    """The domain, and how often its judge is right on held-out text; None without labels."""
    if domain is None or steering.judge is None:
        return None
    code = steering.judge.code(domain)
    hit, false_alarm = (finite(float(values[code])) for values in (steering.judge.hit, steering.judge.false_alarm))
    return {"name": domain, "hit": hit, "false_alarm": false_alarm}


def trust(steering: Steering, domain: str | None) -> str:
    """How far shares of a domain can be trusted, in a sentence."""
    said = judge_values(steering, domain)
    if said is None:
        return "The corpus has no labels of domains: no shares are told."
    right, wrong = words.rate(said["hit"]), words.rate(said["false_alarm"]) if said["false_alarm"] else "none"
    return (
        f"Tokens of {domain} are told by a naive Bayes classifier of the run's fit rows: of held-out text it finds "
        f"{right} of {domain}, and takes {wrong} of the rest for it."
    )


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
