"""What each factor of a study does to agreement: means by relation and contrasts, with intervals over models and text.

Two things were drawn: models (seeds), and text (sources). Models are left out one at a time, with all their
dictionaries and whatever they were trained on (a model drawn twice would agree with itself perfectly); sources are
resampled, the same for all pairs. Both variances are added.

Source: Arvesen 1969 (the jackknife of functions of means over pairs); Efron and Stein 1981 (it never falls short on
average: where pairs differ more than models, intervals are too wide).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from universality.intervals import centred_interval
from universality.studies.agreement import MEASURES
from universality.studies.design import IDENTITY, MODEL, Cell, CellPair, Design
from universality.table_schemas import STUDY, STUDY_CONTRASTS, STUDY_MEANS

#: Models from which on leaving one out says how much models differ.
FEWEST_MODELS = 3
#: What a dictionary has in common with itself: everything; at which level, nobody asks.
_WITH_ITSELF = {"shared": 1.0, "r": 1.0, "r_joint": 1.0}


def study_table(design: Design, measured: Mapping[str, np.ndarray], confidence: float = 0.95) -> pd.DataFrame:
    """Agreement of every pair of cells: the table ``study``.

    Args:
        design: of the study.
        measured: by name of the pair, what :func:`~universality.studies.agreement.pair_agreement` gives.
        confidence: of the intervals, over resampled sources.
    """
    rows = []
    for pair in design.pairs:
        shared = {"cell_a": pair.a.id, "cell_b": pair.b.id, "relation": pair.relation, "point": design.point(pair)}
        for measure, drawn in zip(MEASURES, measured[pair.name], strict=True):
            low, high = centred_interval(float(drawn[0]), drawn[1:], confidence)
            rows.append({**shared, "measure": measure, "value": float(drawn[0]), "low": low, "high": high})
    return STUDY.typed(pd.DataFrame(rows, columns=pd.Index(STUDY.names)))


def study_means(
    design: Design, measured: Mapping[str, np.ndarray], chance: Mapping[str, float], confidence: float = 0.95
) -> pd.DataFrame:
    """Mean agreement of the pairs of each relation, at each point of the curves: the table ``study_means``.

    Args:
        design, measured, confidence: as in :func:`study_table`.
        chance: by relation, the share of latents that chance alone would give a partner.
    """
    rows = []
    for relation in design.relations:
        of_relation = [pair for pair in design.pairs if pair.relation == relation]
        for point in dict.fromkeys(map(design.point, of_relation)):
            pairs = [pair for pair in of_relation if design.point(pair) == point]
            estimate = _Estimate(pairs, measured, ((1.0, relation),), confidence)
            shared = {"relation": relation, "point": point, "chance": chance.get(relation, np.nan)}
            rows += [shared | row for row in estimate.rows()]
    return STUDY_MEANS.typed(pd.DataFrame(rows, columns=pd.Index(STUDY_MEANS.names)))


def study_contrasts(design: Design, measured: Mapping[str, np.ndarray], confidence: float = 0.95) -> pd.DataFrame:
    """What each factor does: the table ``study_contrasts``; arguments as in :func:`study_table`."""
    rows = []
    for contrast in design.contrasts:
        pairs = [pair for pair in design.pairs if pair.relation in contrast.relations]
        estimate = _Estimate(pairs, measured, contrast.terms, confidence)
        rows += [{"contrast": contrast.name} | row for row in estimate.rows()]
    return STUDY_CONTRASTS.typed(pd.DataFrame(rows, columns=pd.Index(STUDY_CONTRASTS.names)))


class _Estimate:
    """A weighted sum of mean agreements of relations, of all measures at once.

    Args:
        pairs: all that it reads. measured: by name of the pair (measures, 1 + n_resamples).
        terms: weight and relation. confidence: of the intervals.
    """

    def __init__(
        self,
        pairs: Sequence[CellPair],
        measured: Mapping[str, np.ndarray],
        terms: Sequence[tuple[float, str]],
        confidence: float,
    ) -> None:
        self.pairs, self.confidence, self.terms = pairs, confidence, terms
        self.values = np.array([measured[pair.name] for pair in pairs])
        self.relations = np.array([pair.relation for pair in pairs])
        # Models of one seed began alike, whatever they were trained on: they are left out together.
        seeds = [[_seed_of(cell) for cell in (pair.a, pair.b)] for pair in pairs]
        self.models = sorted({seed for both in seeds for seed in both})
        #: (n_pairs, 2) numbers of the models of both sides.
        self.of_models = np.array([[self.models.index(seed) for seed in both] for both in seeds])
        self.without = [(self.of_models != model).all(axis=1) for model in range(len(self.models))]

    def of(self, kept: np.ndarray) -> np.ndarray | None:
        """(measures, 1 + n_resamples) from some of the pairs; None where a relation has none left."""
        total = np.zeros(self.values.shape[1:])
        for weight, relation in self.terms:
            if relation == IDENTITY:
                total += weight * np.array([_WITH_ITSELF.get(name, np.nan) for name in MEASURES])[:, None]
                continue
            here = kept & (self.relations == relation)
            if not here.any():
                return None
            total += weight * self.values[here].mean(axis=0)
        return total

    def _over_models(self) -> np.ndarray:
        """(measures,) variance of the values from that of models; NaN where it cannot be known."""
        left_out, m = [self.of(kept) for kept in self.without], len(self.models)
        if m < FEWEST_MODELS or any(part is None for part in left_out):
            return np.full(len(MEASURES), np.nan)
        jackknifed = np.array([part[:, 0] for part in left_out if part is not None])
        variance = (m - 1) / m * ((jackknifed - jackknifed.mean(axis=0)) ** 2).sum(axis=0)
        residual = self._residual_of_pairs()
        if residual is None:
            return variance
        # Leaving models out counts what is particular to two models 2 (m - 1) / (m - 2) times.
        once = 2 * residual / (m * (m - 1))
        return np.maximum(variance - (2 * (m - 1) / (m - 2) - 1) * once, once)

    def _residual_of_pairs(self) -> np.ndarray | None:
        """(measures,) variance of what two models have in common or not, beyond what either has with all others.

        None where it cannot be told: fewer than four models, or some two of them without a pair of a relation.
        """
        m = len(self.models)
        crossing = {pair.relation for pair, both in zip(self.pairs, self.of_models, strict=True) if both[0] != both[1]}
        terms = [(weight, relation) for weight, relation in self.terms if relation in crossing]
        if m < 4:
            return None
        values, design = [], []
        for i, j in combinations(range(m), 2):
            here = (self.of_models == (i, j)).all(axis=1) | (self.of_models == (j, i)).all(axis=1)
            parts = [(weight, here & (self.relations == relation)) for weight, relation in terms]
            if not all(part.any() for _, part in parts):
                return None
            values.append(sum(weight * self.values[part, :, 0].mean(axis=0) for weight, part in parts))
            design.append(np.isin(np.arange(m), (i, j)))
        _, squares, *_ = np.linalg.lstsq(np.array(design, dtype=np.float64), np.array(values), rcond=None)
        return squares / (m * (m - 3) / 2)

    def rows(self) -> list[dict[str, object]]:
        """One per measure: value, interval over models and sources, that over sources alone, and of how many."""
        drawn = self.of(np.full(len(self.pairs), True))
        assert drawn is not None
        m, over_models, over_sources = len(self.models), self._over_models(), drawn[:, 1:].var(axis=1, ddof=1)
        # Of the two variances one was estimated from few models; each has a quantile of its own.
        t, z = (stats.t.ppf((1 + self.confidence) / 2, freedom) for freedom in (max(m - 1, 1), np.inf))
        spread = np.sqrt(t**2 * over_models + z**2 * over_sources)
        rows: list[dict[str, object]] = []
        for number, measure in enumerate(MEASURES):
            value = float(drawn[number, 0])
            if np.isnan(value):
                continue
            low, high = centred_interval(value, drawn[number, 1:], self.confidence)
            ends = {
                "low": value - spread[number],
                "high": value + spread[number],
                "low_sources": low,
                "high_sources": high,
            }
            if len(self.terms) == 1:  # a mean of agreements, not a difference
                least = 0.0 if measure.startswith("shared") else -1.0
                ends = {name: min(max(end, least), 1.0) for name, end in ends.items()}
            rows.append({"measure": measure, "value": value, **ends, "n_pairs": len(self.pairs), "n_models": m})
        return rows


def _seed_of(cell: Cell) -> str:
    return cell.transformer if cell.untrained else cell.levels[MODEL]
