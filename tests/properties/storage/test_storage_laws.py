"""Laws of keys, streams and sparse matrices, on whatever hypothesis finds."""

from __future__ import annotations

import itertools
import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from storage import artifact_key, canonical_json, open_store
from storage.shards import ShardedRows

quick = settings(deadline=None, max_examples=50)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
params = st.dictionaries(st.text(), values, max_size=5)


def reordered(value):
    """The same value with every mapping in the opposite order and every list as a tuple."""
    if isinstance(value, dict):
        return {key: reordered(item) for key, item in reversed(value.items())}
    return tuple(reordered(item) for item in value) if isinstance(value, list) else value


def same(a, b) -> bool:
    """Equality that keeps 1, 1.0 and True apart, and 0.0 and -0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return repr(a) == repr(b)


@given(params)
@quick
def test_keys_do_not_depend_on_order(value):
    assert artifact_key("s", 1, reordered(value), {}) == artifact_key("s", 1, value, {})


@given(values)
@quick
def test_canonical_json_is_json_and_a_fixed_point(value):
    text = canonical_json(value)
    assert text.isascii()
    assert same(json.loads(text), value)
    assert canonical_json(json.loads(text)) == text


@given(values, values)
@quick
def test_different_values_have_different_texts(a, b):
    assert (canonical_json(a) == canonical_json(b)) == same(a, b)


@given(params, st.integers(0, 3))
@quick
def test_keys_survive_a_journey_through_files(value, indent):
    travelled = json.loads(json.dumps(value, indent=indent, ensure_ascii=bool(indent % 2)))
    assert artifact_key("s", 1, travelled, {}) == artifact_key("s", 1, value, {})


@st.composite
def rows_and_cuts(draw):
    array = draw(hnp.arrays(np.int16, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9)))
    cuts = draw(st.lists(st.integers(0, len(array)), max_size=5))
    return array, sorted([0, *cuts, len(array)])


@given(rows_and_cuts(), st.integers(1, 12))
@quick
def test_a_stream_in_any_blocks_equals_the_array(tmp_path_factory, drawn, shard_rows):
    array, cuts = drawn
    store = open_store(tmp_path_factory.mktemp("stream"))
    with (
        store.create("k", step="s", version=1, params={}, inputs={}) as out,
        out.stream("x", array.dtype, array.shape[1:], shard_rows) as stream,
    ):
        for start, stop in itertools.pairwise(cuts):
            stream.write(array[start:stop])
    back = store.get("k").array("x")
    assert back.shape == array.shape
    np.testing.assert_array_equal(np.asarray(back), array)


@st.composite
def shards_and_index(draw):
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    n = sum(lengths)
    index = draw(
        st.slices(n)
        | st.integers(-n, n - 1)
        | st.lists(st.integers(-n, n - 1), max_size=8)
        | hnp.arrays(bool, n)
        | hnp.arrays(np.int32, hnp.array_shapes(max_dims=2, max_side=4), elements=st.integers(-n, n - 1))
    )
    return lengths, index


@given(shards_and_index(), st.sampled_from([(), (3,), (2, 2)]))
@quick
def test_sharded_rows_index_like_one_array(drawn, row_shape):
    lengths, index = drawn
    whole = np.arange(sum(lengths) * int(np.prod(row_shape))).reshape(-1, *row_shape)
    rows = ShardedRows(np.split(whole, np.cumsum(lengths)[:-1]))
    expected = whole[np.asarray(index, int)] if isinstance(index, list) and not index else whole[index]
    np.testing.assert_array_equal(rows[index], expected)
    if row_shape:
        np.testing.assert_array_equal(rows[index, ..., 1], np.asarray(expected)[..., 1])
    assert (len(rows), rows.shape, rows.dtype, rows.nbytes) == (
        len(whole),
        whole.shape,
        whole.dtype,
        whole.nbytes,
    )


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 9))
@quick
def test_blocks_are_the_whole_in_order(lengths, n):
    whole = np.arange(sum(lengths))
    blocks = list(ShardedRows(np.split(whole, np.cumsum(lengths)[:-1])).blocks(n))
    assert all(len(block) == n for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6),
        elements={"allow_nan": False},
    )
)
@quick
def test_sparse_matrices_survive(tmp_path_factory, dense):
    store = open_store(tmp_path_factory.mktemp("sparse"))
    with store.create("k", step="s", version=1, params={}, inputs={}) as out:
        out.csr("x", sparse.csc_array(dense))
    artifact = store.get("k")
    for matrix in (artifact.csr("x"), artifact.csc("x")):
        np.testing.assert_array_equal(matrix.toarray(), dense)
        assert matrix.nnz == np.count_nonzero(dense)
        fresh = type(matrix)((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)
        assert fresh.has_canonical_format  # asked of the indices, not of the flag that we set
