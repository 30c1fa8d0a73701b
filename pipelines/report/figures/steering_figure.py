"""What models write with features turned up: shares over strengths beside controls, and other models' directions."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import FAINT, INK, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import (
    as_rows,
    grid,
    heading,
    key_rows,
    key_words,
    message,
    name_width,
    percent_ticks,
    shortened,
)
from results.colours import GREY, model_colours
from results.words import STEERED_BY, called

#: Inches: of a panel over strengths, below it, of a row of directions, below these, above panels, of a row of the key.
_DOSES, _BELOW_DOSES, _ROW, _BELOW, _TOP, _KEY = 1.35, 0.42, 0.2, 0.45, 0.24, 0.16
_GAP = 0.2
_MOST_ACROSS = 3


@styled
def steering_figure(doses: pd.DataFrame, transfer: pd.DataFrame, *, columns: int = 2) -> Figure:
    """Share of each cluster's domain over strength; below, what mapped directions do in each model.

    Args:
        doses, transfer: as :mod:`results.steering_frames` makes them.
        columns: of the page; in two up to three clusters stand side by side.
    """
    clusters = doses.drop_duplicates("cluster")[["cluster", "domain"]].to_dict("records")
    colours = model_colours(list(dict.fromkeys(doses["model"])))
    across = min(max(len(clusters), 1), _MOST_ACROSS if columns == 2 else 1)
    down = -(-max(len(clusters), 1) // across)
    left = 0.12 + name_width(list(STEERED_BY.values()), 0.054, usual=10)
    width = (WIDTHS[columns] - left - 0.12 - (across - 1) * _GAP) / across
    arms = [arm for arm in STEERED_BY if (transfer["arm"] == arm).any()]
    lower = len(arms) * _ROW
    cell = _TOP + _DOSES + _BELOW_DOSES + (lower + _BELOW if arms else 0)
    key = _key(list(colours.items()), 1 if columns == 1 else 3)
    figure = new_figure(WIDTHS[columns], down * cell + len(key) * _KEY + 0.04)
    for number, cluster in enumerate(clusters or [None]):
        x, top = left + number % across * (width + _GAP), (down - number // across) * cell
        axes = axes_at(figure, x, top - _TOP - _DOSES, width, _DOSES)
        if cluster is None:
            message(axes, "no feature was steered")
            continue
        heading(axes, f"{shortened(called(str(cluster['domain'])), 14)}, {cluster['cluster']}")
        _shares(axes, doses[doses["cluster"] == cluster["cluster"]], colours, named=number % across == 0)
        if arms:
            below = axes_at(figure, x, top - _TOP - _DOSES - _BELOW_DOSES - lower, width, lower)
            part = transfer[transfer["cluster"] == cluster["cluster"]]
            _directions(below, part, arms, colours, named=number % across == 0)
    _draw_key(figure, key, down * cell, left)
    return figure


def _shares(axes: Axes, doses: pd.DataFrame, colours: dict[str, str], *, named: bool) -> None:
    strengths = sorted(doses["strength"].unique())
    place = {strength: i for i, strength in enumerate(strengths)}
    for (model, kind, _), rows in doses.groupby(["model", "kind", "draw"], sort=False):
        x = [place[strength] for strength in rows["strength"]]
        if kind == "own":
            axes.errorbar(x, rows["share"], 1.96 * rows["share_se"], color=colours[str(model)], lw=1.2, marker="o",
                          ms=3, elinewidth=0.8, zorder=3)  # fmt: skip
        else:
            axes.plot(x, rows["share"], color=GREY, lw=0.7, ls="-" if kind == "random" else ":", zorder=2)
    axes.set_xticks(range(len(strengths)), [f"{strength:g}" for strength in strengths])
    axes.set_ylim(-0.03, 1.04)
    percent_ticks(axes)
    axes.tick_params(labelleft=named)
    axes.set_xlabel("strength", labelpad=1)
    if named:
        axes.set_ylabel("tokens of the domain", labelpad=2)
    grid(axes)


def _directions(axes: Axes, rows: pd.DataFrame, arms: list[str], colours: dict[str, str], *, named: bool) -> None:
    axes.set_ylim(len(arms) - 0.5, -0.5)
    as_rows(axes)
    axes.set_yticks(range(len(arms)), [STEERED_BY[arm] for arm in arms])
    axes.tick_params(labelleft=named)
    axes.axvline(0, color=INK, lw=0.6)
    for y, arm in enumerate(arms):
        axes.hlines(y, -1, 1, color=FAINT, lw=0.5, zorder=0)
        part = rows[rows["arm"] == arm]
        jitter = np.linspace(-0.2, 0.2, max(len(part), 1)) if len(part) > 1 else np.zeros(1)
        axes.scatter(part["cosine"], y + jitter[: len(part)], s=9, zorder=3, lw=0,
                     c=[colours[str(model)] for model in part["model"]])  # fmt: skip
        if len(part):
            axes.plot([part["cosine"].mean()] * 2, [y - 0.36, y + 0.36], color=INK, lw=1.2, zorder=4)
    axes.set_xlim(min(-0.3, float(rows["cosine"].min()) - 0.05) if len(rows) else -0.3, 1.03)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("T", labelpad=1)


def _key(models: list[tuple[str, str]], per_row: int) -> list[list[tuple[str, str, str]]]:
    """Words, colour and line of everything, in rows from top to bottom."""
    entries = [(shortened(f"feature, {name}", 22), colour, "-") for name, colour in models[:9]]
    entries += [("random directions of equal norm", GREY, "-"), ("a latent of another domain", GREY, ":")]
    return [entries[start : start + per_row] for start in range(0, len(entries), per_row)]


def _draw_key(figure: Figure, key: list[list[tuple[str, str, str]]], bottom: float, left: float) -> None:
    width = figure.get_figwidth() - left - 0.1
    axes = axes_at(figure, left, bottom + 0.02, width, len(key) * _KEY)
    key_rows(axes, len(key), width=width)
    each = width / max(len(row) for row in key)
    for y, row in enumerate(key):
        for number, (words, colour, line) in enumerate(row):
            start = number * each
            axes.plot([start, start + 0.16], [y, y], color=colour, ls=line, lw=1.2)
            key_words(axes, start + 0.22, y, words)
