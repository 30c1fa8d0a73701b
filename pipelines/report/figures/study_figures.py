"""What came of a study: what each factor takes away, what is left at which level, and curves over sizes."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from pipelines.report.figures.canvas import FAINT, INK, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import (
    as_rows,
    grid,
    heading,
    key_rows,
    key_words,
    message,
    name_width,
    round_ticks,
    series_style,
    shortened,
)
from results.colours import KIND_COLOURS, LEVEL_COLOURS, OKABE_ITO
from results.study_frames import FACTOR, ITSELF, OBSERVED, axis_words
from results.words import LEVELS, called
from universality.studies.design import UNTRAINED

_ROW, _BOTTOM, _TOP = 0.23, 0.36, 0.26
_BARS = {ITSELF: FAINT, FACTOR: OKABE_ITO["vermillion"], OBSERVED: OKABE_ITO["blue"]}
_BARS |= {UNTRAINED: KIND_COLOURS["untrained"]}
#: Characters of a label, at most.
_LABEL = 36


@styled
def study_figure(bars: pd.DataFrame, levels: pd.DataFrame, *, columns: int = 2) -> Figure:
    """What each factor takes away of the share of latents with a partner, and the share that is left by level.

    Args:
        bars: as :func:`results.study_frames.waterfall` makes it.
        levels: as :func:`results.study_frames.level_rows` makes it, of one point.
        columns: of the page; in two the parts stand side by side, in one below each other.

    Returns:
        Left or above bars that hang from each other, with 95 % intervals; right or below bars stacked by level.
    """
    total = WIDTHS[columns]
    relations = list(dict.fromkeys(levels["label"]))
    labels = [[shortened(name, _LABEL) for name in part] for part in (bars["label"], relations)]
    names = [0.1 + name_width(part, 0.056, 10) for part in labels]
    heights = [max(len(part), 3) * _ROW for part in labels]
    key = 0.43 if columns == 2 else 0.56
    if columns == 2:
        width = (total - sum(names) - 0.25) / 2
        figure = new_figure(total, key + _BOTTOM + max(heights) + _TOP)
        top = key + _BOTTOM + max(heights)
        boxes = [(names[0], top - heights[0], width, heights[0])]
        boxes += [(names[0] + width + 0.15 + names[1], top - heights[1], width, heights[1])]
    else:
        part = _BOTTOM + _TOP
        figure = new_figure(total, key + 2 * part + sum(heights))
        boxes = [(names[0], key + part + heights[1] + _BOTTOM, total - names[0] - 0.15, heights[0])]
        boxes += [(names[1], key + _BOTTOM, total - names[1] - 0.15, heights[1])]
    _waterfall(axes_at(figure, *boxes[0]), bars)
    _levels(axes_at(figure, *boxes[1]), levels, relations)
    _level_key(axes_at(figure, 0.1, 0.02, total - 0.2, key - 0.06), columns)
    return figure


def _waterfall(axes: Axes, bars: pd.DataFrame) -> None:
    heading(axes, "what each factor takes away")
    axes.set_ylim(max(len(bars), 1) - 0.5, -0.5)
    as_rows(axes)
    axes.set_yticks(range(len(bars)), [shortened(label, _LABEL) for label in bars["label"]])
    if bars.empty:
        message(axes, "nothing can be estimated")
    for y, row in enumerate(bars.to_dict("records")):
        left, right = min(row["start"], row["end"]), max(row["start"], row["end"])
        axes.barh(y, right - left, left=left, height=0.62, color=_BARS[row["kind"]], lw=0, zorder=2)
        if row["kind"] == FACTOR:
            axes.vlines(row["start"], y - 1, y + 0.31, color=MUTED, lw=0.5, zorder=1)
        if pd.notna(row["low"]):
            # The interval is of what is taken away, which hangs from where the bar begins.
            ends = [row["start"] - row[name] if row["kind"] == FACTOR else row[name] for name in ("low", "high")]
            axes.hlines(y, min(ends), max(ends), color=INK, lw=0.9, zorder=3)
        words = f"−{row['value']:.2f}" if row["kind"] == FACTOR and row["value"] >= 0 else f"{abs(row['value']):.2f}"
        reach = right if row["kind"] == FACTOR or pd.isna(row["high"]) else max(right, row["high"])
        axes.text(min(1.06, reach + 0.03), y, words, va="center_baseline", fontsize=6.5)
    low = float(bars[["start", "end"]].min().min()) if len(bars) else 0.0
    axes.set_xlim(min(low - 0.02, 0.0), 1.22)
    axes.axvline(0, color=MUTED, lw=0.6)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel("latents with a partner", labelpad=2)


def _levels(axes: Axes, levels: pd.DataFrame, relations: list[str]) -> None:
    heading(axes, "shared, by level")
    axes.set_ylim(max(len(relations), 1) - 0.5, -0.5)
    as_rows(axes)
    axes.set_yticks(range(len(relations)), [shortened(label, _LABEL) for label in relations])
    for y, label in enumerate(relations):
        left = 0.0
        for row in levels[levels["label"] == label].to_dict("records"):
            colour = LEVEL_COLOURS[row["level"]]
            axes.barh(y, row["value"], left=left, height=0.62, color=colour, ec="white", lw=0.3, zorder=2)
            left += row["value"]
    grid(axes, "x")
    top = max(1.06 * float(levels.groupby("label")["value"].sum().max()) if len(levels) else 1.0, 0.02)
    axes.set_xlim(0, top)
    ticks = round_ticks(top, 5)
    axes.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks])
    axes.set_xlabel("latents with a partner, %", labelpad=2)


def _level_key(axes: Axes, columns: int) -> None:
    per_row = 4 if columns == 2 else 3
    key_rows(axes, -(-len(LEVELS) // per_row), width=per_row)
    for number, level in enumerate(LEVELS):
        row, place = divmod(number, per_row)
        axes.barh(row, 0.1, left=place, height=0.7, color=LEVEL_COLOURS[level], lw=0)
        key_words(axes, place + 0.16, row, called(level))


@styled
def curve_figure(curves: dict[str, pd.DataFrame], *, columns: int = 1) -> Figure:
    """Agreement over what varies: a line for each relation, its interval as a band, untrained models as the floor.

    Args:
        curves: by what is drawn ("all levels", …), as :func:`results.study_frames.curve_rows` makes it.
        columns: of the page; parts stand side by side in two, below each other in one.
    """
    series = list(dict.fromkeys(name for part in curves.values() for name in part["series"]))
    n, total, height = len(curves), WIDTHS[columns], 1.7
    key = 0.15 * len(series) + 0.08
    across = n if columns == 2 else 1
    width = (total - 0.1 - 0.6 * across) / across
    part = _BOTTOM + height + _TOP
    figure = new_figure(total, key + part * (n // across))
    for place, (words, rows) in enumerate(curves.items()):
        column, row = place % across, place // across
        bottom = key + part * (n // across - 1 - row) + _BOTTOM
        _curve(axes_at(figure, 0.52 + column * (width + 0.6), bottom, width, height), rows, words, series)
    _series_key(axes_at(figure, 0.45, 0.04, total - 0.6, key - 0.06), series)
    return figure


def _series_key(axes: Axes, series: list[str]) -> None:
    key_rows(axes, len(series))
    for number, name in enumerate(series):
        colour, marker, line = series_style(number)
        axes.plot([0.01, 0.08], [number, number], color=colour, ls=line, marker=marker, ms=3, lw=1.1)
        key_words(axes, 0.11, number, name)


def _curve(
    axes: Axes, rows: pd.DataFrame, words: str, series: list[str], measured: str = "share with a partner"
) -> None:
    heading(axes, words)
    grid(axes)
    for name, line in rows.sort_values("x").groupby("series", sort=False):
        colour, marker, dashes = series_style(series.index(str(name)))
        axes.fill_between(line["x"], line["low"], line["high"], color=colour, alpha=0.15, lw=0)
        axes.plot(line["x"], line["value"], color=colour, ls=dashes, marker=marker, ms=3, lw=1.1)
    values = sorted(rows["x"].unique())
    if values and values[0] == 0 and len(values) > 1:  # linear up to the first place after the start
        axes.set_xscale("symlog", linthresh=values[1], linscale=0.6)
    elif values and values[-1] >= 4 * max(values[0], 1e-300):
        axes.set_xscale("log")
    axes.set_xticks(values, [_compact(value) for value in values])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    top = max(float(rows["high"].max()) * 1.05, 0.02) if len(rows) else 1.0
    axes.set_ylim(0, top)
    axes.set_yticks(round_ticks(top, 5))
    axes.set_xlabel(axis_words(str(rows["factor"].iloc[0])) if len(rows) else "", labelpad=2)
    axes.set_ylabel(measured)


def _compact(value: float) -> str:
    """A number as ticks have room for it: thousands and millions by letter where many digits would be noughts."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= 10 * size or (value >= size == 1e6):
            return f"{value / size:g}{letter}"
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


@styled
def training_figure(levels: pd.DataFrame, curve: pd.DataFrame, *, columns: int = 2) -> Figure:
    """What two models share over training, by level, and how far it goes beyond tokens.

    Args:
        levels: as :func:`results.study_frames.training_rows` makes it.
        curve: as :func:`results.study_frames.curve_rows` makes it of ``r_joint``.
        columns: of the page; the parts stand side by side in two, below each other in one.
    """
    series, total, height = list(dict.fromkeys(curve["series"])), WIDTHS[columns], 1.7
    across = 2 if columns == 2 else 1
    width, part = (total - 0.1 - 0.6 * across) / across, _BOTTOM + height + _TOP
    keys = [0.56, 0.15 * len(series) + 0.08]
    figure = new_figure(total, part + max(keys) if across == 2 else 2 * part + sum(keys))
    up = [max(keys), max(keys)] if across == 2 else [keys[0] + part + keys[1], keys[1]]
    left = [0.52, 0.52 + (width + 0.6) * (across - 1)]
    _stacked(axes_at(figure, left[0], up[0] + _BOTTOM, width, height), levels)
    beyond = "mean r beyond tokens"
    _curve(axes_at(figure, left[1], up[1] + _BOTTOM, width, height), curve, beyond, series, beyond)
    _level_key(axes_at(figure, 0.1, up[0] - keys[0] + 0.02, width + 0.42, keys[0] - 0.06), 1)
    _series_key(axes_at(figure, left[1] - 0.07, up[1] - keys[1] + 0.04, width + 0.07, keys[1] - 0.06), series)
    return figure


def _stacked(axes: Axes, levels: pd.DataFrame) -> None:
    heading(axes, "two models, by level")
    places = sorted(levels["x"].unique())
    for position, x in enumerate(places):
        bottom = 0.0
        for row in levels[levels["x"] == x].to_dict("records"):
            colour = LEVEL_COLOURS[row["level"]]
            axes.bar(position, row["value"], 0.7, bottom=bottom, color=colour, ec="white", lw=0.3, zorder=2)
            bottom += row["value"]
    grid(axes, "y")
    axes.set_xticks(range(len(places)), [_compact(x) for x in places])
    axes.tick_params(axis="x", length=0)
    top = max(1.06 * float(levels.groupby("x")["value"].sum().max()) if len(levels) else 1.0, 0.02)
    axes.set_ylim(0, top)
    axes.set_yticks(round_ticks(top, 5))
    axes.set_xlabel("training tokens", labelpad=2)
    axes.set_ylabel("share with a partner")
