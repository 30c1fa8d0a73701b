"""Shares of features with a partner by level: between models, in one model, and between untrained ones."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import DASHES, INK, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import as_rows, grid, key_rows, key_words, message, round_ticks
from results.colours import LEVEL_COLOURS
from results.words import LEVELS, called

#: Kinds of pairs, and what the figure calls them.
KINDS = {
    "features": "two models",
    "ceiling": "one model, two\ndictionaries",
    "untrained": "untrained models",
    "untrained_ceiling": "one untrained,\ntwo dictionaries",
}


@styled
def levels_figure(shares: pd.DataFrame, *, columns: int = 1) -> Figure:
    """A bar for each kind of pair, from the finest level to the coarsest, with its chance level.

    Args:
        shares: as :func:`results.figure_frames.level_shares` makes it.
        columns: of the page that it spans.

    Returns:
        The number behind a bar is its whole length, the line its interval, the dashed stroke what chance gives.
    """
    kinds = [kind for kind in KINDS if (shares["kind"] == kind).any()]
    levels = [level for level in LEVELS if (shares["level"] == level).any()]
    per_row = 2 if columns == 1 else 3
    n_rows = -(-len(levels) // per_row)
    row, bottom, key = 0.32, 0.36, 0.15 * max(n_rows, 1) + 0.1
    height, width = max(len(kinds), 1) * row, WIDTHS[columns]
    figure = new_figure(width, bottom + height + 0.06 + key)
    axes = axes_at(figure, 1.02, bottom, width - 1.16, height)
    axes.set_ylim(max(len(kinds), 1) - 0.5, -0.5)
    as_rows(axes)
    if not kinds:
        message(axes, "no pairs")
    axes.set_yticks(range(len(kinds)), [KINDS[kind] for kind in kinds])
    ends = [_bar(axes, shares[shares["kind"] == kind], place) for place, kind in enumerate(kinds)]
    top = max([1.3 * end for end in ends] + [0.02])
    axes.set_xlim(0, top)
    ticks = round_ticks(min(top, 1.0), 5)
    axes.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks])
    axes.set_xlabel("features with a partner, %", labelpad=2)
    grid(axes, "x")
    _key(axes_at(figure, 0.2, bottom + height + 0.08, width - 0.3, key - 0.04), levels, per_row)
    return figure


def _bar(axes: Axes, shares: pd.DataFrame, place: int) -> float:
    """One stacked bar; returns where it and its interval end."""
    left = 0.0
    by_level = shares.set_index("level")["value"]
    for level in LEVELS:
        width = float(by_level.get(level, 0.0))
        axes.barh(place, width, 0.6, left, color=LEVEL_COLOURS[level], ec="white", lw=0.3, zorder=2)
        left += width
    whole = shares[shares["level"] == "any"].iloc[0]
    end = max(float(whole["value"]), left)
    if pd.notna(whole["low"]):
        axes.hlines(place, whole["low"], whole["high"], color=INK, lw=0.9, zorder=3)
        end = max(end, float(whole["high"]))
    axes.vlines(whole["chance"], place - 0.42, place + 0.42, color=INK, lw=0.8, ls=DASHES, zorder=4)
    axes.text(end, place, f"  {100 * whole['value']:.0f} %", va="center_baseline", fontsize=6.5)
    return end


def _key(axes: Axes, levels: list[str], per_row: int) -> None:
    key_rows(axes, max(-(-len(levels) // per_row), 1), width=per_row)
    for number, level in enumerate(levels):
        row, column = divmod(number, per_row)
        axes.barh(row, 0.07, left=column, height=0.6, color=LEVEL_COLOURS[level], lw=0)
        key_words(axes, column + 0.11, row, called(level))
