"""Map: every feature of every model in one plane, near each other where they fire alike."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.components.links import page_button
from dashboards.components.markup import Fact, badge, escape, facts, heading, legend, swatch
from dashboards.components.panels import nothing, panel
from dashboards.components.plane import clickable_chart, explain_no_positions, points_spec
from dashboards.components.selection import link_popover
from dashboards.data import View
from dashboards.frame import current_view
from dashboards.places import COLOURINGS, MAX_POINTS, Group, colour_groups, features_of, sampled, telling
from dashboards.tables import FEATURE_ID, found_features
from results import words
from results.colours import CLASS_COLOURS, GREY
from results.export import csv_bytes

NOTE = (
    "UMAP of the correlations of all alive features of all models, computed once by the run. Near means alike; "
    "directions, axes and far distances mean nothing, and nothing is tested on this picture."
)


def filtered(view: View, features: pd.DataFrame) -> pd.DataFrame:
    """The filter row, and the features that pass it."""
    columns = st.columns([3, 1.6, 2, 2, 2], vertical_alignment="bottom")
    search = columns[0].text_input(
        "Search", key="near", placeholder="text near the peak, a latent number, or m0:12", icon=":material/search:",
        help="Text finds features whose strongest contexts peak within three tokens of it.", bind="query-params",
    )  # fmt: skip
    known = sorted(features["domain"].dropna().astype(str).unique())
    choices = {
        "model": view.models(),
        "class": list(words.CLASSES),
        "level": list(words.LEVELS),
        "domain": known,
    }
    keep = np.ones(len(features), dtype=bool)
    for column, (name, options) in zip(columns[1:], choices.items(), strict=True):
        wanted = column.multiselect(
            name.capitalize(), options, key=name, placeholder="any", disabled=not options, bind="query-params"
        )
        if wanted:
            keep &= features[name].isin(wanted).to_numpy()
    if search and search.strip():
        keep &= features["id"].isin(found_features(view, search)).to_numpy()
    return features[keep]


def counts(view: View, features: pd.DataFrame, found: pd.DataFrame, drawn: pd.DataFrame) -> None:
    """How many features are drawn of how many, and the download."""
    alive = int((view.table("features")["status"] == "alive").sum())
    sentences = [f"**{len(found):,}** of {words.counted(len(features), 'feature')}"]
    if len(drawn) < len(found):
        sentences.append(f"a random {len(drawn):,} of them are drawn")
    if len(features) < alive:
        sentences.append(f"the run has {alive:,} alive features and has placed a sample of whole clusters")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption("; ".join(sentences))
        st.download_button(
            "CSV", data=lambda: csv_bytes(found), file_name=f"map_{view.name}.csv", mime="text/csv",
            on_click="ignore", icon=":material/download:", type="tertiary", key="map_csv",
        )  # fmt: skip


def map_legend(groups: list[Group]) -> str:
    """Colour, name and number of every group."""
    return legend([swatch(g.colour, f"{g.name} ({int(g.members.sum()):,})") for g in groups])


def draw(view: View, found: pd.DataFrame, drawn: pd.DataFrame, feature: str) -> None:
    """The points in their colours."""
    by = st.segmented_control(
        "Colour", list(COLOURINGS), default="Class", key="colour", required=True, bind="query-params"
    )
    drawn = drawn.reset_index(drop=True)
    groups = colour_groups(drawn, by or "Class", view.models())
    st.html(map_legend(groups))
    spec = points_spec(drawn, telling(drawn), groups, feature)
    ids = [drawn.loc[group.members, "id"].tolist() for group in groups]
    clickable_chart(
        spec, ids, param="feature", key="map", alt=f"Map of {words.counted(len(drawn), 'feature')}"
    )


def selected(view: View, feature: str, features: pd.DataFrame, drawn: pd.DataFrame) -> None:
    """What is known of the chosen feature, and the ways to its own pages."""
    row = features[features["id"] == feature]
    if row.empty:
        match = FEATURE_ID.match(feature)
        table = view.table("features")
        known = match and (
            (table["model"] == match["model"]) & (table["latent"].astype(str) == match["latent"])
        ).any()  # fmt: skip
        if known:
            nothing("This feature has no place on the map.", "Only alive features are embedded.")
            page_button("feature", f"Open feature {feature}", "target", feature=feature)
        else:
            nothing("The address names a feature that this run has not.", "Click a point of the map.")
        return
    if not (drawn["id"] == feature).any():
        st.caption(
            ":material/filter_alt: This feature is not among the points drawn: a filter or the sample hides it."
        )
    show(view, row.iloc[0])


def show(view: View, row: pd.Series) -> None:
    """The card of a feature."""
    feature, kind = str(row["id"]), str(row["class"])
    badges = [badge(kind, CLASS_COLOURS.get(kind, GREY), hint=words.CLASSES.get(kind, ""))]
    if kind != "specific":
        badges.append(badge(f"level: {row['level']}", GREY, hint=words.LEVELS.get(str(row["level"]), "")))
    st.html(heading(feature, "", [CLASS_COLOURS.get(kind, GREY)] * 2, badges))
    known = [
        Fact("best held-out r", words.number(row["best_r"]), "in any other model"),
        Fact("fires on", words.rate(row["firing_rate"]), "of all rows"),
        Fact("models", f"{int(row['n_models'])} of {len(view.models())}", f"cluster {int(row['cluster'])}"),
        Fact("domain", "–" if pd.isna(row["domain"]) else str(row["domain"]), "of its strongest activations"),
    ]
    st.html(facts(known))
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        page_button("feature", f"Open feature {feature}", "target", feature=feature)
        if pd.notna(row["pair"]):
            page_button("pairs", f"Open pair {row['pair']}", "join_inner", pair=str(row["pair"]))
        if int(row["n_models"]) > 1:
            number = str(int(row["cluster"]))
            page_button("clusters", f"Open cluster {number}", "workspaces", cluster=number)
            page_button("graph", "See it in the graph", "hub", cluster=number)
        if kind == "specific":
            page_button("specific", "Why it has no partner", "join_left", feature=feature)
        link_popover({"run": view.name, "comparison": view.comparison, "feature": feature})


def main() -> None:
    """Draw the page."""
    view = current_view()
    st.title("Map", anchor=False)
    with panel(border=False):
        if view.optional("positions") is None and view.optional("features") is not None:
            explain_no_positions(view)
            return
        features = features_of(view)
        if features.empty:
            nothing("No feature of this run fires often enough to be compared, so there is nothing to map.")
            return
        st.caption(escape(NOTE))
        found = filtered(view, features)
        drawn = sampled(found, MAX_POINTS)
        counts(view, features, found, drawn)
        feature = st.query_params.get("feature", "")
        if found.empty:
            nothing("No feature passes these filters.", "Remove one.")
        else:
            draw(view, found, drawn, feature)
        if feature:
            selected(view, feature, features, drawn)
        elif not found.empty:
            st.caption(
                ":material/touch_app: Click a point to see its feature. The wheel zooms, dragging moves."
            )


main()
