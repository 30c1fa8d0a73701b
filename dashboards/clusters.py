"""Clusters as screens list them: what is known of a cluster from its members, filters, orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.data import BY_VIEW, View
from dashboards.tables import feature_keys, found_features
from results import words
from results.frames import cluster_domains

#: name in the menu -> columns and their directions
CLUSTER_ORDERS: dict[str, tuple[list[str], list[bool]]] = {
    "Most complete, then most cohesive": (["n_models", "completeness", "cohesion"], [False, False, False]),
    "Most cohesive (mean r inside)": (["cohesion"], [False]),
    "Least cohesive": (["cohesion"], [True]),
    "Least complete": (["completeness", "cohesion"], [True, True]),
    "Rarest": (["rate_low"], [True]),
    "Most frequent": (["rate_high"], [False]),
    "Number": (["cluster"], [True]),
}


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=BY_VIEW)
def clusters_of(view: View) -> pd.DataFrame:
    """Every cluster with what its members have in common. Shared: never write into it.

    Columns of the table ``clusters`` and ``id`` (its number as text), ``n_members``, ``rate_low`` and ``rate_high``
    (firing rates of its members), ``domain`` (the one in which most members are strongest). Of a single feature,
    completeness and cohesion are missing: it has no pair that could be either.
    """
    features = view.table("features")
    members = features[features["cluster"].notna()].assign(cluster=lambda f: f["cluster"].astype("int64"))
    rates = members.groupby("cluster")["firing_rate"].agg(["size", "min", "max"])
    table = view.table("clusters")
    if "members" not in table.columns:  # runs of the first version
        table = table.assign(
            members=table["cluster"].map(feature_keys(members).groupby(members["cluster"]).agg(";".join))
        )
    frame = table.merge(
        rates.rename(columns={"size": "n_members", "min": "rate_low", "max": "rate_high"}),
        left_on="cluster", right_index=True, how="left",
    )  # fmt: skip
    alone = frame["n_models"].to_numpy() < 2
    return frame.assign(
        id=frame["cluster"].astype(str),
        completeness=frame["completeness"].mask(alone),
        cohesion=frame["cohesion"].mask(alone),
        domain=frame["cluster"].map(cluster_domains(members)),
    )


@dataclass(frozen=True)
class ClusterFilter:
    """What of the clusters is wanted; the defaults keep everything."""

    classes: Sequence[str] = ()
    levels: Sequence[str] = ()
    n_models: Sequence[int] = ()
    domains: Sequence[str] = ()
    search: str = ""

    def rows(self, frame: pd.DataFrame, view: View) -> pd.DataFrame:
        """The rows of :func:`clusters_of` that pass every condition, in the same order."""
        keep = np.ones(len(frame), dtype=bool)
        for column, wanted in (("class", self.classes), ("level", self.levels), ("n_models", self.n_models)):
            if wanted:
                keep &= frame[column].isin(list(wanted)).to_numpy()
        features = view.table("features")
        if self.domains:
            keep &= _holding(frame, features[features["top_domain"].isin(list(self.domains))])
        if self.search.strip():
            found = found_features(view, self.search)
            keep &= _holding(frame, features[feature_keys(features).isin(found)])
        return frame[keep]


def _holding(frame: pd.DataFrame, features: pd.DataFrame) -> np.ndarray:
    """Which clusters hold at least one of some features."""
    return frame["cluster"].isin(features["cluster"].dropna().astype("int64")).to_numpy()


def sort_clusters(frame: pd.DataFrame, order: str) -> pd.DataFrame:
    """Rows in one of :data:`CLUSTER_ORDERS`; missing values last, ties in the order they had."""
    columns, ascending = CLUSTER_ORDERS[order]
    return frame.sort_values(columns, ascending=ascending, kind="stable", na_position="last")


def members_of(view: View, cluster: int) -> pd.DataFrame:
    """The rows of the table ``features`` that belong to a cluster, models in the run's order, with their ``id``."""
    features = view.table("features")
    mine = features[(features["cluster"] == cluster).fillna(False).to_numpy(bool)]
    rank = {model: place for place, model in enumerate(view.models())}
    mine = mine.assign(id=feature_keys(mine), rank=mine["model"].map(rank))
    return mine.sort_values(["rank", "latent"], ignore_index=True)


@dataclass(frozen=True)
class Absence:
    """Why a model is missing from a cluster.

    Attributes:
        model: the missing model.
        candidate: its latent ("m2:77") that comes nearest to any member; None where none was recorded.
        r: fit r of that latent with the member.
        member: the member it comes nearest to.
        home: the cluster that the candidate belongs to; None where it is in none.
    """

    model: str
    candidate: str | None = None
    r: float = float("nan")
    member: str = ""
    home: int | None = None

    def sentence(self, tau: float) -> str:
        """In words, against the threshold on r."""
        if self.candidate is None:
            return "absent: no candidate was recorded"
        judged = f"below the threshold {tau:.2f}" if self.r < tau else f"reaches the threshold {tau:.2f}"
        digits = 3 if abs(self.r - tau) < 0.01 else 2  # so that 0.497 is not said to be 0.50 and below it
        return f"absent: best candidate {self.candidate}, fit r = {words.number(self.r, digits)} ({judged})"


def absences(view: View, members: pd.DataFrame) -> list[Absence]:
    """The models that a cluster lacks, in the run's order, each with the best candidate of any member."""
    table, features = view.optional("candidates"), view.table("features")
    present = set(members["model"])
    missing = [model for model in view.models() if model not in present]
    if table is None or not missing:
        return [Absence(model) for model in missing]
    near = table[table["latent_a"].isin(members["latent"].to_numpy()).to_numpy()]
    near = near[feature_keys(near, "a").isin(set(members["id"])) & near["model_b"].isin(missing)]
    best = near.sort_values("r", ascending=False, kind="stable").drop_duplicates("model_b")
    rows = {str(row["model_b"]): row for _, row in best.iterrows()}
    return [_absence(model, rows[model], features) if model in rows else Absence(model) for model in missing]


def _absence(model: str, row: pd.Series, features: pd.DataFrame) -> Absence:
    latent = int(row["latent_b"])
    there = features[(features["latent"].to_numpy() == latent) & (features["model"] == model).to_numpy()]
    home = there["cluster"].iloc[0] if len(there) else None
    return Absence(
        model,
        f"{model}:{latent}",
        float(row["r"]),
        f"{row['model_a']}:{row['latent_a']}",
        None if home is None or pd.isna(home) else int(home),
    )


def has_cluster(text: str) -> bool:
    """Whether a text of the address can be the number of a cluster."""
    return text.isascii() and text.isdecimal() and len(text) < 10
