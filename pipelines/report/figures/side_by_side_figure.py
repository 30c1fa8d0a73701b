"""The figure of several comparisons beside each other."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import FAINT, INK, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import (
    as_rows,
    class_colour,
    grid,
    heading,
    key_rows,
    key_words,
    round_ticks,
    series_style,
    shortened,
    tau_axis,
    unit_ticks,
)
from results.headline import QUANTITIES
from results.words import CLASSES, LEVELS


@styled
def beside_figure(headlines: pd.DataFrame, classes: pd.DataFrame, curves: pd.DataFrame, *, columns: int = 2) -> Figure:
    """Medians with intervals, classes by level, and universal features over tau, of several comparisons.

    Args:
        headlines: as :func:`results.side_by_side.headlines_beside` makes it.
        classes: as :func:`results.side_by_side.classes_beside` makes it.
        curves: as :func:`results.side_by_side.curves_beside` makes it.
        columns: of the page; in two the parts stand side by side, in one below each other.

    Returns:
        A colour, a shape and a kind of line per comparison; the key has their names.
    """
    sides = list(dict.fromkeys(headlines["side"].astype(str)))
    quantities = list(dict.fromkeys(headlines["quantity"]))
    rows = 0.11 * len(sides) + 0.08
    height = max(rows * len(quantities), 1.3)
    bars = max(0.2 * len(sides), 0.5)
    key = 0.15 * len(sides) + 0.1
    if columns == 2:
        figure = new_figure(WIDTHS[2], key + 0.22 + height + 0.42)
        dots = axes_at(figure, 1.15, 0.38, 2.3, height)
        stack = axes_at(figure, 4.15, 0.38 + height - bars, 2.4, bars)
        lines = axes_at(figure, 4.15, 0.38, 2.4, max(height - bars - 0.62, 0.6))
    else:
        figure = new_figure(WIDTHS[1], key + 0.22 + height + 0.65 + bars + 0.6 + 1.2 + 0.42)
        dots = axes_at(figure, 1.15, 0.38 + 1.2 + 0.6 + bars + 0.65, 2.0, height)
        stack = axes_at(figure, 0.5, 0.38 + 1.2 + 0.6, 2.5, bars)
        lines = axes_at(figure, 0.5, 0.38, 2.5, 1.2)
    _dots(dots, headlines, sides, quantities)
    _stack(stack, classes, sides)
    _curves(lines, curves, sides)
    top = figure.get_figheight()
    _key(axes_at(figure, 0.1, top - key, WIDTHS[columns] - 0.2, key), sides)
    return figure


def _mark(axes: Axes, x: float, y: float, number: int, **style: Any) -> None:
    """The shape of the comparison of that position."""
    colour, marker, _ = series_style(number)
    axes.plot([x], [y], marker, ms=3.6, mfc=colour, mec="white", mew=0.4, **style)


def _dots(axes: Axes, headlines: pd.DataFrame, sides: list[str], quantities: list[str]) -> None:
    heading(axes, "median held-out r")
    medians = headlines.dropna(subset=["value"])[["quantity", "side", "value", "low", "high"]]
    for quantity, side, value, low, high in medians.itertuples(index=False):
        number = sides.index(str(side))
        y = quantities.index(quantity) + (number - (len(sides) - 1) / 2) * 0.8 / max(len(sides), 2)
        axes.plot([low, high], [y, y], color=series_style(number).colour, lw=1.1, zorder=2)
        _mark(axes, value, y, number, zorder=3)
    axes.set_ylim(len(quantities) - 0.5, -0.5)
    axes.set_yticks(range(len(quantities)), [QUANTITIES[name].short for name in quantities])
    as_rows(axes)
    lowest = float(np.nanmin(headlines[["value", "low"]].to_numpy(float), initial=0.0))
    axes.set_xlim(min(lowest, 0.0) - 0.02, 1)
    unit_ticks(axes.xaxis)
    for row in range(1, len(quantities)):
        axes.axhline(row - 0.5, color=FAINT, lw=0.5)
    grid(axes, "x")


def _stack(axes: Axes, classes: pd.DataFrame, sides: list[str]) -> None:
    heading(axes, "universal, shared, specific")
    for number, side in enumerate(sides):
        fractions = classes[classes["side"] == side].set_index(["class", "level"])["fraction"]
        left = 0.0
        for name in CLASSES:
            share = 0.0
            for level in LEVELS:
                width = float(fractions.get((name, level), 0.0))
                place = {"left": left + share, "height": 0.66, "color": class_colour(name, level)}
                axes.barh(number, width, ec="white", lw=0.3, **place)
                share += width
            if share > 0.09:
                axes.text(
                    left + share / 2, number, f"{100 * share:.0f} %", ha="center", va="center", fontsize=6.5,
                    bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
                )  # fmt: skip
            left += share
        _mark(axes, -0.04, number, number, clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(sides) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_xticks([0, 0.5, 1], ["0", "50", "100 %"])
    axes.spines["left"].set_visible(False)


def _curves(axes: Axes, curves: pd.DataFrame, sides: list[str]) -> None:
    curves = curves[curves["class"] == "universal"]
    for number, side in enumerate(sides):
        curve = curves[curves["side"] == side].sort_values("tau")
        colour, _, line = series_style(number)
        axes.plot(curve["tau"], curve["fraction"], color=colour, ls=line, lw=1.2)
    heading(axes, "universal features")
    top = max(0.02, 1.1 * float(curves["fraction"].max())) if len(curves) else 1.0
    axes.set_ylim(0, top)
    ticks = [tick for tick in round_ticks(top, 4) if tick <= 1.0]
    axes.set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    tau_axis(axes, *((curves["tau"].min(), curves["tau"].max()) if len(curves) else (0.0, 1.0)))
    grid(axes)


def _key(axes: Axes, sides: list[str]) -> None:
    width = axes.get_position().width * axes.figure.get_figwidth()  # type: ignore[union-attr]
    key_rows(axes, len(sides), 0.7, width)
    for number, side in enumerate(sides):
        colour, _, line = series_style(number)
        axes.plot([0, 0.3], [number, number], color=colour, ls=line, lw=1.2)
        _mark(axes, 0.15, number, number)
        key_words(axes, 0.38, number, shortened(side, 44), color=INK if number == 0 else MUTED)
