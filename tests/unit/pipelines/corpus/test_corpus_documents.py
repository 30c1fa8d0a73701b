from hypothesis import given
from hypothesis import strategies as st

from pipelines.corpus.documents import Distinct, cut, hashed_order

TEXTS = st.text(alphabet=st.sampled_from(list("ab \n\r\t\u2028אж漢😀")), max_size=400)


@given(TEXTS, st.integers(min_value=8, max_value=64))
def test_pieces_join_to_the_text_and_keep_the_limit(text, limit):
    pieces = cut(text, limit)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= limit * 9 / 8 for piece in pieces)
    assert all(pieces)


def test_cuts_at_line_ends_where_lines_are_short():
    text = "".join(f"line {i:03}\n" for i in range(50))
    assert all(piece.endswith("\n") for piece in cut(text, 100))


def test_cuts_a_long_line_after_white_space():
    pieces = cut("word " * 100, 64)
    assert all(piece.endswith(" ") for piece in pieces)


def test_never_cuts_inside_a_character():
    assert "".join(cut("漢" * 1000, 100)) == "漢" * 1000


def test_a_crumb_joins_the_piece_before_it():
    assert cut("x" * 63 + "\n" + "y\n", 64) == ["x" * 63 + "\n" + "y\n"]


def test_long_lines_take_linear_time():
    assert len(cut("a" * 3_000_000, 2_048)) == 1_465


def test_distinct_ignores_white_space_only():
    seen = Distinct()
    assert seen.add("a b\n")
    assert not seen.add("a  b")
    assert seen.add("ab")


def test_hashed_order_is_the_same_whatever_the_input_order():
    names = [f"file{i}" for i in range(50)]
    assert hashed_order(names) == hashed_order(reversed(names))
    assert hashed_order(names) != names
