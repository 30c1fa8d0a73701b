"""Weighted sums of mean agreements of pairs, with intervals over models and text.

Two things were drawn: models (seeds), and text (sources). Models are left out one at a time, with all their
dictionaries and whatever they were trained on (a model drawn twice would agree with itself perfectly); sources are
resampled, the same for all pairs. Each variance has a quantile of its own, for one is known from few models; they are
added.

Source: Arvesen 1969 (the jackknife of functions of means over pairs); Efron and Stein 1981 (it never falls short on
average; what it counts more than once of single pairs is taken off where there are four models or more).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations

import numpy as np
from scipy import stats

from universality.intervals import centred_interval
from universality.studies.design import IDENTITY, MODEL, Cell, CellPair

#: Models from which on leaving one out says how much models differ.
FEWEST_MODELS = 3


class Estimate:
    """A weighted sum of means over the pairs of several groups, of several quantities at once.

    Args:
        pairs: all that it reads.
        values: (n_pairs, n, 1 + n_resamples) quantities of every pair, then the same in each resample of the sources;
            NaN where a pair has none.
        groups: (n_pairs,) str, what is averaged together: the relation of each pair, mostly.
        terms: weight and group; the group :data:`~universality.studies.design.IDENTITY` stands for ``itself``.
        confidence: of the intervals.
        itself: (n,) quantities of a dictionary beside itself; NaN where that says nothing.

    Attributes:
        models: seeds of models, sorted; of untrained models their ids.
    """

    def __init__(
        self,
        pairs: Sequence[CellPair],
        values: np.ndarray,
        groups: np.ndarray,
        terms: Sequence[tuple[float, str]],
        confidence: float,
        itself: np.ndarray | None = None,
    ) -> None:
        self.values, self.groups, self.terms, self.confidence = values, groups, terms, confidence
        self.itself = np.full(values.shape[1], np.nan) if itself is None else itself
        # Models of one seed began alike, whatever they were trained on: they are left out together.
        seeds = [[_seed_of(cell) for cell in (pair.a, pair.b)] for pair in pairs]
        self.models = sorted({seed for both in seeds for seed in both})
        self._of_models = np.array([[self.models.index(seed) for seed in both] for both in seeds])
        whole = self._of(np.full(len(pairs), True))
        assert whole is not None  # whoever asks has pairs of every group
        #: (n, 1 + n_resamples) the estimate, and the same in each resample.
        self.drawn = whole

    @property
    def value(self) -> np.ndarray:
        """(n,) the estimate."""
        return self.drawn[:, 0]

    @cached_property
    def over_sources(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) ends of the interval over sources alone."""
        ends = [centred_interval(float(row[0]), row[1:], self.confidence) for row in self.drawn]
        low, high = np.array(ends).T
        return low, high

    @cached_property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) ends of the interval over models and sources; NaN with fewer than three models."""
        over_models, over_sources = self._over_models(), self.drawn[:, 1:].var(axis=1, ddof=1)
        freedom = (max(len(self.models) - 1, 1), np.inf)
        t, z = (stats.t.ppf((1 + self.confidence) / 2, each) for each in freedom)
        spread = np.sqrt(t**2 * over_models + z**2 * over_sources)
        return self.value - spread, self.value + spread

    def _of(self, kept: np.ndarray) -> np.ndarray | None:
        """(n, 1 + n_resamples) from some of the pairs; None where a group has none left."""
        total = np.zeros(self.values.shape[1:])
        for weight, group in self.terms:
            if group == IDENTITY:
                total += weight * self.itself[:, None]
                continue
            here = kept & (self.groups == group)
            if not here.any():
                return None
            total += weight * _mean(self.values[here])
        return total

    def _over_models(self) -> np.ndarray:
        """(n,) variance of the estimate from that of models; NaN where it cannot be known."""
        m = len(self.models)
        left_out = [self._of((self._of_models != model).all(axis=1)) for model in range(m)]
        if m < FEWEST_MODELS or any(part is None for part in left_out):
            return np.full(self.values.shape[1], np.nan)
        jackknifed = np.array([part[:, 0] for part in left_out if part is not None])
        variance = (m - 1) / m * ((jackknifed - jackknifed.mean(axis=0)) ** 2).sum(axis=0)
        residual = self._residual_of_pairs()
        if residual is None:
            return variance
        # Leaving models out counts what is particular to two models 2 (m - 1) / (m - 2) times.
        once = 2 * residual / (m * (m - 1))
        corrected = np.maximum(variance - (2 * (m - 1) / (m - 2) - 1) * once, once)
        return np.where(np.isnan(corrected), variance, corrected)

    def _residual_of_pairs(self) -> np.ndarray | None:
        """(n,) variance of what two models have in common or not, beyond what either has with all others.

        None where it cannot be told (fewer than four models, some two of them without a pair of a group) and where no
        pair is of two models.
        """
        m = len(self.models)
        between = self._of_models[:, 0] != self._of_models[:, 1]
        crossing = set(self.groups[between])
        terms = [(weight, group) for weight, group in self.terms if group in crossing]
        if m < 4 or not terms:
            return None
        values, design = [], []
        for i, j in combinations(range(m), 2):
            here = (np.sort(self._of_models, axis=1) == (i, j)).all(axis=1)
            parts = [(weight, here & (self.groups == group)) for weight, group in terms]
            if not all(part.any() for _, part in parts):
                return None
            values.append(sum(weight * _mean(self.values[part, :, 0]) for weight, part in parts))
            design.append(np.isin(np.arange(m), (i, j)))
        found, known = np.array(values), np.isfinite(values).all(axis=0)
        squares = np.full(found.shape[1], np.nan)
        if known.any():
            squares[known] = np.linalg.lstsq(np.array(design, dtype=np.float64), found[:, known], rcond=None)[1]
        return squares / (m * (m - 3) / 2)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)


def _seed_of(cell: Cell) -> str:
    return cell.transformer if cell.untrained else cell.levels[MODEL]
