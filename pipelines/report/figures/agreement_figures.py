"""How far models agree: correlations beside their controls, and classes. Colours repeat what rows and ink say."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipelines.report.figures.canvas import DASHES, INK, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import (
    BLUES,
    class_colour,
    dash_key,
    grid,
    heading,
    message,
    note,
    percent_ticks,
    tau_axis,
    unit_ticks,
)
from results.colours import KIND_COLOURS, tint
from results.frames import KINDS, MEASURES
from results.words import CLASSES, LEVELS, called

_MEASURE_TITLES = {"r_held_out": "raw", "r_token": "token and position means removed"}
#: Paper behind words that stand on ink.
_PAPER = {"boxstyle": "square,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.8}


@styled
def correlation_figure(
    histogram: pd.DataFrame, medians: pd.DataFrame, null_p95: float | None = None, *, columns: int = 2
) -> Figure:
    """Held-out r of assigned pairs per kind, raw beside token-conditional, with the chance level as a line.

    Args:
        histogram: as :func:`results.frames.r_histogram` makes it.
        medians: as :func:`results.frames.medians` makes it.
        null_p95: 95th percentile of the maximum-null; the dashed line.
        columns: of the page; in two the measures stand side by side, in one below each other.

    Returns:
        One row per kind that the histogram holds, each scaled to its own highest bin, the median as a tick with its
        value, and the share at or above the frame's tau. A measure that a kind lacks says so.
    """
    kinds = [kind for kind in KINDS if (histogram["kind"] == kind).any()]
    # Side by side every row is there twice; below each other rows without a measure would be a waste of paper.
    blocks = [
        [k for k in kinds if columns == 2 or measure == "r_held_out" or _has(histogram, k, measure)]
        for measure in MEASURES
    ]
    blocks = [rows for rows in blocks if rows] or [[]]
    low = min(float(histogram["left"].min()), 0.0) if len(histogram) else 0.0
    pitch, bottom, title, width = 0.51, 0.4, 0.24, 2.75 if columns == 2 else 2.2
    heights = [len(rows) * pitch + title for rows in blocks]
    stacked = max(heights) if columns == 2 else sum(heights) + 0.16 * (len(blocks) - 1)
    figure, top = new_figure(WIDTHS[columns], bottom + stacked), bottom + stacked
    for number, rows in enumerate(blocks):
        left = 0.95 + (number * 2.95 if columns == 2 else 0)
        for place, kind in enumerate(rows):
            y = top - title - (place + 1) * pitch + 0.07
            axes = axes_at(figure, left, y, width, pitch - 0.07)
            measure = MEASURES[number]
            _ridge(axes, histogram, medians, kind, measure)
            _ridge_axes(axes, low, last=place == len(rows) - 1)
            if null_p95 is not None and measure == "r_held_out":
                axes.axvline(null_p95, color=INK, lw=0.8, ls=DASHES, zorder=4)
            if number == 0 or columns == 1:
                _row_label(axes, kind, medians, measure)
            if place == 0:
                heading(axes, _MEASURE_TITLES[measure])
        if columns == 1:
            top -= heights[number] + 0.16
    if kinds and null_p95 is not None:
        dash_key(figure.axes[0], f"chance, {'95th percentile' if columns == 2 else 'p95'}: {null_p95:.2f}")
    centre = 3.8 if columns == 2 else (WIDTHS[1] + 0.3) / 2
    note(figure, centre, 0.07, "correlation r of assigned pairs, held-out documents", ha="center")
    return figure


def _has(histogram: pd.DataFrame, kind: str, measure: str) -> bool:
    return bool(((histogram["kind"] == kind) & (histogram["measure"] == measure)).any())


def _ridge(axes: Axes, histogram: pd.DataFrame, medians: pd.DataFrame, kind: str, measure: str) -> None:
    """One filled histogram with its median; a word in its place where the measure was not taken."""
    part = histogram.loc[(histogram["kind"] == kind) & (histogram["measure"] == measure)]
    if part.empty:
        message(axes, "not defined" if kind == "chance" else "not measured", 0.42, style="italic")
        return
    height = part["fraction"].to_numpy(float)
    edges = np.append(part["left"].to_numpy(float), part["right"].to_numpy(float)[-1])
    height = height / max(height.max(), 1e-12)
    axes.stairs(height, edges, fill=True, color=tint(KIND_COLOURS[kind], 0.5), zorder=2)
    axes.stairs(height, edges, color=KIND_COLOURS[kind], lw=0.7, zorder=3)
    median = medians.loc[(medians["kind"] == kind) & (medians["measure"] == measure)]
    if len(median):
        _median_mark(axes, median.iloc[0])


def _median_mark(axes: Axes, row: pd.Series) -> None:
    """The median as a tick with its value, and the share of pairs at or above tau where it is in nobody's way."""
    median = float(row["median"])
    axes.plot([median, median], [0, 1.08], color=INK, lw=1.1, zorder=5, solid_capstyle="butt")
    right = median < 0.85
    text = {"textcoords": "offset points", "va": "top", "zorder": 6, "bbox": _PAPER}
    axes.annotate(
        f"{median:.2f}", (median, 1.08), xytext=(3 if right else -3, 0), ha="left" if right else "right",
        fontweight="bold", **text,
    )  # fmt: skip
    words = f"{100 * row['at_least']:.0f} % ≥ {row['tau']:g}"
    # To the right, to the left of the median, or in the middle where the median's own words stand to its left.
    room = 0.62 if axes.get_position().width < 0.5 else 0.48
    free = (0.995, "right") if median < room else (median - 0.02, "right") if right else (0.4, "center")
    axes.annotate(words, (free[0], 1.08), xytext=(0, 0), ha=free[1], color=MUTED, fontsize=6.5, **text)


def _ridge_axes(axes: Axes, low: float, *, last: bool) -> None:
    axes.set_xlim(low, 1.0)
    axes.set_ylim(0, 1.15)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_color(INK if last else "#BBBBBB")
    axes.set_yticks([])
    unit_ticks(axes.xaxis)
    axes.tick_params(labelbottom=last, bottom=last)
    grid(axes, "x")


def _row_label(axes: Axes, kind: str, medians: pd.DataFrame, measure: str) -> None:
    n = medians.loc[(medians["kind"] == kind) & (medians["measure"] == measure), "n"]
    name = KINDS[kind]
    where = {"transform": axes.transAxes, "ha": "right", "linespacing": 1.1}
    axes.text(-0.03, 0.46, name, va="center" if n.empty else "bottom", **where)
    if len(n):
        axes.text(-0.03, 0.34, f"{int(n.iloc[0]):,} pairs", va="top", color=MUTED, fontsize=6.5, **where)


@styled
def classes_figure(curve: pd.DataFrame, matrix: pd.DataFrame, tau: float | None = None, *, columns: int = 2) -> Figure:
    """Classes by level over the threshold tau, beside the median held-out r of every two models.

    Args:
        curve: as :func:`results.frames.class_curve` makes it.
        matrix: as :func:`results.frames.model_matrix` makes it.
        tau: the run's own threshold; the dashed line.
        columns: of the page; in two the parts stand side by side, in one below each other.

    Returns:
        Bands are classes from universal (bottom) to specific (top); within a class, ink falls from the finest level
        to the coarsest. The diagonal of the matrix is the same-model ceiling.
    """
    below, height, key = 0.46, 1.95, 0.62
    alone = columns == 1
    stack = 2.62 if alone else 3.35
    floor = below + height + 0.35 if alone else 0.0  # where the stack's part begins
    figure = new_figure(WIDTHS[columns], floor + below + key + height + 0.27)
    _stack(axes_at(figure, 0.47, floor + key + below, stack, height), curve, tau)
    _band_key(axes_at(figure, 0.47, floor + 0.06, stack, 0.62), curve, stack)
    left, up = (0.47, below) if alone else (4.33, key + below)
    square = axes_at(figure, left, up, height, height)
    _heatmap(square, axes_at(figure, left + height + 0.06, up, 0.09, height), matrix)
    return figure


def bands(curve: pd.DataFrame) -> list[tuple[str, str, np.ndarray]]:
    """Class, level and share per tau of every band that is not empty, from the bottom of the stack to its top."""
    shares = []
    for name in CLASSES:
        for level in LEVELS:
            rows = curve.loc[(curve["class"] == name) & (curve["level"] == level)]
            values = rows.groupby("tau")["fraction"].sum().sort_index().to_numpy(float)
            if values.any():
                shares.append((name, level, values))
    return shares


def _stack(axes: Axes, curve: pd.DataFrame, tau: float | None) -> None:
    heading(axes, "features by class and level")
    taus = np.sort(curve["tau"].unique())
    if len(taus) == 0:
        message(axes, "no features")
        return
    lower = np.zeros(len(taus))
    last = ""
    for name, level, share in bands(curve):
        if last and last != name:
            axes.plot(taus, lower, color=INK, lw=0.9, zorder=4)
        elif last:
            axes.plot(taus, lower, color="white", lw=0.5, zorder=3)
        axes.fill_between(taus, lower, lower + share, color=class_colour(name, level), lw=0, zorder=2)
        lower, last = lower + share, name
    tau_axis(axes, taus[0], taus[-1])
    axes.set_ylim(0, 1)
    percent_ticks(axes)
    if tau is not None and taus[0] <= tau <= taus[-1]:
        axes.axvline(tau, color=INK, lw=0.8, ls=DASHES, zorder=5)
        wide = axes.get_position().width < 0.6
        dash_key(axes, f"this run: τ = {tau:g}" if wide else f"τ = {tau:g}")


def _band_key(axes: Axes, curve: pd.DataFrame, width: float) -> None:
    """A table of swatches under the stack: a row per class, a column per level."""
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(0, 0.62)
    present = {(name, level) for name, level, _ in bands(curve)}
    levels = [level for level in LEVELS if any((name, level) in present for name in CLASSES)]
    rows = {name: 0.36 - 0.155 * i for i, name in enumerate(CLASSES)}
    narrow = width - 0.64 < 0.45 * len(levels)
    left, size = (0.5, 4.4) if narrow else (0.64, 6.5 if len(levels) < 5 else 5.5)
    pitch = min(0.6, (width - left) / max(len(levels), 4))
    for i, level in enumerate(levels):
        words = called(level).replace(" in a ", "\nin a\n")
        axes.text(
            left + (i + 0.47) * pitch, 0.5, words, ha="center", va="bottom", color=MUTED, fontsize=size,
            linespacing=0.9,
        )  # fmt: skip
    for name, y in rows.items():
        axes.text(left - 0.09, y + 0.045, name, ha="right", va="center", fontsize=6 if narrow else None)
        for i, level in enumerate(levels):
            if (name, level) in present:
                place, colour = (left + pitch * i, y), class_colour(name, level)
                axes.add_patch(Rectangle(place, 0.93 * pitch, 0.11, fc=colour, ec=MUTED, lw=0.3))


def _heatmap(axes: Axes, bar: Axes, matrix: pd.DataFrame) -> None:
    heading(axes, "median r of every two models")
    models = list(dict.fromkeys(matrix["model_a"]))
    cells = matrix.set_index(["model_a", "model_b"])
    r = cells["r"].unstack()
    values = r.reindex(index=models, columns=models).to_numpy(float)
    scale = Normalize(0, 1)
    mesh = axes.pcolormesh(np.ma.masked_invalid(values), cmap=BLUES, norm=scale, edgecolors="white", lw=1.2)
    axes.invert_yaxis()
    named = range(0, len(models), max(-(-len(models) // 8), 1))  # as many names as have room
    axes.set_xticks([i + 0.5 for i in named], [models[i] for i in named])
    axes.set_yticks([i + 0.5 for i in named], [models[i] for i in named])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(models) <= 8:
        for i, j in np.ndindex(values.shape):
            _cell(axes, (i, j), cells.loc[(models[i], models[j])], n_models=len(models))
    for i in range(len(models)):
        axes.add_patch(Rectangle((i + 0.03, i + 0.03), 0.94, 0.94, fill=False, ec=MUTED, lw=0.7))
    colour_bar = axes.figure.colorbar(mesh, cax=bar)
    colour_bar.outline.set_visible(False)  # type: ignore[operator]
    bar.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    bar.tick_params(length=2)
    ceiling = "same model, other SAE seed (ceiling)"
    missing = "no second dictionary, no ceiling"
    axes.annotate(
        f"diagonal: {missing if np.isnan(np.diag(values)).all() else ceiling}",
        (0, 0), xycoords="axes fraction", xytext=(0, -22), textcoords="offset points", color=MUTED, fontsize=6.5,
    )  # fmt: skip


def _cell(axes: Axes, place: tuple[int, int], cell: pd.Series, *, n_models: int) -> None:
    """The median; of few models with its interval and the number of pairs."""
    i, j = place
    value = float(cell["r"])
    if np.isnan(value):
        axes.text(j + 0.5, i + 0.5, "–", ha="center", va="center", color=MUTED)
        return
    style: Any = {"ha": "center", "va": "center", "color": "white" if value > 0.55 else INK}
    if n_models > 4:
        axes.text(j + 0.5, i + 0.5, f"{value:.2f}", fontweight="bold", fontsize=6.5, **style)
        return
    lines = [f"{cell['low']:.2f} to {cell['high']:.2f}"] if np.isfinite(cell["low"]) else []
    lines.append(f"{int(cell['n']):,} pairs")
    places = (0.3, 0.56, 0.76) if len(lines) == 2 else (0.44, 0.7)
    axes.text(j + 0.5, i + places[0], f"{value:.2f}", fontweight="bold", fontsize=8, **style)
    for words, up in zip(lines, places[1:], strict=True):
        axes.text(j + 0.5, i + up, words, fontsize=5.5 if n_models < 4 else 4.8, **style)
