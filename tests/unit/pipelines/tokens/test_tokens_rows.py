import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tokens.encode import TokenLists
from pipelines.tokens.evaluation_rows import choose_documents, evaluation_rows, one_of_each_first
from pipelines.tokens.packing import pack

BOS = 0


def test_rows_of_a_small_example():
    lists = TokenLists(np.array([11, 12, 13, 14, 15, 16], np.int32), np.array([0, 2, 5, 6]))
    fit, score = pack(lists, np.array([0, 1]), 4, BOS), pack(lists, np.array([2]), 4, BOS)
    special = np.zeros(20, bool)
    special[BOS] = True
    rows = evaluation_rows(fit, score, np.array([3, 1, 2], np.int16), np.array([7, 7, 9]), special)
    assert rows["eval_contexts"].tolist() == [[0, 11, 12, 0], [0, 13, 14, 15], [0, 16, 0, 0]]
    assert rows["row_context"].tolist() == [0, 0, 1, 1, 1, 2]
    assert rows["row_position"].tolist() == [1, 2, 1, 2, 3, 1]
    assert rows["row_token"].tolist() == [11, 12, 13, 14, 15, 16]
    assert rows["row_next_token"].tolist() == [12, 0, 14, 15, -1, 0]
    assert rows["row_document"].tolist() == [0, 0, 1, 1, 1, 2]
    assert rows["row_domain"].tolist() == [3, 3, 1, 1, 1, 2]
    assert rows["row_source"].tolist() == [7, 7, 7, 7, 7, 9]
    assert rows["row_fit"].tolist() == [True] * 5 + [False]
    types = {name: array.dtype.name for name, array in rows.items()}
    assert types == {
        "eval_contexts": "int32",
        "row_context": "int32",
        "row_position": "int16",
        "row_token": "int32",
        "row_next_token": "int32",
        "row_document": "int32",
        "row_source": "int32",
        "row_domain": "int16",
        "row_fit": "bool",
    }


def test_special_tokens_inside_a_document_make_no_row():
    lists = TokenLists(np.array([11, 5, 13], np.int32), np.array([0, 3]))
    packed = pack(lists, np.array([0]), 4, BOS)
    special = np.zeros(20, bool)
    special[[BOS, 5]] = True
    rows = evaluation_rows(packed, packed, np.zeros(1, np.int16), np.zeros(1, np.int64), special)
    assert rows["row_token"].tolist() == [11, 13, 11, 13]


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 3)), min_size=1, max_size=60),
    st.integers(1, 2_000),
)
def test_chosen_documents_keep_the_budget_within_half_a_document_per_domain(documents, n_tokens):
    lengths, domains = map(np.array, zip(*documents, strict=True))
    chosen = choose_documents(lengths, domains, np.ones(4), n_tokens)
    n_domains = len(np.unique(domains))
    assert abs(lengths[chosen].sum() - min(n_tokens, lengths.sum())) <= 25 * n_domains + 1e-6
    for domain in np.unique(domains):
        mine = chosen[domains == domain]
        assert (np.diff(mine.astype(int)) <= 0).all()  # the first ones, in order


def test_every_source_gives_one_document_before_any_gives_two():
    labels = np.array([5, 5, 2, 5, 2, 9])
    assert labels[one_of_each_first(labels)].tolist() == [5, 2, 9, 5, 2, 5]
    assert one_of_each_first(labels).tolist() == [0, 2, 5, 1, 4, 3]


def test_a_thin_domain_gets_some_documents_before_weights_count():
    lengths = np.full(1_000, 10)
    domains = np.array([0] * 980 + [1] * 20)
    weights = np.array([980.0, 20.0])
    assert choose_documents(lengths, domains, weights, 500)[domains == 1].sum() == 1
    chosen = choose_documents(lengths, domains, weights, 500, min_documents=5)
    assert chosen[domains == 1].sum() >= 5
    assert lengths[chosen].sum() == 500


def test_a_thin_domain_gives_all_it_has_and_the_rest_goes_to_others():
    lengths = np.full(100, 10)
    domains = np.array([0] * 95 + [1] * 5)
    chosen = choose_documents(lengths, domains, np.ones(2), 400)
    assert chosen[domains == 1].all()
    assert lengths[chosen].sum() == pytest.approx(400)
