"""Exact correlations and their lists, against numpy on dense float64."""

from __future__ import annotations

import numpy as np
import pytest
from random_latents import latents, pearson, varies, zipf_sparse  # pyright: ignore[reportMissingImports]
from scipy import sparse

from universality.correlation import correlate, list_filling
from universality.correlation.neurons import correlate_dense
from universality.correlation.sparse_pairwise import correlation_maxima, pairs_above
from universality.correlation.top import TopSimilarity
from universality.errors import InputError

SHAPES = [(300, 20, 35, 0.1, 5), (60, 40, 30, 0.02, 7), (1500, 50, 60, 0.01, 64), (90, 10, 12, 0.5, 64)]


@pytest.fixture(params=SHAPES, ids=str)
def world(request):
    n, n_a, n_b, density, top = request.param
    rng = np.random.default_rng(n)
    x, y = latents(rng, n, n_a, density), latents(rng, n, n_b, density)
    y[:, 2] = 200.0 - 0.5 * x[:, 2] + 0.2 * rng.normal(size=n)
    return x, y, top


def sparse_top(x, y, top):
    return correlate(sparse.csr_matrix(x), sparse.csr_matrix(y), top=top)


@pytest.mark.parametrize("method", [sparse_top, lambda x, y, top: correlate_dense(x, y, top=top)])
class TestTopLists:
    def test_lists_hold_the_best_of_the_full_matrix_both_ways(self, world, method):
        x, y, top = world
        truth, found = pearson(x, y), method(x, y, top)
        alive_x, alive_y = varies(x), varies(y)
        for r, lists, alive, others in (
            (truth, found.top_a(top), alive_x, alive_y),
            (truth.T, found.top_b(top), alive_y, alive_x),
        ):
            want = -np.sort(-r[:, others], axis=1)[:, :top]
            got, k = lists[1], want.shape[1]
            np.testing.assert_allclose(got[alive][:, :k], want[alive], atol=1e-9)
            assert (lists[0][~alive] == -1).all()
            assert not got[~alive].any()

    def test_values_are_exact(self, world, method):
        x, y, top = world
        found = method(x, y, top)
        np.testing.assert_allclose(found.r, pearson(x, y)[found.indices_a, found.indices_b], atol=1e-9)

    def test_cutoffs_bound_every_pair_left_out(self, world, method):
        x, y, top = world
        found, left_out = method(x, y, top), np.ones((x.shape[1], y.shape[1]), bool)
        left_out[found.indices_a, found.indices_b] = False
        bound = np.minimum.outer(found.cutoff_a, found.cutoff_b)
        assert (pearson(x, y) <= bound + 1e-12)[left_out].all()

    def test_pairs_are_unique_and_sorted(self, world, method):
        x, y, top = world
        found = method(x, y, top)
        key = found.indices_a.astype(np.int64) * found.n_b + found.indices_b
        assert (np.diff(key) > 0).all()
        assert np.abs(found.r).max() <= 1.0


def test_cutoffs_are_no_looser_than_the_worst_entry_of_a_full_list():
    x, y = zipf_sparse(4000, 60, 6, 1), zipf_sparse(4000, 70, 6, 2)
    found = correlate(x, y, top=5)
    np.testing.assert_array_equal(found.cutoff_a, np.maximum(found.top_a(5)[1][:, -1], -1))
    np.testing.assert_array_equal(found.cutoff_b, np.maximum(found.top_b(5)[1][:, -1], -1))


def test_maxima_equal_the_full_matrix(world):
    x, y, _ = world
    truth = pearson(x, y)
    for a, b in ((x, y), (sparse.csr_matrix(x), sparse.csr_matrix(y)), (sparse.csc_array(x), y)):
        max_a, max_b = correlation_maxima(a, b)(None)
        np.testing.assert_allclose(max_a[varies(x)], truth.max(axis=1)[varies(x)], atol=1e-9)
        np.testing.assert_allclose(max_b[varies(y)], truth.max(axis=0)[varies(y)], atol=1e-9)
        assert not max_a[~varies(x)].any()


def test_maximum_of_latents_that_never_meet_is_their_closed_form():
    x = np.zeros((10, 1), np.float32)
    y = np.zeros((10, 40), np.float32)
    x[:2, 0] = 1.0
    for j in range(40):
        y[5 + j % 5, j] = 1.0 + j
    max_a, max_b = correlation_maxima(sparse.csr_matrix(x), sparse.csr_matrix(y))(None)
    np.testing.assert_allclose(max_b, pearson(x, y)[0])
    np.testing.assert_allclose(max_a, pearson(x, y).max())
    assert max_a[0] < 0
    found = correlate(sparse.csr_matrix(x), sparse.csr_matrix(y), top=3)
    np.testing.assert_allclose(found.top_b(1)[1][:, 0], pearson(x, y)[0])


def test_no_byte_depends_on_the_number_of_threads():
    x, y = zipf_sparse(3000, 200, 8, 1), zipf_sparse(3000, 150, 8, 2)
    one, many = correlate(x, y, top=9, threads=1), correlate(x, y, top=9, threads=5)
    for name, value in one.to_arrays().items():
        assert value.tobytes() == many.to_arrays()[name].tobytes(), name
    for a, b in zip(correlation_maxima(x, y, threads=1)(None), correlation_maxima(x, y, threads=5)(None), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("threads", [1, 3])
def test_lists_are_the_same_however_often_threads_deliver_what_they_found(monkeypatch, threads):
    x, y = zipf_sparse(3000, 200, 8, 1), zipf_sparse(3000, 150, 8, 2)
    at_once = correlate(x, y, top=9, threads=1)
    monkeypatch.setattr(list_filling, "_HITS", 1)
    for name, value in correlate(x, y, top=9, threads=threads).to_arrays().items():
        assert value.tobytes() == at_once.to_arrays()[name].tobytes(), name


def test_of_equal_correlations_lists_keep_the_lowest_indices():
    x = zipf_sparse(3000, 3, 2, 3)
    copies = x[:, np.tile([2, 0, 1], 40)]  # 40 of each, so that a list of 16 ends within them
    found = correlate(x, copies, top=16)
    for a in range(3):
        np.testing.assert_array_equal(found.top_a(16)[0][a], np.flatnonzero(np.tile([2, 0, 1], 40) == a)[:16])
    mirrored = correlate(copies, x, top=16)
    np.testing.assert_array_equal(mirrored.top_b(16)[0], found.top_a(16)[0])


def test_swapped_sides_give_the_same_numbers():
    x, y = zipf_sparse(2000, 60, 5, 1), zipf_sparse(2000, 80, 5, 2)
    ab, ba = correlate(x, y, top=7), correlate(y, x, top=7)
    order = np.lexsort((ba.indices_a, ba.indices_b))
    assert ba.indices_b[order].tobytes() == ab.indices_a.tobytes()
    assert ba.r[order].tobytes() == ab.r.tobytes()
    assert ba.cutoff_b.tobytes() == ab.cutoff_a.tobytes()


def test_a_copy_with_permuted_latents_finds_itself():
    x = zipf_sparse(5000, 300, 8, 3)
    permutation = np.random.default_rng(0).permutation(300)
    indices, r = correlate(x, x[:, permutation], top=2).top_a(1)
    np.testing.assert_array_equal(permutation[indices[:, 0]], np.arange(300))
    np.testing.assert_allclose(r, 1.0, atol=1e-12)


def test_search_finds_exactly_the_pairs_above_their_floors(world):
    x, y, _ = world
    rng = np.random.default_rng(1)
    floor_a, floor_b = rng.uniform(-0.05, 0.05, x.shape[1]), rng.uniform(-0.05, 0.05, y.shape[1])
    want = pearson(x, y) > floor_a[:, None] + floor_b
    want &= varies(x)[:, None] & varies(y)
    found = pairs_above(sparse.csr_matrix(x), sparse.csr_matrix(y), threads=2)(floor_a, floor_b)
    np.testing.assert_array_equal(np.stack(found[:2]), np.stack(np.nonzero(want)))


def test_a_search_that_remembers_the_one_before_finds_the_same(world):
    x, y, _ = (sparse.csr_matrix(side) if i < 2 else side for i, side in enumerate(world))
    rng = np.random.default_rng(2)
    remembers = pairs_above(x, y, threads=2)
    floor_a, floor_b = np.full(x.shape[1], 0.02), np.full(y.shape[1], 0.02)
    for step in range(8):
        found, fresh = remembers(floor_a, floor_b), pairs_above(x, y)(floor_a, floor_b)
        for mine, theirs in zip(found, fresh, strict=True):
            assert mine.tobytes() == theirs.tobytes()
        found[0][:] = found[1][:] = 0  # what is given away is not what is remembered
        moves = (0.05, 0.0, -0.05)[step % 3]  # prices rise, fall, and do both; here and there none moves
        floor_a = floor_a + moves * (rng.random(floor_a.size) < 0.3)
        floor_b = floor_b + rng.normal(size=floor_b.size) * 0.03 * (rng.random(floor_b.size) < 0.3)
    for floor in (floor_a, floor_b):
        floor[:] = 3.0
    assert remembers(floor_a, floor_b)[2].size == 0


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float16, np.float32, np.float64])
def test_any_real_type_and_format_is_accepted_and_left_alone(dtype):
    rng = np.random.default_rng(0)
    x = (rng.random((50, 9)) < 0.3).astype(dtype)
    matrix = sparse.csr_matrix(x.astype(np.float64) if dtype == np.float16 else x)
    matrix.data[:3] = 0  # stored zeros
    before = matrix.copy()
    found = correlate(matrix, matrix.tocsc(), top=9)
    np.testing.assert_allclose(found.r, pearson(before.toarray(), before.toarray())[found.indices_a, found.indices_b])
    assert matrix.nnz == before.nnz
    np.testing.assert_array_equal(matrix.data, before.data)


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (5, 0), (0, 0)])
def test_empty_and_single_rows_are_defined(shape):
    x, y = sparse.csr_matrix(np.ones(shape)), sparse.csr_matrix((shape[0], 3))
    found = correlate(x, y, top=2)
    assert found.r.size == 0
    assert found.top_a(2)[0].shape == (shape[1], 2)
    max_a, max_b = correlation_maxima(x, y)(None)
    assert not max_a.any()
    assert not max_b.any()


def test_storage_round_trip():
    found = correlate(zipf_sparse(500, 30, 4, 1), zipf_sparse(500, 20, 4, 2), top=3)
    back = TopSimilarity.from_arrays(found.to_arrays())
    assert back.top == 3
    for name, value in found.to_arrays().items():
        np.testing.assert_array_equal(back.to_arrays()[name], value)


class TestMisuse:
    def test_different_rows(self):
        with pytest.raises(InputError, match=r"number of rows of B must be 4.*same tokens"):
            correlate(sparse.csr_matrix((4, 2)), sparse.csr_matrix((5, 2)))

    def test_not_finite(self):
        x = sparse.csr_matrix(np.array([[1.0, np.nan], [2.0, np.inf]]))
        with pytest.raises(InputError, match="every value of A must be finite; got 2 NaN"):
            correlate(x, x)

    def test_dense_not_finite(self):
        x = np.array([[1.0, np.nan], [2.0, 3.0]])
        with pytest.raises(ValueError, match="must be finite"):
            correlate_dense(x, x)

    def test_not_real(self):
        x = sparse.csr_matrix(np.array([[1j, 2.0]]))
        with pytest.raises(InputError, match="type of A must be real numbers; got dtype"):
            correlation_maxima(x, x)(None)

    def test_top_of_nothing(self):
        with pytest.raises(InputError, match="top of correlate must be a whole number of at least 1; got 0"):
            correlate(sparse.csr_matrix((4, 2)), sparse.csr_matrix((4, 2)), top=0)


@pytest.mark.parametrize("signed", [False, True])
def test_latents_that_meet_few_others_have_the_lists_of_numpy(signed):
    # Rare latents against wide dictionaries are walked one by one, frequent ones block by block; lists of the rarest
    # are completed by latents that never co-fire with them.
    rng = np.random.default_rng(8)
    rates = np.minimum(0.6, 8.0 / np.arange(1, 1_501))
    x, y = (rng.exponential(size=(300, 1_500)) * (rng.random((300, 1_500)) < rng.permutation(rates)) for _ in range(2))
    if signed:
        x, y = (np.round(m * rng.choice([-2, 2], size=m.shape)) for m in (x, y))
    found = correlate(sparse.csr_matrix(x), sparse.csr_matrix(y), top=20, threads=2)
    truth = pearson(x, y)
    alive = truth[np.ix_(varies(x), varies(y))]
    for (_, r), matrix, rows in ((found.top_a(20), alive, varies(x)), (found.top_b(20), alive.T, varies(y))):
        np.testing.assert_allclose(r[rows], -np.sort(-matrix, axis=1)[:, :20], atol=1e-9)
    np.testing.assert_allclose(found.r, truth[found.indices_a, found.indices_b], atol=1e-9)
