"""The figure of domains: do the models' best latents for Arabic, DNA, base64, … agree?"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import FAINT, INK, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import (
    as_rows,
    grid,
    key_rows,
    key_words,
    name_width,
    shortened,
    unit_ticks,
)
from results.colours import KIND_COLOURS
from results.figure_frames import domain_labels


class _Mark(NamedTuple):
    column: str
    words: str
    marker: str
    colour: str
    filled: bool


_MARKS = (
    _Mark("r", "r across models, and its range", "o", KIND_COLOURS["features"], True),
    _Mark("r_token", "token and position means removed", "s", KIND_COLOURS["features"], False),
    _Mark("neuron_r", "nearest neuron", "D", KIND_COLOURS["neurons"], True),
    _Mark("untrained_r", "untrained models", "x", KIND_COLOURS["untrained"], True),
)


@styled
def domains_figure(domains: pd.DataFrame, *, columns: int = 1) -> Figure:
    """Cross-model r of each domain's best latents beside its controls.

    Args:
        domains: as :func:`results.figure_frames.domain_frame` makes it.
        columns: of the page that it spans.

    Returns:
        A row per domain in the frame's order; shapes tell the quantities apart without colour. A
        quantity that was measured nowhere is left out.
    """
    marks = [mark for mark in _MARKS if domains[mark.column].notna().any()]
    row_height, bottom, key = 0.165, 0.36, 0.14 * max(len(marks), 1)
    n = max(len(domains), 1)
    names = [shortened(name, 16) for name in domain_labels(domains)]
    left = 0.16 + name_width(names, 0.058, usual=8)
    width = WIDTHS[columns]
    figure = new_figure(width, bottom + n * row_height + 0.1 + key)
    axes = axes_at(figure, left, bottom, width - left - 0.12, n * row_height + 0.1)
    low = min(0.0, float(np.nanmin(domains[[m.column for m in marks]].to_numpy(float), initial=0.0)))
    axes.set_xlim(low - 0.03, 1.03)
    axes.set_ylim(n - 0.2, -0.8)
    _rows(axes, domains, names, marks)
    unit_ticks(axes.xaxis)
    axes.set_xlabel("held-out correlation r", labelpad=2)
    grid(axes, "x")
    _key(axes_at(figure, left, bottom + n * row_height + 0.1, width - left - 0.12, key), marks)
    return figure


def _rows(axes: Axes, domains: pd.DataFrame, names: list[str], marks: list[_Mark]) -> None:
    y = np.arange(len(domains))
    axes.set_yticks(y, names)
    as_rows(axes)
    axes.hlines(y, *axes.get_xlim(), color=FAINT, lw=0.5, zorder=0)
    axes.hlines(y, domains["r_low"], domains["r_high"], color=KIND_COLOURS["features"], lw=1.6, alpha=0.45, zorder=2)
    for z, mark in enumerate(reversed(marks)):
        _draw(axes, domains[mark.column].to_numpy(float), y, mark, 3 + z)


def _draw(axes: Axes, x: np.ndarray, y: np.ndarray, mark: _Mark, zorder: int) -> None:
    face = mark.colour if mark.filled else "white"
    axes.plot(
        x, y, mark.marker, ms=4.2 if mark.marker != "D" else 3.4, mfc=face, mec=mark.colour, mew=0.9, ls="none",
        zorder=zorder, clip_on=False,
    )  # fmt: skip


def _key(axes: Axes, marks: list[_Mark]) -> None:
    key_rows(axes, max(len(marks), 1), 0.7)
    for i, mark in enumerate(marks):
        _draw(axes, np.array([0.03]), np.array([i]), mark, 3)
        key_words(axes, 0.08, i, mark.words, color=INK if i == 0 else MUTED)
