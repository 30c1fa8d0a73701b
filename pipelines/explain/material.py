"""Which contexts a language model is shown of a feature, and on which others its words are judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from results.evaluation_text import AFTER, BEFORE
from results.token_text import PART_MARK
from universality.seeds import generator

if TYPE_CHECKING:
    from results.firing import Firing
    from results.stored_comparison import StoredComparison

#: Contexts of fit rows that are shown: the strongest, one of each fifth of the others, and silent ones.
N_TOP, N_QUANTILES, N_SILENT = 5, 5, 5
#: Contexts of score rows that words are judged on: so many in which it fires, and as many in which it is silent.
N_SCORED, LEAST_SCORED = 10, 5
N_QUESTIONS, N_OPTIONS = 5, 5
#: Around a token that is pointed at.
MARKS = "⟦⟧"
_TRIES = 50


@dataclass(frozen=True)
class Example:
    """The tokens around a row.

    Attributes:
        row: the evaluation row.
        tokens: texts as :meth:`EvaluationText.window` gives them.
        fires: whether the feature fires on each token.
        others: places of tokens that are rows and on which it does not fire.
        peak: place of the row.
    """

    row: int
    tokens: tuple[str, ...]
    fires: tuple[bool, ...]
    others: tuple[int, ...]
    peak: int

    @property
    def plain(self) -> str:
        """The text, characters whole."""
        return self.marked(())

    @property
    def active(self) -> tuple[int, ...]:
        """Places of the tokens on which the feature fires."""
        return tuple(place for place, fires in enumerate(self.fires) if fires)

    def marked(self, places: Iterable[int]) -> str:
        """The text with some tokens between :data:`MARKS`, which no token of it has."""
        chosen, (left, right) = set(places), MARKS
        tokens = [token.replace(left, "[").replace(right, "]") for token in self.tokens]
        told = enumerate(tokens)
        return "".join(f"{left}{t}{right}" if i in chosen else t.replace(PART_MARK, "") for i, t in told)


@dataclass(frozen=True)
class Material:
    """What one feature is explained by and judged on.

    Attributes:
        model, latent: the feature.
        firing, silent: contexts of fit rows, to be shown.
        scored_firing, scored_silent: as many of each, of score rows; no context has rows of both halves.
        detection: order in which these two together are asked about.
        fuzzing: for each of ``scored_firing``, places that are marked, and whether these are where it fires.
        questions: of the intruder game: contexts, and the place of the silent one.
    """

    model: str
    latent: int
    firing: tuple[Example, ...]
    silent: tuple[Example, ...]
    scored_firing: tuple[Example, ...]
    scored_silent: tuple[Example, ...]
    detection: tuple[int, ...]
    fuzzing: tuple[tuple[tuple[int, ...], bool], ...]
    questions: tuple[tuple[tuple[Example, ...], int], ...]


def gather(stored: StoredComparison, model: str, latent: int, seed: int) -> Material | None:
    """The material of a feature, the same for equal arguments; None where it has too few contexts.

    Raises:
        LatentMissing: the model has none of that number.
    """
    rng = generator(seed, "explain", stored.name, stored.comparison, model, latent)
    fires, score = stored.firing(model, latent), stored.score_rows
    pick = _Picker(stored, fires)
    peaks = pick.peaks(~score)
    shown = pick.distinct(peaks[:N_TOP], N_TOP)
    shown += pick.of_groups(peaks[N_TOP:], N_QUANTILES, rng)
    silent = pick.distinct(pick.silent_like(shown, ~score, rng), N_SILENT)
    firing = pick.of_groups(pick.peaks(score), N_SCORED, rng)
    # Half of the silent ones are of domains in which it fires, so that the domain alone does not tell.
    half = pick.distinct(pick.silent_like(firing, score, rng), (len(firing) + 1) // 2)
    half += pick.distinct(rng.permutation(np.flatnonzero(score & pick.is_silent)), len(firing) - len(half))
    n = min(len(firing), len(half))
    if not shown or not silent or n < LEAST_SCORED:
        return None
    firing, half = firing[:n], half[:n]
    order = tuple(rng.permutation(2 * n).tolist())
    fuzzing = _fuzzing(firing, rng)
    if len({right for _, right in fuzzing}) < 2:  # it fires on whole windows: no token is silent
        return None
    questions = tuple(_question(firing, half, rng) for _ in range(N_QUESTIONS))
    return Material(model, latent, tuple(shown), tuple(silent), tuple(firing), tuple(half), order, fuzzing, questions)


class _Picker:
    """Draws rows of one feature whose windows are all different texts."""

    def __init__(self, stored: StoredComparison, fires: Firing) -> None:
        self.text, self.fires, self.seen = stored.text, fires, set[str]()
        self.contexts, self.domains = np.asarray(self.text.row_context), np.asarray(self.text.row_domain)
        positions = np.asarray(self.text.row_position).astype(np.int64)
        before = np.zeros((len(self.text.contexts), self.text.n_ctx + 1), dtype=np.int32)
        before[self.contexts[fires.rows], positions[fires.rows] + 1] = 1
        before = before.cumsum(axis=1)
        low, high = np.maximum(positions - BEFORE, 0), np.minimum(positions + AFTER + 1, self.text.n_ctx)
        #: (n_rows,) bool: nowhere in the window around the row does it fire.
        self.is_silent = before[self.contexts, high] == before[self.contexts, low]

    def peaks(self, among: np.ndarray) -> np.ndarray:
        """Its strongest row of each context, the strongest first."""
        rows = self.fires.rows[among[self.fires.rows]]
        rows = rows[np.argsort(-self.fires.at(rows), kind="stable")]
        return rows[np.sort(np.unique(self.contexts[rows], return_index=True)[1])]

    def distinct(self, rows: np.ndarray, limit: int) -> list[Example]:
        """The first rows whose texts have not been drawn before."""
        drawn: list[Example] = []
        for row in rows[: limit + _TRIES].tolist() if limit > 0 else ():
            window = self.text.window(row)
            example = "".join(window.tokens)
            if example not in self.seen:
                self.seen.add(example)
                fires = self.fires.at(window.rows) > 0
                others = np.flatnonzero(~fires & (np.asarray(window.rows) >= 0))
                told = (tuple(window.tokens), tuple(fires.tolist()), tuple(others.tolist()), window.peak)
                drawn.append(Example(row, *told))
            if len(drawn) == limit:
                break
        return drawn

    def of_groups(self, peaks: np.ndarray, n: int, rng: np.random.Generator) -> list[Example]:
        """One of each of n groups of peaks, from the strong ones to the weak."""
        return [one for group in np.array_split(peaks, n) for one in self.distinct(rng.permutation(group), 1)]

    def silent_like(self, examples: list[Example], among: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Silent rows in random order, of the examples' domains where there are any."""
        silent = self.is_silent & among
        like = silent & np.isin(self.domains, self.domains[[one.row for one in examples]])
        return rng.permutation(np.flatnonzero(like if like.any() else silent))


def _fuzzing(firing: list[Example], rng: np.random.Generator) -> tuple[tuple[tuple[int, ...], bool], ...]:
    """Half of the contexts marked where it fires, half as often elsewhere."""
    wrong = set(rng.permutation(len(firing))[: len(firing) // 2].tolist())
    marks = []
    for place, one in enumerate(firing):
        n = min(len(one.active), len(one.others))
        false = place in wrong and n > 0
        marks.append((tuple(sorted(rng.choice(one.others, n, replace=False).tolist())) if false else one.active,
                      not false))  # fmt: skip
    return tuple(marks)


def _question(firing: list[Example], silent: list[Example], rng: np.random.Generator) -> tuple:
    drawn = [silent[int(rng.integers(len(silent)))]]
    drawn += [firing[place] for place in rng.permutation(len(firing))[: N_OPTIONS - 1]]
    order = rng.permutation(N_OPTIONS)
    return tuple(drawn[place] for place in order), int(np.flatnonzero(order == 0)[0])
