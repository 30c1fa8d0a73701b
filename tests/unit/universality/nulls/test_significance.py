"""Strata, p-values and false discovery rates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from universality.errors import InputError
from universality.nulls import benjamini_hochberg, p_values, strata


def counts(n=6000, seed=0):
    rng = np.random.default_rng(seed)
    firings = np.exp(rng.uniform(np.log(8), np.log(20000), n)).astype(int)
    return firings, np.maximum(1, (firings ** rng.uniform(0.1, 0.9, n)).astype(int))


class TestStrata:
    @pytest.mark.parametrize(("n_shifts", "need"), [(10, 200), (20, 200), (4, 500), (1, 2000)])
    def test_every_stratum_is_large_enough(self, n_shifts, need):
        found = strata(*counts(), n_shifts=n_shifts)
        assert np.bincount(found).min() >= need
        assert np.unique(found).tolist() == list(range(found.max() + 1))

    def test_silent_latents_belong_nowhere(self):
        firings, documents = counts()
        firings[::7] = 0
        found = strata(firings, documents, n_shifts=10)
        np.testing.assert_array_equal(found == -1, firings == 0)

    def test_firings_are_joined_before_documents(self):
        """Few latents of each firing count, but enough confined and enough diffuse ones: two strata."""
        firings = np.tile([10, 100, 1000], 140)
        documents = np.repeat([1, 8], 210)
        found = strata(firings, documents, n_shifts=10)
        np.testing.assert_array_equal(found, np.repeat([0, 1], 210))

    def test_a_stratum_spans_neighbours_only(self):
        firings, documents = counts()
        found = strata(firings, documents, n_shifts=10)
        for stratum in range(found.max() + 1):
            octaves = np.unique(np.floor(np.log2(documents[found == stratum])))
            assert np.ptp(octaves) == octaves.size - 1

    def test_too_few_latents_share_one(self):
        assert strata(*counts(50), n_shifts=10).tolist() == [0] * 50
        assert strata(np.zeros(3), np.zeros(3), n_shifts=10).tolist() == [-1] * 3
        assert strata(np.zeros(0), np.zeros(0), n_shifts=10).size == 0

    def test_order_does_not_matter(self):
        firings, documents = counts(2000)
        order = np.random.default_rng(1).permutation(2000)
        found = strata(firings, documents, n_shifts=10)
        np.testing.assert_array_equal(strata(firings[order], documents[order], n_shifts=10), found[order])

    def test_misuse(self):
        with pytest.raises(InputError, match="two lists of equal length"):
            strata(np.ones(3), np.ones(4), n_shifts=10)


class TestPValues:
    def test_by_counting(self):
        rng = np.random.default_rng(0)
        null, of = np.round(rng.random((5, 40)), 1), rng.integers(0, 3, 40)
        r, stratum = np.round(rng.random(30), 1), rng.integers(-1, 3, 30)
        found = p_values(r, stratum, null, of)
        for p, value, at in zip(found, r, stratum, strict=True):
            pool = null[:, of == at].ravel()
            assert p == (1.0 if at < 0 else (1 + (pool >= value).sum()) / (1 + pool.size))

    def test_uniform_when_the_value_is_one_of_the_null(self):
        rng = np.random.default_rng(0)
        draws = rng.gumbel(size=(11, 3000))
        p = p_values(draws[0], np.zeros(3000, int), draws[1:], np.zeros(3000, int))
        for level in (0.01, 0.05, 0.5):
            assert (p <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level / 3000))

    @pytest.mark.parametrize("draw", ["gumbel", "beta", "pareto"])
    def test_the_tail_is_honest_where_the_null_itself_ends(self, draw):
        """Of fresh null values, no more than p are called at p, far below what 1 / (1 + n) allows; heavy tails too."""
        rng = np.random.default_rng(0)
        sample = {
            "gumbel": lambda n: rng.gumbel(0.1, 0.02, n), "beta": lambda n: rng.beta(2, 20, n),
            "pareto": lambda n: 0.02 * (1 + rng.pareto(4, n)),
        }[draw]  # fmt: skip
        called, least = [], 1.0
        for _ in range(30):
            null, fresh = sample(2000).reshape(20, 100), sample(200_000)
            p = p_values(fresh, np.zeros(fresh.size, int), null, np.zeros(100, int), needed=1e-5)
            least = min(least, p.min())
            called.append([(p <= limit).mean() / limit for limit in (1e-3, 1e-4)])
        assert least < 1 / 2001
        assert (np.mean(called, axis=0) <= [1.3, 1.8]).all()

    def test_a_few_true_pairs_among_many_latents_can_be_called(self):
        """Three r of .8 among 10,000 latents, whose null of 4,000 values ends near .3: out of reach without a tail."""
        rng = np.random.default_rng(0)
        null = rng.gumbel(0.1, 0.02, (20, 200))
        r = np.concatenate([[0.8, 0.8, 0.8], rng.gumbel(0.1, 0.02, 2000)])
        stratum, strata_of = np.zeros(r.size, int), np.zeros(200, int)
        by_counting = benjamini_hochberg(p_values(r, stratum, null, strata_of), m=10_000)
        assert by_counting.min() > 0.05
        q = benjamini_hochberg(p_values(r, stratum, null, strata_of, needed=0.05 / 10_000), m=10_000)
        assert (q[:3] < 1e-3).all()
        assert (q[3:] > 0.05).all()

    def test_where_counting_suffices_the_tail_is_not_asked(self):
        rng = np.random.default_rng(0)
        null, r = rng.gumbel(0.1, 0.02, (20, 200)), np.linspace(0, 1, 50)
        plain = p_values(r, np.zeros(50, int), null, np.zeros(200, int))
        needed = p_values(r, np.zeros(50, int), null, np.zeros(200, int), needed=1 / 4000)
        np.testing.assert_array_equal(plain, needed)

    def test_a_stratum_without_null_is_no_evidence(self):
        assert p_values(np.array([0.9]), np.array([4]), np.zeros((2, 3)), np.zeros(3, int)).tolist() == [1.0]

    def test_misuse(self):
        with pytest.raises(InputError, match="shapes of p_values"):
            p_values(np.ones(2), np.ones(2), np.ones((5, 3)), np.ones(4))


class TestFalseDiscovery:
    @pytest.mark.parametrize("n", [1, 2, 7, 200])
    def test_equals_scipy(self, n):
        p = np.round(np.random.default_rng(n).random(n) ** 2, 2)
        np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))

    def test_a_larger_family_counts_the_rest_as_one(self):
        p = np.random.default_rng(0).random(20) / 30
        whole = false_discovery_control(np.concatenate([p, np.ones(80)]))[:20]
        np.testing.assert_allclose(benjamini_hochberg(p, m=100), whole)

    def test_empty(self):
        assert benjamini_hochberg(np.zeros(0)).size == 0
        assert benjamini_hochberg(np.zeros(0), m=10).size == 0

    def test_misuse(self):
        with pytest.raises(InputError, match="m of benjamini_hochberg must be >= 3"):
            benjamini_hochberg(np.ones(3), m=2)
