"""Model-specific: features that no other model has, and the tested reason why."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards.components import pair_charts
from dashboards.components.feature_detail import show_feature
from dashboards.components.panels import nothing, panel
from dashboards.components.selection import link_popover, selectable_table, step_buttons
from dashboards.data import MAX_ROWS, View
from dashboards.frame import current_view
from dashboards.tables import among, find_feature, found_features, specific_of
from results import words
from results.export import csv_bytes

ORDERS: dict[str, tuple[str, bool]] = {
    "Nearest miss (best held-out r)": ("best_r", False),
    "Most alone (best held-out r)": ("best_r", True),
    "Most frequent": ("firing_rate", False),
    "Rarest": ("firing_rate", True),
}


def summary(features: pd.DataFrame) -> None:
    """How many features there are for each reason, with the reasons in words."""
    with panel(
        "Why they have no partner", "First verdict that holds, in the order in which they are tested."
    ):
        counts = features.groupby(["model", "verdict"], observed=True).size().rename("n").reset_index()
        st.altair_chart(pair_charts.verdict_chart(counts))
        st.html(pair_charts.verdict_legend(counts))
        with st.expander("What the verdicts mean"):
            present = [v for v in words.VERDICTS if (features["verdict"] == v).any()]
            st.markdown("\n".join(f"- **{verdict}**: {words.VERDICTS[verdict]}" for verdict in present))


def filtered(view: View, features: pd.DataFrame) -> pd.DataFrame:
    """The filter row, and what passes it."""
    columns = st.columns([3, 1.5, 2.5, 2], vertical_alignment="bottom")
    search = columns[0].text_input(
        "Search", key="seek", placeholder="text near the peak, a latent number, or m0:12", icon=":material/search:",
        help="Text finds features whose strongest contexts peak within three tokens of it.", bind="query-params",
    )  # fmt: skip
    models = columns[1].multiselect(
        "Model", list(dict.fromkeys(features["model"])), key="model", placeholder="any", bind="query-params"
    )
    known = [v for v in words.VERDICTS if (features["verdict"] == v).any()]
    verdicts = columns[2].multiselect("Verdict", known, key="verdict", placeholder="any", bind="query-params")
    order = columns[3].selectbox("Order", list(ORDERS), key="sort", bind="query-params")
    if models:
        features = features[features["model"].isin(models)]
    if verdicts:
        features = features[features["verdict"].isin(verdicts)]
    if search and search.strip():
        features = features[among(features["id"].tolist(), found_features(view, search))]
    column, ascending = ORDERS[order or next(iter(ORDERS))]
    return features.sort_values(column, ascending=ascending, kind="stable", na_position="last")


def table(shown: pd.DataFrame) -> None:
    """The list of features; the selected one is the address's."""
    frame = pd.DataFrame(
        {
            "feature": shown["id"],
            "verdict": shown["verdict"],
            "best_r": shown["best_r"],
            "rate": 100 * shown["firing_rate"],
            "domain": shown["top_domain"] if "top_domain" in shown.columns else None,
            "flags": shown["flags"],
        }
    )
    selectable_table(
        frame,
        shown["id"].tolist(),
        param="feature",
        key="specific_table",
        height=260,
        column_config={
            "best_r": st.column_config.ProgressColumn(
                "best held-out r",
                format="%.2f",
                min_value=0,
                max_value=1,
                help="to any latent of any other model",
            ),
            "rate": st.column_config.NumberColumn("fires %", format="%.3g"),
            "domain": st.column_config.TextColumn("domain", help="of its strongest activations"),
        },
    )


def selected(view: View, feature: str, ids: list[str]) -> None:
    """The detail of the selected feature, also where the filters hide it."""
    row = find_feature(view, feature)
    if row is None:
        nothing("The address names a feature that this run has not.", "Choose one in the table.")
        return
    left, right = st.columns([3, 2], vertical_alignment="center")
    with left:
        if feature not in ids:
            st.caption(
                ":material/filter_alt: This feature is not in the list above; it is shown because the address names it."
            )
        else:
            st.caption(f"Feature {ids.index(feature) + 1:,} of {len(ids):,} in this order")
    with right, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        link_popover({"run": view.name, "comparison": view.comparison, "feature": feature})
        step_buttons(ids, param="feature", key="feature")
    show_feature(view, row)


def main() -> None:
    """Draw the page."""
    view = current_view()
    st.title("Model-specific features", anchor=False)
    with panel(border=False):
        features = specific_of(view)
        if features.empty:
            if (view.table("features")["status"] == "alive").any():
                nothing("Every feature that could be compared has a partner in some other model.")
            else:
                nothing("No feature of this run fires often enough to be compared.")
            return
        summary(features)
        found = filtered(view, features)
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            limit = f"; the first {MAX_ROWS:,} in this order are listed" if len(found) > MAX_ROWS else ""
            st.caption(
                f"**{len(found):,}** of {words.counted(len(features), 'model-specific feature')}{limit}"
            )
            st.download_button(
                "CSV", data=lambda: csv_bytes(found), file_name=f"specific_{view.name}.csv", mime="text/csv",
                on_click="ignore", icon=":material/download:", type="tertiary", key="specific_csv",
            )  # fmt: skip
        shown = found.head(MAX_ROWS)
        if found.empty:
            nothing("No feature passes these filters.", "Remove one.")
        else:
            table(shown)
        feature = st.query_params.get("feature", "")
        if feature:
            selected(view, feature, found["id"].tolist())
        elif not found.empty:
            st.caption(
                ":material/touch_app: Select a row to see the feature, its verdicts and the text it fires on."
            )


main()
