"""Case studies: a few contexts of a cluster or a pair, with every model's activations drawn on the text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from pipelines.report.figures.canvas import INK, MUTED, STYLE, WIDTHS, axes_at, new_figure, no_word_on_weights
from pipelines.report.figures.glyphs import drawable
from pipelines.report.figures.parts import key_words
from results.colours import OKABE_ITO
from results.token_strip import MAX_ALPHA, MIN_ALPHA
from results.token_text import runs_right_to_left

#: Size of the text, and inches of its line; of a bar below it; of the gap between contexts.
SIZE, LINE, BAR, GAP = 6.5, 0.135, 0.026, 0.075
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
            own = _blocks(case, _ruler(), WIDTHS[columns] - 0.1)[1]
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
        Text is text (in a PDF it can be searched); a character that no font of this machine has stands as its number.
        Contexts that run right to left do so here.
    """
    width = WIDTHS[columns]
    inner = width - 0.1
    with mpl.rc_context(STYLE), no_word_on_weights():
        ruler = _ruler()
        blocks = [_blocks(case, ruler, inner) for case in cases]
        whole = sum(height for _, height in blocks)
        figure, top = new_figure(width, whole + 0.06), whole + 0.03
        for case, (block, height) in zip(cases, blocks, strict=True):
            axes = axes_at(figure, 0.05, top - height, inner, height)
            axes.set_axis_off()
            axes.set_xlim(0, inner)
            axes.set_ylim(-height, 0)
            _draw_case(axes, case, block, ruler)
            top -= height
    return figure


class _Word(NamedTuple):
    index: int
    text: str
    families: tuple[str, ...]
    left: float
    width: float
    lead: float


@cache
def _ruler() -> _Ruler:
    """One for all figures, so that a text is measured once."""
    return _Ruler()


class _Ruler:
    """Measures text, in inches, as it will be drawn."""

    def __init__(self) -> None:
        self._figure = new_figure(1, 1)
        self._figure.set_dpi(1000)  # extents are whole pixels
        self._widths: dict[tuple[object, ...], float] = {}
        self._renderer = self._figure.canvas.get_renderer()  # type: ignore[attr-defined]

    def width(self, text: str, families: tuple[str, ...] = (), size: float = SIZE, weight: str = "normal") -> float:
        """Advance of a text; spaces at its ends count."""
        if (key := (text, families, size, weight)) in self._widths:
            return self._widths[key]
        # A space at the end has no ink, and would be lost.
        around = [Text(0, 0, t, fontsize=size, fontweight=weight, figure=self._figure) for t in (f"|{text}|", "||")]
        for artist in around:
            if families:
                artist.set_fontfamily(list(families))
        whole, empty = (artist.get_window_extent(self._renderer).width for artist in around)
        self._widths[key] = (whole - empty) / self._figure.dpi
        return self._widths[key]


def _laid(context: Context, ruler: _Ruler, width: float) -> list[list[_Word]]:
    """Words by line, the peak inside; a line holds at least one."""
    room = width - (ruler.width(context.note) + 0.15 if context.note else 0)
    drawn = [_fitting(*drawable(_on_a_base(token)), ruler, room) for token in context.tokens]
    widths = [ruler.width(text, families) for text, families in drawn]
    lines: list[list[_Word]] = []
    for index in _fitting_tokens(widths, context.peak, MAX_LINES * room * 0.94):
        text, families = drawn[index]
        start = lines[-1][-1].left + lines[-1][-1].width if lines else 0.0
        # The note stands in the first line only.
        if not lines or start + widths[index] > (room if len(lines) == 1 else width):
            lines.append([])
            start = 0.0
        lead = ruler.width(" " * (len(text) - len(text.lstrip(" "))))
        lines[-1].append(_Word(index, text, families, start, widths[index], lead))
    if runs_right_to_left(context.tokens):
        right = [room, *[width] * len(lines)]
        return [
            [word._replace(left=right[number] - word.left - word.width) for word in line]
            for number, line in enumerate(lines)
        ]
    return lines


def _fitting(text: str, families: tuple[str, ...], ruler: _Ruler, room: float) -> tuple[str, tuple[str, ...]]:
    """A token that is longer than a line, cut."""
    width = ruler.width(text, families)
    while width > room and len(text) > 2:
        text = f"{text[: min(len(text) - 2, int(0.95 * len(text) * room / width))]}…"
        width = ruler.width(text, families)
    return text, families


def _on_a_base(token: str) -> str:
    """A token that begins with a mark on a letter, with a circle in place of the letter; alone it has no width."""
    return f"\u25cc{token}" if token and unicodedata.category(token[0]) in ("Mn", "Me") else token


def _fitting_tokens(widths: Sequence[float], peak: int, room: float) -> Iterable[int]:
    """Tokens around the peak that fit, taken in turn from either side."""
    first = last = peak
    used = widths[peak]
    while first > 0 or last < len(widths) - 1:
        before = first > 0 and (peak - first <= 2 * (last - peak) or last == len(widths) - 1)
        following = first - 1 if before else last + 1
        if used + widths[following] > room:
            break
        used += widths[following]
        first, last = min(first, following), max(last, following)
    return range(first, last + 1)


def _blocks(case: CaseStudy, ruler: _Ruler, width: float) -> tuple[list[list[list[_Word]]], float]:
    """Words by context and line, and the height of the whole case in inches."""
    block = [_laid(context, ruler, width) for context in case.contexts]
    line = LINE + BAR * len(case.sides)
    return block, _head(case, ruler, width) + sum(len(lines) * line + GAP for lines in block)


def _head(case: CaseStudy, ruler: _Ruler, width: float) -> float:
    """Height of title, remark and key; the remark gets a line of its own where the title leaves it no room."""
    return 0.34 if _remark_at(case, ruler) + ruler.width(case.remark) <= width else 0.47


def _remark_at(case: CaseStudy, ruler: _Ruler) -> float:
    return ruler.width(case.title, size=8, weight="bold") + 0.1


def _draw_case(axes: Axes, case: CaseStudy, block: list[list[list[_Word]]], ruler: _Ruler) -> None:
    axes.text(0, -0.09, case.title, va="center", fontsize=8, fontweight="bold")
    head = _head(case, ruler, axes.get_xlim()[1])
    at = (_remark_at(case, ruler), -0.09) if head < 0.4 else (0, -0.22)
    axes.text(*at, case.remark, va="center", fontsize=SIZE, color=MUTED)
    for (name, colour), left in zip(case.sides, _places(case, ruler), strict=True):
        axes.add_patch(Rectangle((left, 0.085 - head), 0.09, 0.05, color=colour, lw=0))
        key_words(axes, left + 0.12, 0.11 - head, name, fontsize=6)
    y, boxes = -head, _Boxes()
    line_height = LINE + BAR * len(case.sides)
    for context, lines in zip(case.contexts, block, strict=True):
        if context.note:
            right, middle = axes.get_xlim()[1], y - LINE / 2
            axes.text(right, middle, context.note, ha="right", va="center_baseline", fontsize=6, color=MUTED)
        for line in lines:
            for word in line:
                _draw_word(axes, boxes, word, context, case, y)
            y -= line_height
        y -= GAP
    boxes.draw(axes)


def _places(case: CaseStudy, ruler: _Ruler) -> Iterator[float]:
    """Where each name of the key stands."""
    left = 0.0
    for name, _ in case.sides:
        yield left
        left += 0.26 + ruler.width(name, size=6)


def _draw_word(axes: Axes, boxes: _Boxes, word: _Word, context: Context, case: CaseStudy, y: float) -> None:
    shares = context.shares[:, word.index]
    mean = float(shares.mean())
    if mean > 0:
        ink = MIN_ALPHA + (MAX_ALPHA - MIN_ALPHA) * mean
        boxes.add(word.left, y - LINE, word.width, LINE, OKABE_ITO["sky"], ink)
    for number, (share, (_, colour)) in enumerate(zip(shares, case.sides, strict=True)):
        if share > 0:
            under = y - LINE - BAR * (number + 0.85)
            boxes.add(word.left, under, word.width, BAR * 0.7, colour, 0.15 + 0.85 * float(share))
    if word.index == context.peak:
        place = (word.left, y - LINE)
        axes.add_patch(Rectangle(place, word.width, LINE, fill=False, ec=INK, lw=0.5, zorder=4))
    text = word.text.strip(" ")
    if text:
        axes.text(
            word.left + word.lead, y - 0.1, text, ha="left", va="baseline", fontsize=SIZE, zorder=3,
            fontfamily=list(word.families),
        )  # fmt: skip


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
