"""The chart of a sweep: sparsity against unexplained variance."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboards.components.overview_charts import Drawing
from results.colours import OKABE_ITO

COLOURS = [OKABE_ITO[name] for name in ("blue", "vermillion", "green", "purple", "orange", "sky", "black")]
SHAPES = ["circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "stroke"]


def frontier_chart(points: pd.DataFrame, sweeps: pd.DataFrame) -> Drawing:
    """FVU over L0, both logarithmic: a line per architecture and size, filled marks where nothing beats a point.

    Args:
        points: as :func:`results.dictionary_frames.sweep_points` makes it.
        sweeps: the dictionaries of that sweep, drawn as dots.
    """
    drawn = points.dropna(subset=["l0", "fvu"])
    drawn = drawn[(drawn["l0"] > 0) & (drawn["fvu"] > 0)]
    series = list(dict.fromkeys(drawn["series"]))
    dots = sweeps[sweeps["status"] == "ok"].merge(points[["point", "series"]], on="point")
    dots = dots[(dots["l0"] > 0) & (dots["fvu"] > 0)]
    log = alt.Scale(type="log", nice=False, padding=12)
    x = alt.X("l0:Q", title="active latents per token (L0)", scale=log)
    y = alt.Y("fvu:Q", title="variance unexplained (FVU)", scale=log)
    colour = alt.Color(
        "series:N",
        title=None,
        scale=alt.Scale(domain=series, range=[COLOURS[i % len(COLOURS)] for i in range(len(series))]),
        legend=alt.Legend(orient="top", columns=3, labelLimit=320),
    )
    shape = alt.Shape(
        "series:N",
        title=None,
        scale=alt.Scale(domain=series, range=[SHAPES[i % len(SHAPES)] for i in range(len(series))]),
    )
    tooltip = [
        alt.Tooltip("architecture:N"),
        alt.Tooltip("d_sae:Q", title="latents", format=","),
        alt.Tooltip("sparsity:N"),
        alt.Tooltip("l0:Q", title="L0", format=".1f"),
        alt.Tooltip("fvu:Q", title="FVU", format=".3f"),
        alt.Tooltip("ce_recovered:Q", title="CE recovered", format=".2f"),
    ]
    lines = alt.Chart(drawn).mark_line(size=1.2).encode(x=x, y=y, color=colour)
    seeds = alt.Chart(dots).mark_point(filled=True, size=8, opacity=0.6).encode(x=x, y=y, color=colour)
    marks = (
        alt.Chart(drawn)
        .mark_point(size=70, strokeWidth=1.6)
        .encode(
            x=x,
            y=y,
            color=colour,
            shape=shape,
            fill=alt.condition("datum.frontier", colour, alt.value("transparent")),
            tooltip=tooltip,
        )
    )
    return alt.layer(lines, seeds, marks).properties(height=340)
