"""Charts of one pair: activation histograms on common axes, and how the two sides fire together."""

import altair as alt
import numpy as np
import pandas as pd

from dashboards.components.chart_parts import PADDING, Drawing, tips
from results.firing import N_BINS

#: Place of the cells of exact zeros, left of and below the others, with a gap.
_ZERO = (-0.075, -0.03)


def shares_of_maximum(histograms: pd.DataFrame, n_rows: int) -> pd.DataFrame:
    """A latent's activation histogram on axes that all latents share.

    Args:
        histograms: rows of one latent: left, right, count.
        n_rows: number of evaluation rows.

    Returns:
        left, right (share of the latent's maximum, 0..1), count, share (of all rows), one row per filled bin.
    """
    top = histograms["right"].max()
    filled = histograms[histograms["count"] > 0]
    return pd.DataFrame(
        {
            "left": filled["left"] / top,
            "right": filled["right"] / top,
            "count": filled["count"],
            "share": filled["count"] / max(n_rows, 1),
        }
    )


def activation_chart(frame: pd.DataFrame, colour: str, limits: tuple[float, float]) -> Drawing:
    """Share of rows by activation relative to the maximum, on a logarithmic axis.

    Args:
        frame: from :func:`shares_of_maximum`.
        colour: ``#RRGGBB`` of the feature.
        limits: ends of the vertical axis, common to all features beside it.
    """
    low, high = limits
    log = alt.Scale(type="log", domain=[low, high], nice=False)
    powers = [float(10.0**i) for i in range(round(np.log10(low)), round(np.log10(high)) + 1)]
    return (
        alt.Chart(frame)
        .mark_bar(color=colour, opacity=0.85, binSpacing=0)
        .encode(
            x=alt.X("left:Q", title="activation, share of maximum", scale=alt.Scale(domain=[0, 1])),
            x2=alt.X2("right:Q"),
            y=alt.Y("share:Q", title="share of rows", scale=log, axis=alt.Axis(format="~%", values=powers)),
            y2=alt.datum(low),
            tooltip=tips(("left:Q", "from", ".2f"), ("right:Q", "to", ".2f"), ("count:Q", "rows", ",")),
        )
        .properties(height=230, padding=PADDING)
    )


def common_limits(frames: list[pd.DataFrame]) -> tuple[float, float]:
    """Powers of ten around every share, as ends of a logarithmic axis; (1e-6, 1) when there is none."""
    shares = np.concatenate([frame["share"].to_numpy(float) for frame in frames]) if frames else np.zeros(0)
    if not len(shares):
        return 1e-6, 1.0
    low, high = np.floor(np.log10(shares.min() / 1.5)), np.ceil(np.log10(shares.max()))
    return float(10.0**low), float(10.0 ** max(high, low + 1))


def joint_chart(frame: pd.DataFrame, name_a: str, name_b: str) -> Drawing:
    """Rows where either side fires, by both activations (columns of ``joint_histogram``); zeros on their own strips."""
    drawn = frame.copy()
    for side in "ab":
        cell = drawn[f"bin_{side}"].to_numpy()
        drawn[f"{side}0"] = np.where(cell < 0, _ZERO[0], cell / N_BINS)
        drawn[f"{side}1"] = np.where(cell < 0, _ZERO[1], (cell + 1) / N_BINS)
        drawn[f"text_{side}"] = [
            "silent" if i < 0 else f"{100 * i / N_BINS:.0f}–{100 * (i + 1) / N_BINS:.0f} %" for i in cell
        ]
    scale = alt.Scale(domain=[_ZERO[0], 1], nice=False)
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f")
    shades = alt.Legend(title="rows", gradientLength=150, tickCount=3, format=",.0f")
    cells = (
        alt.Chart(drawn)
        .mark_rect()
        .encode(
            x=alt.X("a0:Q", scale=scale, axis=axis, title=f"{name_a}, share of maximum"),
            x2=alt.X2("a1:Q"),
            y=alt.Y("b0:Q", scale=scale, axis=axis, title=f"{name_b}, share of maximum"),
            y2=alt.Y2("b1:Q"),
            color=alt.Color("count:Q", scale=alt.Scale(type="log", scheme="viridis"), legend=shades),
            tooltip=tips(("text_a:N", name_a), ("text_b:N", name_b), ("count:Q", "rows", ",")),
        )
    )
    edge = pd.DataFrame({"zero": [_ZERO[1] / 2]})
    rules = alt.Chart(edge).mark_rule(color="#888888", opacity=0.5, strokeDash=[2, 2])
    return (cells + rules.encode(x=alt.X("zero:Q")) + rules.encode(y=alt.Y("zero:Q"))).properties(
        height=330, padding=PADDING
    )
