"""Do numbers hold on text that had no part in them: r beyond the fit rows, and classes over re-splits."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import DASHES, INK, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import as_rows, grid, heading, key_rows, key_words, message, unit_ticks
from results.calibration_frames import CERTAINTY
from results.colours import OKABE_ITO, tint

_BLUE = OKABE_ITO["blue"]
_INKS = (0.12, 0.3, 0.5, 0.75, 1.0)


@styled
def calibration_figure(bins: pd.DataFrame, certain: pd.DataFrame, *, columns: int = 2) -> Figure:
    """Held-out r over r on the rows that chose the partners, and how often re-splits change a feature's class or group.

    Args:
        bins: as :func:`results.calibration_frames.fit_and_held_out` makes it.
        certain: as :func:`results.calibration_frames.certainty` makes it.
        columns: of the page; in two the parts stand side by side, in one below each other.

    Returns:
        Left or above a dot per bin, its area the number of pairs, with the middle 80 %; on the dashed line nothing is
        lost. Right or below a bar each for classes and groups.
    """
    width, side, bar, key = WIDTHS[columns], 1.75, 0.62, 0.36
    wide = columns == 2
    figure = new_figure(width, 0.36 + side + 0.26 + (0 if wide else 0.36 + bar + 0.3 + key))
    low = 0.36 if wide else 0.36 + bar + 0.3 + key + 0.36
    _scatter(axes_at(figure, 0.52, low, side + (0.35 if wide else 0.75), side), bins)
    left = 3.72 if wide else 0.62
    floor = 0.36 + (side - bar if wide else key)
    _bars(axes_at(figure, left, floor, width - left - 0.2, bar), certain)
    _key(axes_at(figure, left, floor - key - (0.36 if wide else 0.3), width - left - 0.2, key))
    return figure


def _scatter(axes: Axes, bins: pd.DataFrame) -> None:
    heading(axes, "r on other text")
    low = min(0.0, float(bins["low"].min()) if len(bins) else 0.0)
    axes.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=DASHES, zorder=1)
    if bins.empty:
        message(axes, "no pairs")
    else:
        axes.vlines(bins["r"], bins["low"], bins["high"], color=tint(_BLUE, 0.5), lw=1.2, zorder=2)
        area = 4 + 36 * bins["n"] / bins["n"].max()
        axes.scatter(bins["r"], bins["median"], s=area, color=_BLUE, lw=0, zorder=3)
    axes.set_xlim(0, 1)
    axes.set_ylim(low, 1)
    unit_ticks(axes.xaxis)
    unit_ticks(axes.yaxis)
    grid(axes)
    axes.set_xlabel("r on fit rows, where partners were chosen", labelpad=2)
    axes.set_ylabel("held-out r", labelpad=2)


def _bars(axes: Axes, certain: pd.DataFrame) -> None:
    heading(axes, "share of re-splits that agree")
    names = list(dict.fromkeys(certain["of"]))
    axes.set_xlim(0, 1)
    axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
    as_rows(axes)
    if not names:
        message(axes, "text was not split anew")
    axes.set_yticks(range(len(names)), names)
    for row, name in enumerate(names):
        left = 0.0
        for ink, share in zip(_INKS, certain.loc[certain["of"] == name, "fraction"], strict=True):
            axes.barh(row, share, 0.62, left, color=tint(_BLUE, ink), ec="white", lw=0.5)
            if share >= 0.06:
                colour = INK if ink < 0.6 else "white"
                axes.text(left + share / 2, row, f"{100 * share:.0f}", ha="center", va="center", color=colour)
            left += share
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel("alive features", labelpad=2)


def _key(axes: Axes) -> None:
    key_rows(axes, 2, width=3)
    words = [f"below {CERTAINTY[0][1]:g}", *(f"{low:g} to {high:g}" for low, high in CERTAINTY[1:-1]), "all"]
    for number, (ink, said) in enumerate(zip(_INKS, words, strict=True)):
        column, row = divmod(number, 2)
        axes.barh(row, 0.16, left=column, height=0.55, color=tint(_BLUE, ink), ec=MUTED, lw=0.3)
        key_words(axes, column + 0.22, row, said)
