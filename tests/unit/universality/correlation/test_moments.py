"""Moments of single latents, and the dense matrix of all correlations."""

from __future__ import annotations

import numpy as np
from random_latents import latents, pearson
from scipy import sparse

from universality.correlation.inputs import correlation_matrix, latent_moments, pivots
from universality.matrices import as_csr


def test_the_matrix_equals_numpy():
    rng = np.random.default_rng(0)
    x, y = latents(rng, 500, 12, 0.1), latents(rng, 500, 10, 0.1)
    r = correlation_matrix(sparse.csr_matrix(x), sparse.csr_matrix(y))
    np.testing.assert_allclose(r, pearson(x, y), atol=1e-9)


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


def test_a_constant_latent_has_no_correlation():
    y = np.random.default_rng(0).random((90, 1))
    assert correlation_matrix(sparse.csr_matrix(np.full((90, 1), 0.1)), sparse.csr_matrix(y)) == 0.0
