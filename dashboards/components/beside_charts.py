"""Charts of two runs on the same axes, the first solid and the second dashed, whatever else is coloured."""

import altair as alt
import pandas as pd

from dashboards.components import chart_parts as parts
from dashboards.components.chart_parts import HEIGHT, PADDING, Drawing, coloured, tips
from dashboards.components.markup import legend, remark, swatch
from results.colours import CLASS_COLOURS, SIDE_COLOURS


def _dashes(runs: list[str]) -> alt.StrokeDash:
    return alt.StrokeDash("side:N", scale=alt.Scale(domain=runs, range=[[1, 0], [5, 4]]), legend=None)


def _colours(runs: list[str]) -> dict[str, str]:
    return dict(zip(runs, SIDE_COLOURS.values(), strict=True))


def curves_chart(frame: pd.DataFrame, runs: list[str]) -> Drawing:
    """Share of features by class over the threshold (columns of ``curves_beside``; ``side`` is the run)."""
    return (
        alt.Chart(frame)
        .mark_line(size=2)
        .encode(
            x=alt.X("tau:Q", title="threshold on held-out r", scale=alt.Scale(nice=False)),
            y=alt.Y("fraction:Q", title="share of features", axis=parts.SHARE_AXIS),
            color=coloured("class:N", CLASS_COLOURS),
            strokeDash=_dashes(runs),
            tooltip=tips(("side:N", "run"), "class:N", ("tau:Q", None, ".2f"), ("fraction:Q", "share", ".1%")),
        )
        .properties(height=HEIGHT, padding=PADDING)
    )


def curves_legend(runs: list[str]) -> str:
    """The classes, and how the runs are told apart."""
    classes = [swatch(colour, name, underline=True) for name, colour in CLASS_COLOURS.items()]
    return legend([*classes, remark(f"{runs[0]} solid, {runs[1]} dashed")])


def histograms_chart(frame: pd.DataFrame, low: float, runs: list[str]) -> Drawing:
    """Held-out r of matched features as steps (columns of ``r_histogram``; ``side`` is the run).

    Args:
        frame: one measure.
        low: lower end of the horizontal axis.
        runs: the first and the second.
    """
    return (
        alt.Chart(parts.closed_steps(frame[frame["left"] >= low]))
        .mark_line(interpolate="step-after", strokeWidth=1.8)
        .encode(
            **parts.r_axes(low),
            color=coloured("side:N", _colours(runs)),
            strokeDash=_dashes(runs),
            tooltip=tips(("side:N", "run"), *parts.R_TIPS),
        )
        .properties(height=HEIGHT, padding=PADDING)
    )


def sides_legend(runs: list[str]) -> str:
    """The colours of the runs."""
    return legend(swatch(colour, run, underline=True) for run, colour in _colours(runs).items())
