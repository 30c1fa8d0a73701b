"""What came of a sweep of dictionaries: the frontier of sparsity against unexplained variance."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from pipelines.report.figures.canvas import MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import grid, key_rows, key_words, series_style

#: Where an axis may be marked in every factor of ten: on wide axes, and on those of less than one such factor.
WIDE, NARROW = (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)


@styled
def frontier_figure(points: pd.DataFrame, sweeps: pd.DataFrame, *, columns: int = 1) -> Figure:
    """Unexplained variance over active latents per token, a line per architecture and size; nothing beats filled marks.

    Args:
        points: as :func:`results.figure_frames.sweep_points` makes it.
        sweeps: the table ``sweeps`` of one sweep, whose seeds are drawn as dots.
        columns: of the page that it spans.

    Returns:
        Both axes logarithmic; shapes tell the lines apart without colour.
    """
    shown = points.dropna(subset=["l0", "fvu"])
    shown = shown[(shown["l0"] > 0) & (shown["fvu"] > 0)]
    seeds = sweeps[(sweeps["status"] == "ok") & (sweeps["l0"] > 0) & (sweeps["fvu"] > 0)]
    series = list(dict.fromkeys(shown["series"]))
    key, height = 0.15 * (len(series) + 1) + 0.05, 1.9
    width = WIDTHS[columns]
    figure = new_figure(width, 0.42 + height + key)
    axes = axes_at(figure, 0.64, 0.36, width - 0.84, height)
    for number, name in enumerate(series):
        colour, marker, _ = series_style(number)
        line = shown[shown["series"] == name].sort_values("l0")
        axes.plot(line["l0"], line["fvu"], color=colour, lw=0.8, zorder=2)
        dots = seeds[seeds["point"].isin(line["point"])]
        axes.plot(dots["l0"], dots["fvu"], ls="none", marker=".", ms=2, color=colour, alpha=0.6, zorder=2)
        _marks(axes, line, colour, marker)
    if len(shown):
        _log_axis(axes, "x", np.append(shown["l0"], seeds["l0"]))
        _log_axis(axes, "y", np.append(shown["fvu"], seeds["fvu"]))
    axes.set_xlabel("active latents per token (L0)", labelpad=2)
    axes.set_ylabel("variance unexplained (FVU)")
    grid(axes)
    _key(axes_at(figure, 0.64, 0.38 + height, width - 0.84, key), series)
    return figure


def _marks(axes: Axes, points: pd.DataFrame, colour: str, marker: str) -> None:
    for best, group in points.groupby("frontier"):
        face = colour if best else "white"
        axes.plot(
            group["l0"], group["fvu"], ls="none", marker=marker, ms=4.5, mfc=face, mec=colour, mew=0.9, zorder=3,
        )  # fmt: skip


def _log_axis(axes: Axes, which: str, values: np.ndarray) -> None:
    """A logarithmic axis around the values with ticks in plain numbers, at most six."""
    low, high = float(values.min()) / 1.15, float(values.max()) * 1.15
    marks = WIDE if high >= 10 * low else NARROW
    ticks = np.array([mark * 10.0**power for power in range(-6, 7) for mark in marks])
    ticks = ticks[(low <= ticks) & (high >= ticks)]
    ticks = ticks[:: 1 + (len(ticks) - 1) // 6] if len(ticks) else np.array([np.sqrt(low * high)])
    axis = getattr(axes, f"{which}axis")
    getattr(axes, f"set_{which}scale")("log")
    getattr(axes, f"set_{which}lim")(low, high)
    axis.set_ticks(ticks, [f"{tick:.2g}" if tick < 100 else f"{tick:.0f}" for tick in ticks])
    axis.set_minor_formatter(NullFormatter())


def _key(axes: Axes, series: list[str]) -> None:
    key_rows(axes, len(series) + 1)
    for i, name in enumerate(series):
        colour, marker, _ = series_style(i)
        axes.plot([0, 0.08], [i, i], color=colour, lw=0.8)
        axes.plot([0.04], [i], marker=marker, ms=4.5, mfc="white", mec=colour, mew=0.9)
        key_words(axes, 0.11, i, name)
    key_words(axes, 0.0, len(series), "filled: no other is sparser and explains more", color=MUTED)
