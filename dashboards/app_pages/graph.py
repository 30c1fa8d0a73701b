"""Graph: clusters of matched features, near each other where they fire alike, linked where they nearly match."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.components.badges import cluster_badges
from dashboards.components.downloads import csv_button, download
from dashboards.components.filters import domains_in, flow, search_box, several
from dashboards.components.links import quoted, screen_link, view_popover
from dashboards.components.list_page import TOO_RARE, PlanePage
from dashboards.components.markup import Fact, facts, heading, legend, remark, swatch
from dashboards.components.panels import nothing
from dashboards.components.plane import clickable_chart, graph_spec
from results import words
from results.cluster_lists import ClusterFilter, with_member_in
from results.colours import CLASS_COLOURS, GREY
from results.feature_lists import with_one_of
from results.map_points import MAX_NODES, graph_file, islands, placed_clusters

SIZES = {"Models": "n_models", "Cohesion": "cohesion"}
#: Members of a cluster that have a link to their place on the map.
MAX_LINKS = 12


class GraphPage(PlanePage):
    """The screen of clusters in the plane."""

    title, name, kind = "Graph", "graph", "cluster"
    hidden = "This cluster is not among the nodes drawn: the filters hide it."
    invitation = "Click a node to see its cluster. The wheel zooms, dragging moves."
    note = (
        "Every node is a cluster: features of at least two models that count as one. It stands at the mean of its "
        "members' places on the map. A line joins clusters with members among each other's nearest features."
    )
    things, tables, column = staticmethod(placed_clusters), ("clusters", "cluster_positions"), "cluster"
    empty = (
        "No two features of different models were joined, so there is no graph.",
        f"Pairs lists the matches that come nearest. {TOO_RARE}",
    )

    def filtered(self, things: pd.DataFrame) -> pd.DataFrame:
        """The clusters that pass the filters, and how they shall be drawn."""
        first = st.columns([3, 2], vertical_alignment="bottom")
        search = search_box(self.view, first[0], "node", "Clusters that hold a feature found by it.")
        lacking = several(first[1], "Missing in", self.view.models(), "absent", help="Without a member in any.")
        columns = flow()
        reachable = [str(n) for n in sorted(things["n_models"].astype(int).unique())]
        classes = several(columns, "Class", [c for c in words.CLASSES if c != "specific"], "class")
        reach = several(columns, "Number of models", reachable, "reach")
        every = "Clusters with a member in every one of these models."
        models = several(columns, "Model", self.view.models(), "model", help=every)
        domains = several(columns, "Domain", domains_in(things), "domain")
        reached = [int(n) for n in reach]
        keep = with_one_of(things, {"class": classes, "n_models": reached, "domain": domains})
        for model in models:
            keep &= with_member_in(things, model)
        left, right = st.columns([1, 2], vertical_alignment="bottom")
        left.segmented_control(
            "Node size", list(SIZES), default="Models", key="size", required=True, bind="query-params"
        )
        right.slider(
            "Links from r", 0.3, 1.0, 0.5, 0.05, key="link", bind="query-params",
            help="The highest r of two members of the linked clusters, over all evaluation rows.",
        )  # fmt: skip
        return ClusterFilter(search=search, lacking=lacking).rows(things[keep], self.view)

    def drawn(self, passing: pd.DataFrame) -> pd.DataFrame:
        """The clusters in most models, where there are too many to be drawn."""
        return passing.head(MAX_NODES)

    def links_between(self, drawn: pd.DataFrame) -> pd.DataFrame:
        """Links of the chosen strength between clusters that are drawn."""
        links, here = self.view.table("cluster_links"), drawn["cluster"]
        ends = links["cluster_a"].isin(here) & links["cluster_b"].isin(here)
        return links[ends & (links["r"] >= st.session_state["link"])]

    def remark(self, things: pd.DataFrame, passing: pd.DataFrame, drawn: pd.DataFrame) -> str:
        """The links, and what has been left out."""
        matched = int((self.view.table("clusters")["n_models"] > 1).sum())
        said = f", {words.counted(len(self.links_between(drawn)), 'link')}"
        if len(drawn) < len(passing):
            said += f"; the {len(drawn):,} in most models are drawn"
        if len(things) < matched:
            said += f"; the run has {matched:,} and has placed a sample of them"
        return said

    def downloads(self, passing: pd.DataFrame) -> None:
        """The clusters that pass as a table, and the whole graph of features."""
        view = self.view
        with st.container(horizontal=True, width="content", gap="small"):
            csv_button(lambda: passing, f"clusters_{view.name}.csv", key="graph_csv", quiet=True)
            if view.has_graph():
                for label in ("GraphML", "JSON"):
                    form = label.lower()
                    download(
                        label, lambda form=form: graph_file(view, form), f"graph_{view.name}.{form}",
                        key=f"graph_{form}", quiet=True,
                    )  # fmt: skip

    def draw_list(self, drawn: pd.DataFrame) -> None:
        """The nodes and their links."""
        shown, by = drawn["class"].value_counts(), st.session_state["size"] or "Models"
        swatches = [swatch(CLASS_COLOURS[c], f"{c} ({shown[c]:,})") for c in CLASS_COLOURS if c in shown]
        st.html(legend([*swatches, remark(f"size: {by.lower()} · line: r of the nearest pair")]))
        selected = st.query_params.get("cluster", "")
        number = int(selected) if selected.isdecimal() and len(selected) < 10 else None
        sizes = node_sizes(drawn, SIZES[by], len(self.view.models()))
        spec = graph_spec(
            drawn, node_names(drawn), sizes, self.links_between(drawn), number, placed_clusters(self.view),
            islands(placed_clusters(self.view)),
        )  # fmt: skip
        in_words = f"Graph of {words.counted(len(drawn), 'cluster')}"
        clickable_chart(spec, [self.ids(drawn)], param="cluster", key="graph", alt=in_words)

    def draw_unplaced(self, selected: str) -> None:
        """Clusters of one model are no nodes."""
        remedy = "It has clusters of two models or more; click one."
        nothing(f"There is no cluster {quoted(selected)} in this graph.", remedy)

    def draw_card(self, row: pd.Series) -> None:
        """A cluster's class, level, numbers and screens."""
        cluster, kind = str(row["cluster"]), str(row["class"])
        st.html(heading([(f"Cluster {cluster}", CLASS_COLOURS.get(kind, GREY))], cluster_badges(self.view, row)))
        st.html(facts([
            Fact("models", f"{int(row['n_models'])} of {len(self.view.models())}", "have a member"),
            Fact("cohesion", words.number(row["cohesion"]), "mean held-out r of its members"),
            Fact("completeness", words.share(row["completeness"]), "of its pairs are matched"),
            Fact("domain", "–" if pd.isna(row["domain"]) else str(row["domain"]), "of most members"),
        ]))  # fmt: skip
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            screen_link("clusters", f"Open cluster {cluster}", cluster=cluster)
            for member in str(row["members"]).split(";")[:MAX_LINKS]:
                screen_link("map", f"{member} on the map", feature=member)
            view_popover(self.view, cluster=cluster)


def node_names(drawn: pd.DataFrame) -> list[str]:
    """What a node says when the pointer rests on it; the number makes it unlike all others."""
    columns = ["cluster", "class", "n_models", "cohesion", "domain"]
    return [
        f"cluster {cluster}: {kind}, {n} models, cohesion {words.number(cohesion)}"
        + ("" if pd.isna(domain) else f", {domain}")
        for cluster, kind, n, cohesion, domain in drawn[columns].itertuples(index=False, name=None)
    ]


def node_sizes(drawn: pd.DataFrame, by: str, n_models: int) -> np.ndarray:
    """(n,) diameters in pixels; fewer where there are many nodes."""
    top = 22 if len(drawn) <= 500 else 14 if len(drawn) <= 1_500 else 10
    share = drawn["n_models"] / max(n_models, 1) if by == "n_models" else drawn["cohesion"].clip(0, 1)
    return top * (0.35 + 0.65 * share.to_numpy(float) ** 2)


GraphPage().draw()
