"""Text in lines, with the place of every token: text is drawn by direction, and tokens are marked over it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from pipelines.report.figures.direction import Run, levels_of, visual_runs
from pipelines.report.figures.glyphs import BASE, drawable, families_of
from results.token_text import Piece, pieces_of, runs_right_to_left

#: Points of the text.
SIZE = 6.5


class Stretch(NamedTuple):
    """Text of one direction on a line.

    Attributes:
        text: in the order of reading.
        families: of fonts that have its characters.
        left: inches from the left end of the line.
        right: whether it runs from right to left.
    """

    text: str
    families: tuple[str, ...]
    left: float
    right: bool


class Mark(NamedTuple):
    """Where a token, or its part of a letter, is seen.

    Attributes:
        token: its place among the tokens.
        left: inches from the left end of the line.
        width: inches.
    """

    token: int
    left: float
    width: float


class Line(NamedTuple):
    """A line of text.

    Attributes:
        stretches: from left to right.
        marks: of the tokens; one that runs in both directions has several.
    """

    stretches: list[Stretch]
    marks: list[Mark]


def width_of(text: str, families: tuple[str, ...] = (BASE,), size: float = SIZE, weight: str = "normal") -> float:
    """Advance of a text in inches, as it will be drawn; spaces at its ends count."""
    # A space at the end has no ink, and would be lost.
    return _extent(f"|{text}|", families, size, weight) - _extent("||", families, size, weight)


@cache
def _extent(text: str, families: tuple[str, ...], size: float, weight: str) -> float:
    font = FontProperties(family=list(families), size=size, weight=weight)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


def lines_of(tokens: Sequence[str], peak: int, first_width: float, width: float, most: int) -> list[Line]:
    """Tokens around the peak, in as many lines as may be.

    Args:
        tokens: texts as :func:`results.token_text.token_strings` makes them.
        peak: a token that is shown whatever its place.
        first_width: inches of the first line.
        width: inches of the others.
        most: lines; what does not fit is cut at the end that is further from the peak.
    """
    shown = [drawable(token) for token in tokens]
    families = families_of("".join(shown))
    pieces = [_fitting(piece, families, first_width) for piece in pieces_of(shown)]
    widths = [width_of(piece.text, families) for piece in pieces]
    at = next((i for i, piece in enumerate(pieces) if peak in piece.tokens), 0)
    filled = most * first_width
    while True:
        first, last = _around(widths, at, filled)
        broken = _broken(pieces[first:last], widths[first:last], first_width, width)
        if len(broken) <= most or last - first < 2:
            break
        filled *= 0.95  # lines end at words, so they are not full
    right = runs_right_to_left(tokens)
    levels = levels_of("".join(piece.text for piece in pieces[first:last]), right=right)
    lines, start = [], 0
    for own in broken:
        stop = start + sum(len(piece.text) for piece in own)
        lines.append(_line(own, levels[start:stop], families, width if lines else first_width, right=right))
        start = stop
    return lines


def _fitting(piece: Piece, families: tuple[str, ...], room: float) -> Piece:
    """A piece that is longer than a line, cut."""
    text = piece.text
    while (width := width_of(text, families)) > room and len(text) > 2:
        text = f"{text[: min(len(text) - 2, int(0.95 * len(text) * room / width))]}…"
    return Piece(text, piece.tokens)


def _around(widths: Sequence[float], peak: int, room: float) -> tuple[int, int]:
    """First piece around the peak that fits, and the one after the last; taken in turn from either side."""
    first, last = peak, min(peak + 1, len(widths))
    used = sum(widths[first:last])
    while first > 0 or last < len(widths):
        before = first > 0 and (peak - first <= 2 * (last - 1 - peak) or last == len(widths))
        used += widths[first - 1 if before else last]
        if used > room:
            break
        first, last = (first - 1, last) if before else (first, last + 1)
    return first, last


def _broken(pieces: Sequence[Piece], widths: Sequence[float], first: float, room: float) -> list[list[Piece]]:
    """Pieces by line: it ends at a space, or where a script has none between words, unless it were half empty then."""
    lines: list[list[Piece]] = []
    start = 0
    for stop in range(1, len(pieces) + 1):
        while stop - start > 1 and sum(widths[start:stop]) > (room if lines else first):
            half = (room if lines else first) / 2
            ends = [i for i in range(start + 1, stop) if _may_end(pieces[i - 1].text[-1], pieces[i].text[0])]
            ends = [i for i in ends if sum(widths[start:i]) > half]
            end = ends[-1] if ends else stop - 1
            lines.append(list(pieces[start:end]))
            start = end
    return [*lines, list(pieces[start:])] if pieces else []


def _may_end(before: str, after: str) -> bool:
    return " " in (before, after) or unicodedata.east_asian_width(after) == "W"


def _line(
    pieces: Sequence[Piece], levels: Sequence[int], families: tuple[str, ...], width: float, *, right: bool
) -> Line:
    """Stretches and marks of a line, which ends at ``width`` where the text runs from right to left."""
    text = "".join(piece.text for piece in pieces)
    runs = visual_runs(text, levels, right=right)
    widths = [width_of(text[run.start : run.stop], families) for run in runs]
    left = width - sum(widths) if right else 0.0
    stretches: list[Stretch] = []
    marks: list[Mark] = []
    for run, wide in zip(runs, widths, strict=True):
        stretches.append(Stretch(text[run.start : run.stop], families, left, run.right))
        start = 0
        for piece in pieces:
            ends = max(start, run.start), min(start + len(piece.text), run.stop)
            if ends[0] < ends[1]:
                edges = [_edge(text, run, place, families) for place in ends]
                at = left + (wide - edges[1] if run.right else edges[0])
                share = (edges[1] - edges[0]) / len(piece.tokens)
                for number, token in enumerate(piece.tokens):
                    before = len(piece.tokens) - 1 - number if run.right else number
                    _add(marks, Mark(token, at + before * share, share))
            start += len(piece.text)
        left += wide
    return Line(stretches, marks)


def _add(marks: list[Mark], mark: Mark) -> None:
    """One mark where a token has a letter of its own and a part of the next."""
    last = marks[-1] if marks else Mark(-1, 0.0, 0.0)
    touch = min(abs(last.left + last.width - mark.left), abs(mark.left + mark.width - last.left)) < 1e-9
    if last.token == mark.token and touch:
        marks[-1] = Mark(mark.token, min(last.left, mark.left), last.width + mark.width)
    else:
        marks.append(mark)


def _edge(text: str, run: Run, place: int, families: tuple[str, ...]) -> float:
    """How far a place in a run is from where it begins, with letters in the form that they have there."""
    joined = run.start < place < run.stop and _is_cursive(text[place - 1]) and _is_cursive(text[place])
    return width_of(text[run.start : place] + ("\u200d" if joined else ""), families)


def _is_cursive(character: str) -> bool:
    """Whether letters may join: of scripts from right to left, and Mongolian."""
    return unicodedata.bidirectional(character) in ("R", "AL", "NSM") or "\u1800" <= character <= "\u18af"
