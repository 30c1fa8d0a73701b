"""The maps of two models side by side, with lines between features that were matched."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import INK, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import key_rows, key_words
from results.colours import CLASS_COLOURS
from results.words import CLASSES

#: Lines drawn, at most, by columns; of more pairs every n-th in the order of r, so that all strengths are shown alike.
MAX_LINES = {1: 80, 2: 160}
_MARKERS = {"universal": "o", "shared": "s", "specific": "^"}


@styled
def map_figure(points: pd.DataFrame, links: pd.DataFrame, *, columns: int = 2) -> Figure:
    """The features of two models on their common map, pulled apart, with lines between matched ones.

    Args:
        points: as :func:`results.figure_frames.map_points` makes it.
        links: as :func:`results.figure_frames.map_links` makes it.
        columns: of the page that it spans.

    Returns:
        Both models have the same axes: a level line joins features that stand at the same place of the map. Shapes
        tell the classes apart without colour; axes have no units.
    """
    models = list(dict.fromkeys(points["model"].astype(str)))
    width = WIDTHS[columns]
    height = 0.43 * (width - 0.2)
    figure = new_figure(width, height + 0.55)
    axes = axes_at(figure, 0.1, 0.3, width - 0.2, height)
    axes.set_axis_off()
    axes.set_xlim(0, 2.3)
    axes.set_ylim(-0.02, 1.02)
    place = _unit_square(points)
    shift = {model: 1.3 * number for number, model in enumerate(models)}
    _lines(axes, links.loc[links["drawn"]], points)
    for model in models:
        own = points["model"] == model
        _dots(axes, place[own] + [shift[model], 0], points.loc[own, "class"], small=len(points) > 3000)
        words = f"{model}, {int(own.sum()):,} features"
        axes.annotate(
            words, (0.5 + shift[model], 1), xytext=(0, 5), textcoords="offset points", ha="center", va="bottom",
            fontweight="bold",
        )  # fmt: skip
    _key(axes_at(figure, 0.1, 0.02, width - 0.2, 0.24), points, links, narrow=columns == 1)
    return figure


def _unit_square(points: pd.DataFrame) -> np.ndarray:
    """Places (n, 2) in [0, 1], the same scale for both models."""
    where = points[["x", "y"]].to_numpy(float)
    if not len(where):
        return where
    low, high = where.min(axis=0), where.max(axis=0)
    return (where - low) / np.maximum(high - low, 1e-12)


def _lines(axes: Axes, drawn: pd.DataFrame, points: pd.DataFrame) -> None:
    if drawn.empty:
        return
    low = points[["x", "y"]].min().to_numpy(float)
    span = np.maximum(points[["x", "y"]].max().to_numpy(float) - low, 1e-12)
    ends = [(drawn[[f"x_{side}", f"y_{side}"]].to_numpy(float) - low) / span for side in "ab"]
    segments = np.stack([ends[0], ends[1] + [1.3, 0]], axis=1)
    axes.add_collection(LineCollection(list(segments), colors=INK, linewidths=0.35, alpha=0.35, zorder=1))


def _dots(axes: Axes, place: np.ndarray, classes: pd.Series, *, small: bool) -> None:
    for name in reversed(CLASSES):
        of_class = place[(classes == name).to_numpy()]
        axes.plot(
            *of_class.T, _MARKERS[name], ms=1.1 if small else 2.2, mfc=CLASS_COLOURS[name], mec="white",
            mew=0 if small else 0.25, ls="none", zorder=2, rasterized=len(of_class) > 20_000,
        )  # fmt: skip


def _key(axes: Axes, points: pd.DataFrame, links: pd.DataFrame, *, narrow: bool) -> None:
    key_rows(axes, 2)
    size, n_drawn = 5.5 if narrow else 6.5, int(links["drawn"].sum())
    for number, name in enumerate(CLASSES):
        n = int((points["class"] == name).sum())
        axes.plot(0.01 + number * 0.3, 0, _MARKERS[name], ms=3, color=CLASS_COLOURS[name])
        key_words(axes, 0.03 + number * 0.3, 0, f"{name} ({n:,})", fontsize=size)
    axes.plot([0, 0.02], [1.1, 1.1], color=INK, lw=0.5)
    words = "matched pairs" if n_drawn == len(links) else f"of {len(links):,} matched pairs"
    key_words(axes, 0.03, 1.1, f"{n_drawn:,} {words}", fontsize=size, color=MUTED)
