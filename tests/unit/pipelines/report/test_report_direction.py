"""Order of text of several directions, against the library that matplotlib draws with."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.ft2font import LoadFlags
from scripts import MIXED

from pipelines.report.figures.direction import Run, levels_of, visual_runs
from results.token_text import pieces_of

FONT = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
#: Characters of every class without joined letters, of which a font may draw two as one.
LETTERS = "abאבג0123٠١+-/,.:#%$ \u00a0!?&*()[]{}<>«»⟨⟩〈〉\u2329\u232a=’"


def drawn_order(text: str, *, right: bool) -> str:
    """Characters from left to right, as libraqm draws them in a paragraph of that direction."""
    opened = "\u2067" if right else "\u2066"  # an isolate is a paragraph of its own
    items = FONT._layout(f"{opened}{text}\u2069", LoadFlags.NO_HINTING)
    return "".join(item.char for item in items if item.char not in "\u2066\u2067\u2069")


def order(text: str, *, right: bool) -> str:
    runs = visual_runs(text, levels_of(text, right=right), right=right)
    return "".join(text[r.start : r.stop][::-1] if r.right else text[r.start : r.stop] for r in runs)


@given(st.text(alphabet=LETTERS, max_size=14), st.booleans())
@example("a(א", True)
@example("א (a1] b) [ב]", False)
def test_order_is_that_of_the_library(text: str, right: bool) -> None:
    body = text.strip()  # blanks at the end of a line are blanks inside an isolate
    assert order(body, right=right) == drawn_order(body, right=right)


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("text", [t for t in MIXED if len(pieces_of(list(t))) == len(t)])
def test_mixed_lines_have_the_order_of_the_library(text: str, right: bool) -> None:
    assert order(text, right=right) == drawn_order(text, right=right)


def test_blanks_stand_at_the_end_of_a_line() -> None:
    text = "אב ab  "
    assert visual_runs(text, levels_of(text, right=True), right=True) == [
        Run(5, 7, True), Run(3, 5, False), Run(0, 3, True)
    ]  # fmt: skip
    assert [run.start for run in visual_runs("ab א ", levels_of("ab א ", right=False), right=False)] == [0, 3, 4]
    assert visual_runs("", [], right=False) == []
