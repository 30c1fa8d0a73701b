"""Clusters as lists: what their members have in common, filters, and orders."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from results.feature_lists import with_one_of
from results.frames import cluster_domains
from results.ids import feature_ids
from results.label_frames import labelled_clusters
from results.remembering import remembered
from results.search import features_matching
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
    (firing rates of its members), ``domain`` (the one in which most members are strongest), ``label`` and
    ``label_kind``. Of a single feature, completeness and cohesion are missing: it has no pair that could be either.
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
    single, labels = frame["n_models"].to_numpy() < 2, labelled_clusters(stored)
    return frame.assign(
        id=frame["cluster"].astype(str),
        completeness=frame["completeness"].mask(single),
        cohesion=frame["cohesion"].mask(single),
        domain=frame["cluster"].map(cluster_domains(members)),
        label=frame["cluster"].map(labels["label"]),
        label_kind=frame["cluster"].map(labels["kind"]),
    )


@dataclass(frozen=True)
class ClusterFilter:
    """Conditions on clusters, all of which must hold; the defaults hold for every cluster.

    Attributes:
        classes: classes of which the cluster has one.
        levels: levels of which the cluster has one.
        n_models: numbers of models of which it reaches one.
        lacking: models none of which it has a member in.
        domains: domains of which at least one member has one.
        labels: kinds of labels (:func:`results.label_frames.kinds_in`) of which the cluster has one.
        search: what finds a member, as :func:`results.search.features_matching` reads it.
    """

    classes: Sequence[str] = ()
    levels: Sequence[str] = ()
    n_models: Sequence[int] = ()
    lacking: Sequence[str] = ()
    domains: Sequence[str] = ()
    labels: Sequence[str] = ()
    search: str = ""

    def rows(self, frame: pd.DataFrame, stored: StoredComparison) -> pd.DataFrame:
        """The rows of :func:`listed_clusters` that pass every condition, in the same order."""
        keep = with_one_of(
            frame, {"class": self.classes, "level": self.levels, "n_models": self.n_models, "label_kind": self.labels}
        )
        for model in self.lacking:
            keep &= ~with_member_in(frame, model)
        features = stored.table("features")
        if self.domains:
            keep &= _holding(frame, features[features["top_domain"].isin(list(self.domains))])
        if self.search.strip():
            matching = features_matching(stored, self.search)
            keep &= _holding(frame, features[feature_ids(features).isin(matching)])
        return frame[keep]


def with_member_in(clusters: pd.DataFrame, model: str) -> np.ndarray:
    """Which clusters have a member in a model."""
    return (";" + clusters["members"]).str.contains(f";{model}:", regex=False).to_numpy()


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


def is_cluster_number(text: str) -> bool:
    """Whether a text of the address can be the number of a cluster."""
    return text.isascii() and text.isdecimal() and len(text) < 10
