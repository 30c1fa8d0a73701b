"""Marked text beside the plain text in a real browser: on screens and in figures, in every script and mixture."""

from __future__ import annotations

from itertools import accumulate, pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from scripts import MIXED, SCRIPTS, cut
from watched import BROWSER

from dashboards.components.lens_strip import Mark, strip
from dashboards.components.markup import labelled
from pipelines.report.figures.canvas import STYLE
from pipelines.report.figures.glyphs import drawable
from pipelines.report.figures.text_lines import SIZE, lines_of
from results.token_strip import Channel, token_strip
from results.token_text import Piece, isolated, pieces_of, runs_right_to_left, text_lines, token_strings
from tools.screenshots import chromium

pytestmark = BROWSER

ROOT = Path(__file__).parents[2]
#: Places of all characters as drawn, and of the same text without marks in the same line.
PLACES = """texts => texts.map(({marked, tokens, channels, options, text}) => {
  const places = box => {
    const origin = box.getBoundingClientRect(), found = [], range = document.createRange();
    const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());) for (let i = 0; i < node.length; i++) {
      range.setStart(node, i);
      range.setEnd(node, i + 1);
      const {left, right, top} = range.getBoundingClientRect();
      found.push([left - origin.left, right - origin.left, top - origin.top]);
    }
    return found;
  };
  document.body.innerHTML = marked || tokenStrip(tokens, channels, options).outerHTML;
  const box = document.body.firstChild, line = box.firstChild, drawn = places(box);
  if (box.children.length > 1) throw new Error("more than a line");
  line.textContent = text;
  return [drawn, places(box)];
})"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def by_piece(places: list[list[float]], pieces: list[Piece]) -> list[list[list[float]]]:
    """Places of characters by the piece that they belong to."""
    ends = list(accumulate((len(piece.text.encode("utf-16-le")) // 2 for piece in pieces), initial=0))
    assert ends[-1] == len(places)
    return [places[start:stop] for start, stop in pairwise(ends)]


def whole(places: list[list[float]]) -> list[float]:
    """Left, right and top of characters together; those that share a glyph with another may have no width."""
    lefts, rights, tops = zip(*([p for p in places if p[0] < p[1]] or places), strict=True)
    return [min(lefts), max(rights), min(tops)]


def by_letter(places: list[list[float]], pieces: list[Piece]) -> list[list[float]]:
    """Places of characters, of those that make up one shared letter the place of the whole."""
    parts = zip(by_piece(places, pieces), pieces, strict=True)
    return [place for own, piece in parts for place in ([whole(own)] if len(piece.tokens) > 1 else own)]


@pytest.mark.parametrize("drawn_by", ["strip", "atlas", "lens"])
@pytest.mark.parametrize("sizes", [[1], [2], [3, 5, 1], [4, 7]], ids=str)
def test_letters_stand_as_in_the_plain_text(browser, drawn_by, sizes):
    """Tokens are cut anywhere, inside letters too; fonts, size and width of the line are equal."""
    texts = [*SCRIPTS.values(), *MIXED]
    cases, pieces = [], []
    for text in texts:
        tokens = token_strings(cut(text, sizes))
        [(right, line)] = text_lines(tokens)
        assert "".join(piece.text for piece in line) == text
        values = [0.3 + i % 3 for i in range(len(tokens))]
        channels = [Channel("m0:1", values, 3.0), Channel("m1:2", values[::-1], 3.0)]
        marks = [Mark("AB"[i % 2], "#0072B2", 0.5, 0.4, "t") for i in range(len(tokens))]
        marked = {"strip": token_strip(tokens, channels, peak=1), "lens": strip(tokens, marks, 1)}.get(drawn_by)
        options = {"peak": 1, "right": [0] if right else []}
        cases.append(
            {"marked": marked, "tokens": tokens, "channels": [vars(c) for c in channels], "options": options}
            | {"text": text}
        )
        pieces.append(line)
    page = browser.new_page()
    page.set_content(f"<style>{(ROOT / 'dashboards/static/style.css').read_text()}</style><body></body>")
    page.add_script_tag(content=(ROOT / "results/atlas/static/draw.js").read_text())
    drawn = page.evaluate(PLACES, cases)
    page.close()
    gaps = {}
    for text, line, (marked, plain) in zip(texts, pieces, drawn, strict=True):
        one, other = by_letter(marked, line), by_letter(plain, line)
        gaps[text] = (abs(np.array(one) - np.array(other)).max(), (len(line) + 2) / 64)  # a 64th of a pixel each
    assert {text: gap for text, (gap, rounding) in gaps.items() if gap > rounding} == {}


#: Edges of the characters of plain texts in the fonts of a figure, in units of the font's size.
EDGES = """texts => texts.map(({text, families, right}) => {
  const box = document.createElement("div"), range = document.createRange(), found = [];
  box.dir = right ? "rtl" : "ltr";
  box.style.cssText = `font:200px ${families};white-space:pre;width:max-content`;
  box.textContent = text;
  document.body.append(box);
  const origin = box.getBoundingClientRect().left;
  for (let i = 0; i < text.length; i++) {
    range.setStart(box.firstChild, i);
    range.setEnd(box.firstChild, i + 1);
    const {left, right} = range.getBoundingClientRect();
    found.push([(left - origin) / 200, (right - origin) / 200, 0]);
  }
  box.remove();
  return found;
})"""


@pytest.mark.parametrize("sizes", [[1], [3, 5, 1], [4, 7]], ids=str)
def test_figures_mark_tokens_where_the_browser_draws_them(browser, sizes):
    """To less than a fifth of the font size: kerning at the borders of tokens, and ffi, which a font draws as one."""
    texts, gaps = [*SCRIPTS.values(), *MIXED], {}
    cases, lines = [], []
    for text in texts:
        tokens = token_strings(cut(text, sizes))
        with mpl.rc_context(STYLE):
            (line,) = lines_of(tokens, 0, 50.0, 50.0, 1)
        families = ",".join(f'"{family}"' for family in line.stretches[0].families)
        cases.append({"text": drawable(text), "families": families, "right": runs_right_to_left(tokens)})
        lines.append(line)
    page = browser.new_page(viewport={"width": 20_000, "height": 600})
    drawn = page.evaluate(EDGES, cases)
    page.close()
    for text, line, places in zip(texts, lines, drawn, strict=True):
        pieces = pieces_of([drawable(token) for token in token_strings(cut(text, sizes))])
        start = min(mark.left for mark in line.marks)
        shared = {token for piece in pieces if len(piece.tokens) > 1 for token in piece.tokens}
        for piece, own in zip(pieces, by_piece(places, pieces), strict=True):
            token, (left, right, _) = piece.tokens[0], whole(own)
            if token not in shared:
                edges = [
                    edge for mark in line.marks if mark.token == token for edge in (mark.left, mark.left + mark.width)
                ]
                found = [(edge - start) / (SIZE / 72) for edge in (min(edges), max(edges))]
                gaps[text] = max(gaps.get(text, 0.0), abs(found[0] - left), abs(found[1] - right))
    assert len(gaps) >= 25
    assert {text: gap for text, gap in gaps.items() if gap > 0.18} == {}


def test_a_label_reads_from_left_to_right_whatever_it_quotes(browser):
    """The quoted tokens stand in their order, each between its own quotes."""
    label = "tokens “ق”, “ש”, “ab” and 3 more"
    page = browser.new_page()
    page.set_content(labelled(label, []))
    shown = isolated(label)
    lefts = page.evaluate(
        """() => {
          const node = document.querySelector("bdi").firstChild, range = document.createRange();
          return Array.from({length: node.length}, (_, i) => {
            range.setStart(node, i);
            range.setEnd(node, i + 1);
            return range.getBoundingClientRect().left;
          });
        }"""
    )
    page.close()
    assert len(lefts) == len(shown)
    seen = [left for left, character in zip(lefts, shown, strict=True) if character not in "\u2066\u2069"]
    assert seen == sorted(seen)
