"""The chart of a sweep: sparsity against unexplained variance."""

from itertools import cycle, islice

import altair as alt
import pandas as pd

from dashboards.components.chart_parts import Drawing, tips
from results.colours import OKABE_ITO

COLOURS = [OKABE_ITO[name] for name in ("blue", "vermillion", "green", "purple", "orange", "sky", "black")]
SHAPES = ["circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "stroke"]


def frontier_chart(points: pd.DataFrame, sweeps: pd.DataFrame) -> Drawing:
    """FVU over L0, both logarithmic: a line per architecture and size, filled marks where nothing beats a point.

    Args:
        points: as :func:`results.figure_frames.sweep_points` makes it.
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
    colours, shapes = (list(islice(cycle(values), len(series))) for values in (COLOURS, SHAPES))
    above = alt.Legend(orient="top", columns=3, labelLimit=320)
    colour = alt.Color("series:N", title=None, scale=alt.Scale(domain=series, range=colours), legend=above)
    shape = alt.Shape("series:N", title=None, scale=alt.Scale(domain=series, range=shapes))
    tooltip = tips(
        "architecture:N",
        ("d_sae:Q", "latents", ","),
        "sparsity:N",
        ("l0:Q", "L0", ".1f"),
        ("fvu:Q", "FVU", ".3f"),
        ("ce_recovered:Q", "CE recovered", ".2f"),
    )
    lines = alt.Chart(drawn).mark_line(size=1.2).encode(x=x, y=y, color=colour)
    seeds = alt.Chart(dots).mark_point(filled=True, size=8, opacity=0.6).encode(x=x, y=y, color=colour)
    filled = alt.condition("datum.frontier", colour, alt.value("transparent"))
    marks = alt.Chart(drawn).mark_point(size=70, strokeWidth=1.6)
    marks = marks.encode(x=x, y=y, color=colour, shape=shape, fill=filled, tooltip=tooltip)
    return alt.layer(lines, seeds, marks).properties(height=340)
