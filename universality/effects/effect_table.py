"""The table ``effect_agreement``: how much two dictionaries do the same, with its controls, ceiling and floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from universality.compare.levels import LEVELS
from universality.compare.pair_plan import Pair, pair_name
from universality.effects.pair_effects import PairEffects
from universality.effects.substitution import SubstitutedLosses
from universality.intervals import centred_interval
from universality.table_schemas import TABLES

#: Rows of ``level`` that are no level: all assigned pairs, and those that count as one feature.
ALL_PAIRS, ALL_EDGES = "all_pairs", "edges"


def effect_agreement_table(
    effects: Mapping[Pair, PairEffects], weights: np.ndarray, *, tau: float, confidence: float
) -> pd.DataFrame:
    """Means by kind of partner, pair of dictionaries ("overall": all of them) and level of the assigned pair.

    Args:
        effects: by pair, over the same rows.
        weights: (n_resamples, n_sources) the draws of sources behind every interval.
        tau: threshold of the comparison.
        confidence: level of the intervals, in (0, 1).

    Returns:
        Columns ``universality.table_schemas.TABLES["effect_agreement"]``; a level without pairs has no row.
    """
    rows = []
    kinds = list(dict.fromkeys(kind for made in effects.values() for kind in made.table["kind"]))
    for kind in kinds:
        having = {pair: made for pair, made in effects.items() if (made.table["kind"] == kind).any()}
        # Random directions stand beside trained, untrained and single models alike: never mixed.
        names = {pair_name(pair): [made] for pair, made in having.items()}
        if kind != "random_direction":
            names = {"overall": list(having.values()), **names}
        else:
            trained = [made for made in having.values() if (made.table["kind"] == "matched").any()]
            names = {"overall": trained, **names}
        for name, parts in names.items():
            if parts:
                rows += _rows(kind, name, parts, weights, tau, confidence)
    return pd.DataFrame(rows, columns=TABLES["effect_agreement"].names)


def _rows(
    kind: str, name: str, parts: Sequence[PairEffects], weights: np.ndarray, tau: float, confidence: float
) -> list[dict[str, object]]:
    every = pd.concat([part.table[part.table["kind"] == kind] for part in parts], ignore_index=True)
    here = [((part.table["kind"] == kind) & part.table["weight"].notna()).to_numpy() for part in parts]
    table = pd.concat([part.table[mask] for part, mask in zip(parts, here, strict=True)], ignore_index=True)
    drawn = {
        column: np.concatenate([getattr(part, column)[mask] for part, mask in zip(parts, here, strict=True)])
        for column in ("resampled", "resampled_both", "substituted", "ablated")
    }
    groups, counts = _groups(table), {level: int(mask.sum()) for level, mask in _groups(every).items()}
    stand_for = table["weight"].to_numpy(float)
    lost = SubstitutedLosses(drawn["substituted"] * stand_for[:, None], drawn["ablated"] * stand_for[:, None])
    rows = []
    for level, mask in groups.items():
        if counts[level]:
            row: dict[str, object] = {"kind": kind, "pair": name, "level": level, "n": int(mask.sum())}
            row["n_all"] = counts[level]
            for column, draws in (("r_effect", "resampled"), ("r_effect_both", "resampled_both")):
                values = table.loc[mask, column].to_numpy(float)
                row |= _mean(values, drawn[draws][mask], stand_for[mask], column, confidence)
            row |= _recovered(lost, mask, weights, confidence)
            row |= _shares(table[mask], drawn["resampled_both"][mask], tau, confidence)
            rows.append(row)
    return rows


def _groups(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which pairs belong to each row of ``level``."""
    edge = table["edge"].to_numpy(bool)
    groups = {ALL_PAIRS: np.ones(len(table), bool), ALL_EDGES: edge}
    return groups | {level: edge & (table["level"] == level).to_numpy() for level in LEVELS}


def _mean(values: np.ndarray, draws: np.ndarray, weights: np.ndarray, name: str, confidence: float) -> dict[str, float]:
    """Mean over the pairs that have a value, each for as many as it stands for, and its interval over sources."""
    defined = ~np.isnan(values)
    if not defined.any():
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"), np.nan)
    value, drawn, of = float(np.average(values[defined], weights=weights[defined])), draws[defined], weights[defined]
    # In a small text a resample may leave a pair without spread, or all of them.
    some = ~np.isnan(drawn).all(axis=0)
    if not some.any():
        return {name: value, f"{name}_low": np.nan, f"{name}_high": np.nan}
    drawn = drawn[:, some]
    known = ~np.isnan(drawn)
    means = (np.where(known, drawn, 0.0) * of[:, None]).sum(axis=0) / (known * of[:, None]).sum(axis=0)
    low, high = centred_interval(value, means, confidence)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _recovered(lost: SubstitutedLosses, mask: np.ndarray, weights: np.ndarray, confidence: float) -> dict[str, float]:
    if not mask.any():
        return dict.fromkeys(("recovered", "recovered_low", "recovered_high"), np.nan)
    value = float(lost.pooled(mask, np.ones((1, weights.shape[1])))[0])
    low = high = np.nan
    if not np.isnan(value):
        draws = lost.pooled(mask, weights)
        low, high = centred_interval(value, np.where(np.isnan(draws), value, draws), confidence)
    return {"recovered": value, "recovered_low": low, "recovered_high": high}


def _shares(table: pd.DataFrame, draws: np.ndarray, tau: float, confidence: float) -> dict[str, float]:
    """Shares of classes; that of the same effect with its ends as every pair's interval moves with a draw."""
    if not table["edge"].any():
        return dict.fromkeys(("same_effect", "same_effect_low", "same_effect_high", "other_effect"), np.nan)
    edge = table["edge"].to_numpy(bool)
    of = table.loc[edge, "weight"].to_numpy(float)
    classes = table.loc[edge, "effect_class"]
    same, other = (float(np.average(classes == name, weights=of)) for name in ("same_effect", "other_effect"))
    r, bound = (table.loc[edge, column].to_numpy(float) for column in ("r_effect_both", "r_effect_both_low"))
    moved = bound[:, None] + draws[edge] - r[:, None]
    low, high = centred_interval(same, np.average(moved >= tau / 2, axis=0, weights=of), confidence)
    return {"same_effect": same, "same_effect_low": low, "same_effect_high": high, "other_effect": other}
