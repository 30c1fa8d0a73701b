"""Steering transfer between the models of a run: directions of partners, mapped, beside exchanged and random ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from results.steering import Member, Steering
from universality.effects.push import Push, push_along, random_push
from universality.errors import require

if TYPE_CHECKING:
    from universality.effects import RidgeMap

#: Contexts on which directions are measured, and as many on which target sets are chosen.
N_CONTEXTS = 64
#: Rows of each half that the ridge map is fitted and held out on, at most.
MAX_ROWS = 20_000
#: Random directions of each pair.
N_RANDOM = 3
COLUMNS = (
    "model", "latent", "other_model", "other_latent", "r2", "arm", "beta", "cosine", "kl", "norm_ratio",
    "matched_strength", "matched_kl", "ratio",
)  # fmt: skip


def transfer_tables(steering: Steering, members: Sequence[Member]) -> Iterator[pd.DataFrame]:
    """Steer each member's model by the directions of the others, mapped into its activations.

    Args:
        steering: the opened comparison.
        members: one feature in several models.

    Yields:
        For every ordered pair of members a table, with a row for each direction and strength: what
        :class:`universality.effects.Transferred` says of it, and the held-out R² of the ridge map. Directions: ``own``;
        ``partner``; ``hard_exchange`` (instead of the partner another latent of its model that is matched with this
        model, of the same domain and the nearest firing rate; missing where there is none); ``random 0``, ….

    Raises:
        InputError: fewer than two members.
    """
    remedy = "Take a cluster of several models."
    require(len(members) > 1, "features", "steering transfer", "at least 2", len(members), remedy)
    tables = _Transfers(steering)
    for a, b in permutations(members, 2):
        yield tables.of_pair(a, b)


class _Transfers:
    """Keeps the raw activations and maps that several pairs need."""

    def __init__(self, steering: Steering) -> None:
        self.steering, self.stored = steering, steering.stored
        self.raw = lru_cache(2)(self._raw)
        self.map = lru_cache(None)(self._map)

    def of_pair(self, a: Member, b: Member) -> pd.DataFrame:
        from universality.effects import measure_transfer

        own, fitted = self.steering.push(a), self.map(a.model, b.model)
        arms = {"partner": self.mapped(own, fitted, b)}
        other = exchanged(self.steering, a, b)
        if other is not None:
            arms["hard_exchange"] = self.mapped(own, fitted, other)
        arms |= {f"random {draw}": random_push(own, draw) for draw in range(N_RANDOM)}
        transformer = self.steering.model(a.model)[0]
        contexts, fit_contexts = (quiet_contexts(self.steering, a, of_score) for of_score in (True, False))
        found = measure_transfer(transformer, own, arms, contexts, fit_contexts)
        rows = [{"model": a.model, "latent": a.latent, "other_model": b.model, "other_latent": b.latent,
                 "r2": fitted.r2, **asdict(one)} for one in found]  # fmt: skip
        return pd.DataFrame(rows, columns=pd.Index(COLUMNS))

    def mapped(self, own: Push, fitted: RidgeMap, member: Member) -> Push:
        """The direction of another model's latent in this one, as long as the own one."""
        row = self.steering.push(member).vector
        return push_along(own.hook_point, fitted.direction(row), own.norm, own.row_scale)

    def _map(self, a: str, b: str) -> RidgeMap:
        from universality.effects import ridge_map

        score = self.rows[1]
        raw_b, raw_a = self.raw(b), self.raw(a)
        return ridge_map(raw_b[~score], raw_a[~score], raw_b[score], raw_a[score])

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Evaluation rows that maps are made of, from whole contexts, and which of them are score rows."""
        score = self.stored.score_rows
        kept = [np.flatnonzero(half)[:MAX_ROWS] for half in (~score, score)]
        rows = np.sort(np.concatenate(kept))
        return rows, score[rows]

    def _raw(self, model: str) -> np.ndarray:
        """(n, d_in) raw activations of a model on these rows."""
        from universality.transformers.harvest import harvest

        transformer, _, hook_point = self.steering.model(model)
        text, (rows, _) = self.stored.text, self.rows
        used, place = np.unique(np.asarray(text.row_context)[rows], return_inverse=True)
        contexts = np.asarray(text.contexts)[used]
        values = np.concatenate([batch[hook_point] for batch in harvest(transformer, contexts, [hook_point])])
        return values[place, np.asarray(text.row_position)[rows]]


def quiet_contexts(steering: Steering, member: Member, of_score: bool) -> np.ndarray:
    """The contexts of one half in which a feature fires least, the first of those that tie: (at most 64, n_ctx)."""
    text, stored = steering.stored.text, steering.stored
    context = np.asarray(text.row_context)
    found = stored.firing(member.model, member.latent)
    fired = np.bincount(context[found.rows], minlength=len(text.contexts))
    of_half = np.bincount(context[stored.score_rows == of_score], minlength=len(text.contexts))
    usable = np.flatnonzero(2 * of_half > np.bincount(context, minlength=len(text.contexts)))
    order = usable[np.argsort(fired[usable], kind="stable")]
    quiet = order[: max(int((fired[order] == 0).sum()), N_CONTEXTS)]
    spread = np.linspace(0, len(quiet) - 1, min(N_CONTEXTS, len(quiet))).round().astype(int)
    return np.asarray(text.contexts)[quiet[np.unique(spread)]]


def exchanged(steering: Steering, a: Member, b: Member) -> Member | None:
    """The hard exchange: in b's model the latent matched with a's model, of b's domain, of the nearest firing rate."""
    pairs, features = steering.stored.table("pairs"), steering.stored.table("features")
    matched: set[int] = set()
    for one, other in (("a", "b"), ("b", "a")):
        rows = pairs[(pairs[f"model_{one}"] == b.model) & (pairs[f"model_{other}"] == a.model)]
        matched |= set(rows[f"latent_{one}"].astype(int))
    of_model = features[features["model"] == b.model].set_index("latent")
    domain = of_model["top_domain"].to_dict()
    rate = of_model["firing_rate"].to_dict()
    like = [latent for latent in sorted(matched - {b.latent}) if domain.get(latent) == domain.get(b.latent)]
    return Member(b.model, min(like, key=lambda latent: abs(rate[latent] - rate[b.latent]))) if like else None
