"""Token strips: everything escaped, colours that can be compared, nothing that cuts the text."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

import pytest
from synthetic_text import HOSTILE

from results.token_strip import MAX_ALPHA, Channel, token_strip
from results.token_text import is_invisible, token_strings
from universality.errors import InputError


class _Page(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_tokens_stay_text() -> None:
    strings = token_strings(HOSTILE)
    values = [float(i) for i in range(len(strings))]
    source = token_strip(strings, [Channel("<b>", values), Channel('"x', values[::-1])], break_lines=False)
    page = _Page(source)
    assert {tag for tag, _ in page.tags} == {"div", "span"}
    assert page.text == "".join(strings)
    assert all(set(attributes) <= {"style", "title", "dir"} for _, attributes in page.tags)
    assert not any(is_invisible(character) for character in source)
    assert not any(unicodedata.bidirectional(character) in {"RLO", "LRO", "RLI", "PDI"} for character in source)


def test_every_token_carries_raw_values_and_nothing_sets_it_apart() -> None:
    page = _Page(token_strip(["a", "b"], [Channel("A", [0.0, 12.345]), Channel("B", [3.0, 0.0])]))
    (div, outer), (line, inner), *spans = page.tags
    assert (div, line, inner) == ("div", "div", {"dir": "ltr"})
    assert "white-space:pre-wrap" in str(outer["style"])
    assert not re.search(r"isolate|display|[^-]position:|margin|border|padding-(left|right)", str(spans))
    assert [attributes["title"] for _, attributes in spans] == ["A 0 · B 3 · a", "A 12.35 · B 0 · b"]


def test_colours_are_relative_to_each_feature_and_capped() -> None:
    def alphas(values: list[float], maximum: float | None = None) -> list[float]:
        source = token_strip(["t"] * len(values), [Channel("A", values, maximum)])
        found = re.findall(r"background-color:rgba\(\d+,\d+,\d+,([\d.]+)\)", source)
        return [float(alpha) for alpha in found]

    assert alphas([1.0, 2.0, 4.0]) == alphas([10.0, 20.0, 40.0])
    assert max(alphas([5.0, 1.0])) == pytest.approx(MAX_ALPHA)
    assert alphas([5.0], maximum=10.0)[0] < MAX_ALPHA
    assert max(alphas([50.0], maximum=10.0)) == pytest.approx(MAX_ALPHA)
    assert alphas([0.0, -1.0]) == []
    assert alphas([1e-9, 1.0])[0] > 0


def test_text_keeps_the_colour_of_the_page() -> None:
    source = token_strip(["a"], [Channel("A", [1.0]), Channel("B", [1.0])], peak=0)
    assert not re.search(r"(?<![-\w])color:", source)
    assert "outline:1px solid currentColor" in source


def test_further_channels_are_bars_and_backgrounds_stay_first() -> None:
    source = token_strip(["a", "b"], [Channel("A", [0, 1]), Channel("B", [1, 0]), Channel("C", [1, 0])])
    first, second = re.findall(r"<span style=\"([^\"]*)\"", source)
    assert first.count("linear-gradient") == 2
    assert "background-color" not in first
    assert "background-color" in second
    assert "linear-gradient" not in second


def test_a_line_per_line_feed_only_when_asked() -> None:
    strings = token_strings([b"a\n", "שלום".encode()])
    assert re.findall(r'dir="(\w+)"', token_strip(strings, [])) == ["ltr", "rtl"]
    assert re.findall(r'dir="(\w+)"', token_strip(strings, [], break_lines=False)) == ["rtl"]


def test_a_shared_letter_has_the_colours_of_its_tokens_in_the_order_of_the_text() -> None:
    def style(tokens: list[str]) -> str:
        page = _Page(token_strip(tokens, [Channel("A", [1.0, 0.0, 0.5]), Channel("B", [0.0, 1.0, 0.0])], peak=1))
        assert [tag for tag, _ in page.tags] == ["div", "div", "span"]
        assert page.tags[2][1]["title"] == "\n".join(
            [f"A 1 · B 0 · {tokens[0]}", f"A 0 · B 1 · {tokens[1]}", f"A 0.5 · B 0 · {tokens[2]}"]
        )
        return str(page.tags[2][1]["style"])

    drawn = style(["க", "┊", "ொ"])
    fill = "linear-gradient(to right,rgba(0,114,178,0.6) 0% 33.33%,rgba(0,114,178,0) 33.33% 66.67%,"
    assert f"{fill}rgba(0,114,178,0.33) 66.67% 100%)" in drawn
    assert "rgba(213,94,0,0) 0% 33.33%,rgba(213,94,0,1) 33.33% 66.67%,rgba(213,94,0,0) 66.67% 100%" in drawn
    assert "outline" in drawn
    assert "linear-gradient(to left" in style(["ש", "\u05b8", "\u05c1"])


def test_channel_of_another_length_is_refused() -> None:
    with pytest.raises(InputError, match=r"values of channel 'A' must be one per token \(2\); got 1"):
        token_strip(["a", "b"], [Channel("A", [1.0])])
