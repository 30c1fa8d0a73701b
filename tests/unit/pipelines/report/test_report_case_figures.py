"""Contexts as figures: every token as text on the page, in any script, whatever a machine's fonts are."""

from __future__ import annotations

import io
import logging

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from synthetic_text import HOSTILE, WORDS

from pipelines.report.figures.canvas import WIDTHS, to_file
from pipelines.report.figures.case_figures import CaseStudy, Context, cases_figure, cases_frame
from pipelines.report.figures.glyphs import BASE, drawable
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
    shown = _words(_case(tokens, peak=len(tokens) // 2), columns)
    assert drawable(tokens[len(tokens) // 2])[0].strip() in shown


@pytest.mark.parametrize("columns", list(WIDTHS))
def test_hostile_tokens_are_text(columns: int) -> None:
    for token in token_strings([t for t in HOSTILE if t]):
        shown = [word.strip(" ") for word in _words(_case(["before", token, "after"], peak=1), columns)]
        text = drawable(token)[0].strip(" ")
        whole = text in shown or f"\u25cc{text}" in shown
        assert whole or not text or any(text.startswith(w[:-1]) for w in shown if w.endswith("…"))


def test_the_peak_is_kept_where_a_context_is_long() -> None:
    tokens = [f"{i:03d}" for i in range(400)]
    for peak in (0, 200, 399):
        shown = _words(_case(tokens, peak), 1)
        assert f"{peak:03d}" in shown
        numbers = sorted(int(word) for word in shown if word in tokens)
        assert len(numbers) < 100
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert _words(_case([], 0)._replace(contexts=[]), 1)[0] == "cluster 1"


def test_a_character_without_a_font_stands_as_its_number() -> None:
    text, families = drawable("a\U000e0fff日")
    assert text.startswith("a⟨U+E0FFF⟩")
    assert families[0] == BASE
    assert drawable("plain") == ("plain", (BASE,))


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
