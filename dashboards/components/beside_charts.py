"""Charts of two runs on the same axes: A against B, whatever else is coloured."""

import altair as alt
import pandas as pd

from dashboards.components import chart_parts as parts
from dashboards.components.chart_parts import HEIGHT, PADDING, Drawing, coloured, tips
from dashboards.components.markup import legend, remark, swatch
from results.colours import CLASS_COLOURS, SIDE_COLOURS

_RUNS = {side.upper(): colour for side, colour in SIDE_COLOURS.items()}


def _dashes() -> alt.StrokeDash:
    """A solid, B dashed."""
    return alt.StrokeDash("side:N", scale=alt.Scale(domain=list(_RUNS), range=[[1, 0], [5, 4]]), legend=None)


def curves_chart(frame: pd.DataFrame) -> Drawing:
    """Share of features by class over the threshold; A solid, B dashed (columns of ``curves_beside``)."""
    return (
        alt.Chart(frame)
        .mark_line(size=2)
        .encode(
            x=alt.X("tau:Q", title="threshold on held-out r", scale=alt.Scale(nice=False)),
            y=alt.Y("fraction:Q", title="share of features", axis=parts.SHARE_AXIS),
            color=coloured("class:N", CLASS_COLOURS),
            strokeDash=_dashes(),
            tooltip=tips(("side:N", "run"), "class:N", ("tau:Q", None, ".2f"), ("fraction:Q", "share", ".1%")),
        )
        .properties(height=HEIGHT, padding=PADDING)
    )


def curves_legend() -> str:
    """The classes, and how A and B are told apart."""
    classes = [swatch(colour, name, underline=True) for name, colour in CLASS_COLOURS.items()]
    return legend([*classes, remark("A solid, B dashed")])


def histograms_chart(frame: pd.DataFrame, low: float) -> Drawing:
    """Held-out r of matched features as steps, A and B (side and columns of ``r_histogram``).

    Args:
        frame: one measure.
        low: lower end of the horizontal axis.
    """
    return (
        alt.Chart(parts.closed_steps(frame[frame["left"] >= low]))
        .mark_line(interpolate="step-after", strokeWidth=1.8)
        .encode(
            **parts.r_axes(low),
            color=coloured("side:N", _RUNS),
            strokeDash=_dashes(),
            tooltip=tips(("side:N", "run"), *parts.R_TIPS),
        )
        .properties(height=HEIGHT, padding=PADDING)
    )


def sides_legend() -> str:
    """The colours of A and B."""
    return legend(swatch(colour, run, underline=True) for run, colour in _RUNS.items())
