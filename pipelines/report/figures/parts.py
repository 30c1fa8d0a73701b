"""What several figures share: ticks, headings, notes, keys, and the order of colours, shapes and dashes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from pipelines.report.figures.canvas import DASHES, FAINT, INK, MUTED
from results.colours import CLASS_COLOURS, LEVEL_INK, OKABE_ITO, tint

#: Dashes, so that lines are told apart without colour.
LINES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
_COLOURS = tuple(OKABE_ITO[name] for name in ("blue", "vermillion", "green", "purple", "orange", "sky", "black"))
#: Darkness without hue: the order of values survives a grey printer.
BLUES = LinearSegmentedColormap.from_list("ink", ["#FFFFFF", tint(OKABE_ITO["blue"], 0.5), "#00436B"])
_MARKERS = ("o", "s", "D", "^", "v", "P", "X")


class SeriesStyle(NamedTuple):
    """How one of several series is drawn, each in three ways that no other has."""

    colour: str
    marker: str
    line: Any


def series_style(number: int) -> SeriesStyle:
    """The style of the series of that position; beyond seven, styles repeat and labels must tell them apart."""
    return SeriesStyle(_COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)], LINES[number % len(LINES)])


def class_colour(name: str, level: str) -> str:
    """The colour of a class, with the more ink the finer the level."""
    return tint(CLASS_COLOURS[name], LEVEL_INK[level])


def heading(axes: Axes, words: str) -> None:
    """What a part of a figure shows, above its left end."""
    axes.set_title(words, loc="left", pad=5, fontweight="bold")


def message(axes: Axes, words: str, height: float = 0.5, **style: Any) -> None:
    """Words in the middle of axes that have nothing to draw."""
    style |= {"ha": "center", "va": "center", "color": MUTED}
    axes.text(0.5, height, words, transform=axes.transAxes, **style)


def note(figure: Figure, left: float, bottom: float, words: str, **style: Any) -> None:
    """Words at a place given in inches from the lower left corner."""
    figure.text(left / figure.get_figwidth(), bottom / figure.get_figheight(), words, **style)


def grid(axes: Axes, which: Any = "both") -> None:
    """Faint lines behind the data."""
    axes.grid(axis=which, color=FAINT, lw=0.5)
    axes.set_axisbelow(True)


def as_rows(axes: Axes) -> None:
    """Axes whose vertical one lists things, and has no line and no ticks."""
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def unit_ticks(axis: Axis) -> None:
    """Quarters from 0 to 1."""
    axis.set_ticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "0.25", "0.5", "0.75", "1"])


def percent_ticks(axes: Axes) -> None:
    """Quarters of a share on the vertical axis."""
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])


def round_ticks(top: float, n: int, **how: Any) -> list[float]:
    """Round numbers from 0 to at most ``top``, about ``n``."""
    return [tick for tick in MaxNLocator(n, **how).tick_values(0, top) if 0 <= tick <= top]


def tau_axis(axes: Axes, low: float, high: float) -> None:
    """The threshold from ``low`` to ``high`` on the horizontal axis, marked at every tenth."""
    axes.set_xlim(low, max(high, low + 1e-9))
    axes.set_xticks([tick for tick in np.arange(11) / 10 if low - 1e-9 <= tick <= high + 1e-9])
    axes.set_xlabel("threshold τ on held-out r", labelpad=2)


def rate_axis(axes: Axes, lowest: float) -> None:
    """Firing rates from ``lowest`` to 1 on a logarithmic horizontal axis."""
    axes.set_xscale("log")
    axes.set_xlim(lowest, 1)
    # Powers in words: the report's style parses no formulas.
    n_decades = int(np.floor(-np.log10(lowest) + 1e-9))
    decades = 10.0 ** -np.arange(0, n_decades + 1, 1 + n_decades // 6)
    axes.set_xticks(decades, [f"{100 * rate:g}%" for rate in decades])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("firing rate (share of tokens)", labelpad=2)


def key_rows(axes: Axes, n_rows: int, margin: float = 0.6, width: float = 1.0) -> None:
    """Turn axes into a key of rows 0, 1, … from top to bottom; across they go from 0 to ``width``."""
    axes.set_axis_off()
    axes.set(xticks=[], yticks=[])
    axes.set_xlim(0, width)
    axes.set_ylim(n_rows - 1 + margin, -margin)


def key_words(axes: Axes, left: float, row: float, words: str, **style: Any) -> None:
    """The words of one row of a key, beside its mark."""
    style = {"fontsize": 6.5, **style}
    axes.text(left, row, words, va="center_baseline", **style)


def dash_key(axes: Axes, words: str) -> None:
    """A key to the dashed line at the right end of the title row, where it can meet no title."""
    text = axes.annotate(
        words, (1, 1), xycoords="axes fraction", xytext=(0, 5.5), textcoords="offset points", ha="right"
    )
    axes.annotate(
        "", (0, 0.5), xycoords=text, xytext=(-19, 0), textcoords="offset points",
        arrowprops={"arrowstyle": "-", "ls": DASHES, "lw": 0.8, "color": INK, "shrinkA": 0, "shrinkB": 3},
    )  # fmt: skip


def shortened(name: str, n_characters: int) -> str:
    """A name of at most so many characters, the last of them an ellipsis where it is cut."""
    return name if len(name) <= n_characters else f"{name[: n_characters - 1]}…"


def name_width(names: Sequence[str], inches: float, usual: int) -> float:
    """Room for the longest name at ``inches`` per character; for ``usual`` characters where there is none."""
    return inches * max((len(name) for name in names), default=usual)
