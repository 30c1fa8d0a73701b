"""Contexts as figures: every token as text on the page, in any script, whatever a machine's fonts are."""

from __future__ import annotations

import io
import logging
import re
import unicodedata
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from scripts import MIXED, SCRIPTS, cut
from synthetic_text import HOSTILE, WORDS

from pipelines.report.figures import glyphs
from pipelines.report.figures.canvas import STYLE, WIDTHS, to_file, to_pages
from pipelines.report.figures.case_figures import LINE, CaseStudy, Context, cases_figure, cases_frame, line_figure
from pipelines.report.figures.glyphs import BASE, drawable, families_of
from pipelines.report.figures.text_lines import Line, lines_of
from results.token_text import token_strings


def _case(tokens: list[str], peak: int = 0, n_sides: int = 2) -> CaseStudy:
    shares = np.random.default_rng(0).random((n_sides, len(tokens)))
    sides = [(f"m{i}:{i}", "#0072B2") for i in range(n_sides)]
    return CaseStudy("cluster 1", "universal, context", sides, [Context(tokens, shares, peak, "a domain")])


def _words(case: CaseStudy, columns: int) -> list[str]:
    figure = cases_figure([case], columns=columns)
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    figure.draw_without_rendering()
    found = []
    for text in figure.findobj(Text):
        box = text.get_window_extent(canvas.get_renderer())  # type: ignore[attr-defined]
        if text.get_text().strip():  # type: ignore[attr-defined]
            found.append(text.get_text())  # type: ignore[attr-defined]
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.x1 + 1
            assert box.y0 >= -1
            assert box.y1 <= figure.bbox.y1 + 1
    return found


@pytest.mark.parametrize("columns", list(WIDTHS))
@pytest.mark.parametrize("script", sorted(WORDS))
def test_any_script_stays_on_the_page(script: str, columns: int) -> None:
    tokens = token_strings([f" {word}".encode() for word in WORDS[script]] * 3)
    shown = "".join(_words(_case(tokens, peak=len(tokens) // 2), columns))
    assert drawable(tokens[len(tokens) // 2]).strip() in shown


@pytest.mark.parametrize("columns", list(WIDTHS))
def test_hostile_tokens_are_text(columns: int) -> None:
    for token in token_strings([t for t in HOSTILE if t]):
        shown = "".join(_words(_case(["before", token, "after"], peak=1), columns)[2:]).replace(" ", "")
        text = drawable(token).replace(" ", "")
        if any(unicodedata.bidirectional(character) in ("R", "AL") for character in text):
            assert set(text) <= set(shown)  # parts stand in another order
        else:
            assert text in shown or "…" in shown


def _marked(tokens: list[str], width: float = 50.0, peak: int = 0, most: int = 1) -> list[Line]:
    with mpl.rc_context(STYLE):
        return lines_of(tokens, peak, width, width, most)


@pytest.mark.parametrize("text", [*SCRIPTS.values(), *MIXED])
def test_every_token_is_marked_and_marks_fill_the_line(text: str) -> None:
    tokens = token_strings(cut(text, [2, 3]))
    (line,) = _marked(tokens)
    places = sorted((mark.left, mark.left + mark.width) for mark in line.marks)
    assert sorted({mark.token for mark in line.marks}) == list(range(len(tokens)))
    assert all(abs(right - left) < 1e-6 for (_, right), (left, _) in pairwise(places))
    assert "".join(sorted("".join(stretch.text for stretch in line.stretches))) == "".join(sorted(drawable(text)))


def test_stretches_of_one_direction_stand_in_the_order_of_the_bidirectional_algorithm() -> None:
    (line,) = _marked(["The quick", " brown ", "قال ثم", " fox"])
    assert [(s.text, s.right) for s in line.stretches] == [
        ("The quick brown ", False), ("قال ثم", True), (" fox", False)
    ]  # fmt: skip
    (line,) = _marked(["שלום", " (abc", ")", " 12%", " ש"])
    assert [s.text for s in line.stretches] == [" ש", "12%", ") ", "abc", "שלום ("]
    assert [s.right for s in line.stretches] == [True, False, True, False, True]
    assert max(mark.left + mark.width for mark in line.marks) == pytest.approx(50)


def test_lines_end_between_words_and_hold_the_peak() -> None:
    words = [f" word{i}" for i in range(60)]
    tokens = [part for word in words for part in (word[:3], word[3:])]
    for peak in (0, 61, 119):
        lines = _marked(tokens, width=2.0, peak=peak, most=2)
        assert len(lines) == 2
        assert peak in {mark.token for line in lines for mark in line.marks}
        assert lines[1].stretches[0].text.startswith(" word")
        assert all(mark.left + mark.width <= 2.0 + 1e-6 for line in lines for mark in line.marks)
    assert _marked([""], peak=0) == []


def test_the_peak_is_kept_where_a_context_is_long() -> None:
    tokens = [f" {i:03d}" for i in range(400)]
    for peak in (0, 200, 399):
        shown = " ".join(_words(_case(tokens, peak), 1))
        numbers = [int(word) for word in shown.split() if len(word) == 3 and word.isdigit()]
        assert peak in numbers
        assert len(numbers) < 100
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert _words(_case([], 0)._replace(contexts=[]), 1)[0] == "cluster 1"


def test_a_character_without_a_font_stands_as_its_number() -> None:
    assert drawable("a\U000e0fff日").startswith("a⟨U+E0FFF⟩")
    assert families_of("a日")[0] == BASE
    assert drawable("plain") == "plain"
    assert families_of("plain") == (BASE,)


def test_lines_are_not_broken_at_a_word_that_would_leave_them_empty() -> None:
    tokens = ["a ", *["ab"] * 200]
    lines = _marked(tokens, width=2.0, peak=20, most=2)
    assert len(lines[0].stretches[0].text) > 20


def test_fonts_that_matplotlib_has_not_listed_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = glyphs._stand_ins()
    if not usual:
        pytest.skip("no font but matplotlib's own is installed")
    listed = [entry for entry in font_manager.fontManager.ttflist if entry.fname != usual[0][1]]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", listed)
    glyphs._stand_ins.cache_clear()
    assert usual[0] in glyphs._stand_ins()


def test_a_line_of_a_table_is_one_line_with_its_token_framed() -> None:
    context = _case([f" {SCRIPTS['arabic']}"] * 9, 4).contexts[0]
    figure = line_figure(context, 3.0)
    assert tuple(figure.get_size_inches()) == (3.0, LINE)
    frames = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle) and not patch.get_fill()]
    assert frames
    assert any(text.get_text().strip() for text in figure.axes[0].texts)
    pages = to_pages([line_figure(context, 3.0), line_figure(context, 3.0)])
    assert pages == to_pages([line_figure(context, 3.0), line_figure(context, 3.0)])
    assert len(re.findall(rb"/Type /Page\b", pages)) == 2


def test_marks_come_from_the_font_of_their_letters() -> None:
    """Fonts of other Indic scripts have Tamil's mark on consonants too."""
    assert len(families_of(drawable(SCRIPTS["tamil"]))) <= 2
    assert len(families_of(drawable(SCRIPTS["devanagari"] + SCRIPTS["thai"]))) <= 3


def test_drawing_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    tokens = [word for words in WORDS.values() for word in words][:40]
    with caplog.at_level(logging.WARNING):
        figure = cases_figure([_case(tokens, n_sides=3)])
        first = to_file(figure, "pdf")
    assert caplog.records == []
    assert first == to_file(cases_figure([_case(tokens, n_sides=3)]), "pdf")
    assert first[:5] == b"%PDF-"
    assert io.BytesIO(to_file(figure, "png")).read(4) == b"\x89PNG"
    assert mpl.rcParams["font.size"] == mpl.rcParamsDefault["font.size"]


def test_the_frame_has_a_row_per_token_and_feature() -> None:
    frame = cases_frame([_case(["a", "b"], peak=1)])
    assert len(frame) == 4
    assert frame["peak"].tolist() == [False, False, True, True]
    assert frame["feature"].tolist() == ["m0:0", "m1:1"] * 2
