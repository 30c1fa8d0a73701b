"""Laws of correlation on whatever hypothesis finds."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_latents import latents, pearson, varies
from scipy import sparse

from universality.correlation import (
    CrossMoments,
    conditional_correlation,
    correlate,
    correlate_pairs,
    max_correlation,
    pivots,
)
from universality.correlation.inputs import as_csr

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
    max_a, max_b = max_correlation(a, b, threads=2)
    np.testing.assert_allclose(max_a[varies(x)], truth.max(axis=1)[varies(x)], atol=1e-6)
    np.testing.assert_allclose(max_b[varies(y)], truth.max(axis=0)[varies(y)], atol=1e-6)


@quick
@given(worlds(), st.data())
def test_merging_is_associative_and_any_sharding_gives_the_whole(world, data):
    x, y, _, _ = world
    cuts = sorted(data.draw(st.lists(st.integers(0, len(x)), max_size=4)))
    pivot = [pivots(as_csr(m, "m")) for m in (x, y)]
    edges = [0, *cuts, len(x)]
    shards = [
        CrossMoments.of(sparse.csr_matrix(x[i:j]), sparse.csr_matrix(y[i:j]), *pivot)
        for i, j in pairwise(edges)
    ]
    whole = CrossMoments.of(sparse.csr_matrix(x), sparse.csr_matrix(y), *pivot).correlation()
    left = reduce(CrossMoments.merge, shards, CrossMoments.empty(*pivot))
    right = reduce(lambda kept, shard: shard.merge(kept), reversed(shards))
    np.testing.assert_allclose(left.correlation(), whole, atol=1e-12)
    np.testing.assert_allclose(right.correlation(), whole, atol=1e-12)
    top = correlate(sparse.csr_matrix(x), sparse.csr_matrix(y), top=30)
    np.testing.assert_allclose(left.correlation()[top.indices_a, top.indices_b], top.r, atol=1e-12)


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
