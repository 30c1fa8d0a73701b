"""Does what explains a feature explain its partner too? Linear explanations from the tokens just read, carried over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import linalg, sparse, stats

from universality.compare.levels import LEVELS
from universality.compare.pair import Dictionary
from universality.effects.controls import hard_exchange
from universality.effects.effect_table import ALL_EDGES, ALL_PAIRS
from universality.effects.predictions import TextRows
from universality.effects.sampling import some_of
from universality.intervals import centred_interval
from universality.rows import Rows
from universality.seeds import generator
from universality.table_schemas import TABLES

#: Tokens that an explanation sees: that of the row, and so many before it in the context.
N_BEFORE = 8
#: Columns that pairs of token and distance are hashed into.
N_HASHED = 4_096
#: Rows that explanations are fitted on, and scored on, at most.
FIT_ROWS, SCORE_ROWS = 65_536, 8_192
#: Penalty of the ridge regression, in rows.
PENALTY = 10.0
#: What an explanation must say of its own latent before it can be said how much of that it says of another.
LEAST_OWN = 0.02
#: Assigned pairs of two dictionaries that are looked at, at most: drawn at random.
MOST_PAIRS = 512
_BLOCK = 256
_MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def hashed_context(text: TextRows) -> sparse.csr_matrix:
    """(n_rows, N_HASHED) CSR float64: how often each hashed pair of token and distance 0 to :data:`N_BEFORE` is there.

    Source: feature hashing (Weinberger et al. 2009), without signs; the mixing of bits is that of splitmix64.
    """
    rows, columns = [], []
    contexts = np.asarray(text.contexts)
    for distance in range(N_BEFORE + 1):
        there = np.flatnonzero(text.position >= distance)
        tokens = contexts[text.context[there], text.position[there] - distance].astype(np.uint64)
        mixed = tokens * np.uint64(N_BEFORE + 1) + np.uint64(distance) + np.uint64(1)
        mixed *= _MIX[0]
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[1]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[2]
        rows.append(there)
        columns.append(((mixed ^ (mixed >> np.uint64(31))) % np.uint64(N_HASHED)).astype(np.int64))
    cells = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_matrix((np.ones(cells[0].size), cells), shape=(text.n_rows, N_HASHED))


class Explainer:
    """Ridge regression of activations on what was just read, with a constant that is not shrunk.

    Args:
        features: (n_rows, n_hashed) of :func:`hashed_context`, fit rows.
    """

    def __init__(self, features: sparse.csr_matrix) -> None:
        self._features, self._n = features, features.shape[0]
        self._centre = np.asarray(features.mean(axis=0)).ravel()
        gram = (features.T @ features).toarray() - self._n * np.outer(self._centre, self._centre)
        gram[np.diag_indices_from(gram)] += PENALTY
        self._factor = linalg.cho_factor(gram, overwrite_a=True)

    def __call__(
        self, acts: sparse.csr_matrix
    ) -> tuple[Float[np.ndarray, "n_hashed n_latents"], Float[np.ndarray, " n_latents"]]:
        """Weights and constants that foretell activations (n_rows, n_latents) best on the fit rows, penalised."""
        means = np.asarray(acts.mean(axis=0), np.float64).ravel()
        products = (self._features.T @ acts.astype(np.float64)).toarray() - self._n * np.outer(self._centre, means)
        weights = linalg.cho_solve(self._factor, products, overwrite_b=True)
        return weights, means - self._centre @ weights


@dataclass(frozen=True, eq=False)
class Explanations:
    """Explanations of the latents of several dictionaries over the same rows, and how they score.

    Attributes:
        dictionaries: by id.
        contexts: int (n_contexts, n_ctx) token ids; context, position: (n_rows,) where each row stands.
        weights: (n_resamples, n_sources) how often each source of the score rows is drawn, in rising order.
        root_seed: of the comparison.
        confidence: level of the intervals.

    Source: explanations as predictors that are simulated and scored (Bills et al. 2023), here linear and from the text
    alone; that they are carried to another model's latent is ours.
    """

    dictionaries: Mapping[str, Dictionary]
    contexts: Int[np.ndarray, "n_contexts n_ctx"]
    context: Int[np.ndarray, " n_rows"]
    position: Int[np.ndarray, " n_rows"]
    weights: Float[np.ndarray, "n_resamples n_sources"]
    root_seed: int
    confidence: float = 0.95
    _ranks: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=dict)

    def tables(self, pairs: Sequence[tuple[str, tuple[str, str], pd.DataFrame]]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """How well explanations of one latent foretell its partner's activation, and what that is on average.

        Args:
            pairs: kind (matched, ceiling, floor), ids of two dictionaries, their assigned pairs (latent_a, latent_b,
                level, edge).

        Returns:
            The tables ``explanations`` (pair by pair, both ways) and ``explanation_transfer``.
        """
        asked = []
        for kind, (a, b), matched in pairs:
            some = some_of(np.arange(len(matched)), MOST_PAIRS, generator(self.root_seed, "explained-pairs", a, b))
            for one, other, sides in ((a, b, ("latent_a", "latent_b")), (b, a, ("latent_b", "latent_a"))):
                own, theirs = (matched[side].to_numpy(np.int64) for side in sides)
                partners = {kind: theirs}
                if kind == "matched":
                    partners["hard_exchange"] = hard_exchange(self.dictionaries[other], theirs)
                for name, partner in partners.items():
                    here = some[partner[some] >= 0]
                    asked.append((name, (one, own[here]), (other, partner[here]), matched.iloc[here]))
        self._score([side for _, *sides, _ in asked for side in sides])
        parts = [self._measured(*one) for one in asked]
        schema = TABLES["explanations"]
        empty = pd.DataFrame(columns=pd.Index(schema.names))
        table = schema.typed(pd.concat([part for part, *_ in parts], ignore_index=True) if parts else empty)
        return table[schema.names], self._means(parts)

    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of fit rows and of score rows, drawn where there are more than are taken."""
        rows = self._of_rows
        rng = generator(self.root_seed, "explanation-rows")
        return some_of(np.flatnonzero(rows.fit), FIT_ROWS, rng), some_of(np.flatnonzero(rows.score), SCORE_ROWS, rng)

    @property
    def _of_rows(self) -> Rows:
        return next(iter(self.dictionaries.values())).rows

    def _score(self, asked: Sequence[tuple[str, np.ndarray]]) -> None:
        """Ranks, centred and of unit length, of predictions and activations of the latents that are asked for."""
        fit, score = self._rows()
        seen = [hashed_context(TextRows(self.contexts, self.context[at], self.position[at])) for at in (fit, score)]
        explain = Explainer(seen[0])
        for name in dict.fromkeys(name for name, _ in asked):
            one, latents = self.dictionaries[name], np.unique(np.concatenate([of for who, of in asked if who == name]))
            acts = one.acts[:, latents]
            predicted, active = np.zeros((2, score.size, latents.size), np.float32)
            for first in range(0, latents.size, _BLOCK):
                block = slice(first, first + _BLOCK)
                weights, constants = explain(acts[:, block][fit])
                predicted[:, block] = _unit_ranks(seen[1] @ weights + constants)
                active[:, block] = _unit_ranks(acts[:, block][score].toarray())
            self._ranks[name] = latents, predicted, active

    def _of(self, side: tuple[str, np.ndarray], what: int) -> np.ndarray:
        """(n_score, n) ranks of predictions (1) or activations (2) of some latents."""
        stored = self._ranks[side[0]]
        return stored[what][:, np.searchsorted(stored[0], side[1])]

    def _measured(
        self, kind: str, own: tuple[str, np.ndarray], other: tuple[str, np.ndarray], matched: pd.DataFrame
    ) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
        """Rows of the table, and by draw (n_pairs, 1 + n_resamples) the score on either latent."""
        on_own, on_other = (self._drawn(self._of(own, 1), self._of(side, 2)) for side in (own, other))
        frame = pd.DataFrame(
            {"model_a": own[0], "latent_a": own[1], "model_b": other[0], "latent_b": other[1], "kind": kind,
             "level": matched["level"].to_numpy(), "edge": matched["edge"].to_numpy(bool),
             "own": on_own[:, 0], "score": on_other[:, 0]}
        )  # fmt: skip
        return frame, on_own, on_other

    def _drawn(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(n_pairs, 1 + n_resamples) rank correlations, sources as often as they were drawn; NaN without spread."""
        _, score = self._rows()
        known = np.unique(self._of_rows.groups[self._of_rows.score])
        code = np.searchsorted(known, self._of_rows.groups[score])
        by_source = sparse.csr_matrix((np.ones(code.size), (code, np.arange(code.size))), shape=(known.size, code.size))
        draws = np.vstack([np.ones(known.size), self.weights])
        n = draws @ np.asarray(by_source.sum(axis=1)).ravel()
        moments = [draws @ (by_source @ part) for part in (x, y, x * x, y * y, x * y)]
        a, b, aa, bb, ab = (part / np.maximum(n, 1)[:, None] for part in moments)
        spread = (aa - a * a) * (bb - b * b)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(spread > 1e-30, np.clip((ab - a * b) / np.sqrt(spread), -1, 1), np.nan).T

    def _means(self, parts: Sequence[tuple[pd.DataFrame, np.ndarray, np.ndarray]]) -> pd.DataFrame:
        """The table ``explanation_transfer``."""
        rows = []
        for kind in dict.fromkeys(str(part["kind"].iloc[0]) for part, *_ in parts if len(part)):
            of = [part for part in parts if len(part[0]) and part[0]["kind"].iloc[0] == kind]
            table = pd.concat([part for part, *_ in of], ignore_index=True)
            own, other = (np.concatenate([part[side] for part in of]) for side in (1, 2))
            told = (own[:, 0] >= LEAST_OWN) & ~np.isnan(other[:, 0])
            edge = table["edge"].to_numpy(bool)
            groups = {ALL_PAIRS: told, ALL_EDGES: told & edge}
            groups |= {level: told & edge & (table["level"] == level).to_numpy() for level in LEVELS}
            rows += [
                {"kind": kind, "level": level, "n": int(mask.sum()), **self._transfer(own[mask], other[mask])}
                for level, mask in groups.items()
                if mask.any()
            ]
        schema = TABLES["explanation_transfer"]
        return schema.typed(pd.DataFrame(rows, columns=pd.Index(schema.names)))

    def _transfer(self, own: np.ndarray, other: np.ndarray) -> dict[str, float]:
        """Means over pairs, and the share of the own score that is left, with their intervals over sources."""
        own, other = (np.nan_to_num(part).mean(axis=0) for part in (own, other))
        found = {"own": own[0], "score": other[0], "transfer": other[0] / own[0]}
        drawn = other[1:], other[1:] / np.where(own[1:] > 0, own[1:], own[0])
        for name, draws in zip(("score", "transfer"), drawn, strict=True):
            low, high = centred_interval(float(found[name]), draws, self.confidence)
            found |= {f"{name}_low": low, f"{name}_high": high}
        return {name: float(value) for name, value in found.items()}


def _unit_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of every column (n_rows, n), ties alike, shifted to a mean of 0 and scaled to a mean square of 1."""
    ranks = stats.rankdata(values, axis=0)
    ranks -= ranks.mean(axis=0)
    spread = np.sqrt((ranks**2).mean(axis=0))
    return ranks / np.where(spread > 0, spread, 1.0)
