"""Is this not just SVD? Features beside other coordinates of their space, random directions and untrained models."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import FAINT, INK, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import as_rows, grid, key_rows, key_words, message, name_width, note, round_ticks
from results.colours import KIND_COLOURS, SPACE_COLOURS
from results.words import SPACES

_TITLES = {"r_held_out": "as it is", "r_joint": "beyond document, token and position"}
_ROW = 0.19
#: Column of the frame, its marker and words in the key; the first has the colour of its kind.
_MARKS = (
    ("value", "o", "mean r of assigned pairs, with its interval"),
    ("haar", "D", "the same of as many random directions"),
    ("floor", "x", "untrained models"),
)


@styled
def spaces_figure(spaces: pd.DataFrame, *, columns: int = 2) -> Figure:
    """Mean r of every kind of coordinates, as it is and beyond document, token and position.

    Args:
        spaces: as :func:`results.figure_frames.space_frame` makes it.
        columns: of the page; in two the measures stand side by side, in one below each other.

    Returns:
        A row per kind with the number of candidates; whether it beats as many random directions is seen by its dot and
        diamond. A measure that was not taken has no part.
    """
    measures = [name for name in _TITLES if (spaces["measure"] == name).any()] or ["r_held_out"]
    n_rows = max(int((spaces["measure"] == measures[0]).sum()), 1)
    beside = columns == 2
    height, key, title, bottom = n_rows * _ROW, 0.46, 0.24, 0.38
    n_parts = 1 if beside else len(measures)
    total, names = WIDTHS[columns], 0.12 + name_width(_names(spaces), 0.058, usual=8)
    figure = new_figure(total, n_parts * (bottom + height + title) + key)
    width = (total - names - 0.1 - 0.2 * (len(measures) - 1)) / len(measures) if beside else total - names - 0.1
    ends = spaces[["value", "low", "high", "haar", "floor"]].to_numpy(float)
    low, high = np.nanmin(ends, initial=0.0), np.nanmax(ends, initial=0.2)
    for number, measure in enumerate(measures):
        left = names + (number * (width + 0.2) if beside else 0.0)
        below = 0.0 if beside else (n_parts - 1 - number) * (bottom + height + title)
        axes = axes_at(figure, left, bottom + below, width, height)
        axes.set_xlim(low - 0.02 * (high - low), high + 0.04 * (high - low))
        ticks = round_ticks(high, 5)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        _part(axes, spaces[spaces["measure"] == measure], named=number == 0 or not beside)
        above = bottom + below + height + 0.08
        note(figure, left if beside else 0.1, above, _TITLES[measure], fontweight="bold")
    _key(axes_at(figure, 0.1, n_parts * (bottom + height + title) - 0.02, total - 0.2, key))
    return figure


def _names(rows: pd.DataFrame) -> list[str]:
    return [f"{SPACES[space]}, {n:,}" for space, n in rows[["space", "n"]].itertuples(index=False)]


def _part(axes: Axes, rows: pd.DataFrame, *, named: bool) -> None:
    y = np.arange(len(rows))
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    as_rows(axes)
    axes.set_yticks(y, _names(rows) if named else [""] * len(rows))
    if rows.empty:
        message(axes, "not measured")
    axes.hlines(y, *axes.get_xlim(), color=FAINT, lw=0.5, zorder=0)
    colours = [SPACE_COLOURS.get(space, MUTED) for space in rows["space"]]
    axes.hlines(y, rows["low"], rows["high"], color=colours, lw=1.6, alpha=0.5, zorder=3)
    for column, marker, _ in reversed(_MARKS):
        for place, (x, colour) in enumerate(zip(rows[column], colours, strict=True)):
            # Random directions beside themselves would hide what is to be seen.
            if column != "haar" or rows["space"].iloc[place] != "haar":
                _mark(axes, float(x), place, marker, colour if column == "value" else None)
    axes.set_xlabel("mean held-out r", labelpad=2)
    grid(axes, "x")


def _mark(axes: Axes, x: float, y: float, marker: str, colour: str | None) -> None:
    """A filled dot in the colour of its kind, a hollow diamond, or the cross of untrained models."""
    edge = {"o": colour or INK, "D": MUTED, "x": KIND_COLOURS["untrained"]}[marker]
    face = edge if marker == "o" else "white"
    size = {"o": 4.4, "D": 3.6, "x": 4.0}[marker]
    axes.plot(x, y, marker, ms=size, mfc=face, mec=edge, mew=0.9, ls="none", zorder=4, clip_on=False)


def _key(axes: Axes) -> None:
    key_rows(axes, len(_MARKS), 0.7)
    for row, (_, marker, words) in enumerate(_MARKS):
        _mark(axes, 0.02, row, marker, None)
        key_words(axes, 0.045, row, words, color=INK if row == 0 else MUTED)
