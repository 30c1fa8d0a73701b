"""Moments that are kept and merged."""

from __future__ import annotations

import numpy as np
import pytest
from random_latents import latents, pearson
from scipy import sparse

from universality.correlation import CrossMoments, latent_moments, pivots
from universality.correlation.inputs import as_csr
from universality.errors import InputError


def test_whole_shards_equal_numpy():
    rng = np.random.default_rng(0)
    x, y = latents(rng, 500, 12, 0.1), latents(rng, 500, 10, 0.1)
    pivot_x, pivot_y = (pivots(as_csr(m, "m")) for m in (x, y))
    whole = CrossMoments.of(sparse.csr_matrix(x), sparse.csr_matrix(y), pivot_x, pivot_y)
    np.testing.assert_allclose(whole.correlation(), pearson(x, y), atol=1e-12)


def test_moments_of_each_latent():
    x = latents(np.random.default_rng(1), 300, 12, 0.2).astype(np.float64)
    found = latent_moments(as_csr(x, "x"))
    np.testing.assert_array_equal(found.count, (x != 0).sum(axis=0))
    np.testing.assert_allclose(found.total, x.sum(axis=0))
    np.testing.assert_allclose(found.square, ((x - x.mean(axis=0)) ** 2).sum(axis=0), atol=1e-9)
    np.testing.assert_array_equal(found.alive, [False, False, *[True] * 10])


def test_pivots_are_for_latents_that_hardly_leave_their_mean():
    x = latents(np.random.default_rng(1), 300, 12, 0.2)
    np.testing.assert_array_equal(np.flatnonzero(pivots(as_csr(x, "x"))), [2, 3])


def test_a_latent_constant_over_all_shards_has_no_correlation():
    x = np.full((90, 1), 0.1)
    y = np.random.default_rng(0).random((90, 1))
    merged = CrossMoments.empty(np.zeros(1), np.zeros(1))
    for first in range(0, 90, 7):
        rows = slice(first, first + 7)
        merged = merged.merge(CrossMoments.of(sparse.csr_matrix(x[rows]), sparse.csr_matrix(y[rows])))
    assert merged.correlation() == 0.0


def test_different_pivots_do_not_merge():
    with pytest.raises(InputError, match="pivots of merged moments must be equal"):
        CrossMoments.empty(np.zeros(2), np.zeros(2)).merge(CrossMoments.empty(np.ones(2), np.zeros(2)))
