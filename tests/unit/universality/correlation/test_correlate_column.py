"""One latent against its own dictionary equals the compiled kernel, and needs none."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from universality.correlation import one_latent as column
from universality.correlation.one_latent import column_moments, correlate_column
from universality.correlation.pairs import correlate_pairs
from universality.errors import InputError


@pytest.fixture
def acts():
    rng = np.random.default_rng(0)
    dense = rng.gamma(2.0, 1.0, (400, 30)) * (rng.random((400, 30)) < rng.uniform(0.01, 0.6, 30))
    dense[:, 3] = 0.0
    dense[:, 4] = 1.7
    dense[:, 5] = 50.0 + rng.random(400)  # dense and far from zero
    dense[:, 6] = 0.5 * dense[:, 0]
    return sparse.csr_array(dense.astype(np.float32))


@pytest.mark.parametrize("block", [column._BLOCK, 7])
def test_it_equals_the_kernel_of_the_comparison(acts, monkeypatch, block):
    monkeypatch.setattr(column, "_BLOCK", block)
    monkeypatch.setattr(column, "_ROWS", block)
    csc = acts.tocsc()
    moments = column_moments(csc)
    for latent in (0, 3, 4, 5, 6, 29):
        r = correlate_column(acts, csc, latent, moments)
        expected = correlate_pairs(acts, acts, np.full(30, latent), np.arange(30)).r
        np.testing.assert_allclose(r, expected, atol=1e-9)
    assert correlate_column(acts, csc, 0, moments)[6] == pytest.approx(1.0)


def test_a_dead_and_a_constant_latent_correlate_with_nothing(acts):
    csc = acts.tocsc()
    moments = column_moments(csc)
    for latent in (3, 4):
        assert not correlate_column(acts, csc, latent, moments).any()
    assert not correlate_column(acts, csc, 0, moments)[[3, 4]].any()


@pytest.mark.parametrize("latent", [-1, 30])
def test_a_latent_that_is_none_is_refused(acts, latent):
    csc = acts.tocsc()
    with pytest.raises(InputError, match="latent of the dictionary must be in"):
        correlate_column(acts, csc, latent, column_moments(csc))


def test_it_needs_no_compiler():
    code = "import sys, universality.correlation.one_latent; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
