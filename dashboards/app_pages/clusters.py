"""Clusters: features of several models that are taken for one and the same."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards.clusters import CLUSTER_ORDERS, ClusterFilter, clusters_of, has_cluster, sort_clusters
from dashboards.components.cluster_detail import download_members, find_cluster, show_cluster
from dashboards.components.panels import nothing, panel
from dashboards.components.selection import link_popover, selectable_table, step_buttons
from dashboards.data import MAX_ROWS, View
from dashboards.frame import current_view
from dashboards.pins import address
from results import words
from results.export import csv_bytes


def filters(clusters: pd.DataFrame, n_models: int) -> tuple[ClusterFilter, str]:
    """The filter row; everything in it stands in the address too."""
    first = st.columns([3, 2], vertical_alignment="bottom")
    search = first[0].text_input(
        "Search", key="member", placeholder="text near the peak, a latent number, or m0:12", icon=":material/search:",
        help="Clusters that hold a feature found by it. Text finds features whose strongest contexts peak within three "
        "tokens of it. A number finds that latent in every model; put it in double quotes to find it in the text.",
        bind="query-params",
    )  # fmt: skip
    order = first[1].selectbox("Order", list(CLUSTER_ORDERS), key="ranked", bind="query-params")
    second = st.columns(4, vertical_alignment="bottom")
    reaches = {f"{k} of {n_models}": k for k in range(n_models, 0, -1)}
    reach = second[0].multiselect(
        "Models", list(reaches), key="reach", placeholder="any number", bind="query-params"
    )
    classes = second[1].multiselect(
        "Class", list(words.CLASSES), key="kind", placeholder="any", bind="query-params"
    )
    levels = second[2].multiselect(
        "Level", list(words.LEVELS), key="depth", placeholder="any", bind="query-params"
    )
    known = sorted(clusters["domain"].dropna().astype(str).unique())
    domains = second[3].multiselect(
        "Domain of a member", known, key="about", placeholder="any", disabled=not known, bind="query-params"
    )
    wanted = ClusterFilter(classes, levels, [reaches[name] for name in reach], domains, search or "")
    return wanted, order or next(iter(CLUSTER_ORDERS))


def table(shown: pd.DataFrame, n_models: int) -> None:
    """The list of clusters; the selected one is the address's."""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    frame = pd.DataFrame(
        {
            "cluster": shown["cluster"],
            "models": shown["n_models"].astype(str) + f" of {n_models}",
            "cohesion": shown["cohesion"],
            "completeness": 100 * shown["completeness"],
            "class": shown["class"],
            "level": shown["level"],
            "domain": shown["domain"],
            "rate_low": 100 * shown["rate_low"],
            "rate_high": 100 * shown["rate_high"],
            "members": shown["members"].str.replace(";", "  "),
        }
    )
    selectable_table(
        frame,
        shown["id"].tolist(),
        param="cluster",
        key="clusters_table",
        height=290,
        column_config={
            "cluster": number("cluster", format="%d", width="small"),
            "models": text("models", width="small"),
            "cohesion": st.column_config.ProgressColumn(
                "cohesion", format="%.2f", min_value=0, max_value=1, help="mean held-out r over all pairs of members"
            ),
            "completeness": number(
                "complete %", format="%.0f", width="small", help="assigned pairs over all pairs of members"
            ),
            "class": text("class", width="small"),
            "level": text("level", width="small"),
            "domain": text("domain", help="in which most members are strongest"),
            "rate_low": number("fires % from", format="%.3g", width="small"),
            "rate_high": number("to", format="%.3g", width="small"),
            "members": text("members", width="large"),
        },
    )  # fmt: skip


def selected(view: View, clusters: pd.DataFrame, cluster: str, ids: list[str]) -> None:
    """The detail of the selected cluster, also where the filters hide it."""
    rows = clusters[clusters["cluster"] == int(cluster)] if has_cluster(cluster) else clusters[:0]
    if rows.empty:
        nothing("The address names a cluster that this run has not.", "Choose one in the table.")
        return
    found = find_cluster(view, rows.iloc[0])
    left, right = st.columns([3, 2], vertical_alignment="center")
    with left:
        if cluster not in ids:
            st.caption(
                ":material/filter_alt: This cluster is hidden by the filters; it is shown because the address names it."
            )
        else:
            st.caption(f"Cluster {ids.index(cluster) + 1:,} of {len(ids):,} in this order")
    with right, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        link_popover({"run": view.name, "comparison": view.comparison, "cluster": cluster, **address(view)})
        download_members(found)
        step_buttons(ids, param="cluster", key="cluster")
    show_cluster(view, found)


def main() -> None:
    """Draw the page."""
    view = current_view()
    st.title("Clusters", anchor=False)
    with panel(border=False):
        clusters, n_models = clusters_of(view), len(view.models())
        if clusters.empty:
            nothing("No feature of this run fires often enough to be compared, so there is no cluster.")
            return
        wanted, order = filters(clusters, n_models)
        found = sort_clusters(wanted.rows(clusters, view), order)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            limit = f"; the first {MAX_ROWS:,} in this order are listed" if len(found) > MAX_ROWS else ""
            st.caption(f"**{len(found):,}** of {words.counted(len(clusters), 'cluster')}{limit}")
            st.download_button(
                "CSV", data=lambda: csv_bytes(found), file_name=f"clusters_{view.name}.csv", mime="text/csv",
                on_click="ignore", icon=":material/download:", type="tertiary", key="clusters_csv",
            )  # fmt: skip
        if found.empty:
            nothing("No cluster passes these filters.", "Remove one.")
        else:
            table(found.head(MAX_ROWS), n_models)
        cluster = st.query_params.get("cluster", "")
        if cluster:
            selected(view, clusters, cluster, found["id"].tolist())
        elif not found.empty:
            st.caption(
                ":material/touch_app: Select a row to see the cluster: its members, and all models on the same text."
            )


main()
