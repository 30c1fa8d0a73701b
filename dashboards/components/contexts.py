"""Contexts with activations drawn on them: each text once, with every side's channel on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboards.components.markup import context_rows, escape, legend, remark, swatch
from dashboards.components.panels import nothing
from results import words
from results.colours import SIDE_COLOURS
from results.evaluation_text import EvaluationText
from results.firing import Firing, distinct, rows_of_choice
from results.token_text import Channel, token_strip

#: Contexts shown at first, and after a click on *More*.
LIMIT = 8
MORE = 30
#: Rows looked through for contexts that differ; a latent that fires everywhere needs no more.
LOOK = 2_000


@dataclass(frozen=True)
class Side:
    """One latent whose activations are drawn.

    Attributes:
        letter: ``a`` or ``b``: which colour, and background or underline.
        name: as written everywhere, for example ``m0:12``.
        model: model id.
        latent: latent number.
        firing: where it fires.
        tint: a colour of its own instead of its letter's: that of its model, where more than two are compared.
    """

    letter: str
    name: str
    model: str
    latent: int
    firing: Firing
    tint: str | None = None

    @property
    def colour(self) -> str:
        """The colour of this side on every part of the screen."""
        return self.tint or SIDE_COLOURS[self.letter]


CHOICES: dict[str, tuple[str, str]] = {
    "top_a": ("Top of A", "The contexts in which A is strongest."),
    "top_b": ("Top of B", "The contexts in which B is strongest."),
    "both": (
        "Both fire",
        "Both fire on the framed token; ordered by the weaker side's share of its maximum.",
    ),
    "a_only": ("A only", "A fires on the framed token and B is silent there: where the two disagree."),
    "b_only": ("B only", "B fires on the framed token and A is silent there: where the two disagree."),
    "quantiles": ("Quantiles", "Contexts from every tenth of the activation range, strongest tenth first."),
    "random": (
        "Random",
        "Drawn at random from all rows where the feature fires: what it usually looks like.",
    ),
}


def rows_to_show(
    choice: str,
    text: EvaluationText,
    sides: Sequence[Side],
    stored: dict[str, pd.DataFrame],
    limit: int = LIMIT,
) -> list[tuple[int, str]]:
    """Rows of a choice with a note on each.

    Args:
        choice: a key of :data:`CHOICES`.
        text: the evaluation text.
        sides: one or two sides.
        stored: table ``contexts`` of each side by its letter, for quantiles and random rows.
        limit: most rows of the other choices.

    Returns:
        Evaluation row and note ("tenth 9 of 10", or nothing), best first; but for stored rows, no two with one context.
    """
    if choice in ("quantiles", "random"):
        kind = "quantile" if choice == "quantiles" else "random"
        picked: dict[int, str] = {}
        for side in sides:
            rows = stored[side.letter]
            rows = rows[rows["kind"] == kind].sort_values(["group", "rank"], ascending=[False, True])
            for row, group in zip(rows["row"], rows["group"], strict=True):
                picked.setdefault(int(row), f"tenth {int(group) + 1} of 10" if kind == "quantile" else "")
        return list(picked.items())
    rows = rows_of_choice(choice, sides[0].firing, sides[-1].firing)[:LOOK]
    texts = distinct(rows, lambda r: text.contexts[text.row_context[r]].tobytes(), 4 * limit)
    return [(row, "") for row in distinct(texts, lambda r: "".join(text.window(r).tokens).encode(), limit)]


def show_contexts(
    text: EvaluationText, picked: Sequence[tuple[int, str]], sides: Sequence[Side], *, stacked: bool
) -> None:
    """Draw contexts in one piece of HTML.

    Args:
        text: the evaluation text.
        picked: rows with notes.
        sides: one or two sides; the first is the background, the second the underline.
        stacked: draw each side on a line of its own instead.
    """
    if not picked:
        nothing(
            "No such row.", "The two features agree here, or one of them never fires on the evaluation text."
        )
        return
    st.html(context_rows([_context(text, row, note, sides, stacked=stacked) for row, note in picked]))


def _context(
    text: EvaluationText, row: int, note: str, sides: Sequence[Side], *, stacked: bool
) -> tuple[str, str]:
    window = text.window(row)
    channels = [
        Channel(side.name, side.firing.at(window.rows).tolist(), side.firing.maximum or None, side.colour)
        for side in sides
    ]
    lines = [[channel] for channel in channels] if stacked else [channels]
    strips = "".join(f"<div>{token_strip(window.tokens, line, peak=window.peak)}</div>" for line in lines)
    return _meta(text, row, note, sides), strips


def _meta(text: EvaluationText, row: int, note: str, sides: Sequence[Side]) -> str:
    values = "".join(
        f'<div title="{escape(side.name)}"><i class="uv-dot" style="background-color:{side.colour}"></i>'
        f"<b>{words.number(float(side.firing.at([row])[0]))}</b></div>"
        for side in sides
    )
    place = " · ".join(part for part in (text.domain(row), note) if part)
    return f'<div class="uv-pairing">{values}</div><div><span>{escape(place)}</span></div>'


def sides_legend(sides: Sequence[Side], *, stacked: bool) -> str:
    """What background and underline stand for."""
    kinds = ["", ""] if stacked or len(sides) == 1 else [" (background)", " (underline)"]
    return legend(
        [
            swatch(
                side.colour,
                side.name + kind,
                underline="under" in kind,
                ink=0.6 if "under" not in kind else 1,
            )
            for side, kind in zip(sides, kinds, strict=False)
        ]
        + [
            remark(
                "framed: the token that the values belong to · colour: share of the maximum · hover: raw values"
            )
        ]
    )
