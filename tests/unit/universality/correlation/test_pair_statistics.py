"""Statistics of given pairs and token-conditional correlation, against explicit dense computations."""

from __future__ import annotations

import numpy as np
import pytest
from random_latents import latents, pearson
from scipy import sparse

from universality.correlation import pairs as pair_statistics
from universality.correlation.conditional import conditional_correlation
from universality.correlation.pairs import Prepared, correlate_pairs, prepared_pairs
from universality.errors import InputError

N, N_A, N_B = 400, 12, 15


@pytest.fixture(params=["sparse", "dense", "mixed"])
def world(request):
    rng = np.random.default_rng(7)
    x, y = latents(rng, N, N_A, 0.15), latents(rng, N, N_B, 0.15)
    pairs = tuple(index.ravel() for index in np.indices((N_A, N_B)))
    a = x if request.param == "dense" else sparse.csr_matrix(x)
    b = sparse.csr_matrix(y) if request.param == "sparse" else y
    return x, y, a, b, pairs


def test_r_counts_and_shares(world):
    x, y, a, b, (ia, ib) = world
    order = np.random.default_rng(0).permutation(ia.size)
    ia, ib = ia[order], ib[order]
    found = correlate_pairs(a, b, ia, ib)
    fires_x, fires_y = x[:, ia] != 0, y[:, ib] != 0
    both, either = (fires_x & fires_y).sum(axis=0), (fires_x | fires_y).sum(axis=0)
    np.testing.assert_allclose(found.r, pearson(x, y)[ia, ib], atol=1e-9)
    np.testing.assert_array_equal(found.n_both, both)
    np.testing.assert_allclose(found.jaccard, both / np.maximum(either, 1))
    np.testing.assert_allclose(found.p_b_given_a, both / np.maximum(fires_x.sum(axis=0), 1))
    np.testing.assert_allclose(found.p_a_given_b, both / np.maximum(fires_y.sum(axis=0), 1))


def test_half_precision_neurons_against_sparse_latents():
    x = np.random.default_rng(0).random((30, 3)).astype(np.float16)
    found = correlate_pairs(x, sparse.csr_matrix(x.astype(np.float32)), [0, 1], [0, 2])
    np.testing.assert_allclose(found.r, pearson(x, x)[[0, 1], [0, 2]], atol=1e-9)


def test_no_pairs_give_no_statistics(world):
    _, _, a, b, _ = world
    assert correlate_pairs(a, b, [], []).r.shape == (0,)


def regression_truth(x, y, *labels):
    """Residuals of an explicit least-squares fit on all dummies."""
    dummies = np.concatenate([label[:, None] == np.unique(label) for label in labels], axis=1).astype(np.float64)
    fit = dummies @ np.linalg.pinv(dummies)
    out = []
    for m in (x.astype(np.float64), y.astype(np.float64)):
        rest = m - fit @ m
        explained = np.linalg.norm(rest, axis=0) < 1e-5 * np.linalg.norm(m, axis=0) + 1e-12
        rest[:, explained] = 0.0
        out.append(rest / np.maximum(np.linalg.norm(rest, axis=0), 1e-12))
    return out[0].T @ out[1]


class TestConditional:
    tokens = np.random.default_rng(1).zipf(1.6, N) % 40 * 17
    positions = np.arange(N) % 23

    def test_two_way_demeaning_equals_the_dummy_regression(self, world):
        x, y, a, b, (ia, ib) = world
        found = conditional_correlation(a, b, ia, ib, tokens=self.tokens, positions=self.positions)
        want = regression_truth(x, y, self.tokens, self.positions)
        np.testing.assert_allclose(found, want[ia, ib], atol=1e-8)

    def test_tokens_alone(self, world):
        x, y, a, b, (ia, ib) = world
        found = conditional_correlation(a, b, ia, ib, tokens=self.tokens)
        np.testing.assert_allclose(found, regression_truth(x, y, self.tokens)[ia, ib], atol=1e-8)

    def test_disconnected_and_nested_groups(self, world):
        """Positions that are a function of the token: the Schur complement has no rank at all."""
        x, y, a, b, (ia, ib) = world
        found = conditional_correlation(a, b, ia, ib, tokens=self.tokens, positions=self.tokens % 5)
        np.testing.assert_allclose(found, regression_truth(x, y, self.tokens)[ia, ib], atol=1e-8)

    def test_what_token_and_position_explain_is_gone(self):
        x = (np.bincount(self.tokens)[self.tokens] + 3.0 * self.positions)[:, None]
        rng = np.random.default_rng(0)
        noisy = x + rng.normal(size=x.shape)
        assert np.corrcoef(x[:, 0], noisy[:, 0])[0, 1] > 0.9
        for a, b in ((x, noisy), (sparse.csr_matrix(x), sparse.csr_matrix(noisy))):
            assert conditional_correlation(a, b, [0], [0], tokens=self.tokens, positions=self.positions) == 0.0
            kept = conditional_correlation(b, b, [0], [0], tokens=self.tokens, positions=self.positions)
            np.testing.assert_allclose(kept, 1.0)

    def test_labels_of_another_length(self, world):
        _, _, a, b, (ia, ib) = world
        with pytest.raises(InputError, match=r"shape of tokens must be \(400,\); got \(3,\)"):
            conditional_correlation(a, b, ia, ib, tokens=np.zeros(3))


@pytest.mark.parametrize(("ia", "ib"), [([0, 1], [0]), ([N_A], [0]), ([0], [-1])])
def test_indices_that_name_no_latent(world, ia, ib):
    _, _, a, b, _ = world
    with pytest.raises(InputError, match="the pairs must be"):
        correlate_pairs(a, b, ia, ib)


def test_prepared_sides_are_turned_to_columns_once_and_give_the_same_bytes(monkeypatch):
    rng = np.random.default_rng(3)
    dense = rng.random((300, 12)) * (rng.random((300, 12)) < 0.3)
    dense[:, 2] = 50.0 + rng.random(300)  # measured from a pivot
    a, b = sparse.csr_array(dense[:, :6].astype(np.float32)), sparse.csr_array(dense[:, 6:].astype(np.float32))
    asked = [(rng.integers(0, 6, 20), rng.integers(0, 6, 20)) for _ in range(3)]
    expected = [correlate_pairs(*sides, *pairs) for pairs in asked for sides in ((a, b), (b, a), (b, b))]
    turned, turn = [], pair_statistics._columns
    monkeypatch.setattr(pair_statistics, "_columns", lambda matrix: turned.append(matrix) or turn(matrix))
    left, right = Prepared(a), Prepared(b)
    found = [prepared_pairs(*s, *pairs) for pairs in asked for s in ((left, right), (right, left), (right, right))]
    assert len(turned) == 3, "both as they are, and one from its pivots"
    for one, other in zip(found, expected, strict=True):
        assert all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in vars(one))
