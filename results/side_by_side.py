"""Several comparisons beside each other, as frames: what was asked for differently, and what came out differently."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from results import frames
from results.headline import QUANTITIES, headline_frame
from results.schema_figures import FIGURES

#: Columns of the table ``models`` that tell how good a dictionary and its transformer are, and their names.
QUALITY: dict[str, str] = {
    "fvu": "FVU",
    "l0": "L0",
    "ce_recovered": "CE recovered",
    "kl_recovered": "KL recovered",
    "dead_fraction": "dead share",
    "n_alive": "alive latents",
    "d_sae": "latents",
    "sae_tokens": "SAE tokens",
    "heldout_loss": "loss of the transformer",
}


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
        Columns of figure "beside.headline"; quantities in reading order, sides in that of the argument.
    """
    labelled = {side: headline_frame(table) for side, table in headlines.items()}
    overall = {side: frame[frame["pair"] == "overall"] for side, frame in labelled.items()}
    place = {name: number for number, name in enumerate(QUANTITIES)}
    return _stacked(overall, "beside.headline").sort_values(
        "quantity", key=lambda names: names.map(place), kind="stable", ignore_index=True
    )


def _stacked(by_side: Mapping[str, pd.DataFrame], figure: str) -> pd.DataFrame:
    """The frames of all sides below each other, with the columns of a figure, of which ``side`` is one."""
    columns = FIGURES[figure].names
    parts = [frame.assign(side=side) for side, frame in by_side.items()]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def headline_differences(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """The overall numbers of two tables ``headline``, and how far they are from each other.

    Returns:
        quantity (its title), value_a, low_a, high_a, value_b, low_b, high_b, difference (b - a), apart (whether the two
        intervals have no value in common; missing where an end is missing); quantities without a value are left out.
    """
    measured = headlines_beside({"a": a, "b": b}).dropna(subset=["value"])
    wide = measured.pivot(index="quantity", columns="side", values=["value", "low", "high"])
    wide.columns = [f"{name}_{side}" for name, side in wide.columns]
    ends = ["low_a", "high_a", "low_b", "high_b"]
    frame = wide.reindex(
        index=measured["quantity"].unique(), columns=["value_a", *ends[:2], "value_b", *ends[2:]]
    ).astype(float)
    apart = (frame["low_a"] > frame["high_b"]) | (frame["low_b"] > frame["high_a"])
    frame["difference"] = frame["value_b"] - frame["value_a"]
    frame["apart"] = apart.astype("boolean").where(frame[ends].notna().all(axis=1))
    frame.insert(0, "quantity", [QUANTITIES[str(name)].title for name in frame.index])
    return frame.reset_index(drop=True)


def quality_differences(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Median, smallest and largest :data:`QUALITY` over the compared models of two tables ``models``.

    Returns:
        measure (its name), a, low_a, high_a, b, low_b, high_b, difference (b - a); measures without a value are left
        out.
    """
    sides = []
    for side, models in (("a", a), ("b", b)):
        compared = models[models["role"] == "primary"].reindex(columns=list(QUALITY))
        numbers = compared.apply(pd.to_numeric, errors="coerce").astype(float)
        spread = {side: numbers.median(), f"low_{side}": numbers.min(), f"high_{side}": numbers.max()}
        sides.append(pd.DataFrame(spread))
    frame = pd.concat(sides, axis=1).dropna(how="all").rename(index=QUALITY).rename_axis("measure")
    return frame.assign(difference=frame["b"] - frame["a"]).reset_index()


def classes_beside(features: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Alive features by class and level, all models of a comparison together.

    Args:
        features: tables ``features`` by the name of their comparison.

    Returns:
        Columns of figure "beside.classes"; zeros included.
    """
    shares = {side: class_shares(frames.class_bars(table)) for side, table in features.items()}
    return _stacked(shares, "beside.classes")


def class_shares(bars: pd.DataFrame) -> pd.DataFrame:
    """``class_bars`` of all models together: class, level, n, fraction (of all, 0..1)."""
    whole = bars.groupby(["class", "level"], sort=False, as_index=False)["n"].sum()
    return whole.assign(fraction=whole["n"] / max(int(whole["n"].sum()), 1))


def curves_beside(tau_curves: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Share of features by class over the threshold.

    Args:
        tau_curves: tables ``tau_curve`` by the name of their comparison.

    Returns:
        Columns of figure "beside.curves".
    """
    curves = {side: frames.class_curve(table) for side, table in tau_curves.items()}
    by_class = {
        side: curve.groupby(["tau", "class"], sort=False)["fraction"].sum().reset_index()
        for side, curve in curves.items()
    }
    return _stacked(by_class, "beside.curves")
