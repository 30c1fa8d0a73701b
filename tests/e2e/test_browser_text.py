"""Marked text in a real browser: every letter stands where it stands in the plain text, in every script and mixture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scripts import MIXED, SCRIPTS, cut
from watched import BROWSER

from dashboards.components.lens_strip import Mark, strip
from results.token_strip import Channel, token_strip
from results.token_text import Piece, text_lines, token_strings
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


def by_letter(places: list[list[float]], pieces: list[Piece]) -> list[list[float]]:
    """Places of characters, of those that make up one shared letter the place of the whole."""
    by, start = [], 0
    for piece in pieces:
        own = places[start : start + len(piece.text.encode("utf-16-le")) // 2]
        start += len(own)
        if len(piece.tokens) > 1:
            with_width = [place for place in own if place[0] < place[1]]
            lefts, rights, tops = zip(*with_width, strict=True)
            own = [[min(lefts), max(rights), min(tops)]]
        by += own
    assert start == len(places)
    return by


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
