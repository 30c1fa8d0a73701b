"""Single features of a comparison: their lists, partners and candidates."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from results.ids import FEATURE_ID, feature_ids, pair_ids
from results.label_frames import with_labels
from results.remembering import remembered
from results.stored_comparison import StoredComparison


def among(ids: Iterable[str], matching: pd.Index) -> np.ndarray:
    """Which of some ids are among those of :func:`results.search.features_matching`, in the order of the first."""
    members = set(matching.tolist())  # of Python texts: faster than what pandas does with Arrow's
    return np.array([feature in members for feature in ids], dtype=bool)


def with_one_of(frame: pd.DataFrame, chosen: Mapping[str, Collection[Any]]) -> np.ndarray:
    """Which rows have, in every column named, one of the values chosen for it; nothing chosen holds for all."""
    keep = np.ones(len(frame), dtype=bool)
    for column, values in chosen.items():
        if values:
            keep &= frame[column].isin(list(values)).to_numpy()
    return keep


def find_feature(stored: StoredComparison, feature: str) -> pd.Series | None:
    """The row of a feature ("m0:12") in the table ``features``; None where there is none."""
    match = FEATURE_ID.match(feature)
    if match is None:
        return None
    features = stored.table("features")
    # Numbers first: comparing texts is slower by far.
    rows = features[features["latent"].to_numpy() == int(match["latent"])]
    rows = rows[rows["model"] == match["model"]]
    return None if rows.empty else rows.iloc[0]


@remembered()
def specific_features(stored: StoredComparison) -> pd.DataFrame:
    """Features without a partner in any other model, with their first verdict and label; the missing ones first."""
    features = stored.table("features")
    specific = features[(features["status"] == "alive") & (features["class"] == "specific")]
    verdict, others = specific["verdict"].fillna("untested"), specific["group"] != "missing"
    specific = specific.assign(id=feature_ids(specific), verdict=verdict, others=others)
    order = specific.sort_values(["others", "best_r"], ascending=[True, False], kind="stable", ignore_index=True)
    return with_labels(stored, order.drop(columns="others"), order["id"])


def missing_in(stored: StoredComparison, features: pd.DataFrame, model: str) -> pd.DataFrame:
    """Those of some features that one model lacks, in the same order, with the verdict that they have there."""
    verdicts = stored.table("verdicts")
    there = verdicts.loc[(verdicts["other_model"] == model).to_numpy(), ["model", "latent", "verdict"]]
    return features.drop(columns="verdict").merge(there, on=["model", "latent"])


def partners_of(pairs: pd.DataFrame, model: str, latent: int) -> pd.DataFrame:
    """A feature's assigned partners, one row per other model that it was assigned in.

    Returns:
        id of the pair, model and latent of the partner, and the pair's columns; a new frame.
    """
    parts = []
    for side, far in ("ab", "ba"):
        rows = pairs[pairs[f"latent_{side}"].to_numpy() == latent]
        rows = rows[rows[f"model_{side}"] == model]
        parts.append(rows.assign(model=rows[f"model_{far}"], latent=rows[f"latent_{far}"]))
    partners = pd.concat(parts, ignore_index=True)
    return partners.assign(id=pair_ids(partners))


def candidates_of(table: pd.DataFrame, model: str, latent: int, other: str) -> pd.DataFrame:
    """A feature's candidates in one other model (rows of the table ``candidates``): model, latent, r, best first."""
    rows = table[table["latent_a"].to_numpy() == latent]
    rows = rows[(rows["model_a"] == model) & (rows["model_b"] == other)]
    rows = rows.sort_values("rank", ignore_index=True)[["model_b", "latent_b", "r"]]
    return rows.rename(columns={"model_b": "model", "latent_b": "latent"})
