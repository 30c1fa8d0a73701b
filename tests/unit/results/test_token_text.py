"""Token text: nothing hidden, nothing executed, nothing reordered."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts import MIXED, SCRIPTS, cut

from results.token_text import (
    PART_MARK,
    Piece,
    is_invisible,
    isolated,
    pieces_of,
    runs_right_to_left,
    text_lines,
    token_strings,
    visible,
)


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
        ("┊".encode(), "⟨U+250A⟩"),
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
    marked = sum(string.count(PART_MARK) for string in strings)
    assert "".join(strings).replace(PART_MARK, "") == visible(data)
    assert "".join(piece.text for piece in pieces_of(strings)) == visible(data)
    assert 0 <= marked <= len(tokens) * 3


@pytest.mark.parametrize(
    ("tokens", "pieces"),
    [
        (["wor", "d", "\u0301x"], [("wor", 0, 0), ("d\u0301", 1, 2), ("x", 2, 2)]),
        (["word", "\u0301"], [("wor", 0, 0), ("d\u0301", 0, 1)]),
        (["க", "ொ"], [("கொ", 0, 1)]),
        (["க┊", "்", "க"], [("க்", 0, 1), ("க", 2, 2)]),
        (["क्", "ष"], [("क्ष", 0, 1)]),
        (["க்", "க"], [("க்", 0, 0), ("க", 1, 1)]),
        (["سل", "ا", "م"], [("س", 0, 0), ("لا", 0, 1), ("م", 2, 2)]),
        (["น", "้ำ"], [("น้ำ", 0, 1)]),
        (["\u1112", "\u1161\u11ab"], [("\u1112\u1161\u11ab", 0, 1)]),
        (["👍", "🏽"], [("👍🏽", 0, 1)]),
        (["┊", "┊", "日x", "y"], [("日", 0, 2), ("x", 2, 2), ("y", 3, 3)]),
        (["a┊", "", "日"], [("a", 0, 0), ("日", 0, 2)]),
        (["a", "", "b"], [("a", 0, 0), ("b", 2, 2)]),
        (["a┊", "┊"], [("a┊", 0, 0), ("┊", 1, 1)]),
        ([], []),
    ],
)
def test_a_letter_is_never_cut(tokens: list[str], pieces: list[tuple[str, int, int]]) -> None:
    assert pieces_of(tokens) == [Piece(text, range(first, last + 1)) for text, first, last in pieces]


@pytest.mark.parametrize("text", [*SCRIPTS.values(), *MIXED])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_pieces_make_up_the_text_and_every_token_has_one(text: str, size: int) -> None:
    tokens = token_strings(cut(text, [size]))
    pieces = pieces_of(tokens)
    assert "".join(piece.text for piece in pieces) == text
    assert sorted({place for piece in pieces for place in piece.tokens}) == list(range(len(tokens)))


def test_each_line_runs_as_most_of_its_letters_do() -> None:
    lines = text_lines(["שלום", " abc⏎", "  ", "(1)⏎", "abc", " ש⏎⏎", "de"])
    assert ["".join(piece.text for piece in line) for _, line in lines] == ["שלום abc⏎", "  (1)⏎", "abc ש⏎⏎", "de"]
    assert [right for right, _ in lines] == [True, False, False, False]
    assert [right for right, _ in text_lines(["⏎", "سلام", " ok ⏎", "12."])] == [True, True, True]
    assert len(text_lines(["a⏎", "b"], break_lines=False)) == 1
    assert text_lines([]) == [(False, [])]


def test_quoted_tokens_do_not_turn_the_words_around_them() -> None:
    label = "tokens “ق”, “ab” and “ي” in x"
    assert isolated(label) == "tokens \u2066“ق”\u2069, “ab” and \u2066“ي”\u2069 in x"
    assert isolated("token “ab”") == "token “ab”"
    assert isolated(label).replace("\u2066", "").replace("\u2069", "") == label


def test_names_of_marks_are_not_letters_of_the_text() -> None:
    assert runs_right_to_left(["⟨ZWNJ⟩", "می", "⟨U+200F⟩\\xE6\\x97"])
    assert not runs_right_to_left(["ש", "latin"])
