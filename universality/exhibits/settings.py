"""Recipes beside each other: which settings differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd


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
    known = entry.get("id") if isinstance(entry, Mapping) else None
    return str(number if known is None else known)


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
