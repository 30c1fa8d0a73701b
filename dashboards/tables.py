"""Frames that screens derive from the run's tables, and the filters over them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.data import BY_VIEW, View
from results import frames
from results.pins import PAIR_ID

FEATURE_ID = re.compile(r"^(?P<model>[^:\s]+):(?P<latent>\d+)$")

#: name in the menu -> column, ascending, and what comes first
PAIR_ORDERS: dict[str, tuple[str, bool]] = {
    "Strongest (held-out r)": ("r_held_out", False),
    "Surest (lower end of the interval)": ("r_low", False),
    "Weakest (held-out r)": ("r_held_out", True),
    "Strongest beyond the token": ("r_token", False),
    "Most explained by the token": ("token_share", False),
    "Most contested (smallest margin)": ("margin", True),
    "Clearest (largest margin)": ("margin", False),
    "Most unequal firing rates": ("rate_gap", False),
    "Rarest": ("firing_rate", True),
    "Most frequent": ("firing_rate", False),
}


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=BY_VIEW)
def pairs_of(view: View) -> pd.DataFrame:
    """Every assigned pair with what is known of both sides, strongest first. Shared: never write into it.

    Columns of ``pair_table``, and ``domain`` (of side a's strongest activations), ``margin`` (the smaller of
    the two), ``token_share`` (what r loses without token and position), ``firing_rate`` (the smaller) and
    ``rate_gap`` (the larger rate over the smaller one).
    """
    features = view.table("features")
    frame = frames.pair_table(view.table("pairs"), features)
    if "top_domain" in features.columns:
        names = {"model": "model_a", "latent": "latent_a", "top_domain": "domain"}
        frame = frame.merge(
            features[list(names)].rename(columns=names), on=["model_a", "latent_a"], how="left"
        )
    else:
        frame["domain"] = None
    rates = frame[["firing_rate_a", "firing_rate_b"]].to_numpy(float, na_value=np.nan)
    low, high = rates.min(axis=1), rates.max(axis=1)
    return frame.assign(
        margin=frame[["margin_a", "margin_b"]].min(axis=1),
        token_share=frame["r_held_out"] - frame["r_token"],
        firing_rate=low,
        rate_gap=np.divide(high, low, out=np.full(len(low), np.nan), where=low > 0),
    )


def find_pair(view: View, pair: str) -> pd.Series | None:
    """The row of an assigned pair; either order of the two sides will do. None where there is none."""
    pairs = pairs_of(view)
    found = pairs[pairs["id"] == pair]
    if found.empty and (match := PAIR_ID.match(pair)):
        turned = f"{match['model_b']}:{match['latent_b']}-{match['model_a']}:{match['latent_a']}"
        found = pairs[pairs["id"] == turned]
    return None if found.empty else found.iloc[0]


@dataclass(frozen=True)
class PairFilter:
    """What of the pairs is wanted; the defaults keep everything."""

    models: str | None = None
    r: tuple[float, float] | None = None
    significant: bool | None = None
    levels: Sequence[str] = field(default=())
    classes: Sequence[str] = field(default=())
    domains: Sequence[str] = field(default=())
    search: str = ""

    def rows(self, frame: pd.DataFrame, view: View, alpha: float) -> pd.DataFrame:
        """The rows of :func:`pairs_of` that pass every condition, in the same order."""
        keep = np.ones(len(frame), dtype=bool)
        if self.models:
            keep &= (frame["model_a"] + "-" + frame["model_b"]).to_numpy() == self.models
        if self.r:
            keep &= frame["r_held_out"].between(*self.r).to_numpy()
        if self.significant is not None:
            keep &= (frame["q"] < alpha).to_numpy() == self.significant
        if self.levels:
            keep &= frame["level"].isin(list(self.levels)).to_numpy()
        if self.classes:
            wanted = list(self.classes)
            keep &= (frame["class_a"].isin(wanted) | frame["class_b"].isin(wanted)).to_numpy()
        if self.domains:
            keep &= frame["domain"].isin(list(self.domains)).to_numpy()
        if self.search.strip():
            found = found_features(view, self.search)
            one, two = _side_keys(view)
            keep &= among(one, found) | among(two, found)
        return frame[keep]


@st.cache_resource(show_spinner=False, max_entries=4, hash_funcs=BY_VIEW)
def _side_keys(view: View) -> tuple[list[str], list[str]]:
    """Feature id of both sides of every row of :func:`pairs_of`."""
    return feature_keys(pairs_of(view), "a").tolist(), feature_keys(pairs_of(view), "b").tolist()


def among(ids: Iterable[str], found: pd.Index) -> np.ndarray:
    """Which ids are among those found; a set of Python texts is faster than what pandas does with Arrow's."""
    wanted = set(found.tolist())
    return np.array([i in wanted for i in ids], dtype=bool)


def found_features(view: View, search: str) -> pd.Index:
    """Features ("m0:12") that a search text names, or that peak beside it.

    A number finds that latent in every model, ``m0:12`` exactly one. Any other text, and every text in double
    quotes, finds the features whose strongest contexts peak within a few tokens of it.
    """
    text = search.strip()
    if FEATURE_ID.match(text):
        return pd.Index([text])
    if text.isdecimal() and len(text) < 10:
        features = view.table("features")
        return pd.Index(feature_keys(features[features["latent"] == int(text)]))
    quoted = len(text) > 2 and text[0] == text[-1] == '"'
    return pd.Index(_peaking_near(view, text[1:-1] if quoted else text))


@st.cache_resource(show_spinner="Searching the text…", max_entries=32, hash_funcs=BY_VIEW)
def _peaking_near(view: View, text: str) -> list[str]:
    near, top = view.text.rows_near(text), view.top_rows()
    return feature_keys(top.loc[near[top["row"].to_numpy()], ["model", "latent"]].drop_duplicates()).tolist()


def feature_keys(frame: pd.DataFrame, side: str = "") -> pd.Series:
    """Feature ids ``model:latent`` of a frame, or of one side of a frame of pairs."""
    suffix = f"_{side}" if side else ""
    return frame[f"model{suffix}"].astype(str) + ":" + frame[f"latent{suffix}"].astype(str)


def sort_pairs(frame: pd.DataFrame, order: str) -> pd.DataFrame:
    """Rows in one of :data:`PAIR_ORDERS`; missing values last, ties in the order they had."""
    column, ascending = PAIR_ORDERS[order]
    return frame.sort_values(column, ascending=ascending, kind="stable", na_position="last")


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=BY_VIEW)
def specific_of(view: View) -> pd.DataFrame:
    """Features that no other model has, with their first verdict. Shared: never write into it."""
    features = view.table("features")
    chosen = features[(features["status"] == "alive") & (features["class"] == "specific")]
    chosen = chosen.assign(id=feature_keys(chosen), verdict=chosen["verdict"].fillna("untested"))
    return chosen.sort_values("best_r", ascending=False, kind="stable", ignore_index=True)


def find_feature(view: View, feature: str) -> pd.Series | None:
    """The row of a feature ("m0:12") in the table ``features``; None where there is none."""
    match = FEATURE_ID.match(feature)
    if match is None:
        return None
    features = view.table("features")
    found = features[features["latent"].to_numpy() == int(match["latent"])]
    found = found[found["model"] == match["model"]]
    return None if found.empty else found.iloc[0]


def partners_of(pairs: pd.DataFrame, model: str, latent: int) -> pd.DataFrame:
    """A feature's assigned partners, one row per other model that it was assigned in.

    Returns:
        id of the pair, model and latent of the partner, and the pair's columns; a new frame.
    """
    parts = []
    for side, far in ("ab", "ba"):
        mine = pairs[pairs[f"latent_{side}"].to_numpy() == latent]
        mine = mine[mine[f"model_{side}"] == model]
        parts.append(mine.assign(model=mine[f"model_{far}"], latent=mine[f"latent_{far}"]))
    found = pd.concat(parts, ignore_index=True)
    return found.assign(id=feature_keys(found, "a") + "-" + feature_keys(found, "b"))


def candidates_of(table: pd.DataFrame, model: str, latent: int, other: str) -> pd.DataFrame:
    """A feature's candidates in one other model: model, latent, r, best first; a new frame."""
    mine = table[table["latent_a"].to_numpy() == latent]  # numbers first: comparing texts is slower by far
    mine = mine[(mine["model_a"] == model) & (mine["model_b"] == other)]
    mine = mine.sort_values("rank", ignore_index=True)[["model_b", "latent_b", "r"]]
    return mine.rename(columns={"model_b": "model", "latent_b": "latent"})


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=BY_VIEW)
def class_bars_of(view: View) -> pd.DataFrame:
    """``class_bars`` of the view."""
    return frames.class_bars(view.table("features"))


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=BY_VIEW)
def agreement_of(view: View) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``r_histogram`` and ``medians`` of the view."""
    baselines = view.table("baselines")
    return frames.r_histogram(baselines, view.table("null_quantiles"), bins=40), frames.medians(baselines)


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=BY_VIEW)
def matrix_of(view: View) -> pd.DataFrame:
    """``model_matrix`` of the view, the ceiling on its diagonal."""
    return frames.model_matrix(view.table("pairs"), view.models(), view.optional("baselines"))
