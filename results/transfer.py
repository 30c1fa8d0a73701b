"""Steering transfer between the models of a run: directions of partners, mapped, beside exchanged and random ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from results.steering import Member, Steering
from universality.effects.push import Push, push_along, random_push
from universality.errors import InputError, require

if TYPE_CHECKING:
    from universality.effects import RidgeMap

#: Contexts on which directions are measured, and as many on which target sets are chosen.
N_CONTEXTS = 64
#: Rows of each half that the ridge map is fitted and held out on, at most.
MAX_ROWS = 20_000
COLUMNS = (
    "model", "latent", "arm", "draw", "other_model", "other_latent", "r2", "beta", "cosine", "kl", "norm_ratio",
    "matched_strength", "matched_kl", "ratio", "problem",
)  # fmt: skip


@dataclass(frozen=True)
class TransferSettings:
    """How much text transfer is measured on, and at which strengths.

    Attributes:
        contexts: contexts of both halves.
        search_contexts: those among them on which the strength of equal divergence is looked for.
        random: random directions of each member.
        betas: strengths of the own direction.
    """

    contexts: int = N_CONTEXTS
    search_contexts: int = 16
    random: int = 3
    betas: tuple[float, ...] = (1.0, 2.0, 4.0)


def transfer_tables(steering: Steering, members: Sequence[Member]) -> Iterator[pd.DataFrame]:
    """Steer each member's model by the directions of all others, mapped into its activations.

    Args:
        steering: the opened comparison.
        members: one feature in several models.

    Yields:
        What :meth:`Transfers.into` says of every member.

    Raises:
        InputError: fewer than two members.
    """
    remedy = "Take a cluster of several models."
    require(len(members) > 1, "features", "steering transfer", "at least 2", len(members), remedy)
    transfers = Transfers(steering)
    for member in members:
        yield transfers.into(member, [other for other in members if other.model != member.model])


class Transfers:
    """Transfer between the models of a comparison; keeps the raw activations and maps that several members need.

    Args:
        steering: the opened comparison.
        settings: how much is measured.
        raw: a model's raw activations at its hook point, (n_evaluation_rows, d_in) or anything that is indexed so;
            default those rows that are needed, read through the model.
    """

    def __init__(
        self, steering: Steering, settings: TransferSettings = TransferSettings(), raw: Callable | None = None
    ) -> None:
        self.steering, self.stored, self.settings = steering, steering.stored, settings
        self.raw = lru_cache(2)(self._raw if raw is None else lambda model: np.asarray(raw(model)[self.rows[0]]))
        self.map = lru_cache(None)(self._map)

    def into(self, a: Member, others: Sequence[Member]) -> pd.DataFrame:
        """Steer a member's model by its own direction, those of others, and controls.

        Returns:
            A row for each direction and strength: what :class:`universality.effects.Transferred` says of it, and of
            mapped ones the held-out R² of the ridge map. Directions: ``own``; ``partner``; ``hard_exchange`` (instead
            of the partner another latent of its model that is matched with this model, of the same domain and the
            nearest firing rate; missing where there is none); ``random``, several draws. A direction that the map
            sends to nothing has one row, which says so as ``problem``.

        Raises:
            InputError: what is wrong with the member's own direction.
        """
        from universality.effects import measure_transfer

        own, how = self.steering.push(a), self.settings
        arms: dict[str, Push] = {}
        said: dict[str, dict[str, Any]] = {"own": {"arm": "own", "draw": 0}}
        for b in others:
            for arm, member in (("partner", b), ("hard_exchange", exchanged(self.steering, a, b))):
                if member is None:
                    continue
                name = f"{arm} {b.model}"
                said[name] = {"arm": arm, "draw": 0, "other_model": b.model, "other_latent": member.latent}
                try:
                    fitted = self.map(a.model, b.model)
                    said[name]["r2"] = fitted.r2
                    arms[name] = self.mapped(own, fitted, member)
                except InputError as problem:
                    said[name]["problem"] = str(problem)
        for draw in range(how.random):
            arms[f"random {draw}"] = random_push(own, draw)
            said[f"random {draw}"] = {"arm": "random", "draw": draw}
        contexts, fit_contexts = (quiet_contexts(self.steering, a, half, how.contexts) for half in (True, False))
        transformer = self.steering.model(a.model)[0]
        found = measure_transfer(transformer, own, arms, contexts, fit_contexts, how.betas, how.search_contexts)
        rows = [{**asdict(one), **said[one.arm]} for one in found]
        rows += [what for what in said.values() if "problem" in what]
        frame = pd.DataFrame(rows, columns=pd.Index(COLUMNS)).assign(model=a.model, latent=a.latent)
        return frame.astype({"other_latent": "Int64", "r2": float, "other_model": object, "problem": object})

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


def quiet_contexts(steering: Steering, member: Member, of_score: bool, n: int = N_CONTEXTS) -> np.ndarray:
    """The contexts of one half in which a feature fires least, the first of those that tie: (at most n, n_ctx)."""
    text, stored = steering.stored.text, steering.stored
    context = np.asarray(text.row_context)
    found = stored.firing(member.model, member.latent)
    fired = np.bincount(context[found.rows], minlength=len(text.contexts))
    of_half = np.bincount(context[stored.score_rows == of_score], minlength=len(text.contexts))
    usable = np.flatnonzero(2 * of_half > np.bincount(context, minlength=len(text.contexts)))
    order = usable[np.argsort(fired[usable], kind="stable")]
    quiet = order[: max(int((fired[order] == 0).sum()), n)]
    spread = np.linspace(0, len(quiet) - 1, min(n, len(quiet))).round().astype(int)
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
