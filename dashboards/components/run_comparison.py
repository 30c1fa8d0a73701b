"""Two runs, or two comparisons of one, side by side; both stand in the address."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboards import beside
from dashboards.components import beside_charts
from dashboards.components import overview_charts as charts
from dashboards.components.panels import nothing, panel
from dashboards.components.selection import fitting, link_popover
from dashboards.data import View, get_view
from dashboards.tables import agreement_of, class_bars_of
from results.export import csv_bytes
from results.side_by_side import class_shares, curves_beside, settings_beside
from results.stored_comparison import comparisons_of
from storage import Run

number = st.column_config.NumberColumn


def choices(url: str, runs: list[Run]) -> dict[str, View]:
    """Every comparison of every run by the name under which it is chosen: the run's, where it has only one."""
    found: dict[str, View] = {}
    for run in runs:
        known = comparisons_of(run.record)
        for comparison in known:
            name = run.name if len(known) == 1 else f"{run.name}/{comparison}"
            found[name] = get_view(url, run, comparison)
    return found


def show_two(url: str, runs: list[Run]) -> None:
    """The choice of both sides, and everything in which they can differ."""
    known = choices(url, runs)
    names = list(known)
    if len(names) < 2:
        nothing(
            "The store holds one comparison.", "Two are needed: run another recipe, or the same with --set."
        )
        return
    left, right, link = st.columns([5, 5, 1], vertical_alignment="bottom")
    a = left.selectbox("A", names, index=1, key="a", bind="query-params", help="Newest first") or names[1]
    b = right.selectbox("B", names, index=0, key="b", bind="query-params") or names[0]
    with link:
        link_popover({"a": a, "b": b})
    if a == b:
        nothing("Both sides are the same.", "Choose another one.")
        return
    views = {"A": known[a], "B": known[b]}
    recipes(views)
    missing = [side for side, view in views.items() if view.optional("headline") is None]
    if missing:
        nothing(f"{' and '.join(missing)} has no result: its comparison has not finished.")
        return
    headlines(views)
    drawn(views)
    quality(views)


def recipes(views: dict[str, View]) -> None:
    """Settings that differ."""
    with panel("Settings that differ", "From the recipes as they were run."):
        one, two = (view.record.get("recipe") or {} for view in views.values())
        frame = settings_beside({"a": one, "b": two})
        if frame.empty:
            nothing("The recipes do not differ.")
            return
        table(frame, "settings", {"a": "A", "b": "B"})


def headlines(views: dict[str, View]) -> None:
    """The overall numbers with their intervals."""
    note = "Medians of held-out r with 95 % intervals over documents. Two runs on one text vary together, so that "
    note += "intervals which overlap can still hide a difference."
    with panel("Headline numbers", note):
        frame = beside.headlines(*(view.table("headline") for view in views.values()))
        frame["apart"] = frame["apart"].map({True: "apart", False: "overlap"}).astype(object)
        columns = {
            name: number(label, format="%.3f")
            for side in "ab"
            for name, label in (
                (f"value_{side}", side.upper()),
                (f"low_{side}", "from"),
                (f"high_{side}", "to"),
            )
        }
        table(
            frame, "headlines",
            {**columns, "quantity": "what", "difference": number("B − A", format="%+.3f"), "apart": "intervals"},
        )  # fmt: skip


def drawn(views: dict[str, View]) -> None:
    """Classes, tau curves and histograms on the same axes."""
    left, right = st.columns(2)
    with left, panel("Classes by level", "All models together, at each run's own threshold."):
        bars = pd.concat([class_shares(class_bars_of(v)).assign(model=side) for side, v in views.items()])
        st.altair_chart(charts.class_bars_chart(bars))
        st.html(charts.class_legend(bars))
    with right, panel("Classes over the threshold"):
        tables = {side: view.table("tau_curve") for side, view in views.items()}
        st.altair_chart(beside_charts.curves_chart(curves_beside(tables)))
        st.html(beside_charts.curves_legend())
    with panel("How well matched features agree", "Heights follow a square root."):
        found = pd.concat([agreement_of(view)[0].assign(side=side) for side, view in views.items()])
        found = found[found["kind"] == "features"]
        low = min(charts.lowest_shown(frame) for _, frame in found.groupby("side"))
        titles = {"r_held_out": "Raw", "r_token": "Beyond token and position"}
        for column, (measure, title) in zip(st.columns(2), titles.items(), strict=True):
            with column:
                st.markdown(f"**{title}**")
                st.altair_chart(beside_charts.histograms_chart(found[found["measure"] == measure], low))
        st.html(beside_charts.sides_legend())


def quality(views: dict[str, View]) -> None:
    """Dictionaries and transformers of both sides."""
    with panel(
        "Models and their SAEs", "Median over the compared models, and the smallest and largest value."
    ):
        frame = beside.quality(*(view.table("models") for view in views.values()))
        columns = {
            name: number(label, format="%.4g")
            for side in "ab"
            for name, label in ((side, side.upper()), (f"low_{side}", "from"), (f"high_{side}", "to"))
        }
        table(frame, "quality", {**columns, "difference": number("B − A", format="%+.4g")})


def table(frame: pd.DataFrame, name: str, columns: dict[str, Any]) -> None:
    """A table with its download."""
    st.dataframe(frame, hide_index=True, column_config=columns, height=fitting(frame))
    st.download_button(
        "CSV", data=lambda: csv_bytes(frame), file_name=f"beside_{name}.csv", mime="text/csv", on_click="ignore",
        icon=":material/download:", type="tertiary", key=f"beside_{name}",
    )  # fmt: skip
