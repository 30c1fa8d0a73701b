from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from results import evaluation_text
from results.evaluation_text import EvaluationText

PIECES = ["<|endoftext|>", "the", " cat", " sat", "\n", "<b>", " Ж", " дом"]


def make_text(contexts: list[list[int]]) -> EvaluationText:
    ids = np.array(contexts, dtype=np.int32)
    rows = [(c, p) for c in range(ids.shape[0]) for p in range(1, ids.shape[1]) if ids[c, p] != 0]
    vocabulary = pd.DataFrame(
        {
            "token": np.arange(len(PIECES), dtype=np.int32),
            "bytes": [piece.encode().hex() for piece in PIECES],
            "text": PIECES,
            "special": [i == 0 for i in range(len(PIECES))],
        }
    )
    return EvaluationText.build(
        contexts=ids,
        row_context=np.array([c for c, _ in rows], dtype=np.int32),
        row_position=np.array([p for _, p in rows], dtype=np.int16),
        row_domain=np.array([c - 1 for c, _ in rows], dtype=np.int16),
        row_document=np.zeros(len(rows), dtype=np.int32),
        domains=["english", "russian"],
        vocabulary=vocabulary,
    )


@pytest.fixture
def text() -> EvaluationText:
    return make_text([[0, 1, 2, 3, 4, 5], [0, 6, 7, 0, 1, 2], [0, 1, 1, 1, 1, 3]])


def test_a_window_stops_at_the_ends_of_its_context(text):
    window = text.window(1, before=20, after=2)  # context 0, position 2
    assert window.tokens == ["<|endoftext|>", "the", " cat", " sat", "⏎"]
    assert window.rows.tolist() == [-1, 0, 1, 2, 3]
    assert window.peak == 2


def test_a_character_that_a_window_cuts_is_read_whole():
    """Windows that begin and end inside a character show what the whole text shows there."""
    data = "аб в".encode()
    vocabulary = pd.DataFrame(
        {"token": range(len(data)), "bytes": [bytes([b]).hex() for b in data], "text": "", "special": False}
    )
    n = len(data)
    rows = {"row_context": np.zeros(n, int), "row_position": np.arange(n), "row_domain": np.zeros(n, int)}
    contexts = np.arange(n)[None]
    text = EvaluationText.build(
        contexts=contexts, row_document=np.zeros(n, int), domains=["x"], vocabulary=vocabulary, **rows
    )
    whole = text.strings(contexts[0])
    assert whole == ["┊", "а", "┊", "б", " ", "┊", "в"]
    for row in range(n):
        for before, after in ((0, 0), (1, 0), (0, 1), (1, 1), (9, 9)):
            window = text.window(row, before, after)
            assert window.tokens == whole[max(row - before, 0) : row + after + 1]
            assert window.tokens[window.peak] == whole[row]


def test_special_tokens_inside_a_context_are_no_rows(text):
    first_of_second = 5
    window = text.window(first_of_second)
    assert window.tokens[3] == "<|endoftext|>"
    assert window.rows.tolist() == [-1, 5, 6, -1, 7, 8]


@pytest.mark.parametrize("query", ["cat sat", "CAT SAT", "Cat"])
def test_search_finds_text_across_tokens_whatever_its_case(text, query):
    assert np.flatnonzero(text.rows_near(query, reach=0))[0] == 1


def test_search_finds_other_scripts_in_either_case(text):
    assert np.flatnonzero(text.rows_near("ж дом", reach=0)).tolist() == [5, 6]


def test_search_never_reaches_into_another_context(text):
    near = np.flatnonzero(text.rows_near("<b>", reach=3))  # the last token of context 0
    assert set(text.row_context[near]) == {0}
    assert near.tolist() == [1, 2, 3, 4]


def test_search_without_a_hit_or_a_query_is_empty(text):
    assert not text.rows_near("zebra").any()
    assert not text.rows_near("").any()


def test_search_agrees_with_reading_every_row():
    generator = np.random.default_rng(1)
    contexts = generator.integers(1, len(PIECES), size=(30, 12))
    contexts[:, 0] = 0
    text = make_text(contexts.tolist())
    for query in ("the", " cat the", "\n", "t"):
        expected = []
        for row in range(text.n_rows):
            ids = contexts[text.row_context[row]]
            starts = np.concatenate([[0], np.cumsum([len(PIECES[i]) if i else 1 for i in ids])])
            whole = "".join(PIECES[i] if i else "\0" for i in ids).lower()
            hits = [i for i in range(len(whole)) if whole.startswith(query, i)]
            touched = {p for h in hits for p in range(len(ids)) if starts[p] < h + len(query) and starts[p + 1] > h}
            expected.append(any(abs(p - text.row_position[row]) <= 2 for p in touched))
        assert text.rows_near(query, reach=2).tolist() == expected


def test_a_monstrous_token_is_cut_with_its_length():
    vocabulary = pd.DataFrame(
        {"token": [0], "bytes": [(b"x" * 10_000).hex()], "text": ["x" * 10_000], "special": [False]}
    )
    one = np.zeros(1, dtype=np.int32)
    text = EvaluationText.build(
        contexts=np.zeros((1, 2), dtype=np.int32), row_context=one, row_position=one + 1, row_domain=one - 1,
        row_document=one, domains=[], vocabulary=vocabulary,
    )  # fmt: skip
    shown = text.window(0).tokens[1]
    assert shown.endswith("… (10000 bytes)")
    assert len(shown) < 200
    assert text.domain(0) == ""
    assert text.token(7) == "token 7"


def test_a_wide_window_has_as_many_characters_whatever_the_tokens_are(monkeypatch) -> None:
    monkeypatch.setattr(evaluation_text, "WIDE_BEFORE", 9)
    monkeypatch.setattr(evaluation_text, "WIDE_AFTER", 6)
    text = make_text([[0, 1, 2, 3, 5, 7, 6, 1]])
    window = text.wide_window(3)  # <b>
    assert (window.tokens, window.peak) == ([" cat", " sat", "<b>", " дом", " Ж"], 2)
    assert text.wide_window(0).tokens == ["the", " cat"]
