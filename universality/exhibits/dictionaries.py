"""How good and how active dictionaries are: how often their latents fire, and one line per dictionary for a paper."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from universality.exhibits.colours import model_colours
from universality.exhibits.paper import FAINT, INK, STYLE, WIDTHS, axes_at, new_figure

LINES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
"""Dashes, so that models are told apart without colour."""


def firing_rates_figure(rates: pd.DataFrame, *, columns: int = 1) -> Figure:
    """Share of each model's latents over the share of tokens on which they fire, with those that never do.

    Args:
        rates: as :func:`universality.exhibits.frames.firing_rates` makes it.
        columns: of the page that it spans.

    Returns:
        A line per model, colours and dashes by position.
    """
    models = list(dict.fromkeys(rates["model"]))
    key, height = 0.15 * len(models) + 0.05, 1.35
    with mpl.rc_context(STYLE):
        width = WIDTHS[columns]
        figure = new_figure(width, 0.42 + height + key)
        axes = axes_at(figure, 0.56, 0.36, width - 0.76, height)
        colours = model_colours(models)
        firing = rates[rates["left"] > 0]
        for i, model in enumerate(models):
            mine = firing[firing["model"] == model]
            edges = np.append(mine["left"].to_numpy(), mine["right"].to_numpy()[-1:])
            axes.stairs(mine["fraction"], edges, color=colours[model], ls=LINES[i % len(LINES)], lw=1.1)
        axes.set_xscale("log")
        lowest = firing["left"].min()
        axes.set_xlim(lowest, 1)
        # Powers in words: the report's style parses no formulas.
        n_decades = int(np.floor(-np.log10(lowest) + 1e-9))
        decades = 10.0 ** -np.arange(0, n_decades + 1, 1 + n_decades // 6)
        axes.set_xticks(decades, [f"{100 * rate:g}%" for rate in decades])
        axes.xaxis.set_minor_formatter(NullFormatter())
        top = max(0.01, 1.08 * firing["fraction"].max())
        ticks = [tick for tick in MaxNLocator(5).tick_values(0, top) if 0 <= tick <= top]
        axes.set_ylim(0, top)
        axes.set_yticks(ticks, [f"{100 * tick:g}%" for tick in ticks])
        axes.set_xlabel("firing rate (share of tokens)", labelpad=2)
        axes.set_ylabel("share of latents")
        axes.grid(axis="y", color=FAINT, lw=0.5)
        axes.set_axisbelow(True)
        _key(axes_at(figure, 0.56, 0.38 + height, width - 0.76, key), rates, colours)
    return figure


def _key(axes: Axes, rates: pd.DataFrame, colours: dict[str, str]) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(colours) - 0.4, -0.6)
    never = rates[rates["right"] == 0].set_index("model")["fraction"]
    for i, (model, colour) in enumerate(colours.items()):
        axes.plot([0, 0.08], [i, i], color=colour, ls=LINES[i % len(LINES)], lw=1.1)
        words = f"{model}; {never.get(model, 0.0):.1%} never fire"
        axes.text(0.11, i, words, va="center_baseline", color=INK, fontsize=6.5)
