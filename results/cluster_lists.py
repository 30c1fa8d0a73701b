"""Clusters as lists: what their members have in common, filters, orders, and the models that a cluster lacks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from results import words
from results.feature_lists import features_matching, with_one_of
from results.frames import cluster_domains
from results.ids import feature_id, feature_ids
from results.remembering import remembered
from results.stored_comparison import StoredComparison

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


@remembered()
def listed_clusters(stored: StoredComparison) -> pd.DataFrame:
    """Every cluster with what its members have in common.

    Columns of the table ``clusters`` and ``id`` (its number as text), ``n_members``, ``rate_low`` and ``rate_high``
    (firing rates of its members), ``domain`` (the one in which most members are strongest). Of a single feature,
    completeness and cohesion are missing: it has no pair that could be either.
    """
    features = stored.table("features")
    members = features[features["cluster"].notna()].assign(cluster=lambda f: f["cluster"].astype("int64"))
    rates = members.groupby("cluster")["firing_rate"].agg(["size", "min", "max"])
    table = stored.table("clusters")
    if "members" not in table.columns:  # runs of the first version
        table = table.assign(
            members=table["cluster"].map(feature_ids(members).groupby(members["cluster"]).agg(";".join))
        )
    frame = table.merge(
        rates.rename(columns={"size": "n_members", "min": "rate_low", "max": "rate_high"}),
        left_on="cluster", right_index=True, how="left",
    )  # fmt: skip
    single = frame["n_models"].to_numpy() < 2
    return frame.assign(
        id=frame["cluster"].astype(str),
        completeness=frame["completeness"].mask(single),
        cohesion=frame["cohesion"].mask(single),
        domain=frame["cluster"].map(cluster_domains(members)),
    )


@dataclass(frozen=True)
class ClusterFilter:
    """Conditions on clusters, all of which must hold; the defaults hold for every cluster.

    Attributes:
        classes: classes of which the cluster has one.
        levels: levels of which the cluster has one.
        n_models: numbers of models of which it reaches one.
        domains: domains of which at least one member has one.
        search: what finds a member, as :func:`results.feature_lists.features_matching` reads it.
    """

    classes: Sequence[str] = ()
    levels: Sequence[str] = ()
    n_models: Sequence[int] = ()
    domains: Sequence[str] = ()
    search: str = ""

    def rows(self, frame: pd.DataFrame, stored: StoredComparison) -> pd.DataFrame:
        """The rows of :func:`listed_clusters` that pass every condition, in the same order."""
        keep = with_one_of(frame, {"class": self.classes, "level": self.levels, "n_models": self.n_models})
        features = stored.table("features")
        if self.domains:
            keep &= _holding(frame, features[features["top_domain"].isin(list(self.domains))])
        if self.search.strip():
            matching = features_matching(stored, self.search)
            keep &= _holding(frame, features[feature_ids(features).isin(matching)])
        return frame[keep]


def _holding(frame: pd.DataFrame, features: pd.DataFrame) -> np.ndarray:
    """Which clusters hold at least one of some features."""
    return frame["cluster"].isin(features["cluster"].dropna().astype("int64")).to_numpy()


def sort_clusters(frame: pd.DataFrame, order: str) -> pd.DataFrame:
    """Rows in one of :data:`CLUSTER_ORDERS`; missing values last, ties in the order they had."""
    columns, ascending = CLUSTER_ORDERS[order]
    return frame.sort_values(columns, ascending=ascending, kind="stable", na_position="last")


def cluster_members(stored: StoredComparison, cluster: int) -> pd.DataFrame:
    """The rows of the table ``features`` that belong to a cluster, models in the run's order, with their ``id``."""
    features = stored.table("features")
    members = features[(features["cluster"] == cluster).fillna(False).to_numpy(bool)]
    rank = {model: place for place, model in enumerate(stored.models())}
    members = members.assign(id=feature_ids(members), rank=members["model"].map(rank))
    return members.sort_values(["rank", "latent"], ignore_index=True)


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


def absences(stored: StoredComparison, members: pd.DataFrame) -> list[Absence]:
    """The models that a cluster lacks, in the run's order, each with the best candidate of any member."""
    table, features = stored.optional("candidates"), stored.table("features")
    present = set(members["model"])
    missing = [model for model in stored.models() if model not in present]
    if table is None or not missing:
        return [Absence(model) for model in missing]
    near = table[table["latent_a"].isin(members["latent"].to_numpy()).to_numpy()]
    near = near[feature_ids(near, "a").isin(set(members["id"])) & near["model_b"].isin(missing)]
    best = near.sort_values("r", ascending=False, kind="stable").drop_duplicates("model_b")
    rows = {str(row["model_b"]): row for _, row in best.iterrows()}
    return [_absence(model, rows[model], features) if model in rows else Absence(model) for model in missing]


def _absence(model: str, row: pd.Series, features: pd.DataFrame) -> Absence:
    latent = int(row["latent_b"])
    there = features[(features["latent"].to_numpy() == latent) & (features["model"] == model).to_numpy()]
    home = there["cluster"].iloc[0] if len(there) else None
    return Absence(
        model,
        feature_id(model, latent),
        float(row["r"]),
        feature_id(row["model_a"], row["latent_a"]),
        None if home is None or pd.isna(home) else int(home),
    )


def is_cluster_number(text: str) -> bool:
    """Whether a text of the address can be the number of a cluster."""
    return text.isascii() and text.isdecimal() and len(text) < 10
