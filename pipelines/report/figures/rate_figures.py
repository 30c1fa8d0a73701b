"""Correlation against firing rate: is it only the frequent latents that agree, and where does chance lie?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import DASHES, INK, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import key_rows, key_words, rate_axis, unit_ticks
from results.colours import GREY, OKABE_ITO, tint

_BLUES = LinearSegmentedColormap.from_list("density", [tint(OKABE_ITO["blue"], 0.22), "#00436B"])


@styled
def rates_figure(bins: pd.DataFrame, medians: pd.DataFrame, null: pd.DataFrame, *, columns: int = 1) -> Figure:
    """Held-out r of assigned pairs over the firing rate, with the chance band.

    Args:
        bins: as :func:`results.figure_frames.r_by_rate` makes it.
        medians: as :func:`results.figure_frames.median_by_rate` makes it.
        null: table ``null_rates``.
        columns: of the page that it spans.

    Returns:
        Ink is the number of pairs (logarithmic), the line their median, the grey band the middle 90 % of the maximum
        over candidates under shifted documents.
    """
    width, height, key = WIDTHS[columns], 1.9, 0.5
    figure = new_figure(width, 0.36 + height + key)
    axes = axes_at(figure, 0.52, 0.36, width - 0.72, height)
    if len(bins):
        _density(axes, bins)
        axes.plot(medians["rate"], medians["r"], color=INK, lw=1.2, zorder=5)
    if len(null):
        _band(axes, null)
    _scale(axes, bins, null)
    axes.set_ylabel("held-out r")
    _key(axes_at(figure, 0.52, 0.42 + height, width - 0.72, key - 0.08), bins)
    return figure


def _density(axes: Axes, bins: pd.DataFrame) -> None:
    scale = LogNorm(1, max(int(bins["n"].max()), 2))
    left, right, bottom, top = (bins[name].to_numpy(float) for name in ("left", "right", "bottom", "top"))
    corners = np.stack([left, bottom, left, top, right, top, right, bottom], axis=1).reshape(-1, 4, 2)
    axes.add_collection(PolyCollection(list(corners), facecolors=_BLUES(scale(bins["n"])), edgecolors="none", zorder=2))


def _band(axes: Axes, null: pd.DataFrame) -> None:
    edges = np.append(null["left"], null["right"].iloc[-1])
    low, middle, high = (np.append(null[name], null[name].iloc[-1]) for name in ("p05", "p50", "p95"))
    axes.fill_between(edges, low, high, step="post", color=GREY, alpha=0.35, lw=0, zorder=3)
    axes.step(edges, high, where="post", color=INK, lw=0.8, ls=DASHES, zorder=4)
    axes.step(edges, middle, where="post", color=MUTED, lw=0.6, zorder=4)


def _scale(axes: Axes, bins: pd.DataFrame, null: pd.DataFrame) -> None:
    lefts = [frame["left"].min() for frame in (bins, null) if len(frame)]
    lowest = min([*lefts, 0.1])
    rate_axis(axes, lowest)
    axes.set_ylim(min(0.0, float(bins["bottom"].min()) if len(bins) else 0.0), 1)
    unit_ticks(axes.yaxis)


def _key(axes: Axes, bins: pd.DataFrame) -> None:
    key_rows(axes, 3)
    most = int(bins["n"].max()) if len(bins) else 1
    axes.fill_between([0, 0.04], -0.35, 0.35, color=_BLUES(0.0), lw=0)
    axes.fill_between([0.04, 0.08], -0.35, 0.35, color=_BLUES(1.0), lw=0)
    axes.plot([0, 0.08], [1, 1], color=INK, lw=1.2)
    axes.fill_between([0, 0.08], 1.65, 2.35, color=GREY, alpha=0.35, lw=0)
    axes.plot([0, 0.08], [1.65, 1.65], color=INK, lw=0.8, ls=DASHES)
    for row, words in enumerate(
        (f"1 to {most:,} assigned pairs", "their median", "chance, middle 90 % (dashed: 95th percentile)")
    ):
        key_words(axes, 0.11, row, words)
