"""Charts of two runs on the same axes: A against B, whatever else is coloured."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboards.components.markup import legend, remark, swatch
from dashboards.components.overview_charts import HEIGHT, PADDING, Drawing
from results.colours import CLASS_COLOURS, SIDE_COLOURS
from results.words import CLASSES

_SIDES = ["A", "B"]


def curves_chart(frame: pd.DataFrame) -> Drawing:
    """Share of features by class over the threshold; A solid, B dashed (columns of ``curves_beside``)."""
    dashes = alt.Scale(domain=_SIDES, range=[[1, 0], [5, 4]])
    return (
        alt.Chart(frame)
        .mark_line(size=2)
        .encode(
            x=alt.X("tau:Q", title="threshold on held-out r", scale=alt.Scale(nice=False)),
            y=alt.Y("fraction:Q", title="share of features", axis=alt.Axis(format="%")),
            color=alt.Color(
                "class:N",
                scale=alt.Scale(domain=list(CLASSES), range=[CLASS_COLOURS[c] for c in CLASSES]),
                legend=None,
            ),
            strokeDash=alt.StrokeDash("side:N", scale=dashes, legend=None),
            tooltip=[
                alt.Tooltip("side:N", title="run"),
                alt.Tooltip("class:N"),
                alt.Tooltip("tau:Q", format=".2f"),
                alt.Tooltip("fraction:Q", title="share", format=".1%"),
            ],
        )
        .properties(height=HEIGHT, padding=PADDING)
    )


def curves_legend() -> str:
    """The classes, and how A and B are told apart."""
    classes = [swatch(CLASS_COLOURS[c], c, underline=True) for c in CLASSES]
    return legend([*classes, remark("A solid, B dashed")])


def histograms_chart(frame: pd.DataFrame, low: float) -> Drawing:
    """Held-out r of matched features as steps, A and B (side and columns of ``r_histogram``).

    Args:
        frame: one measure.
        low: lower end of the horizontal axis.
    """
    shown = frame[frame["left"] >= low]
    last = shown[shown["right"] == shown["right"].max()].assign(
        left=shown["right"].max()
    )  # closes the last step
    scale = alt.Scale(domain=_SIDES, range=list(SIDE_COLOURS.values()))
    return (
        alt.Chart(pd.concat([shown, last]))
        .mark_line(interpolate="step-after", strokeWidth=1.8)
        .encode(
            x=alt.X("left:Q", title="held-out r", scale=alt.Scale(domain=[low, 1], nice=False)),
            y=alt.Y(
                "fraction:Q",
                title="share of pairs",
                scale=alt.Scale(type="sqrt"),
                axis=alt.Axis(format="~%", tickCount=6),
            ),
            color=alt.Color("side:N", scale=scale, legend=None),
            strokeDash=alt.StrokeDash(
                "side:N", scale=alt.Scale(domain=_SIDES, range=[[1, 0], [5, 4]]), legend=None
            ),
            tooltip=[
                alt.Tooltip("side:N", title="run"),
                alt.Tooltip("left:Q", title="from r", format=".2f"),
                alt.Tooltip("right:Q", title="to r", format=".2f"),
                alt.Tooltip("fraction:Q", title="share", format=".1%"),
            ],
        )
        .properties(height=HEIGHT, padding=PADDING)
    )


def sides_legend() -> str:
    """The colours of A and B."""
    return legend(
        swatch(colour, side, underline=True)
        for side, colour in zip(_SIDES, SIDE_COLOURS.values(), strict=True)
    )
