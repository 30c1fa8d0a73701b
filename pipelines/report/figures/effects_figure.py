"""Do matched features do the same? Partners beside each other, pairs one by one, and partners in each other's place."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import DASHES, FAINT, INK, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import LINES, as_rows, grid, heading, message, name_width, unit_ticks
from results.colours import EFFECT_CLASS_COLOURS, EFFECT_COLOURS
from results.words import EFFECT_PARTNERS

_ROW, _BOTTOM, _TOP = 0.24, 0.4, 0.26
#: Height of a part beside which nothing stands.
_HEIGHT = 1.75
_MARKERS = {"same_effect": "o", "other_effect": "x", "undecided": "."}
_CLASSES = {"same_effect": "same", "undecided": "undecided", "other_effect": "something else"}


@styled
def effects_figure(
    rows: pd.DataFrame, pairs: pd.DataFrame, curve: pd.DataFrame, tau: float | None, *, columns: int = 2
) -> Figure:
    """Correlations of ablation fingerprints by kind of partner; of every matched pair; substitution curves.

    Args:
        rows, pairs, curve: as :mod:`results.effect_frames` makes them.
        tau: threshold on held-out r; half of it decides whether effects agree.
        columns: of the page; in two the three parts stand side by side, in one below each other.

    Returns:
        A figure of three parts; one without numbers says so.
    """
    total = WIDTHS[columns]
    names = 0.1 + name_width([EFFECT_PARTNERS[kind] for kind in rows["kind"]], 0.056, usual=10)
    height = max(len(rows) * _ROW, _HEIGHT)
    if columns == 2:
        width = (total - names - 0.12 - 2 * 0.58) / 3
        figure = new_figure(total, _BOTTOM + height + _TOP)
        boxes = [(names + place * (width + 0.58), _BOTTOM, width, height) for place in range(3)]
    else:
        part = _BOTTOM + height + _TOP
        figure = new_figure(total, 3 * part)
        boxes = [(names, 2 * part + _BOTTOM, total - names - 0.15, height)]
        boxes += [(0.5, place * part + _BOTTOM, total - 0.65, height) for place in (1, 0)]
    axes = [axes_at(figure, *box) for box in boxes]
    _partners(axes[0], rows)
    _quadrants(axes[1], pairs, tau)
    _curves(axes[2], curve)
    return figure


def _partners(axes: Axes, rows: pd.DataFrame) -> None:
    heading(axes, "whose effects agree")
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    as_rows(axes)
    axes.set_yticks(range(len(rows)), [EFFECT_PARTNERS[kind] for kind in rows["kind"]])
    if rows.empty:
        message(axes, "not measured")
    axes.axvline(0, color=MUTED, lw=0.6)
    for y, row in enumerate(rows.to_dict("records")):
        colour = EFFECT_COLOURS[row["kind"]]
        axes.hlines(y, -1, 1, color=FAINT, lw=0.5, zorder=0)
        axes.hlines(y, row["r_effect_low"], row["r_effect_high"], color=colour, lw=2.2, alpha=0.5, zorder=3)
        axes.plot(row["r_effect"], y, "o", ms=4.4, mfc=colour, mec=colour, zorder=4)
        axes.plot(row["r_effect_both"], y, "D", ms=3.4, mfc="white", mec=colour, mew=0.9, zorder=4)
    ends = rows[["r_effect_low", "r_effect_both", "r_effect_high"]]
    low, high = (float(ends.min().min()), float(ends.max().max())) if len(rows) else (0.0, 1.0)
    axes.set_xlim(min(low, 0.0) - 0.05, max(high, 0.3) + 0.08)
    axes.set_xlabel("mean r of effects", labelpad=2)


def _quadrants(axes: Axes, pairs: pd.DataFrame, tau: float | None) -> None:
    heading(axes, "when and what")
    grid(axes)
    if pairs.empty:
        message(axes, "no matched features")
    for name, words in _CLASSES.items():
        part = pairs[pairs["effect_class"] == name]
        share = f" {100 * len(part) / len(pairs):.0f} %" if len(pairs) else ""
        axes.plot(
            part["r_held_out"], part["r_effect_both"], _MARKERS[name], ms=2.6, mew=0.7, alpha=0.75, rasterized=False,
            color=EFFECT_CLASS_COLOURS[name], label=f"{words}{share}", ls="none",
        )  # fmt: skip
    if tau is not None:
        axes.axhline(tau / 2, color=INK, lw=0.8, ls=DASHES)
        axes.set_xlim(min(tau, float(pairs["r_held_out"].min()) if len(pairs) else tau) - 0.02, 1.0)
    # Room for the key below the lowest pair.
    axes.set_ylim(min(-0.2, float(pairs["r_effect_both"].min()) if len(pairs) else 0.0) - 0.45, 1.0)
    axes.set_xlabel("r of activations", labelpad=2)
    axes.set_ylabel("r of effects, both firing", labelpad=1)
    if len(pairs):
        axes.legend(loc="lower right", fontsize=6, handletextpad=0.2, borderpad=0.3, framealpha=0.85, edgecolor=FAINT)


def _curves(axes: Axes, curve: pd.DataFrame) -> None:
    heading(axes, "partner in place")
    grid(axes)
    if curve.empty:
        message(axes, "not measured")
    for number, (kind, part) in enumerate(curve.groupby("kind", sort=False)):
        axes.plot(
            part["share"], part["recovered"], color=EFFECT_COLOURS[str(kind)], ls=LINES[number % len(LINES)], lw=1.2,
            label=EFFECT_PARTNERS[str(kind)],
        )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(min(0.0, float(curve["recovered"].min()) if len(curve) else 0.0), 1.02)
    unit_ticks(axes.xaxis)
    axes.set_xlabel("share of features replaced", labelpad=2)
    axes.set_ylabel("loss of ablation recovered", labelpad=1)
    if len(curve):
        axes.legend(loc="lower left", fontsize=6, handlelength=1.6, borderpad=0.3, framealpha=0.85, edgecolor=FAINT)
