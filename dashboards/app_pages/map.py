"""Map: every feature of every model in one plane, near each other where they fire alike."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboards.components.badges import badge_of
from dashboards.components.filters import domains_in, flow, search_box, several
from dashboards.components.links import quoted, screen_link, view_popover
from dashboards.components.list_page import TOO_RARE, PlanePage
from dashboards.components.markup import Fact, facts, heading, legend, remark, swatch
from dashboards.components.panels import nothing
from dashboards.components.plane import clickable_chart, points_spec
from results import words
from results.colours import CLASS_COLOURS, GREY
from results.feature_lists import find_feature, with_one_of
from results.map_points import (
    COLOURINGS,
    MAX_POINTS,
    ColourGroup,
    colour_groups,
    islands,
    placed_features,
    point_words,
    sampled,
)
from results.search import features_matching

#: Entries of the legend.
MAX_SWATCHES = 8


class MapPage(PlanePage):
    """The screen of features in the plane."""

    title, name, kind = "Map", "map", "feature"
    hidden = "This feature is drawn pale, or not at all: a filter or the sample hides it."
    invitation = "Click a point to see its feature. The wheel zooms, dragging moves."
    note = (
        "UMAP of the correlations of all alive features of all models, computed once by the run. Near means alike; "
        "directions, axes and far distances mean nothing, and nothing is tested on this picture."
    )
    things, tables, column = staticmethod(placed_features), ("features", "positions"), "id"
    empty = ("No feature of this run fires often enough to be compared, so there is nothing to map.", TOO_RARE)

    def filtered(self, things: pd.DataFrame) -> pd.DataFrame:
        """The features that pass the filters."""
        search, row = search_box(self.view, st.columns([3, 2])[0], "near"), flow()
        options = {
            "model": self.view.models(),
            "class": words.CLASSES,
            "level": words.LEVELS,
            "domain": domains_in(things),
        }
        keep = with_one_of(things, {
            name: several(row, name.capitalize(), values, name) for name, values in options.items()
        })  # fmt: skip
        if search:
            keep &= things["id"].isin(features_matching(self.view, search)).to_numpy()
        return things[keep]

    def drawn(self, passing: pd.DataFrame) -> pd.DataFrame:
        """A sample of the features, where there are too many to be drawn."""
        return sampled(passing, MAX_POINTS)

    def remark(self, things: pd.DataFrame, passing: pd.DataFrame, drawn: pd.DataFrame) -> str:
        """What has been left out."""
        alive = int((self.view.table("features")["status"] == "alive").sum())
        remark = f"; a random {len(drawn):,} of them are drawn" if len(drawn) < len(passing) else ""
        if len(things) < alive:
            remark += f"; the run has {alive:,} alive features and has placed a sample of whole clusters"
        return remark

    def draw_list(self, drawn: pd.DataFrame) -> None:
        """The points in their colours."""
        with st.container(horizontal=True, vertical_alignment="bottom"):
            by = st.segmented_control(
                "Colour", list(COLOURINGS), default="Class", key="colour", required=True, bind="query-params"
            )
            named = st.toggle("Names", value=True, key="names", bind="query-params",
                              help="What the points around a name are about: domains, or labels by rule")  # fmt: skip
        drawn, whole = drawn.reset_index(drop=True), placed_features(self.view)
        groups = colour_groups(drawn, by or "Class", self.view.models(), whole)
        st.html(_legend(groups))
        spec = points_spec(
            drawn, point_words(drawn), groups, st.query_params.get("feature", ""), sampled(whole, MAX_POINTS),
            islands(whole) if named else (),
        )  # fmt: skip
        ids = [self.ids(drawn[group.members]) for group in groups]
        in_words = f"Map of {words.counted(len(drawn), 'feature')}"
        clickable_chart(spec, ids, param="feature", key="map", alt=in_words)

    def draw_unplaced(self, selected: str) -> None:
        """A feature that is not alive has no place, but a screen."""
        if find_feature(self.view, selected) is None:
            nothing(f"There is no feature {quoted(selected)} in this run.", "Click a point of the map.")
            return
        nothing("This feature has no place on the map.", "Only alive features are embedded.")
        screen_link("feature", f"Open feature {selected}", feature=selected)

    def draw_card(self, row: pd.Series) -> None:
        """A feature's class, numbers and screens."""
        feature, kind, cluster = str(row["id"]), str(row["class"]), str(int(row["cluster"]))
        badges = [badge_of("class", kind)]
        if kind != "specific":
            badges.append(badge_of("level", row["level"]))
        st.html(heading([(feature, CLASS_COLOURS.get(kind, GREY))], badges))
        st.html(facts([
            Fact("best held-out r", words.number(row["best_r"]), "in any other model"),
            Fact("fires on", words.rate(row["firing_rate"]), "of all rows"),
            Fact("models", f"{int(row['n_models'])} of {len(self.view.models())}", f"cluster {cluster}"),
            Fact("domain", "–" if pd.isna(row["domain"]) else str(row["domain"]), "of its strongest activations"),
        ]))  # fmt: skip
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            screen_link("feature", f"Open feature {feature}", feature=feature)
            if pd.notna(row["pair"]):
                screen_link("pairs", f"Open pair {row['pair']}", pair=str(row["pair"]))
            if int(row["n_models"]) > 1:
                screen_link("clusters", f"Open cluster {cluster}", cluster=cluster)
                screen_link("graph", "See it in the graph", cluster=cluster)
            if kind == "specific":
                screen_link("specific", "Why it has no partner", feature=feature)
            view_popover(self.view, feature=feature)


def _legend(groups: Sequence[ColourGroup]) -> str:
    """Colours and shapes of the largest groups; of the others, how to see them."""
    largest = sorted(groups, key=lambda group: -group.members.sum())[:MAX_SWATCHES]
    shown = [group for group in groups if group in largest]
    entries = [swatch(g.colour, f"{g.name} ({int(g.members.sum()):,})", shape=g.shape) for g in shown]
    rest = [group for group in groups if group not in largest]
    if rest:
        points = sum(int(group.members.sum()) for group in rest)
        entries.append(remark(f"{len(rest)} more ({points:,}), by colour and shape; choose some to see them alone"))
    return legend(entries)


MapPage().draw()
