"""Graph: clusters of matched features, near each other where they fire alike, linked where they nearly match."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.components.links import page_button
from dashboards.components.markup import Fact, badge, escape, facts, heading, legend, remark, swatch
from dashboards.components.panels import nothing, panel
from dashboards.components.plane import clickable_chart, explain_no_positions, graph_spec
from dashboards.components.selection import link_popover
from dashboards.data import View
from dashboards.frame import current_view
from dashboards.places import MAX_NODES, clusters_of, graph_file
from results import words
from results.colours import CLASS_COLOURS, GREY
from results.export import csv_bytes

NOTE = (
    "Every node is a cluster: features of at least two models that count as one. It stands at the mean of its members' "
    "places on the map. A line joins clusters with members among each other's nearest features."
)
SIZES = {"Models": "n_models", "Cohesion": "cohesion"}


def filtered(view: View, clusters: pd.DataFrame) -> pd.DataFrame:
    """The filter row, and the clusters that pass it."""
    columns = st.columns([2, 1.6, 2, 2], vertical_alignment="bottom")
    known = sorted(clusters["domain"].dropna().astype(str).unique())
    counts = sorted(clusters["n_models"].astype(int).unique().tolist())
    choose: dict[str, Any] = {"placeholder": "any", "bind": "query-params"}
    kinds = columns[0].multiselect(
        "Class", [c for c in words.CLASSES if c != "specific"], key="class", **choose
    )
    reach = columns[1].multiselect("Number of models", [str(n) for n in counts], key="reach", **choose)
    models = columns[2].multiselect(
        "Model",
        view.models(),
        key="model",
        help="Clusters with a member in every one of these models.",
        **choose,
    )
    domains = columns[3].multiselect("Domain", known, key="domain", disabled=not known, **choose)
    keep = np.ones(len(clusters), dtype=bool)
    if kinds:
        keep &= clusters["class"].isin(kinds).to_numpy()
    if reach:
        keep &= clusters["n_models"].astype(int).astype(str).isin(reach).to_numpy()
    if domains:
        keep &= clusters["domain"].isin(domains).to_numpy()
    for model in models:
        keep &= (";" + clusters["members"]).str.contains(f";{model}:", regex=False).to_numpy()
    return clusters[keep]


def links_of(view: View, drawn: pd.DataFrame, least: float) -> pd.DataFrame:
    """Links at or above ``least`` between clusters that are drawn."""
    links, here = view.table("cluster_links"), drawn["cluster"]
    keep = links["cluster_a"].isin(here) & links["cluster_b"].isin(here) & (links["r"] >= least)
    return links[keep]


def counts(
    view: View, clusters: pd.DataFrame, found: pd.DataFrame, drawn: pd.DataFrame, n_links: int
) -> None:
    """How much is drawn of how much, and the downloads."""
    matched = int((view.table("clusters")["n_models"] > 1).sum())
    sentences = [
        f"**{len(found):,}** of {words.counted(len(clusters), 'cluster')}, {words.counted(n_links, 'link')}"
    ]
    if len(drawn) < len(found):
        sentences.append(f"the {len(drawn):,} in most models are drawn")
    if len(clusters) < matched:
        sentences.append(f"the run has {matched:,} and has placed a sample of them")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption("; ".join(sentences))
        with st.container(horizontal=True, width="content", gap="small"):
            download: dict[str, Any] = {
                "on_click": "ignore",
                "icon": ":material/download:",
                "type": "tertiary",
            }
            st.download_button(
                "CSV",
                lambda: csv_bytes(found),
                f"clusters_{view.name}.csv",
                "text/csv",
                key="graph_csv",
                **download,
            )
            if view.has_graph():
                st.download_button(
                    "GraphML", lambda: graph_file(view, "graphml"), f"graph_{view.name}.graphml",
                    "application/graphml+xml", key="graph_graphml", **download,
                )  # fmt: skip
                st.download_button(
                    "JSON", lambda: graph_file(view, "json"), f"graph_{view.name}.json", "application/json",
                    key="graph_json", **download,
                )  # fmt: skip


def node_names(drawn: pd.DataFrame) -> list[str]:
    """What a node says when the pointer rests on it; the number makes it unlike all others."""
    return [
        f"cluster {cluster}: {kind}, {n} models, cohesion {words.number(cohesion)}"
        + ("" if pd.isna(domain) else f", {domain}")
        for cluster, kind, n, cohesion, domain in drawn[
            ["cluster", "class", "n_models", "cohesion", "domain"]
        ].itertuples(index=False, name=None)
    ]


def node_sizes(drawn: pd.DataFrame, by: str, n_models: int) -> np.ndarray:
    """(n,) diameters in pixels; fewer where there are many nodes."""
    top = 22 if len(drawn) <= 500 else 14 if len(drawn) <= 1_500 else 10
    share = drawn["n_models"] / max(n_models, 1) if by == "n_models" else drawn["cohesion"].clip(0, 1)
    return top * (0.35 + 0.65 * share.to_numpy(float) ** 2)


def selected(view: View, chosen: str, clusters: pd.DataFrame, drawn: pd.DataFrame) -> None:
    """What is known of the chosen cluster, and the ways to its own pages."""
    row = clusters[clusters["cluster"].astype(str) == chosen]
    if row.empty:
        nothing(
            "The address names a cluster that this graph has not.",
            "It has clusters of at least two models; click one.",
        )
        return
    if not (drawn["cluster"].astype(str) == chosen).any():
        st.caption(":material/filter_alt: This cluster is not among the nodes drawn: the filters hide it.")
    cluster = row.iloc[0]
    kind, members = str(cluster["class"]), str(cluster["members"]).split(";")
    colour = CLASS_COLOURS.get(kind, GREY)
    level = str(cluster["level"])
    badges = [
        badge(kind, colour, hint=words.CLASSES.get(kind, "")),
        badge(f"level: {level}", GREY, hint=words.LEVELS.get(level, "")),
    ]
    st.html(heading(f"Cluster {chosen}", "", [colour] * 2, badges))
    known = [
        Fact("models", f"{int(cluster['n_models'])} of {len(view.models())}", "have a member"),
        Fact("cohesion", words.number(cluster["cohesion"]), "mean held-out r of its members"),
        Fact("completeness", words.share(cluster["completeness"]), "of its pairs are matched"),
        Fact("domain", "–" if pd.isna(cluster["domain"]) else str(cluster["domain"]), "of most members"),
    ]
    st.html(facts(known))
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        page_button("clusters", f"Open cluster {chosen}", "workspaces", cluster=chosen)
        for member in members[:12]:
            page_button("map", f"{member} on the map", "scatter_plot", feature=member)
        link_popover({"run": view.name, "comparison": view.comparison, "cluster": chosen})


def main() -> None:
    """Draw the page."""
    view = current_view()
    st.title("Graph", anchor=False)
    with panel(border=False):
        if view.optional("cluster_positions") is None and view.optional("clusters") is not None:
            explain_no_positions(view)
            return
        clusters = clusters_of(view)
        if clusters.empty:
            nothing("No two features of different models were joined, so there is no graph.")
            return
        st.caption(escape(NOTE))
        found = filtered(view, clusters)
        drawn = found.head(MAX_NODES)
        left, right = st.columns([1, 2], vertical_alignment="bottom")
        by = left.segmented_control(
            "Node size", list(SIZES), default="Models", key="size", required=True, bind="query-params"
        )
        least = right.slider(
            "Links from r", 0.3, 1.0, 0.5, 0.05, key="link", bind="query-params",
            help="The highest r of two members of the linked clusters, over all evaluation rows.",
        )  # fmt: skip
        links = links_of(view, drawn, least)
        counts(view, clusters, found, drawn, len(links))
        chosen = st.query_params.get("cluster", "")
        if found.empty:
            nothing("No cluster passes these filters.", "Remove one.")
        else:
            shown = drawn["class"].value_counts()
            swatches = [swatch(CLASS_COLOURS[c], f"{c} ({shown[c]:,})") for c in CLASS_COLOURS if c in shown]
            st.html(
                legend(
                    [
                        *swatches,
                        remark("size: " + (by or "Models").lower() + " · line: r of the nearest pair"),
                    ]
                )
            )
            sizes = node_sizes(drawn, SIZES[by or "Models"], len(view.models()))
            number = int(chosen) if chosen.isdecimal() and len(chosen) < 10 else None
            spec = graph_spec(drawn, node_names(drawn), sizes, links, number)
            ids = [drawn["cluster"].astype(str).tolist()]
            clickable_chart(
                spec,
                ids,
                param="cluster",
                key="graph",
                alt=f"Graph of {words.counted(len(drawn), 'cluster')}",
            )
        if chosen:
            selected(view, chosen, clusters, drawn)
        elif not found.empty:
            st.caption(
                ":material/touch_app: Click a node to see its cluster. The wheel zooms, dragging moves."
            )


main()
