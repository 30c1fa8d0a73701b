"""Tidy frames of what features do: partners beside each other, pairs, curves."""

from __future__ import annotations

import pandas as pd

from results.schema_figures import FIGURES
from results.words import EFFECT_PARTNERS


def effect_rows(effect_agreement: pd.DataFrame) -> pd.DataFrame:
    """How alike the effects of a feature and each kind of partner are, over all edges: columns of figure "effects"."""
    rows = effect_agreement[(effect_agreement["pair"] == "overall") & (effect_agreement["level"] == "edges")]
    order = {kind: place for place, kind in enumerate(EFFECT_PARTNERS)}
    return rows.sort_values("kind", key=lambda kinds: kinds.map(order), ignore_index=True)[FIGURES["effects"].names]


def effect_pairs(effects: pd.DataFrame) -> pd.DataFrame:
    """Matched features of two models, when they fire beside what they do: columns of figure "effects.pairs"."""
    matched = effects[(effects["kind"] == "matched") & effects["edge"] & effects["r_effect_both"].notna()]
    return matched[FIGURES["effects.pairs"].names].reset_index(drop=True)


def effect_curve(substitution_curve: pd.DataFrame) -> pd.DataFrame:
    """Substitution curves, the mean over pairs of models point by point: columns of figure "effects.curve"."""
    point = substitution_curve.groupby(["model_a", "model_b", "kind"]).cumcount().rename("point")
    means = substitution_curve.groupby(["kind", point], sort=False)[["share", "recovered"]].mean()
    return means.reset_index()[FIGURES["effects.curve"].names]
