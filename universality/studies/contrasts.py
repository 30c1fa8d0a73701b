"""What each factor of a study does to agreement: means by relation and contrasts, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from universality.intervals import centred_interval
from universality.studies.agreement import MEASURES
from universality.studies.design import CellPair, Design
from universality.studies.estimates import Estimate
from universality.table_schemas import STUDY, STUDY_CONTRASTS, STUDY_MEANS

#: What a dictionary has in common with itself: everything; at which level, nobody asks.
_WITH_ITSELF = np.array([1.0 if name in ("shared", "r", "r_joint") else np.nan for name in MEASURES])


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
            shared = {"relation": relation, "point": point, "chance": chance.get(relation, np.nan)}
            rows += [shared | row for row in estimate_rows(pairs, measured, ((1.0, relation),), confidence)]
    return STUDY_MEANS.typed(pd.DataFrame(rows, columns=pd.Index(STUDY_MEANS.names)))


def study_contrasts(design: Design, measured: Mapping[str, np.ndarray], confidence: float = 0.95) -> pd.DataFrame:
    """What each factor does: the table ``study_contrasts``; arguments as in :func:`study_table`."""
    rows = []
    for contrast in design.contrasts:
        pairs = [pair for pair in design.pairs if pair.relation in contrast.relations]
        told = estimate_rows(pairs, measured, contrast.terms, confidence)
        rows += [{"contrast": contrast.name} | row for row in told]
    return STUDY_CONTRASTS.typed(pd.DataFrame(rows, columns=pd.Index(STUDY_CONTRASTS.names)))


def estimate_rows(
    pairs: Sequence[CellPair],
    measured: Mapping[str, np.ndarray],
    terms: Sequence[tuple[float, str]],
    confidence: float,
    groups: Sequence[str] | None = None,
) -> list[dict[str, object]]:
    """One row per measure: value, interval over models and sources, that over sources alone, and of how many.

    Args:
        pairs, measured, terms, confidence: as :class:`~universality.studies.estimates.Estimate` and
            :func:`study_table` have them.
        groups: of the pairs, which ``terms`` name; their relations by default.
    """
    values, named = np.array([measured[pair.name] for pair in pairs]), groups or [pair.relation for pair in pairs]
    estimate = Estimate(pairs, values, np.array(named), terms, confidence, _WITH_ITSELF)
    rows: list[dict[str, object]] = []
    for number, measure in enumerate(MEASURES):
        value = float(estimate.value[number])
        if np.isnan(value):
            continue
        ends = [float(end[number]) for both in (estimate.interval, estimate.over_sources) for end in both]
        if len(terms) == 1:  # a mean of agreements, not a difference
            least = 0.0 if measure.startswith("shared") else -1.0
            ends = [min(max(end, least), 1.0) for end in ends]
        row: dict[str, object] = {"measure": measure, "value": value}
        row |= dict(zip(("low", "high", "low_sources", "high_sources"), ends, strict=True))
        rows.append(row | {"n_pairs": len(pairs), "n_models": len(estimate.models)})
    return rows
