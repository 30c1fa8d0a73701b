"""Several comparisons beside each other, as frames: what was asked for differently, and what came out differently."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from results import frames
from results.headline import QUANTITIES, headline_frame


def flattened(recipe: Any, prefix: str = "") -> dict[str, str]:
    """A recipe as ``{"models.training.lr": "0.006"}``; entries of a list are named by their id or number.

    Values are JSON, lists of plain values stay whole.
    """
    if isinstance(recipe, Mapping) and (recipe or not prefix):
        pairs = [(str(key), value) for key, value in recipe.items()]
    elif isinstance(recipe, list) and any(isinstance(entry, Mapping) for entry in recipe):
        pairs = [(_name(entry, number), entry) for number, entry in enumerate(recipe)]
    else:
        return {prefix: json.dumps(recipe, ensure_ascii=False, sort_keys=True)}
    flat: dict[str, str] = {}
    for key, value in pairs:
        flat |= flattened(value, f"{prefix}.{key}" if prefix else key)
    return flat


def _name(entry: Any, number: int) -> str:
    entry_id = entry.get("id") if isinstance(entry, Mapping) else None
    return str(number if entry_id is None else entry_id)


def settings_beside(recipes: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Settings whose values differ between recipes.

    Args:
        recipes: resolved recipes by the name of their run.

    Returns:
        setting, and a column per run; in the order of the recipes, None where one has no such key.
    """
    flat = {name: flattened(recipe) for name, recipe in recipes.items()}
    keys = dict.fromkeys(key for one in flat.values() for key in one)
    rows = [(key, *(one.get(key) for one in flat.values())) for key in keys]
    return pd.DataFrame([row for row in rows if len(set(row[1:])) > 1], columns=["setting", *flat])


def headlines_beside(headlines: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The overall numbers of several comparisons.

    Args:
        headlines: tables ``headline`` by the name of their comparison.

    Returns:
        quantity, label, side, value, low, high, n; quantities in reading order, sides in that of the argument.
    """
    parts = []
    for side, table in headlines.items():
        frame = headline_frame(table)
        parts.append(frame.loc[frame["pair"] == "overall"].drop(columns="pair").assign(side=side))
    columns = ["quantity", "label", "side", "value", "low", "high", "n"]
    if not parts:
        return pd.DataFrame(columns=columns)
    whole = pd.concat(parts, ignore_index=True)
    place = whole["quantity"].map({name: number for number, name in enumerate(QUANTITIES)})
    return whole.loc[place.sort_values(kind="stable").index, columns].reset_index(drop=True)


def classes_beside(features: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Alive features by class and level, all models of a comparison together.

    Args:
        features: tables ``features`` by the name of their comparison.

    Returns:
        side, class, level, n, fraction (of the comparison's alive features, 0..1); zeros included.
    """
    parts = []
    for side, table in features.items():
        parts.append(class_shares(frames.class_bars(table)).assign(side=side))
    columns = ["side", "class", "level", "n", "fraction"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def class_shares(bars: pd.DataFrame) -> pd.DataFrame:
    """``class_bars`` of all models together: class, level, n, fraction (of all, 0..1)."""
    whole = bars.groupby(["class", "level"], sort=False, as_index=False)["n"].sum()
    return whole.assign(fraction=whole["n"] / max(int(whole["n"].sum()), 1))


def curves_beside(tau_curves: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Share of features by class over the threshold.

    Args:
        tau_curves: tables ``tau_curve`` by the name of their comparison.

    Returns:
        side, tau, class, fraction (of all alive features, 0..1).
    """
    parts = [
        frames.class_curve(table)
        .groupby(["tau", "class"], sort=False, as_index=False)["fraction"]
        .sum()
        .assign(side=side)
        for side, table in tau_curves.items()
    ]
    return pd.concat(parts, ignore_index=True)[["side", "tau", "class", "fraction"]]
