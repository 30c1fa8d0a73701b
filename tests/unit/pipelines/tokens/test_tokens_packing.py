import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tokens.encode import TokenLists
from pipelines.tokens.packing import context_blocks, pack
from universality.errors import InputError

BOS = 0


def lists_of(lengths):
    """Documents whose tokens are all different, so that a lost or doubled one shows."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenLists(np.arange(1, offsets[-1] + 1, dtype=np.int32), offsets)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any), st.integers(2, 17))
def test_pack_keeps_every_token_once_with_its_document(lengths, n_ctx):
    lists = lists_of(lengths)
    order = np.arange(len(lengths))[::-1]
    packed = pack(lists, order, n_ctx, BOS)
    assert packed.contexts.shape == packed.documents.shape
    assert packed.contexts.shape[1] == n_ctx
    assert (packed.contexts[:, 0] == BOS).all()
    np.testing.assert_array_equal(packed.documents == -1, packed.contexts == BOS)
    kept = packed.documents >= 0
    np.testing.assert_array_equal(packed.contexts[kept], np.concatenate([lists[int(i)] for i in order]))
    for document, length in enumerate(lengths):
        np.testing.assert_array_equal(packed.contexts[packed.documents == document], lists[document])
        assert (packed.documents == document).sum() == length


def test_documents_are_separated_and_go_on_in_the_next_context():
    packed = pack(lists_of([2, 5]), np.array([0, 1]), 5, BOS)
    assert packed.contexts.tolist() == [[0, 1, 2, 0, 3], [0, 4, 5, 6, 7]]
    assert packed.documents.tolist() == [[-1, 0, 0, -1, 1], [-1, 1, 1, 1, 1]]


def test_nothing_to_pack():
    with pytest.raises(InputError, match="at least one, with a token"):
        pack(lists_of([0]), np.array([0]), 4, BOS)


def blocks_of(lists, pool, n_tokens, *, seed=0, n_ctx=8, block_contexts=3):
    return list(
        context_blocks(
            lists,
            np.asarray(pool),
            n_ctx=n_ctx,
            bos=BOS,
            n_tokens=n_tokens,
            generator=np.random.default_rng(seed),
            block_contexts=block_contexts,
        )
    )


def test_one_pass_has_every_document_but_the_unfinished_context():
    lists = lists_of([10, 20, 5, 13])
    blocks = blocks_of(lists, range(4), None)
    contexts = np.concatenate(blocks)
    assert max(map(len, blocks)) <= 3
    assert contexts.dtype == np.int32
    assert len(contexts) == (48 + 4) // 7
    tokens = contexts[contexts != BOS]
    assert len(set(tokens.tolist())) == len(tokens)
    assert len(tokens) >= 48 - 6


def test_a_budget_cycles_the_documents_in_new_orders():
    lists = lists_of([10, 20, 5, 13])
    contexts = np.concatenate(blocks_of(lists, range(4), 8 * 40))
    assert contexts.shape == (40, 8)
    values, counts = np.unique(contexts[contexts != BOS], return_counts=True)
    assert len(values) == 48
    assert counts.max() - counts.min() <= 1
    firsts = contexts[:, 1:].ravel()
    starts = [np.flatnonzero(firsts == lists[i][0]) for i in range(4)]
    assert len({tuple(np.argsort([start[k] for start in starts])) for k in range(4)}) > 1


def test_repeats_weigh_documents():
    lists = lists_of([10, 10])
    contexts = np.concatenate(blocks_of(lists, [0, 0, 0, 1], None))
    counts = np.bincount(contexts.ravel(), minlength=21)
    assert counts[1:11].sum() > 2 * counts[11:].sum()


def test_the_generator_decides_the_order_and_blocks_do_not():
    lists = lists_of([10, 20, 5, 13])
    whole = np.concatenate(blocks_of(lists, range(4), 400, block_contexts=100))
    np.testing.assert_array_equal(whole, np.concatenate(blocks_of(lists, range(4), 400)))
    assert (whole != np.concatenate(blocks_of(lists, range(4), 400, seed=1))).any()


@pytest.mark.parametrize(("n_ctx", "n_tokens"), [(60, None), (8, 7)])
def test_a_context_longer_than_everything(n_ctx, n_tokens):
    with pytest.raises(InputError, match=rf"n_ctx of the contexts must be at most 49.*got {n_ctx}"):
        blocks_of(lists_of([10, 20, 5, 13]), range(4), n_tokens, n_ctx=n_ctx)
