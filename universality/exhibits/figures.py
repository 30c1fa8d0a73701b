"""Figures of the report: tidy frames in, matplotlib figures out.

Figures are built as objects, never through pyplot, so that nothing global is touched and any thread may draw.
They are made for print: vector, embedded TrueType, one or two columns wide, and readable without colour
(rows, positions, ink and numbers carry what colours repeat).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from universality.exhibits.colours import CLASS_COLOURS, KIND_COLOURS, LEVEL_INK, tint
from universality.exhibits.frames import CLASSES, KINDS, LEVELS, MEASURES

#: Widths of one and of two columns, inches.
ONE_COLUMN, TWO_COLUMNS = 3.25, 6.75

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 7,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "text.parse_math": False,  # tokens and names may hold dollar signs
    "text.usetex": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_INK = "#222222"
_MUTED = "#6B6B6B"


def to_pdf(figure: Figure) -> bytes:
    """A figure as a PDF, byte for byte the same for equal figures: no time stamp, fonts embedded as TrueType."""
    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    return buffer.getvalue()


def correlation_figure(
    histogram: pd.DataFrame, medians: pd.DataFrame, null_p95: float | None = None
) -> Figure:
    """Held-out r of assigned pairs per kind, raw beside token-conditional, with the chance level as a line.

    Args:
        histogram: as :func:`universality.exhibits.frames.r_histogram` makes it.
        medians: as :func:`universality.exhibits.frames.medians` makes it.
        null_p95: 95th percentile of the maximum-null; the dashed line.

    Returns:
        Two columns wide; one row per kind that the histogram holds, each scaled to its own highest bin, the median as a
        tick with its value. A measure that a kind lacks says so.
    """
    kinds = [kind for kind in KINDS if (histogram["kind"] == kind).any()]
    with mpl.rc_context(_STYLE):
        figure = _figure(TWO_COLUMNS, 0.75 + 0.47 * max(len(kinds), 1))
        grid = figure.add_gridspec(
            max(len(kinds), 1), 2, hspace=0.12, wspace=0.07, left=0.135, right=0.985,
            top=1 - 0.27 / figure.get_figheight(), bottom=0.42 / figure.get_figheight(),
        )  # fmt: skip
        low = min(float(histogram["left"].min()), 0.0) if len(histogram) else 0.0
        for row, kind in enumerate(kinds):
            for column, measure in enumerate(MEASURES):
                axes = figure.add_subplot(grid[row, column])
                axes.set_xlim(low, 1.0)
                axes.set_ylim(0, 1.2)
                _ridge(axes, histogram, medians, kind, measure)
                if null_p95 is not None and measure == "r_held_out":
                    axes.axvline(null_p95, color=_INK, lw=0.8, ls=(0, (3, 2)), zorder=4)
                _ridge_axes(axes, kind, medians, first=column == 0, last=row == len(kinds) - 1)
                if row == 0:
                    axes.set_title(_COLUMN_TITLES[measure], loc="left", pad=6)
        if null_p95 is not None and kinds:
            _note_line(figure.axes[0], null_p95)
    return figure


_COLUMN_TITLES = {"r_held_out": "raw", "r_token": "token and position means removed"}


def _ridge(axes: Axes, histogram: pd.DataFrame, medians: pd.DataFrame, kind: str, measure: str) -> None:
    """One filled histogram with its median; a word in its place where the measure was not taken."""
    part = histogram.loc[(histogram["kind"] == kind) & (histogram["measure"] == measure)]
    if part.empty:
        axes.text(
            0.5, 0.4, "not defined" if kind == "null" else "not measured", transform=axes.transAxes,
            ha="center", va="center", color=_MUTED, style="italic",
        )  # fmt: skip
        return
    height = part["fraction"].to_numpy(float)
    edges = np.append(part["left"].to_numpy(float), part["right"].to_numpy(float)[-1])
    axes.stairs(
        height / max(height.max(), 1e-12), edges, fill=True, color=tint(KIND_COLOURS[kind], 0.55), zorder=2
    )
    axes.stairs(height / max(height.max(), 1e-12), edges, color=KIND_COLOURS[kind], lw=0.7, zorder=3)
    found = medians.loc[(medians["kind"] == kind) & (medians["measure"] == measure), "median"]
    if len(found):
        median = float(found.iloc[0])
        axes.plot([median, median], [0, 1.0], color=_INK, lw=1.1, zorder=5, solid_capstyle="butt")
        right = median < 0.86
        axes.annotate(
            f"{median:.2f}", (median, 1.0), xytext=(2.5 if right else -2.5, 0), textcoords="offset points",
            ha="left" if right else "right", va="top", fontweight="bold", color=_INK, zorder=6,
        ).set_bbox({"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75})  # fmt: skip


def _ridge_axes(axes: Axes, kind: str, medians: pd.DataFrame, *, first: bool, last: bool) -> None:
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.tick_params(labelbottom=last, bottom=last)
    axes.spines["bottom"].set_color(_INK if last else "#BBBBBB")
    axes.grid(axis="x", color="#E6E6E6", lw=0.5, zorder=0)
    axes.set_axisbelow(True)
    if last:
        axes.set_xticklabels(["0", "0.25", "0.5", "0.75", "1"])
        axes.set_xlabel("correlation r of assigned pairs on held-out documents")
    if first:
        n = medians.loc[(medians["kind"] == kind) & (medians["measure"] == "r_held_out"), "n"]
        label = KINDS[kind] + (f"\nn = {int(n.iloc[0]):,}" if len(n) else "")
        axes.text(
            -0.025,
            0.42,
            label,
            transform=axes.transAxes,
            ha="right",
            va="center",
            color=_INK,
            linespacing=1.15,
        )


def _note_line(axes: Axes, null_p95: float) -> None:
    axes.annotate(
        f"chance, 95th percentile: {null_p95:.2f}", (null_p95, 1.2), xytext=(1, 3), textcoords="offset points",
        ha="left" if null_p95 < 0.5 else "right", va="bottom", color=_INK, annotation_clip=False,
    )  # fmt: skip


def classes_figure(curve: pd.DataFrame, matrix: pd.DataFrame, tau: float | None = None) -> Figure:
    """Classes by level over the threshold tau, beside the median held-out r of every two models.

    Args:
        curve: as :func:`universality.exhibits.frames.class_curve` makes it.
        matrix: as :func:`universality.exhibits.frames.model_matrix` makes it.
        tau: the run's own threshold; the dashed line.

    Returns:
        Two columns wide. Bands are classes from universal (bottom) to specific (top); within a class, ink falls from the
        finest level that survives to the coarsest. The diagonal of the matrix is the same-model ceiling.
    """
    with mpl.rc_context(_STYLE):
        figure = _figure(TWO_COLUMNS, 2.75)
        grid = figure.add_gridspec(
            1, 3, width_ratios=[1.0, 0.78, 0.032], wspace=0.0, left=0.07, right=0.945, top=0.9, bottom=0.27
        )
        left, right, bar = (figure.add_subplot(grid[0, i]) for i in range(3))
        _stack(left, curve, tau)
        _heatmap(figure, right, bar, matrix)
        _class_legend(figure)
        _place_right(right, bar)
    return figure


def _place_right(heatmap: Axes, bar: Axes) -> None:
    """Keep the cells square at the right edge, with the scale close beside them and equally high."""
    figure = heatmap.figure
    width, height = figure.get_size_inches()  # type: ignore[union-attr]
    top, bottom, right = 0.9, 0.27, 0.935
    side = (top - bottom) * height
    heatmap.set_position((right - 0.03 - side / width, bottom, side / width, top - bottom))
    bar.set_position((right - 0.018, bottom, 0.014, top - bottom))


def bands(curve: pd.DataFrame) -> list[tuple[str, str, np.ndarray]]:
    """Class, level and share per tau of every band that is not empty, from the bottom of the stack to its top.

    The levels of specific features are summed: a feature without a partner has no pair whose level could be tested.
    """
    found = []
    for name in CLASSES:
        part = curve.loc[curve["class"] == name]
        if name == "specific":
            groups = [("", part.groupby("tau")["fraction"].sum())]
        else:
            groups = [
                (level, part.loc[part["level"] == level].set_index("tau")["fraction"]) for level in LEVELS
            ]
        for level, share in groups:
            values = share.sort_index().to_numpy(float)
            if values.any():
                found.append((name, level, values))
    return found


def _stack(axes: Axes, curve: pd.DataFrame, tau: float | None) -> None:
    taus = np.sort(curve["tau"].unique())
    if len(taus) == 0:
        axes.text(0.5, 0.5, "no features", ha="center", va="center", color=_MUTED, transform=axes.transAxes)
        return
    lower = np.zeros(len(taus))
    for name, level, share in bands(curve):
        colour = _band_colour(name, level)
        axes.fill_between(taus, lower, lower + share, color=colour, lw=0, zorder=2)
        lower = lower + share
        axes.plot(taus, lower, color="white", lw=0.5, zorder=3)
    for name in CLASSES[:-1]:
        parts = [share for band, _, share in bands(curve) if band in CLASSES[: CLASSES.index(name) + 1]]
        axes.plot(taus, np.sum(parts, axis=0) if parts else np.zeros(len(taus)), color=_INK, lw=0.8, zorder=4)
    axes.set_xlim(taus[0], taus[-1])
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel("threshold τ on held-out r")
    axes.set_title("features by class and level", loc="left", pad=6)
    if tau is not None and taus[0] <= tau <= taus[-1]:
        axes.axvline(tau, color=_INK, lw=0.8, ls=(0, (3, 2)), zorder=5)
        axes.annotate(
            f"τ = {tau:g}", (tau, 1.0), xytext=(0, 2.5), textcoords="offset points", ha="center", va="bottom"
        )


def _band_colour(name: str, level: str) -> str:
    return tint(CLASS_COLOURS[name], 0.55 if name == "specific" else LEVEL_INK[level])


def _class_legend(figure: Figure) -> None:
    """A small table of swatches under the stack: one row per class, one column per level."""
    figure_width, figure_height = figure.get_size_inches()
    axes = figure.add_axes((0.07, 0.0, 0.47, 0.135))
    axes.set_axis_off()
    axes.set_xlim(0, 0.47 * figure_width)
    axes.set_ylim(0, 0.135 * figure_height)
    handles: list[Patch] = []
    for x, name in ((0.0, "universal"), (1.16, "shared"), (2.32, "specific")):
        axes.text(x, 0.27, name, va="center", fontweight="bold")
        levels: Sequence[str] = ("",) if name == "specific" else LEVELS
        for i, level in enumerate(levels):
            axes.add_patch(
                mpl.patches.Rectangle(
                    (x + 0.21 * i, 0.06), 0.19, 0.11, fc=_band_colour(name, level), ec=_MUTED, lw=0.3
                )
            )
    del handles


def _heatmap(figure: Figure, axes: Axes, bar: Axes, matrix: pd.DataFrame) -> None:
    models = list(dict.fromkeys(matrix["model_a"]))
    values = (
        matrix.pivot(index="model_a", columns="model_b", values="r").reindex(models)[models].to_numpy(float)
    )
    counts = (
        matrix.pivot(index="model_a", columns="model_b", values="n").reindex(models)[models].to_numpy(int)
    )
    scale, ramp = Normalize(0, 1), mpl.colormaps["cividis"]
    mesh = axes.pcolormesh(np.ma.masked_invalid(values), cmap=ramp, norm=scale, edgecolors="white", lw=1.2)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    ticks = np.arange(len(models)) + 0.5
    axes.set_xticks(ticks, models)
    axes.set_yticks(ticks, models)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title("median r of every two models", loc="left", pad=6)
    if len(models) <= 8:
        for i, j in np.ndindex(values.shape):
            _cell(axes, i, j, values[i, j], counts[i, j], ramp(scale(values[i, j])))
    colour_bar = figure.colorbar(mesh, cax=bar)
    colour_bar.outline.set_visible(False)  # type: ignore[operator]
    bar.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    bar.tick_params(length=2)


def _cell(axes: Axes, i: int, j: int, value: float, n: int, colour: tuple[float, ...]) -> None:
    if np.isnan(value):
        axes.text(j + 0.5, i + 0.5, "–", ha="center", va="center", color=_MUTED)
        return
    luminance = float(np.dot(colour[:3], (0.2126, 0.7152, 0.0722)))
    ink = "white" if luminance < 0.45 else _INK
    axes.text(
        j + 0.5, i + 0.45, f"{value:.2f}", ha="center", va="center", color=ink, fontweight="bold", fontsize=8
    )
    below = "ceiling" if i == j else f"n = {n:,}"
    axes.text(j + 0.5, i + 0.72, below, ha="center", va="center", color=ink, fontsize=5.5)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure
