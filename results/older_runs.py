"""Tables of runs that older versions made, as readers of today ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


#: Columns that came later, by table, and what earlier runs have in their place: all was ablated, no latents were named.
_LATER = {
    "verdicts": ("about", None),
    "effects": ("weight", 1.0),
    "effect_agreement": ("n_all", lambda frame: frame["n"]),
    "latent_effects": ("measured", True),
}


def as_of_now(name: str, frame: pd.DataFrame, record: Mapping[str, Any]) -> pd.DataFrame:
    """A run's table with the columns that runs of before lack and readers ask for.

    Their features are in no group that could be told; their edges were those beyond chance at tau, whoever made them;
    all of their latents were ablated.
    """
    if name == "features" and "group" not in frame:
        return frame.assign(group=frame["status"].map({"alive": "untested"}).astype(object))
    if name == "pairs" and "edge" not in frame:
        compare = (record.get("recipe") or {}).get("compare") or {}
        beyond = (frame["q"] < compare.get("alpha", 0.05)) & (frame["r_held_out"] >= compare.get("tau", 0.5))
        return frame.assign(edge=beyond, few_sources=False)
    if name == "indices" and "kind" not in frame:
        return frame.assign(kind=[_kind_of_pair(str(pair)) for pair in frame["pair"]], low_models=nan, high_models=nan)
    column, value = _LATER.get(name, ("", None))
    return frame if not column or column in frame else frame.assign(**{column: value})


def _kind_of_pair(pair: str) -> str:
    """What ``"m0-m0r"`` is a pair of, by how a run calls its dictionaries."""
    a, _, b = pair.partition("-")
    return "ceiling" if b == f"{a}r" else "untrained" if a.startswith("u") else "features"
