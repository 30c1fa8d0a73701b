"""Quality figures against their definitions, in one go."""

import numpy as np
import pytest
from scipy import sparse

from universality.errors import InputError
from universality.sae.evaluation import Quality

RNG = np.random.default_rng(0)
X = (RNG.standard_normal((90, 7)) + 100).astype(np.float32)
RECON = X + 0.3 * RNG.standard_normal(X.shape).astype(np.float32)
ACTS = sparse.csr_matrix(np.where(RNG.random((90, 12)) < 0.2, 1.5, 0) * (np.arange(12) != 5))
DOMAINS = RNG.integers(0, 3, 90)


def fvu(x, recon):
    x = x.astype(np.float64)
    return ((x - recon) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()


@pytest.mark.parametrize("size", [90, 13, 1])
def test_blocks_do_not_matter(size):
    quality = Quality(7, 12, n_domains=4)
    for start in range(0, 90, size):
        here = slice(start, start + size)
        quality.update(X[here], RECON[here], ACTS[here], DOMAINS[here])
    found = quality.result()
    assert found["fvu"] == pytest.approx(fvu(X, RECON), rel=1e-9)
    assert found["l0"] == pytest.approx(ACTS.nnz / 90)
    assert found["dead_fraction"] == pytest.approx(1 / 12)
    assert found["n_rows"] == 90
    np.testing.assert_array_equal(quality.domain_rows(), np.bincount(DOMAINS, minlength=4))
    np.testing.assert_allclose(quality.firing_rates(), (ACTS.toarray() > 0).mean(0))
    expected = [fvu(X[code == DOMAINS], RECON[code == DOMAINS]) for code in range(3)]
    np.testing.assert_allclose(quality.domain_fvu(), [*expected, 0.0], rtol=1e-8)


def test_the_mean_explains_nothing_and_the_rows_explain_all():
    for recon, expected in ((np.tile(X.mean(0, dtype=np.float64), (90, 1)), 1.0), (X, 0.0)):
        quality = Quality(7, 12)
        quality.update(X, recon, ACTS)
        assert quality.result()["fvu"] == pytest.approx(expected, abs=1e-9)


def test_nothing_and_nothing_that_varies():
    quality = Quality(7, 12)
    assert quality.result() == {"fvu": 0.0, "l0": 0.0, "dead_fraction": 1.0, "n_rows": 0}
    assert (quality.firing_rates() == 0).all()
    quality.update(np.full((5, 7), 3.3, np.float32), np.full((5, 7), 3.4, np.float32), ACTS[:5])
    assert quality.result()["fvu"] == 0.0


def test_stored_zeros_do_not_fire():
    acts = sparse.csr_matrix((np.array([0.0, 2.0]), np.array([1, 3]), np.array([0, 1, 2])), shape=(2, 12))
    quality = Quality(7, 12)
    quality.update(X[:2], RECON[:2], acts)
    assert quality.result()["l0"] == 0.5
    assert np.flatnonzero(quality.firing_rates()).tolist() == [3]


def test_blocks_of_other_rows_are_refused():
    quality = Quality(7, 12, n_domains=2)
    with pytest.raises(InputError, match="shapes of a block"):
        quality.update(X, RECON[:5], ACTS)
    with pytest.raises(InputError, match="domains of a block"):
        quality.update(X, RECON, ACTS)
