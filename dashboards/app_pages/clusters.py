"""Clusters: features of several models that are taken for one and the same."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboards.components.cluster_detail import show_cluster
from dashboards.components.columns import Column, bar, number, percent, quoting, text
from dashboards.components.downloads import csv_button
from dashboards.components.filters import domains_in, flow, one_of, search_box, several
from dashboards.components.labels import HELP
from dashboards.components.list_page import TOO_RARE, TablePage
from results import words
from results.cluster_lists import (
    CLUSTER_ORDERS,
    ClusterFilter,
    cluster_members,
    is_cluster_number,
    listed_clusters,
    sort_clusters,
)
from results.label_frames import kinds_in


class ClustersPage(TablePage):
    """The screen of clusters."""

    title, name, kind = "Clusters", "clusters", "cluster"
    things, detail = staticmethod(listed_clusters), staticmethod(show_cluster)
    empty = ("No feature of this run fires often enough to be compared, so there is no cluster.", TOO_RARE)
    hidden = "This cluster is hidden by the filters; it is shown because the address names it."
    invitation = "Select a row to see the cluster: its members, and all models on the same text."

    def filtered(self, things: pd.DataFrame) -> pd.DataFrame:
        """The clusters that pass the filters, in the chosen order."""
        first = st.columns([3, 2], vertical_alignment="bottom")
        search = search_box(self.view, first[0], "member", "Clusters that hold a feature found by it.")
        order = one_of(first[1], "Order", CLUSTER_ORDERS, "ranked")
        second = flow()
        n_models = len(self.view.models())
        reaches = {f"{k} of {n_models}": k for k in range(n_models, 0, -1)}
        reach = several(second, "Models", reaches, "reach", placeholder="any number")
        passing = ClusterFilter(
            classes=several(second, "Class", words.CLASSES, "kind"),
            levels=several(second, "Level", words.LEVELS, "depth"),
            n_models=[reaches[name] for name in reach],
            domains=several(second, "Domain of a member", domains_in(things), "about"),
            lacking=several(second, "Missing in", self.view.models(), "lacking", help="Without a member in any."),
            labels=several(second, "Label", kinds_in(things["label_kind"]), "label", help="By rule."),
            search=search,
        )
        return sort_clusters(passing.rows(things, self.view), order)

    def columns(self) -> Sequence[Column]:
        """How many models, and how well they agree."""
        of_models = f" of {len(self.view.models())}"
        return [
            Column("cluster", "cluster", number("cluster", format="%d", width="small", pinned=True)),
            Column("models", lambda clusters: clusters["n_models"].astype(str) + of_models,
                   text("models", width="small")),
            Column("cohesion", "cohesion", bar("cohesion", help="mean held-out r over all pairs of members")),
            Column("completeness", percent("completeness"),
                   number("complete %", format="%.0f", width="small", help="assigned pairs over all pairs of members")),
            Column("class", "class", text("class", width="small")),
            Column("level", "level", text("level")),
            Column("label", quoting("label"), text("label", help=f"{HELP}; that of the member which says most of all")),
            Column("domain", "domain", text("domain", help="in which most members are strongest")),
            Column("rate_low", percent("rate_low"), number("fires % from", format="%.3g", width="small")),
            Column("rate_high", percent("rate_high"), number("to", format="%.3g", width="small")),
            Column("members", lambda clusters: clusters["members"].str.replace(";", "  "),
                   text("members", width="large")),
        ]  # fmt: skip

    def find(self, selected: str, things: pd.DataFrame) -> pd.Series | None:
        """The cluster of this number."""
        rows = things[things["cluster"] == int(selected)] if is_cluster_number(selected) else things[:0]
        return None if rows.empty else rows.iloc[0]

    def buttons(self, selected: str, row: pd.Series) -> None:
        """A link, and the members' numbers."""
        super().buttons(selected, row)
        number = int(row["cluster"])
        csv_button(
            lambda: cluster_members(self.view, number).drop(columns="rank"),
            f"cluster_{number}.csv",
            key="cluster_csv",
        )


ClustersPage().draw()
