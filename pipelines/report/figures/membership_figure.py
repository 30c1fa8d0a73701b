"""Which models a cluster reaches: how many, and which of them together."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import INK, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import (
    grid,
    heading,
    message,
    name_width,
    note,
    percent_ticks,
    round_ticks,
)
from results.colours import CLASS_COLOURS, KIND_COLOURS
from results.figure_frames import models_of

#: Sets of models drawn, at most.
MAX_SETS = {1: 12, 2: 18}


@styled
def membership_figure(k_of_m: pd.DataFrame, sets: pd.DataFrame, models: list[str], *, columns: int = 2) -> Figure:
    """Features by the number of models that their cluster reaches, and clusters by the set of models.

    Args:
        k_of_m: as :func:`results.frames.k_of_m_frame` makes it.
        sets: as :func:`results.figure_frames.membership` makes it.
        models: ids of all models, in their order.
        columns: of the page; in two the parts stand side by side, in one below each other.

    Returns:
        Left or above, bars of exactly k models and a line of k or more. Right or below, one bar per set of models,
        dots naming its members; of very many sets those with most clusters, and how many are left out.
    """
    shown = sets.loc[sets["n_clusters"].nlargest(MAX_SETS[columns]).index].sort_index()
    rows, tall, below = 0.14 * max(len(models), 1), 1.3, 0.4
    names = 0.2 + name_width(models, 0.058, usual=2)
    upset = rows + 0.08 + tall
    if columns == 2:
        figure = new_figure(WIDTHS[2], 0.24 + upset + 0.2)
        curve = axes_at(figure, 0.5, below, 2.0, upset - below + 0.2)
        left, width, floor = 2.85 + names, WIDTHS[2] - 2.95 - names, 0.2
    else:
        figure = new_figure(WIDTHS[1], 0.24 + upset + 0.35 + below + 1.3)
        curve = axes_at(figure, 0.5, upset + 0.45 + below, 2.6, 1.15)
        left, width, floor = 0.35 + names, WIDTHS[1] - 0.45 - names, 0.2
    _curve(curve, k_of_m, len(models))
    places = np.arange(len(shown))
    _bars(axes_at(figure, left, floor + rows + 0.08, width, tall), shown, places, len(models))
    _dots(axes_at(figure, left, floor, width, rows), shown, places, models)
    if len(shown) < len(sets):
        words = f"{len(sets) - len(shown):,} smaller sets are not drawn"
        note(figure, left, 0.05, words, color=MUTED, fontsize=6.5)
    return figure


def _curve(axes: Axes, k_of_m: pd.DataFrame, n_models: int) -> None:
    heading(axes, "features by number of models")
    if k_of_m.empty:
        axes.set_axis_off()
        message(axes, "no features")
        return
    k, share = k_of_m["k"].to_numpy(int), k_of_m["fraction"].to_numpy(float)
    axes.bar(k, share, width=0.62, color=[_colour(n, n_models) for n in k], zorder=2)
    axes.plot(k, k_of_m["untrained"], ls="", marker="x", ms=4, mew=1.2, color=KIND_COLOURS["untrained"], zorder=4)
    # Beside the middle, where the share is written.
    axes.vlines(k + 0.22, k_of_m["fraction_low"], k_of_m["fraction_high"], color=INK, lw=0.9, zorder=3)
    axes.plot(k, k_of_m["at_least"], color=INK, lw=0.9, marker="o", ms=3, mfc="white", mew=0.8, zorder=3)
    if len(k) <= 8:
        for place, value in zip(k, share, strict=True):
            inside = value > 0.12
            axes.text(
                place, value / 2 if inside else value + 0.015, f"{100 * value:.0f} %", ha="center", fontsize=6.5,
                va="center" if inside else "bottom", color="white" if inside else INK, zorder=4,
            )  # fmt: skip
    axes.set_xlim(k.min() - 0.6, k.max() + 0.6)
    axes.set_ylim(0, 1.08)
    percent_ticks(axes)
    axes.set_xticks(k[:: 1 + (len(k) - 1) // 10])
    axes.set_xlabel("models k; bars: exactly k, line: k or more", labelpad=2)
    grid(axes, "y")


def _bars(axes: Axes, shown: pd.DataFrame, places: np.ndarray, n_models: int) -> None:
    heading(axes, "clusters by set of models")
    counts = shown["n_clusters"].to_numpy(int)
    top = max(counts.max(initial=0), 1)
    axes.bar(places, counts, width=0.62, color=[_colour(n, n_models) for n in shown["n_models"]], zorder=2)
    for place, count in zip(places, counts, strict=True):
        size = 6.5 if len(places) <= 10 else 5.2
        axes.text(place, count + 0.02 * top, f"{count:,}", ha="center", va="bottom", fontsize=size)
    axes.set_xlim(-0.6, max(len(places), 4) - 0.4)
    axes.set_ylim(0, 1.16 * top)
    ticks = round_ticks(top, 4, integer=True)
    axes.set_yticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    grid(axes, "y")


def _dots(axes: Axes, shown: pd.DataFrame, places: np.ndarray, models: list[str]) -> None:
    axes.set_xlim(-0.6, max(len(places), 4) - 0.4)
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.set_yticks(range(len(models)), models)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row in range(0, len(models), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#F4F4F4", lw=0, zorder=0)
    for place, members in zip(places, shown["models"].map(models_of), strict=True):
        rows = [models.index(model) for model in members]
        axes.plot([place] * len(models), range(len(models)), "o", ms=3.4, color="#D4D4D4", zorder=1)
        axes.plot([place, place], [min(rows), max(rows)], color=INK, lw=1.0, zorder=2)
        axes.plot([place] * len(rows), rows, "o", ms=3.4, color=INK, zorder=3)


def _colour(n_models: int, all_models: int) -> str:
    name = "specific" if n_models == 1 else "universal" if n_models == all_models else "shared"
    return CLASS_COLOURS[name]
