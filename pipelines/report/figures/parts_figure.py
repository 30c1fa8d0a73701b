"""What the agreement is made of: the summed r of edges by what makes it, trained beside untrained beside one model."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipelines.report.figures.canvas import INK, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import as_rows, key_rows, key_words, message
from results.colours import PART_COLOURS
from results.words import KINDS, PARTS


@styled
def parts_figure(parts: pd.DataFrame, *, columns: int = 1) -> Figure:
    """One bar per kind of pair, from what the domain makes to what none of these makes.

    Args:
        parts: as :func:`results.figure_frames.agreement_parts` makes it.
        columns: of the page that it spans.

    Returns:
        Shares that are negative (something taken off that pulled the other way) are drawn as nothing; their number
        stands in the file beside the figure.
    """
    kinds = list(dict.fromkeys(parts["kind"]))
    row, bottom, key = 0.3, 0.36, 0.15 * ((len(PARTS) + 1) // 2) + 0.06
    height, width = max(len(kinds), 1) * row, WIDTHS[columns]
    figure = new_figure(width, bottom + height + 0.08 + key)
    axes = axes_at(figure, 0.85, bottom, width - 1.05, height)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    as_rows(axes)
    if not kinds:
        message(axes, "no edges")
    axes.set_yticks(range(len(kinds)), [_name(parts, kind) for kind in kinds])
    for place, kind in enumerate(kinds):
        _bar(axes, parts[parts["kind"] == kind], place)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel("share of the summed held-out r of edges", labelpad=2)
    _key(axes_at(figure, 0.2, bottom + height + 0.06, width - 0.3, key))
    return figure


def _name(parts: pd.DataFrame, kind: str) -> str:
    n = int(parts.loc[parts["kind"] == kind, "n_edges"].iloc[0])
    return f"{KINDS[kind]}\n{n:,} edges"


def _bar(axes: Axes, parts: pd.DataFrame, place: int) -> None:
    left = 0.0
    for part, share in parts[["part", "share"]].itertuples(index=False):
        width = max(float(share), 0.0)
        axes.barh(place, width, 0.62, left, color=PART_COLOURS[part], ec="white", lw=0.5)
        if width >= 0.07:
            light = part in ("domain", "document", "token_x_domain")
            words = f"{100 * width:.0f}"
            axes.text(left + width / 2, place, words, ha="center", va="center", color=INK if light else "white")
        left += width


def _key(axes: Axes) -> None:
    n_rows = (len(PARTS) + 1) // 2
    key_rows(axes, n_rows, 0.6)
    for number, (part, words) in enumerate(PARTS.items()):
        column, row = divmod(number, n_rows)
        axes.add_patch(Rectangle((0.5 * column, row - 0.25), 0.03, 0.5, fc=PART_COLOURS[part], ec=MUTED, lw=0.3))
        key_words(axes, 0.5 * column + 0.045, row, words)
