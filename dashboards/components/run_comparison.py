"""Two runs, or two comparisons of one, side by side; both stand in the address."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboards.chart_frames import agreement_of, class_bars_of
from dashboards.components import beside_charts
from dashboards.components import overview_charts as charts
from dashboards.components.class_charts import COLOURS, class_bars_chart, class_legend, stacked
from dashboards.components.columns import number
from dashboards.components.downloads import csv_button
from dashboards.components.links import link_popover, quoted
from dashboards.components.overview_panels import MEASURES
from dashboards.components.panels import nothing, panel
from dashboards.components.selection import fitting
from dashboards.data import View, get_view
from results.side_by_side import (
    class_shares,
    curves_beside,
    headline_differences,
    quality_differences,
    settings_beside,
)
from results.stored_comparison import comparisons_of
from storage import Run

#: Ends of an interval, and their headings.
_ENDS = {"low": "from", "high": "to"}


def _with_ends(names: dict[str, str], written: str) -> dict[str, Any]:
    """Headings of a value and the ends of its interval, for both sides.

    Args:
        names: column of each side's value, which ends in the side's letter -> name of the run.
        written: format of all numbers.
    """
    headings = {}
    for name, run in names.items():
        headings[name] = number(run, format=written)
        headings |= {f"{end}_{name[-1]}": number(said, format=written) for end, said in _ENDS.items()}
    return headings


def choices(url: str, runs: list[Run]) -> dict[str, View]:
    """Every comparison of every run by the name under which it is chosen: the run's, where it has only one."""
    views: dict[str, View] = {}
    for run in runs:
        comparisons = comparisons_of(run.record)
        for comparison in comparisons:
            name = run.name if len(comparisons) == 1 else f"{run.name}/{comparison}"
            views[name] = get_view(url, run, comparison)
    return views


def show_two(url: str, runs: list[Run]) -> None:
    """The choice of both sides, and everything in which they can differ."""
    named = choices(url, runs)
    names = list(named)
    if len(names) < 2:
        nothing("The store holds one comparison.", "Two are needed: run another recipe, or the same with --set.")
        return
    left, right, link = st.columns([5, 5, 1], vertical_alignment="bottom")
    a = left.selectbox("First run", names, index=1, key="a", bind="query-params", help="Newest first") or names[1]
    b = right.selectbox("Second run", names, index=0, key="b", bind="query-params") or names[0]
    with link:
        link_popover({"a": a, "b": b})
    if a == b:
        nothing("Both sides are the same.", "Choose another one.")
        return
    views = {a: named[a], b: named[b]}
    recipes(views)
    missing = [quoted(name) for name, view in views.items() if view.optional("headline") is None]
    if missing:
        nothing(
            f"{' and '.join(missing)} {'have' if missing[1:] else 'has'} no result: the comparison has not finished."
        )
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
        table(frame, "settings", dict(zip("ab", views, strict=True)))


def headlines(views: dict[str, View]) -> None:
    """The overall numbers with their intervals."""
    note = (
        "Medians of held-out r with 95 % intervals over documents. Two runs on one text vary together, so that "
        "intervals which overlap can still hide a difference."
    )
    with panel("Headline numbers", note):
        frame = headline_differences(*(view.table("headline") for view in views.values()))
        frame["apart"] = frame["apart"].map({True: "apart", False: "overlap"}).astype(object)
        headings = _with_ends(dict(zip(("value_a", "value_b"), views, strict=True)), "%.3f")
        headings |= {"quantity": "what", "difference": number(difference(views), format="%+.3f"), "apart": "intervals"}
        table(frame, "headlines", headings)


def drawn(views: dict[str, View]) -> None:
    """Classes, tau curves and histograms on the same axes."""
    left, right = st.columns(2)
    with left, panel("Classes and levels", "All models together, at each run's own threshold."):
        bars = pd.concat([class_shares(class_bars_of(v)).assign(model=side) for side, v in views.items()])
        by = st.segmented_control("Colour", list(COLOURS), default="Class", required=True, key="beside_classes")
        bars = stacked(bars, "model", by or "Class")
        st.altair_chart(class_bars_chart(bars, by or "Class"))
        st.html(class_legend(bars, by or "Class"))
    with right, panel("Classes over the threshold"):
        tables = {side: view.table("tau_curve") for side, view in views.items()}
        st.altair_chart(beside_charts.curves_chart(curves_beside(tables), list(views)))
        st.html(beside_charts.curves_legend(list(views)))
    with panel("How well matched features agree", "Heights follow a square root."):
        bins = pd.concat([agreement_of(view)[0].assign(side=side) for side, view in views.items()])
        bins = bins[bins["kind"] == "features"]
        low = min(charts.lowest_shown(frame) for _, frame in bins.groupby("side"))
        for column, (measure, title) in zip(st.columns(2), MEASURES.items(), strict=True):
            column.markdown(f"**{title}**")
            column.altair_chart(beside_charts.histograms_chart(bins[bins["measure"] == measure], low, list(views)))
        st.html(beside_charts.sides_legend(list(views)))


def quality(views: dict[str, View]) -> None:
    """Dictionaries and transformers of both sides."""
    note = "Median over the compared models, and the smallest and largest value."
    with panel("Models and their SAEs", note):
        frame = quality_differences(*(view.table("models") for view in views.values()))
        headings = _with_ends(dict(zip("ab", views, strict=True)), "%.4g")
        table(frame, "quality", {**headings, "difference": number(difference(views), format="%+.4g")})


def difference(views: dict[str, View]) -> str:
    """What a difference is of: the second run's value less the first's."""
    return " − ".join(reversed(views))


def table(frame: pd.DataFrame, name: str, headings: dict[str, Any]) -> None:
    """A table with its download."""
    st.dataframe(frame, hide_index=True, column_config=headings, height=fitting(frame))
    csv_button(lambda: frame, f"beside_{name}.csv", key=f"beside_{name}", quiet=True)
