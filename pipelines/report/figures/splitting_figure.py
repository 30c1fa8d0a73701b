"""What becomes of features in larger dictionaries: stacked shares, each beside its control of equal size."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipelines.report.figures.canvas import INK, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import grid, heading, key_rows, key_words, message, percent_ticks, shortened
from results.colours import SPLIT_COLOURS, tint

#: Inches: of a panel, above it, below it, left of it, between two, of a row of the key.
_HEIGHT, _TOP, _BELOW, _LEFT, _GAP, _KEY = 1.4, 0.24, 0.42, 0.58, 0.2, 0.17
#: Widths of a bar and of what lies between it and its control, in steps of one pair of sizes.
_BAR, _BETWEEN = 0.36, 0.04
_HATCH = "/////"
_MOST_ACROSS = 3
#: Pairs of sizes in a panel up to which all are drawn, and inches of each; of more only neighbouring sizes are.
_MOST_PAIRS, _PAIR = 6, 0.33


@styled
def splitting_figure(rows: pd.DataFrame, *, columns: int = 2) -> Figure:
    """One panel per model; for every two sizes what became of its features, and hatched the control.

    Args:
        rows: as :func:`results.split_frames.split_rows` makes them.
        columns: of the page; in two up to three panels stand side by side.
    """
    series = list(dict.fromkeys(rows["series"]))
    rows = _drawn(rows)
    room = int((WIDTHS[columns] - _LEFT) / (_GAP + _PAIR * max(rows["sizes"].nunique(), 1)))
    across = max(min(len(series), room, _MOST_ACROSS), 1) if columns == 2 else 1
    down = -(-max(len(series), 1) // across)
    width = (WIDTHS[columns] - _LEFT - 0.1 - (across - 1) * _GAP) / across
    cell, key = _TOP + _HEIGHT + _BELOW, _key(6 if columns == 2 else 3)
    figure = new_figure(WIDTHS[columns], down * cell + len(key) * _KEY + 0.06)
    for number, name in enumerate(series or [""]):
        place = _LEFT + number % across * (width + _GAP), (down - 1 - number // across) * cell + _BELOW
        axes = axes_at(figure, *place, width, _HEIGHT)
        if not series:
            message(axes, "no dictionaries of several sizes")
            continue
        heading(axes, shortened(name, 24))
        _bars(axes, rows[(rows["series"] == name) & rows["kind"].isin(SPLIT_COLOURS)], named=number % across == 0)
    _draw_key(figure, key, down * cell)
    return figure


def _drawn(rows: pd.DataFrame) -> pd.DataFrame:
    if rows["sizes"].nunique() <= _MOST_PAIRS:
        return rows
    sizes = sorted({*rows["d_sae"], *rows["child_d_sae"]})
    following = dict(pairwise(sizes))
    return rows[rows["d_sae"].map(following) == rows["child_d_sae"]]


def _bars(axes: Axes, rows: pd.DataFrame, *, named: bool) -> None:
    sizes = list(dict.fromkeys(rows["sizes"]))
    for which, column in enumerate(("share", "control")):
        x = np.arange(len(sizes)) + (_BAR + _BETWEEN) * (which - 0.5)
        bottom = np.zeros(len(sizes))
        for kind, colour in SPLIT_COLOURS.items():
            shares = rows[rows["kind"] == kind].set_index("sizes")[column].reindex(sizes).fillna(0).to_numpy(float)
            axes.bar(x, shares, _BAR, bottom=bottom, **_look(colour, control=which == 1))
            bottom += shares
    axes.set_xlim(-0.6, max(len(sizes), 1) - 0.4)
    axes.set_xticks(range(len(sizes)), [size.replace(" to ", "\nto ") for size in sizes])
    axes.set_ylim(0, 1.02)
    percent_ticks(axes)
    axes.tick_params(axis="x", length=0)
    axes.tick_params(labelleft=named)
    if named:
        axes.set_ylabel("features of the smaller size", labelpad=2)
    grid(axes, "y")


def _look(colour: str, *, control: bool) -> dict[str, Any]:
    if control:
        return {"facecolor": tint(colour, 0.3), "edgecolor": colour, "hatch": _HATCH, "lw": 0}
    return {"facecolor": colour, "edgecolor": "white", "lw": 0.4}


def _key(per_row: int) -> list[list[tuple[str, dict[str, Any]]]]:
    """Words and look of everything, in rows from top to bottom."""
    entries = [(kind, _look(colour, control=False)) for kind, colour in SPLIT_COLOURS.items()]
    entries.append(("control", {"facecolor": "white", "edgecolor": INK, "hatch": _HATCH, "lw": 0}))
    return [entries[start : start + per_row] for start in range(0, len(entries), per_row)]


def _draw_key(figure: Figure, key: list[list[tuple[str, dict[str, Any]]]], bottom: float) -> None:
    width = figure.get_figwidth() - _LEFT - 0.1
    axes = axes_at(figure, _LEFT, bottom + 0.03, width, len(key) * _KEY)
    key_rows(axes, len(key), width=width)
    each = width / max(len(row) for row in key)
    for y, row in enumerate(key):
        for number, (words, look) in enumerate(row):
            axes.add_patch(Rectangle((number * each, y - 0.32), 0.2, 0.64, **look))
            key_words(axes, number * each + 0.26, y, words)
