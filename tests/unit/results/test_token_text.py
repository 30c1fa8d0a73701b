"""Token text: nothing hidden, nothing executed, nothing reordered."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_text import HOSTILE

from results.token_text import (
    MAX_ALPHA,
    PART_MARK,
    Channel,
    is_invisible,
    token_strings,
    token_strip,
    visible,
)
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


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (b" the", " the"),
        (b"\n\n", "⏎⏎"),
        (b"a\tb\r", "a⇥b␍"),
        (b"\x00\x1b\x7f", "␀␛␡"),
        ("\u202eevil\u202c".encode(), "⟨RLO⟩evil⟨PDF⟩"),
        ("a\u200bb\ufeff".encode(), "a⟨ZWSP⟩b⟨BOM⟩"),
        ("\U000e0041".encode(), "⟨U+E0041⟩"),
        ("\u00a0\u2028".encode(), "⍽⟨U+2028⟩"),
        ("日本".encode(), "日本"),
        (b"\xe6\x97", "\\xE6\\x97"),
        (b"a\xffb", "a\\xFFb"),
        (b"\xed\xa0\x80", "\\xED\\xA0\\x80"),
        (b"\xc0\x80\xf5", "\\xC0\\x80\\xF5"),
        (b"", ""),
    ],
)
def test_visible_shows_what_is_there(token: bytes, shown: str) -> None:
    assert visible(token) == shown


def test_visible_marks_spaces_and_cuts() -> None:
    assert visible(b" a b", mark_spaces=True) == "·a·b"
    assert visible(b"a" * 300, limit=5) == "aaaaa… (300 bytes)"
    assert visible(b"aaaaa", limit=5) == "aaaaa"


@given(st.binary(max_size=40) | st.text(max_size=20).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_visible_holds_nothing_invisible(token: bytes) -> None:
    assert not any(is_invisible(character) for character in visible(token))


def test_character_over_several_tokens_stands_where_it_completes() -> None:
    data = "日".encode()
    assert token_strings([data[:1], data[1:2], data[2:] + b"x"]) == [PART_MARK, PART_MARK, "日x"]
    assert token_strings([b"a" + data[:2], data[2:]]) == [f"a{PART_MARK}", "日"]


def test_bytes_that_complete_nothing_stay_where_they_are() -> None:
    data = "日".encode()
    assert token_strings([data[1:], b"a", data[:2]]) == ["\\x97\\xA5", "a", "\\xE6\\x97"]
    assert token_strings([data[:2], b"a"]) == ["\\xE6\\x97", "a"]
    assert token_strings([data[:1], b"", data[1:]]) == [PART_MARK, "", "日"]
    assert token_strings([]) == []


@given(st.binary(max_size=30) | st.text(max_size=15).map(str.encode), st.lists(st.integers(0, 60), max_size=6))
def test_cutting_a_text_anywhere_shows_the_same_text(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    tokens = [data[a:b] for a, b in pairwise(places)]
    strings = token_strings(tokens)
    assert len(strings) == len(tokens)
    marked = sum(string.count(PART_MARK) for string in strings) - visible(data).count(PART_MARK)
    assert "".join(strings).replace(PART_MARK, "") == visible(data).replace(PART_MARK, "")
    assert 0 <= marked <= len(tokens) * 3


def test_hostile_tokens_stay_text() -> None:
    strings = token_strings(HOSTILE)
    values = [float(i) for i in range(len(strings))]
    source = token_strip(strings, [Channel("<b>", values), Channel('"x', values[::-1])], break_lines=False)
    page = _Page(source)
    assert {tag for tag, _ in page.tags} == {"div", "span"}
    assert page.text == "".join(strings)
    assert all(set(attributes) <= {"style", "title"} for _, attributes in page.tags)
    assert not any(is_invisible(character) for character in source)
    assert not any(unicodedata.bidirectional(character) in {"RLO", "LRO", "RLI", "PDI"} for character in source)


def test_every_token_is_isolated_and_carries_raw_values() -> None:
    page = _Page(token_strip(["a", "b"], [Channel("A", [0.0, 12.345]), Channel("B", [3.0, 0.0])]))
    (div, outer), *spans = page.tags
    assert div == "div"
    assert "white-space:pre-wrap" in str(outer["style"])
    assert all("unicode-bidi:isolate" in str(attributes["style"]) for _, attributes in spans)
    assert [attributes["title"] for _, attributes in spans] == ["a · A 0 · B 3", "b · A 12.35 · B 0"]


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


def test_line_breaks_follow_newlines_only_when_asked() -> None:
    strings = token_strings([b"a\n", b"b"])
    assert _Page(token_strip(strings, [])).text == "a⏎\nb"
    assert _Page(token_strip(strings, [], break_lines=False)).text == "a⏎b"


def test_strip_runs_right_to_left_when_most_letters_do() -> None:
    assert "direction:rtl" in token_strip(["سلام", " ok"], [])
    assert "direction:ltr" in token_strip(["ש", "latin"], [])


def test_channel_of_another_length_is_refused() -> None:
    with pytest.raises(InputError, match=r"values of channel 'A' must be one per token \(2\); got 1"):
        token_strip(["a", "b"], [Channel("A", [1.0])])
