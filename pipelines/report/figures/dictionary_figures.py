"""How good and how active dictionaries are: how often their latents fire, and one line per dictionary for a paper."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from pipelines.report.figures.canvas import FAINT, INK, MUTED, STYLE, WIDTHS, axes_at, new_figure
from results.colours import model_colours

LINES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
"""Dashes, so that models are told apart without colour."""


def firing_rates_figure(rates: pd.DataFrame, *, columns: int = 1) -> Figure:
    """Share of each model's latents over the share of tokens on which they fire, with those that never do.

    Args:
        rates: as :func:`results.dictionary_frames.firing_rates` makes it.
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
_ROLE_MARKS = {"primary": ("o", True), "replicate": ("o", False), "untrained": ("X", True)}


def quality_figure(dictionaries: pd.DataFrame, *, columns: int = 2) -> Figure:
    """How good every dictionary is, one small panel per measure.

    Args:
        dictionaries: as :func:`results.dictionary_frames.dictionary_frame` makes it.
        columns: of the page; in two all panels stand in a row, in one two by two.

    Returns:
        A row per dictionary: filled circles are the compared ones, open ones second dictionaries of the same models,
        crosses those of untrained models. Shares have the whole axis from 0 to 1. A measure that no dictionary has
        says so.
    """
    names = [name if len(name) <= 14 else f"{name[:13]}…" for name in dictionaries["model"].astype(str)]
    wide = columns == 2
    left, rows = 0.16 + 0.06 * max((len(name) for name in names), default=2), 0.155 * max(len(names), 2)
    across = 4 if wide else 2
    pitch = (WIDTHS[columns] - left - 0.12) / across
    block = 0.3 + rows + 0.26
    with mpl.rc_context(STYLE):
        figure = new_figure(WIDTHS[columns], block * (1 if wide else 2) + 0.16)
        for place, quality in enumerate(_QUALITIES):
            column, line = place % across, place // across
            floor = figure.get_figheight() - (line + 1) * block + 0.26
            axes = axes_at(figure, left + column * pitch, floor, pitch - 0.17, rows)
            _panel(axes, dictionaries, quality)
            axes.set_yticks(range(len(names)), names if column == 0 else [""] * len(names))
        words = "filled: compared; open: second dictionary of the same model; cross: untrained"
        at = left / WIDTHS[columns], 0.05 / figure.get_figheight()
        figure.text(
            *at,
            words if wide else words.replace(" of the same model", ""),
            color=MUTED,
            fontsize=6 if wide else 5,
        )
    return figure


def _panel(axes: Axes, dictionaries: pd.DataFrame, quality: _Quality) -> None:
    values = dictionaries[quality.column].to_numpy(float)
    across = axes.get_position().width * axes.figure.get_figwidth()  # type: ignore[union-attr]
    axes.set_title(quality.title if across > 1.2 else quality.short, loc="left", pad=4, fontsize=6.5)
    axes.set_ylim(max(len(values), 2) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    top = float(np.nanmax(values, initial=0.0))
    low, high = quality.limits or (0.0, max(1.15 * top, 1.0))
    low = min(low, 1.1 * float(np.nanmin(values, initial=0.0)))
    axes.set_xlim(low, max(high, top))
    ticks = [low, high / 2, high] if low < 0 else [0, high / 2, high]
    if quality.limits is None:
        ticks = [tick for tick in MaxNLocator(3, integer=True).tick_values(0, high) if 0 <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.grid(color=FAINT, lw=0.5)
    axes.set_axisbelow(True)
    if np.isnan(values).all():
        axes.text(0.5, 0.5, "not measured", ha="center", va="center", color=MUTED, transform=axes.transAxes)
    colours = model_colours(dictionaries.loc[dictionaries["role"] == "primary", "model"].astype(str).tolist())
    for row, (role, model) in enumerate(
        zip(dictionaries["role"], dictionaries["model"].astype(str), strict=True)
    ):
        marker, filled = _ROLE_MARKS.get(str(role), ("o", True))
        # A second dictionary has the colour of its model: m0r that of m0.
        colour = colours.get(model, colours.get(model.rstrip("r"), MUTED))
        axes.plot(
            values[row], row, marker, ms=4, mfc=colour if filled else "white", mec=colour, mew=0.9, clip_on=False,
            zorder=3,
        )  # fmt: skip
