"""Laws of correlation on whatever hypothesis finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_latents import latents, pearson, varies
from scipy import sparse

from universality.correlation import correlate
from universality.correlation.conditional import conditional_correlation
from universality.correlation.inputs import correlation_matrix
from universality.correlation.pairs import correlate_pairs
from universality.correlation.sparse_pairwise import correlation_maxima

quick = settings(deadline=None, max_examples=40)


@st.composite
def worlds(draw):
    n = draw(st.integers(1, 90))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.02, 0.2, 0.95]))
    x = latents(rng, n, draw(st.integers(1, 30)), density)
    y = latents(rng, n, draw(st.integers(1, 30)), density)
    if draw(st.booleans()):  # negative values, many exact ties
        x, y = (np.round(m * rng.choice([-1, 1], size=m.shape)).astype(np.float32) for m in (x, y))
    return x, y, draw(st.integers(1, 8)), rng


@quick
@given(worlds())
def test_every_number_equals_numpy_and_every_bound_holds(world):
    x, y, top, _ = world
    a, b, truth = sparse.csr_matrix(x), sparse.csr_matrix(y), pearson(x, y)
    found = correlate(a, b, top=top, threads=2)
    np.testing.assert_allclose(found.r, truth[found.indices_a, found.indices_b], atol=1e-6)
    left_out = np.ones(truth.shape, bool)
    left_out[found.indices_a, found.indices_b] = False
    assert (truth <= np.minimum.outer(found.cutoff_a, found.cutoff_b) + 1e-9)[left_out].all()
    listed = min(top, int(varies(y).sum()))
    assert (found.top_a(top)[0][varies(x)] >= 0).sum(axis=1).tolist() == [listed] * int(varies(x).sum())
    max_a, max_b = correlation_maxima(a, b, threads=2)(None)
    np.testing.assert_allclose(max_a[varies(x)], truth.max(axis=1)[varies(x)], atol=1e-6)
    np.testing.assert_allclose(max_b[varies(y)], truth.max(axis=0)[varies(y)], atol=1e-6)


@quick
@given(worlds())
def test_the_dense_matrix_holds_the_listed_values_and_all_others(world):
    x, y, _, _ = world
    a, b = sparse.csr_matrix(x), sparse.csr_matrix(y)
    top, whole = correlate(a, b, top=30), correlation_matrix(a, b)
    np.testing.assert_allclose(whole[top.indices_a, top.indices_b], top.r, atol=1e-9)
    np.testing.assert_allclose(
        whole[np.ix_(varies(x), varies(y))], pearson(x, y)[np.ix_(varies(x), varies(y))], atol=1e-6
    )
    assert not whole[~varies(x)].any()
    assert not whole[:, ~varies(y)].any()


@quick
@given(worlds())
def test_order_of_latents_and_rows_does_not_matter(world):
    x, y, _, rng = world
    rows, columns = rng.permutation(len(x)), rng.permutation(x.shape[1])
    ia, ib = (index.ravel() for index in np.indices((x.shape[1], y.shape[1])))
    whole = correlate_pairs(sparse.csr_matrix(x), sparse.csr_matrix(y), ia, ib)
    moved = correlate_pairs(sparse.csr_matrix(x[rows][:, columns]), sparse.csr_matrix(y[rows]), ia, ib)
    shape = (x.shape[1], y.shape[1])
    np.testing.assert_allclose(moved.r.reshape(shape), whole.r.reshape(shape)[columns], atol=1e-12)
    np.testing.assert_array_equal(moved.n_both.reshape(shape), whole.n_both.reshape(shape)[columns])


@quick
@given(worlds())
def test_conditioning_removes_anything_that_tokens_and_positions_add(world):
    x, y, _, rng = world
    tokens, positions = rng.integers(0, 5, len(x)), rng.integers(0, 4, len(x))
    ia, ib = (index.ravel() for index in np.indices((x.shape[1], y.shape[1])))
    groups = {"tokens": tokens, "positions": positions}
    added = x + (rng.normal(size=5)[tokens] + rng.normal(size=4)[positions])[:, None]
    before = conditional_correlation(x, y, ia, ib, **groups)
    np.testing.assert_allclose(
        conditional_correlation(sparse.csr_matrix(added), sparse.csr_matrix(y), ia, ib, **groups),
        np.where(np.abs(before) < 2, before, 0.0),
        atol=1e-5,
    )
    assert np.abs(before).max() <= 1.0
