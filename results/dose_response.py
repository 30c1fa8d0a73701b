"""How the share of a domain in what models write follows the strength of a feature, beside controls of equal norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from results.steered import judged
from results.steering import Member, Sampling, Steering
from universality.effects.push import Push, push_along, random_push
from universality.errors import require

MULTIPLES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
#: Tokens of each prompt, the start token not counted.
PROMPT_TOKENS = 12
#: Continuations that are written at once, at most: one pass has many at little more than the time of a few.
MOST_ROWS = 512
#: Random directions of each feature.
N_RANDOM = 3
COLUMNS = (
    "model", "latent", "kind", "draw", "strength", "share", "share_se", "script", "distinct", "norm_ratio", "kl",
    "ce_rise",
)  # fmt: skip


@dataclass(frozen=True)
class _Arm:
    """A direction: ``own``, ``random`` (several draws) or ``other`` (a latent of another domain)."""

    kind: str
    draw: int
    push: Push


def dose_response(
    steering: Steering,
    members: Sequence[Member],
    domain: str,
    multiples: Sequence[float] = MULTIPLES,
    sampling: Sampling | None = None,
    *,
    n_prompts: int | None = None,
    n_random: int = N_RANDOM,
) -> pd.DataFrame:
    """Steer every member over multiples, from prompts of all other domains.

    Prompts are the first tokens of one held-out document of each other domain, so that without steering nothing leads
    to the domain.

    Args:
        steering: the opened comparison.
        members: features, of one model each.
        domain: whose share is measured.
        multiples: strengths.
        sampling: ``samples`` counts continuations of each prompt.
        n_prompts: prompts at most, of domains spread over all others; default one of each.
        n_random: random directions of each member.

    Returns:
        One row per member, direction (``own``; ``random``, of equal norm; ``other``, the latent of another domain whose
        firing rate is nearest, at equal norm) and strength: the domain's share and its standard error over prompts,
        share of its script, share of distinct tokens, and over the prompts, each with the first of its unsteered
        continuations: norm of the residual stream over that without steering, KL and rise of the cross-entropy, nats.

    Raises:
        InputError: no labels of domains, or no held-out document of another domain.
    """
    from universality.effects import continue_prompt
    from universality.effects.continuations import continue_along
    from universality.effects.steering import Unsteered

    remedy = "Steering is judged by the labels of the corpus."
    require(steering.judge is not None, "labels", f"run {steering.stored.name!r}", "those of domains", "none", remedy)
    prompts = spread(neutral_prompts(steering, domain), n_prompts)
    how = sampling or Sampling(samples=2)
    rows = []
    for member in members:
        transformer = steering.model(member.model)[0]
        options = steering.options(member.model, how)
        directions = _arms(steering, member, domain, n_random)
        arms = [(arm, float(strength)) for arm in directions for strength in multiples]
        pushed = [(arm.push, strength) for arm, strength in arms if strength != 0]
        clean = continue_prompt(transformer, prompts, **options)
        most = max(MOST_ROWS // len(clean.tokens), 1)
        said = [part for start in range(0, len(pushed), most)
                for part in continue_along(transformer, prompts, pushed[start : start + most], **options)]  # fmt: skip
        left = iter(said)
        read = np.concatenate([clean.read, clean.tokens], axis=1)[:: how.samples, : steering.stored.text.n_ctx]
        unsteered = Unsteered(transformer, read)
        for arm, strength in arms:
            written = judged(steering, (clean if strength == 0 else next(left)).tokens, domain)
            assert written.in_domain is not None
            of_prompt = written.in_domain.mean(axis=1).reshape(len(prompts), -1).mean(axis=1)
            error = float(of_prompt.std(ddof=1) / np.sqrt(len(prompts))) if len(prompts) > 1 else np.nan
            effect = unsteered.steer(arm.push, strength)
            direction = (member.model, member.latent, arm.kind, arm.draw, strength)
            of_text = (written.share, error, written.script, written.distinct)
            rise = effect.ce_steered - effect.ce_clean
            rows.append((*direction, *of_text, effect.norm_ratio, effect.kl, rise))
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def neutral_prompts(steering: Steering, domain: str) -> np.ndarray:
    """The first tokens of one score document of each domain but one, after a start token: (n_prompts, tokens + 1)."""
    text, score = steering.stored.text, steering.stored.score_rows
    row_document, tokens = np.asarray(text.row_document), steering.row_tokens
    prompts = []
    for code, name in enumerate(text.domains):
        rows = np.flatnonzero(score & (np.asarray(text.row_domain) == code)) if name != domain else []
        documents, starts, counts = np.unique(row_document[rows], return_index=True, return_counts=True)
        long = np.flatnonzero(counts >= PROMPT_TOKENS)
        if len(documents) and long.size:
            first = starts[long[0]]
            prompts.append(tokens[rows[first : first + PROMPT_TOKENS]])
    remedy = f"A document of at least {PROMPT_TOKENS} tokens is needed."
    require(prompts, "held-out text", f"other domains than {domain}", "there", "none", remedy)
    start = np.full((len(prompts), 1), text.contexts[0, 0], dtype=np.int64)
    return np.concatenate([start, np.stack(prompts)], axis=1)


def spread(rows: np.ndarray, n: int | None) -> np.ndarray:
    """At most ``n`` of the rows, evenly spaced over all of them."""
    if n is None or n >= len(rows):
        return rows
    return rows[np.linspace(0, len(rows) - 1, n).round().astype(int)]


def _arms(steering: Steering, member: Member, domain: str, n_random: int) -> list[_Arm]:
    own = steering.push(member)
    seeds = [(draw, random_push(own, draw)) for draw in range(n_random)]
    arms = [_Arm("own", 0, own), *(_Arm("random", draw, push) for draw, push in seeds)]
    other = other_member(steering, member, domain)
    if other is not None:
        push = steering.push(other)
        arms.append(_Arm("other", 0, push_along(own.hook_point, push.vector, own.norm, push.row_scale)))
    return arms


def other_member(steering: Steering, member: Member, domain: str) -> Member | None:
    """The alive latent of the same model, of another domain, whose firing rate is nearest; None where there is none."""
    features = steering.stored.table("features")
    own = features[features["model"] == member.model].set_index("latent")
    rate = own["firing_rate"].to_numpy(float)[own.index == member.latent][0]
    others = own[(own["status"] == "alive") & (own["top_domain"] != domain) & own["top_domain"].notna()]
    if others.empty:
        return None
    distance = np.abs(others["firing_rate"].to_numpy(float) - rate)
    return Member(member.model, int(others.index.to_numpy()[distance.argmin()]))
