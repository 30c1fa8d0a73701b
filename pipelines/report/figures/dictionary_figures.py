"""How good and how active dictionaries are: how often their latents fire, and one line per dictionary for a paper."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import (
    LINES,
    as_rows,
    grid,
    key_rows,
    key_words,
    message,
    name_width,
    note,
    rate_axis,
    round_ticks,
    shortened,
)
from results.colours import model_colours
from results.frames import dictionary_roles


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


class _Quality(NamedTuple):
    column: str
    title: str
    short: str
    limits: tuple[float, float] | None


_QUALITIES = (
    _Quality("fvu", "variance unexplained", "FVU", (0.0, 1.0)),
    _Quality("ce_recovered", "cross-entropy recovered", "CE recovered", (0.0, 1.0)),
    _Quality("l0", "active latents per token", "L0", None),
    _Quality("dead_fraction", "dead latents", "dead", (0.0, 1.0)),
)
#: Crosses are untrained models, open marks second dictionaries of the same model.
_ROLE_MARKS = {
    "primary": ("o", True), "replicate": ("o", False), "untrained": ("X", True), "untrained_replicate": ("X", False),
}  # fmt: skip


@styled
def quality_figure(dictionaries: pd.DataFrame, *, columns: int = 2) -> Figure:
    """How good every dictionary is, one small panel per measure.

    Args:
        dictionaries: as :func:`results.figure_frames.dictionary_frame` makes it.
        columns: of the page; in two all panels stand in a row, in one two by two.

    Returns:
        A row per dictionary: filled circles are the compared ones, open ones replicates of the same models,
        crosses those of untrained models. Shares have the whole axis from 0 to 1. A measure that no dictionary has
        says so.
    """
    names = [shortened(name, 14) for name in dictionaries["model"].astype(str)]
    wide = columns == 2
    left, rows = 0.16 + name_width(names, 0.06, usual=2), 0.155 * max(len(names), 2)
    across = 4 if wide else 2
    pitch = (WIDTHS[columns] - left - 0.12) / across
    block = 0.3 + rows + 0.26
    figure = new_figure(WIDTHS[columns], block * (1 if wide else 2) + 0.16)
    for place, quality in enumerate(_QUALITIES):
        column, line = place % across, place // across
        floor = figure.get_figheight() - (line + 1) * block + 0.26
        axes = axes_at(figure, left + column * pitch, floor, pitch - 0.17, rows)
        _panel(axes, dictionaries, quality)
        axes.set_yticks(range(len(names)), names if column == 0 else [""] * len(names))
    words = "filled: compared; open: second dictionary of the same model; cross: untrained"
    words = words if wide else words.replace(" of the same model", "")
    note(figure, left, 0.05, words, color=MUTED, fontsize=6 if wide else 5)
    return figure


def _panel(axes: Axes, dictionaries: pd.DataFrame, quality: _Quality) -> None:
    values = dictionaries[quality.column].to_numpy(float)
    across = axes.get_position().width * axes.figure.get_figwidth()  # type: ignore[union-attr]
    axes.set_title(quality.title if across > 1.2 else quality.short, loc="left", pad=4, fontsize=6.5)
    axes.set_ylim(max(len(values), 2) - 0.4, -0.6)
    as_rows(axes)
    top = float(np.nanmax(values, initial=0.0))
    low, high = quality.limits or (0.0, max(1.15 * top, 1.0))
    low = min(low, 1.1 * float(np.nanmin(values, initial=0.0)))
    axes.set_xlim(low, max(high, top))
    ticks = [low, high / 2, high] if low < 0 else [0, high / 2, high]
    if quality.limits is None:
        ticks = round_ticks(high, 3, integer=True)
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    grid(axes)
    if np.isnan(values).all():
        message(axes, "not measured")
    colours = model_colours(dictionaries.loc[dictionaries["role"] == "primary", "model"].astype(str).tolist())
    for row, (role, name) in enumerate(zip(dictionary_roles(dictionaries), dictionaries["model"], strict=True)):
        marker, filled = _ROLE_MARKS.get(str(role), ("o", True))
        # A replicate has the colour of its model: m0r that of m0.
        model = str(name).removesuffix("r") if role == "replicate" else str(name)
        colour = colours.get(model, MUTED)
        axes.plot(
            values[row], row, marker, ms=4, mfc=colour if filled else "white", mec=colour, mew=0.9, clip_on=False,
            zorder=3,
        )  # fmt: skip
