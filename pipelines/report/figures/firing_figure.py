"""How active dictionaries are: how often their latents fire."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import LINES, grid, key_rows, key_words, rate_axis, round_ticks
from results.colours import model_colours


@styled
def firing_rates_figure(rates: pd.DataFrame, *, columns: int = 1) -> Figure:
    """Share of each model's latents over the share of tokens on which they fire, with those that never do.

    Args:
        rates: as :func:`results.figure_frames.firing_rates` makes it.
        columns: of the page that it spans.

    Returns:
        A line per model, colours and dashes by position.
    """
    models = list(dict.fromkeys(rates["model"]))
    key, height = 0.15 * len(models) + 0.05, 1.35
    width = WIDTHS[columns]
    figure = new_figure(width, 0.42 + height + key)
    axes = axes_at(figure, 0.56, 0.36, width - 0.76, height)
    colours = model_colours(models)
    firing = rates[rates["left"] > 0]
    for i, model in enumerate(models):
        bins = firing[firing["model"] == model]
        edges = np.append(bins["left"].to_numpy(), bins["right"].to_numpy()[-1:])
        axes.stairs(bins["fraction"], edges, color=colours[model], ls=LINES[i % len(LINES)], lw=1.1)
    rate_axis(axes, firing["left"].min())
    top = max(0.01, 1.08 * firing["fraction"].max())
    ticks = round_ticks(top, 5)
    axes.set_ylim(0, top)
    axes.set_yticks(ticks, [f"{100 * tick:g}%" for tick in ticks])
    axes.set_ylabel("share of latents")
    grid(axes, "y")
    _key(axes_at(figure, 0.56, 0.38 + height, width - 0.76, key), rates, colours)
    return figure


def _key(axes: Axes, rates: pd.DataFrame, colours: dict[str, str]) -> None:
    key_rows(axes, len(colours))
    never = rates[rates["right"] == 0].set_index("model")["fraction"]
    for i, (model, colour) in enumerate(colours.items()):
        axes.plot([0, 0.08], [i, i], color=colour, ls=LINES[i % len(LINES)], lw=1.1)
        key_words(axes, 0.11, i, f"{model}; {never.get(model, 0.0):.1%} never fire")
