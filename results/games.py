"""Blind games over a run: can a person tell what a feature fires on, and find its partner in another model?

Intruder: on four of five texts the feature fires, on one it is silent. Partner: a few texts of a feature of one model,
and five sets of texts of features of another model, of *other* sources; one set is of its assigned partner. By chance
one answer in five is right. All texts are of score rows, on which nothing was matched. Among the questions are some
about untrained models, unmarked: their accuracy is the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from results.firing import Firing
from results.remembering import remembered
from results.stored_comparison import TOKENS, StoredComparison, pair_node
from universality.errors import refusal
from universality.seeds import generator

if TYPE_CHECKING:
    from collections.abc import Iterator

Game = Literal["intruder", "partner"]
GAMES: tuple[Game, ...] = ("intruder", "partner")
N_OPTIONS, N_TEXTS = 5, 4
#: Lower ends of the strata of held-out r; pairs are drawn evenly from them, and within each evenly from levels.
R_STRATA = (-1.0, 0.2, 0.5, 0.8)
#: Share of the questions that are about untrained models, where a run has their pairs.
FLOOR_SHARE = 0.2
#: Other features offered are drawn from so many of the domain (else of all) that fire most nearly as often.
_LIKE = 20
_TRIES = 200


@dataclass(frozen=True)
class Question:
    """One question; who asks it again with equal arguments gets the same.

    Attributes:
        game: which game.
        number: its place in the player's series, from 0.
        kind: ``matched`` or ``untrained``.
        model_a, latent_a: the feature that is asked about.
        model_b, latent_b: its assigned partner; the intruder game shows texts of side a alone.
        r: held-out r of the pair.
        level: its level.
        sample: evaluation rows of side a to compare with; none in the intruder game.
        options: the evaluation rows of each option, one each in the intruder game.
        features: latent of each option in its model; in the intruder game all the feature itself.
        right: place of the right option.
    """

    game: Game
    number: int
    kind: str
    model_a: str
    latent_a: int
    model_b: str
    latent_b: int
    r: float
    level: str
    sample: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]
    features: tuple[int, ...]
    right: int


@remembered()
def subjects(stored: StoredComparison) -> pd.DataFrame:
    """Assigned pairs that can be asked about: kind, both sides, r_held_out, level, and the stratum of r."""
    columns = ["model_a", "latent_a", "model_b", "latent_b", "r_held_out", "level"]
    parts = [stored.table("pairs")[columns].assign(kind="matched")]
    untrained = stored.models("untrained")
    for number, a in enumerate(untrained):
        for b in untrained[number + 1 :]:
            node = pair_node("matching", stored.comparison, f"{a}-{b}")
            if node in stored.run.record["nodes"]:
                parts.append(stored.run.artifact(node).table("matched")[columns].assign(kind="untrained"))
    pairs = pd.concat(parts, ignore_index=True)
    return pairs.assign(stratum=np.searchsorted(R_STRATA, pairs["r_held_out"], side="right"))


def question(stored: StoredComparison, game: Game, player: str, number: int) -> Question:
    """The question of this number in a player's series.

    Args:
        stored: the comparison.
        game: ``intruder`` or ``partner``.
        player: whoever plays; series of different players differ.
        number: place in the series, from 0.

    Raises:
        InputError: the run has too little text for any question.
    """
    rng = generator(0, "game", stored.name, stored.comparison, game, player, number)
    for row in _drawn_pairs(subjects(stored), rng):
        asked = (_intruder if game == "intruder" else _partner)(stored, row, rng)
        if asked is not None:
            sample, options, features = asked
            order = rng.permutation(len(options))
            return Question(
                game, number, row["kind"], row["model_a"], int(row["latent_a"]), row["model_b"], int(row["latent_b"]),
                float(row["r_held_out"]), str(row["level"]), sample, tuple(options[place] for place in order),
                tuple(features[place] for place in order), int(np.flatnonzero(order == 0)[0]),
            )  # fmt: skip
    constraint, remedy = f"features that fire in {N_TEXTS} different texts", "Evaluate on more text (split)."
    raise refusal("pairs", f"comparison {stored.comparison!r}", constraint, "too few of them", remedy)


def _drawn_pairs(pairs: pd.DataFrame, rng: np.random.Generator) -> Iterator[dict]:
    """Pairs, one after another: kind, then stratum of r, then level, then the pair, each drawn evenly."""
    for _ in range(_TRIES if len(pairs) else 0):
        floor = pairs["kind"] == "untrained"
        wanted = floor if floor.any() and (rng.random() < FLOOR_SHARE or floor.all()) else ~floor
        some = pairs[wanted]
        for column in ("stratum", "level"):
            values = sorted(some[column].unique())
            some = some[some[column] == values[rng.integers(len(values))]]
        yield some.iloc[int(rng.integers(len(some)))].to_dict()


def _intruder(stored: StoredComparison, row: dict, rng: np.random.Generator) -> tuple | None:
    """The silent text first, then those on which the feature fires."""
    fires = stored.firing(row["model_a"], int(row["latent_a"]))
    texts = _texts(stored, fires, stored.score_rows, rng)
    if texts is None:
        return None
    text = stored.text
    silent = stored.score_rows & ~np.isin(text.row_context, np.asarray(text.row_context)[fires.rows])
    # Of a kind of text that is among the others, or the script alone would tell.
    like = silent & np.isin(text.row_domain, np.asarray(text.row_domain)[list(texts)])
    rows = np.flatnonzero(like if like.any() else silent)
    if not rows.size:
        return None
    options = [(int(rows[rng.integers(rows.size)]),), *((one,) for one in texts)]
    return (), options, [int(row["latent_a"])] * N_OPTIONS


def _partner(stored: StoredComparison, row: dict, rng: np.random.Generator) -> tuple | None:
    """Texts of the feature; then those of its partner, and of others like it, from other sources."""
    sources, score = _row_sources(stored), stored.score_rows
    names = np.unique(sources[score])
    here = np.isin(sources, rng.permutation(names)[: names.size // 2])
    sample = _texts(stored, stored.firing(row["model_a"], int(row["latent_a"])), score & here, rng)
    latents, options = [], []
    for latent in [int(row["latent_b"]), *_others(stored, row, rng)]:
        texts = _texts(stored, stored.firing(row["model_b"], latent), score & ~here, rng)
        if texts is None and not options:  # the partner itself has too few
            return None
        if texts is not None:
            latents.append(latent)
            options.append(texts)
        if len(options) == N_OPTIONS and sample is not None:
            return sample, options, latents
    return None


def _others(stored: StoredComparison, row: dict, rng: np.random.Generator) -> list[int]:
    """Features of the other model that are like the partner (of its domain, about as frequent), in random order."""
    pairs = subjects(stored)
    of = pairs[(pairs["model_a"] == row["model_a"]) & (pairs["model_b"] == row["model_b"])]
    latents = of["latent_b"].to_numpy(np.int64)
    latents = latents[latents != int(row["latent_b"])]
    counts = np.diff(stored.acts(row["model_b"]).indptr)
    far = np.abs(np.log((1 + counts[latents]) / (1 + counts[int(row["latent_b"])])))
    domains = _domains(stored, row["model_b"], counts.size)
    near = latents[np.lexsort((far, domains[latents] != domains[int(row["latent_b"])]))][:_LIKE]
    return rng.permutation(near).tolist()


def _domains(stored: StoredComparison, model: str, d_sae: int) -> np.ndarray:
    """Domain of each latent's strongest activations; all alike where the run does not say, as of untrained models."""
    features, of = stored.table("features"), np.full(d_sae, "", dtype=object)
    own = features[(features["model"] == model).to_numpy()]
    if "top_domain" in own:
        of[own["latent"].to_numpy(np.int64)] = own["top_domain"].fillna("").to_numpy()
    return of


def _texts(
    stored: StoredComparison, fires: Firing, among: np.ndarray, rng: np.random.Generator
) -> tuple[int, ...] | None:
    """Rows of different texts: the peaks of contexts, drawn from the stronger half; None where there are too few."""
    text = stored.text
    rows = fires.rows[among[fires.rows]]
    rows = rows[np.argsort(-fires.at(rows), kind="stable")]
    _, first = np.unique(np.asarray(text.row_context)[rows], return_index=True)
    peaks = rows[np.sort(first)]
    stronger = peaks[: max((peaks.size + 1) // 2, N_TEXTS)]
    chosen: dict[str, int] = {}
    for row in rng.permutation(stronger):
        chosen.setdefault("".join(text.window(int(row)).tokens), int(row))
        if len(chosen) == N_TEXTS:
            return tuple(chosen.values())
    return None


def _row_sources(stored: StoredComparison) -> np.ndarray:
    return np.asarray(stored.run.artifact(TOKENS).array("row_source")[:])
