"""Shared byte boundaries against brute force, for any two ways to cut any text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from universality.alignment import coverage, segments, shared_boundaries, shared_contexts, token_ends
from universality.errors import InputError

ALPHABET = "aé中🙂👩‍👩‍👧é\u0301\r\n \u200d\u05e9ส้"


@st.composite
def cut_texts(draw, n_models=None):
    """A text of bytes (UTF-8, or not), and the tokens that some models read it as, with special ones among them."""
    text = draw(st.one_of(st.text(ALPHABET, max_size=24).map(str.encode), st.binary(max_size=40)))
    models = []
    for _ in range(n_models or draw(st.integers(1, 4))):
        if draw(st.booleans()) and text:
            cuts = sorted(draw(st.sets(st.integers(1, len(text)), max_size=len(text))) | {len(text)})
        else:  # one byte per token
            cuts = list(range(1, len(text) + 1))
        tokens = [text[a:b] for a, b in zip([0, *cuts], cuts, strict=False)]
        for place in draw(st.lists(st.integers(0, len(tokens)), max_size=3)):
            tokens.insert(place, b"")  # a start, a separator, padding
        models.append(tokens[: draw(st.integers(0, len(tokens)))] if draw(st.booleans()) else tokens)
    return text, models


@given(cut_texts())
@example((b"\xe4\xb8\xad", [[b"", b"\xe4", b"\xb8\xad"], [b"\xe4\xb8", b"\xad"]]))
@example((b"ab\r\n", [[b"ab", b"\r\n"], [b"ab\r", b"\n", b""]]))
def test_rows_are_those_of_brute_force(case):
    text, models = case
    ends = [token_ends(tokens, text) for tokens in models]
    rows = shared_boundaries(ends)
    expected = []
    for offset in range(1, len(text) + 1):
        here = [
            next((n for n, token in enumerate(tokens) if token and len(b"".join(tokens[: n + 1])) == offset), None)
            for tokens in models
        ]
        if None not in here:
            expected.append(here)
    assert rows.tolist() == expected
    spelling = [sum(map(bool, tokens)) for tokens in models]
    np.testing.assert_allclose(coverage(ends, rows), [len(rows) / n if n else 0 for n in spelling])


@given(cut_texts())
def test_segments_are_equal_bytes_on_every_side_and_cover_the_text_up_to_the_last_row(case):
    text, models = case
    ends = [token_ends(tokens, text) for tokens in models]
    rows = shared_boundaries(ends)
    sides = [segments(text, of[rows[:, n]]) for n, of in enumerate(ends)]
    assert all(side == sides[0] for side in sides)
    assert all(sides[0])
    assert text.startswith(b"".join(sides[0]))
    for n, tokens in enumerate(models):
        spelled = [b"".join(tokens[a + 1 : b + 1]) for a, b in zip([-1, *rows[:-1, n]], rows[:, n], strict=False)]
        assert spelled == sides[0]


@given(cut_texts(), st.randoms())
def test_the_order_of_models_changes_columns_alone_and_a_model_beside_itself_nothing(case, random):
    text, models = case
    ends = [token_ends(tokens, text) for tokens in models]
    order = list(range(len(models)))
    random.shuffle(order)
    rows = shared_boundaries(ends)
    np.testing.assert_array_equal(shared_boundaries([ends[n] for n in order]), rows[:, order])
    np.testing.assert_array_equal(shared_boundaries([*ends, ends[0]])[:, :-1], rows)


@given(cut_texts(n_models=1))
def test_alone_every_token_that_spells_something_is_a_row(case):
    text, (tokens,) = case
    ends = [token_ends(tokens, text)]
    rows = shared_boundaries(ends)
    assert rows[:, 0].tolist() == [n for n, token in enumerate(tokens) if token]
    assert coverage(ends, rows)[0] == (1.0 if any(tokens) else 0.0)


@given(st.lists(cut_texts(n_models=2), min_size=1, max_size=6), st.integers(4, 12))
def test_contexts_hold_the_same_bytes_for_every_model_and_every_row_once(cases, n_ctx):
    ends = [[token_ends(tokens, text) for tokens in models] for text, models in cases]
    rows = [shared_boundaries(of) for of in ends]
    packed = shared_contexts(rows, [[len(tokens) for tokens in models] for _, models in cases], n_ctx)
    flat = [[token for _, models in cases for token in models[side]] for side in range(2)]
    pieces = [
        segments(text, of[0][own[:, 0]]) for (text, _), of, own in zip(cases, ends, rows, strict=True)
    ]  # fmt: skip
    flat.append([piece for of in pieces for piece in of])
    assert len(packed.context) + packed.n_left_out == sum(map(len, rows))
    assert (packed.contexts[0][:, 0] == -1).all()
    starts = np.cumsum([0, *map(len, pieces)])
    seen = packed.contexts[2][packed.context, packed.positions[:, 2]]
    assert len(set(seen.tolist())) == len(seen)
    for row, (context, document) in enumerate(zip(packed.context, packed.documents, strict=True)):
        read = [
            b"".join(b"\0" if n < 0 else flat[side][n] for n in packed.contexts[side][context, 1 : place + 1])
            for side, place in enumerate(packed.positions[row])
        ]
        assert read[0] == read[1] == read[2]
        assert starts[document] <= seen[row] < starts[document + 1]
    # Another order of the models packs the same rows.
    other = shared_contexts(
        [own[:, ::-1] for own in rows], [[len(t) for t in models[::-1]] for _, models in cases], n_ctx
    )
    np.testing.assert_array_equal(other.positions[:, [1, 0, 2]], packed.positions)
    np.testing.assert_array_equal(other.contexts[0], packed.contexts[1])


def test_a_segment_longer_than_a_context_is_left_out_and_the_text_goes_on_behind_it():
    ends = [np.array([1, 2, 3, 4, 5, 6]), np.array([1, 5, 6])]
    packed = shared_contexts([shared_boundaries(ends)], [[6, 3]], 4)
    assert packed.n_left_out == 1
    assert packed.contexts[0].tolist() == [[-1, 0, -1, -1], [-1, 5, -1, -1]]
    assert packed.contexts[1].tolist() == [[-1, 0, -1, -1], [-1, 2, -1, -1]]


@pytest.mark.parametrize(
    ("tokens", "text", "ends"),
    [
        ([b" The", b" cat"], b"The cat", [3, 7]),
        ([b" ", b"The"], b"The", [0, 3]),
        ([b"  x"], b" x", [2]),
        ([b" x"], b" x", [2]),
        ([b" ", b"\xe4", b"\xb8\xad"], "中".encode(), [0, 1, 3]),
    ],
)
def test_a_mark_in_front_of_the_text_belongs_to_no_byte(tokens, text, ends):
    assert token_ends(tokens, text).tolist() == ends


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: shared_boundaries([]), "one model or more"),
        (lambda: shared_boundaries([[3, 2]]), "rising integers"),
        (lambda: shared_boundaries([[1, 2], [0.5, 1]]), "ends of model 1 must be rising integers"),
        (lambda: shared_boundaries([[-1, 2]]), "rising integers"),
        (lambda: shared_boundaries([[[1]]]), "rising integers"),
        (lambda: segments(b"ab", [1, 3]), "at most 2; got 3"),
        (lambda: token_ends([b"the", b" cat"], b"The cat"), "got b'the cat' in place of b'The cat' at byte 0"),
        (lambda: token_ends(["ﬁ".encode()], b"fi"), "cannot be aligned"),
        (lambda: token_ends([b"longer"], b"long"), "at byte 4"),
        (lambda: token_ends([b"  two"], b"two"), "at byte 0"),
    ],
)
def test_what_cannot_be_aligned_is_refused(call, told):
    with pytest.raises(InputError) as refused:
        call()
    assert told in str(refused.value)
