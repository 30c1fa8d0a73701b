"""Case studies: a few contexts of a cluster or a pair, with every model's activations drawn on the text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipelines.report.figures.canvas import INK, MUTED, STYLE, WIDTHS, axes_at, new_figure, no_word_on_weights
from pipelines.report.figures.parts import key_words
from pipelines.report.figures.text_lines import SIZE, Line, Mark, Stretch, lines_of, width_of
from pipelines.report.latex import BASE_LINE
from results.colours import OKABE_ITO
from results.token_strip import MAX_ALPHA, MIN_ALPHA

#: Inches of a line of text, of a bar below it, and of the gap between contexts.
LINE, BAR, GAP = 0.135, 0.026, 0.075
#: Lines of text per context, at most: what does not fit is cut at the end that is further from the peak.
MAX_LINES = 2
#: Inches of a figure that leave room for its caption.
PAGE_HEIGHT = 8.2


class Context(NamedTuple):
    """A stretch of text with activations.

    Attributes:
        tokens: texts as :func:`results.token_text.token_strings` makes them.
        shares: (n_sides, n_tokens) activation of each side over its maximum anywhere, 0..1.
        peak: the token in a frame.
        note: a word at the end of the line, for example the domain.
    """

    tokens: Sequence[str]
    shares: np.ndarray
    peak: int
    note: str


class CaseStudy(NamedTuple):
    """One cluster or pair.

    Attributes:
        title: what it is.
        remark: its numbers.
        sides: names of the features, for example ``m0:28``, each with its colour.
        contexts: in the order to draw.
    """

    title: str
    remark: str
    sides: Sequence[tuple[str, str]]
    contexts: Sequence[Context]


def cases_frame(cases: Sequence[CaseStudy]) -> pd.DataFrame:
    """The text and numbers behind a figure of cases.

    Returns:
        case, remark, context, note, place, token_text, peak (bool), feature, share; a row per token and feature.
    """
    columns = ["case", "remark", "context", "note", "place", "token_text", "peak", "feature", "share"]
    rows = [
        (*head, place, token, place == context.peak, name, float(share))
        for case in cases
        for number, context in enumerate(case.contexts)
        for head in [(case.title, case.remark, number, context.note)]
        for place, token in enumerate(context.tokens)
        for (name, _), share in zip(case.sides, context.shares[:, place], strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


def pages_of(cases: Sequence[CaseStudy], columns: int, height: float = PAGE_HEIGHT) -> list[list[CaseStudy]]:
    """Cases by page, in their order; a page holds at least one."""
    pages: list[list[CaseStudy]] = []
    used = 0.0
    with mpl.rc_context(STYLE), no_word_on_weights():
        for case in cases:
            own = _blocks(case, WIDTHS[columns] - 0.1)[1]
            if not pages or used + own > height:
                pages.append([])
                used = 0.0
            pages[-1].append(case)
            used += own
    return pages


def cases_figure(cases: Sequence[CaseStudy], *, columns: int = 2) -> Figure:
    """Contexts as text, the mean of all sides as background and a bar per side below each token.

    Args:
        cases: what to draw, from top to bottom.
        columns: of the page that it spans.

    Returns:
        Text is text (in a PDF it can be searched, but for letters of several glyphs), laid out as a whole, as a browser
        does; tokens are marked over it. A character that no font of this machine has stands as its number.
    """
    width = WIDTHS[columns]
    inner = width - 0.1
    with mpl.rc_context(STYLE), no_word_on_weights():
        blocks = [_blocks(case, inner) for case in cases]
        whole = sum(height for _, height in blocks)
        figure, top = new_figure(width, whole + 0.06), whole + 0.03
        for case, (block, height) in zip(cases, blocks, strict=True):
            axes = axes_at(figure, 0.05, top - height, inner, height)
            axes.set_axis_off()
            axes.set_xlim(0, inner)
            axes.set_ylim(-height, 0)
            _draw_case(axes, case, block)
            top -= height
    return figure


def line_figure(context: Context, width: float) -> Figure:
    """One line of a context around its peak, as a figure of cases draws it, without bars: for a cell of a table.

    Args:
        context: what to draw.
        width: inches; what does not fit is cut.

    Returns:
        Its height is :data:`LINE`, and its base line stands :data:`BASE_LINE` above the lower end.
    """
    with mpl.rc_context(STYLE), no_word_on_weights():
        figure = new_figure(width, LINE)
        axes = axes_at(figure, 0, 0, width, LINE)
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(-LINE, 0)
        boxes = _Boxes()
        for line in lines_of(context.tokens, context.peak, width - 0.02, width - 0.02, 1):
            for mark in line.marks:
                _draw_mark(axes, boxes, mark, context, 0.0)
            for stretch in line.stretches:
                _draw_text(axes, stretch, 0.0)
        boxes.draw(axes)
    return figure


def _blocks(case: CaseStudy, width: float) -> tuple[list[list[Line]], float]:
    """Lines by context, and the height of the whole case in inches."""
    block = []
    for context in case.contexts:
        # The note stands in the first line only.
        room = width - (width_of(context.note) + 0.15 if context.note else 0)
        block.append(lines_of(context.tokens, context.peak, room, width, MAX_LINES))
    line = LINE + BAR * len(case.sides)
    return block, _head(case, width) + sum(len(lines) * line + GAP for lines in block)


def _head(case: CaseStudy, width: float) -> float:
    """Height of title, remark and key; the remark gets a line of its own where the title leaves it no room."""
    return 0.34 if _remark_at(case) + width_of(case.remark) <= width else 0.47


def _remark_at(case: CaseStudy) -> float:
    return width_of(case.title, size=8, weight="bold") + 0.1


def _draw_case(axes: Axes, case: CaseStudy, block: list[list[Line]]) -> None:
    axes.text(0, -0.09, case.title, va="center", fontsize=8, fontweight="bold")
    head = _head(case, axes.get_xlim()[1])
    at = (_remark_at(case), -0.09) if head < 0.4 else (0, -0.22)
    axes.text(*at, case.remark, va="center", fontsize=SIZE, color=MUTED)
    for (name, colour), left in zip(case.sides, _places(case), strict=True):
        axes.add_patch(Rectangle((left, 0.085 - head), 0.09, 0.05, color=colour, lw=0))
        key_words(axes, left + 0.12, 0.11 - head, name, fontsize=6)
    y, boxes = -head, _Boxes()
    line_height = LINE + BAR * len(case.sides)
    for context, lines in zip(case.contexts, block, strict=True):
        if context.note:
            right, middle = axes.get_xlim()[1], y - LINE / 2
            axes.text(right, middle, context.note, ha="right", va="center_baseline", fontsize=6, color=MUTED)
        for line in lines:
            for mark in line.marks:
                _draw_mark(axes, boxes, mark, context, y, [colour for _, colour in case.sides])
            for stretch in line.stretches:
                _draw_text(axes, stretch, y)
            y -= line_height
        y -= GAP
    boxes.draw(axes)


def _places(case: CaseStudy) -> Iterator[float]:
    """Where each name of the key stands."""
    left = 0.0
    for name, _ in case.sides:
        yield left
        left += 0.26 + width_of(name, size=6)


def _draw_mark(axes: Axes, boxes: _Boxes, mark: Mark, context: Context, y: float, colours: Sequence[str] = ()) -> None:
    """A token's background, its frame if it is the peak, and a bar below for each side that has a colour."""
    shares = context.shares[:, mark.token]
    mean = float(shares.mean())
    if mean > 0:
        ink = MIN_ALPHA + (MAX_ALPHA - MIN_ALPHA) * mean
        boxes.add(mark.left, y - LINE, mark.width, LINE, OKABE_ITO["sky"], ink)
    for number, colour in enumerate(colours):
        if (share := shares[number]) > 0:
            under = y - LINE - BAR * (number + 0.85)
            boxes.add(mark.left, under, mark.width, BAR * 0.7, colour, 0.15 + 0.85 * float(share))
    if mark.token == context.peak:
        place = (mark.left, y - LINE)
        axes.add_patch(Rectangle(place, mark.width, LINE, fill=False, ec=INK, lw=0.5, zorder=4))


def _draw_text(axes: Axes, stretch: Stretch, y: float) -> None:
    """A stretch as one text, so that its letters join; the library turns it to the direction of its first letter."""
    text = stretch.text.strip(" ")
    if not text:
        return
    blanks = stretch.text.split(text)[stretch.right]
    if stretch.right and not any(unicodedata.bidirectional(character) in ("R", "AL") for character in text):
        text = f"\u200f{text}"
    left = stretch.left + width_of(blanks)
    axes.text(
        left, y + BASE_LINE - LINE, text, va="baseline", fontsize=SIZE, zorder=3, fontfamily=list(stretch.families)
    )


class _Boxes:
    """Filled rectangles, drawn as one: thousands of patches would take seconds."""

    def __init__(self) -> None:
        self._corners: list[np.ndarray] = []
        self._colours: list[tuple[float, float, float, float]] = []

    def add(self, left: float, bottom: float, width: float, height: float, colour: str, alpha: float) -> None:
        right, top = left + width, bottom + height
        self._corners.append(np.array([(left, bottom), (left, top), (right, top), (right, bottom)]))
        self._colours.append(to_rgba(colour, alpha))

    def draw(self, axes: Axes) -> None:
        axes.add_collection(PolyCollection(self._corners, facecolors=self._colours, edgecolors="none", zorder=1))
