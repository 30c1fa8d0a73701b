"""Features without a partner: the few that are missing from every other model first, and what the others are."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboards.components.columns import Column, bar, number, percent, quoting, text
from dashboards.components.filters import flow, one_of, search_box, several
from dashboards.components.labels import HELP
from dashboards.components.list_page import TOO_RARE, TablePage
from dashboards.components.panels import panel
from dashboards.components.specific_detail import show_specific
from dashboards.components.unseen_panel import show_unseen
from dashboards.components.verdicts import verdict_chart, verdict_legend
from results import words
from results.feature_lists import among, find_feature, missing_in, specific_features, with_one_of
from results.label_frames import kinds_in
from results.search import features_matching
from results.untested import untested_group

ANYWHERE = "any model"
ORDERS: dict[str, tuple[str, bool]] = {
    "Missing elsewhere first": ("", True),
    "Nearest miss (best held-out r)": ("best_r", False),
    "Most alone (best held-out r)": ("best_r", True),
    "Most frequent": ("firing_rate", False),
    "Rarest": ("firing_rate", True),
}


class SpecificPage(TablePage):
    """The screen of features without a partner."""

    title, name, kind = "Model-specific features", "specific", "feature"
    noun = "unpartnered feature"
    things, detail = staticmethod(specific_features), staticmethod(show_specific)
    hidden = "This feature is not in the list above; it is shown because the address names it."
    invitation = "Select a row to see the feature, its verdicts and the text it fires on."
    height = 260

    @property
    def empty(self) -> tuple[str, str]:
        """Whether no feature was compared, or every one that was has a partner."""
        if (self.view.table("features")["status"] == "alive").any():
            return (
                "Every feature that could be compared has a partner in some other model.",
                "Pairs and Clusters list them.",
            )
        return "No feature of this run fires often enough to be compared.", TOO_RARE

    def introduce(self, things: pd.DataFrame) -> None:
        """How many features there are for each reason, with the reasons in words, and how few are really missing."""
        counts = things["group"].value_counts()
        said = [
            f"**{counts[name]:,}** {name}: {untested_group(self.view) if name == 'untested' else words.GROUPS[name]}"
            for name in ("missing", "rearranged", "unstable", "untested")
            if name in counts
        ]
        if not counts.get("missing"):
            said.insert(0, "**None** is known to be missing from every other model")
        st.markdown(f"Of {words.counted(len(things), self.noun)}:\n" + "\n".join(f"- {text}" for text in said))
        show_unseen(self.view)
        note = "First verdict that holds, in the order in which they are tested."
        with panel("Why they have no partner", note):
            counts = things.groupby(["model", "verdict"], observed=True).size().rename("n").reset_index()
            st.altair_chart(verdict_chart(counts))
            st.html(verdict_legend(counts))
            with st.expander("What the verdicts mean"):
                meanings = [f"- **{verdict}**: {words.VERDICTS[verdict]}" for verdict in verdicts_in(things)]
                st.markdown("\n".join(meanings))

    def filtered(self, things: pd.DataFrame) -> pd.DataFrame:
        """The features that pass the filters, in the chosen order."""
        first = st.columns([3, 2, 2], vertical_alignment="bottom")
        search = search_box(self.view, first[0], "seek")
        lacking = one_of(first[1], "Missing in", [ANYWHERE, *self.view.models()], "missing")
        order, ascending = ORDERS[one_of(first[2], "Order", ORDERS, "sort")]
        things = things if lacking == ANYWHERE else missing_in(self.view, things, lacking)
        columns = flow()
        chosen = {
            "model": several(columns, "Model", dict.fromkeys(things["model"]), "model"),
            "group": several(columns, "Group", [g for g in words.GROUPS if (things["group"] == g).any()], "group"),
            "verdict": several(columns, "Verdict", verdicts_in(things), "verdict"),
            "label_kind": several(columns, "Label", kinds_in(things["label_kind"]), "label", help="By rule."),
        }
        passing = things[with_one_of(things, chosen)]
        if search:
            passing = passing[among(passing["id"].tolist(), features_matching(self.view, search))]
        if not order:
            return passing
        return passing.sort_values(order, ascending=ascending, kind="stable", na_position="last")

    def columns(self) -> Sequence[Column]:
        """The reason, and how near the feature came to a partner."""
        return [
            Column("feature", "id", text("feature", pinned=True)),
            Column("group", "group", text("group", help="missing: in no other model; see above")),
            Column(
                "sure",
                "group_probability",
                bar("P(group)", help="in how many other halves of the sources the feature is in the same group"),
            ),
            Column("verdict", "verdict"),
            Column("label", quoting("label"), text("label", help=HELP)),
            Column("best_r", "best_r", bar("best held-out r", help="to any latent of any other model")),
            Column("rate", percent("firing_rate"), number("fires %", format="%.3g")),
            Column("domain", "top_domain", text("domain", help="of its strongest activations")),
            Column("flags", "flags"),
        ]

    def find(self, selected: str, things: pd.DataFrame) -> pd.Series | None:
        """The feature, even one that has a partner."""
        return find_feature(self.view, selected)


def verdicts_in(features: pd.DataFrame) -> list[str]:
    """The verdicts that occur, in the order in which they are tested."""
    return [verdict for verdict in words.VERDICTS if (features["verdict"] == verdict).any()]


SpecificPage().draw()
