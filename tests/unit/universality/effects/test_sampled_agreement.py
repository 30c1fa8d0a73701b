"""Effects measured on some firings of every latent: what all of them would say, and of rare latents too."""

import numpy as np
import pytest
from scipy import sparse

from universality.effects.agreement import effect_agreement
from universality.effects.sampled_agreement import SampledLoss, sampled_agreement
from universality.effects.sampling import context_rows, sample_entries

N_ROWS, GROUPS = 6000, np.arange(6000) // 100
#: How often latents fire, of either dictionary alike; the last is rare.
RATES = np.array([0.4, 0.2, 0.1, 0.05, 0.008])


def world(seed=0):
    """Two dictionaries that fire mostly together; effects agree more where they fire strongly."""
    rng = np.random.default_rng(seed)
    fires = rng.random((N_ROWS, RATES.size)) < RATES
    made = []
    common = rng.normal(size=fires.shape)
    for _ in range(2):
        own = fires & (rng.random(fires.shape) < 0.9)
        acts = np.where(own, rng.gamma(3.0, size=fires.shape) / 3 + 0.05, 0.0)
        loss = np.where(own, acts * (0.5 + common * acts + rng.normal(size=fires.shape)), 0.0)
        made.append((sparse.csr_matrix(acts), sparse.csr_matrix(loss)))
    return made


def lots(seed):
    return np.random.default_rng(seed).random(N_ROWS)


def sampled(acts, loss, per_latent, n_core, seed):
    sample = sample_entries(acts, per_latent, n_core, lots(seed))
    kept = loss.copy()
    kept.data = np.where(sample.measured, kept.data, 0.0)
    kept.eliminate_zeros()
    return SampledLoss(sample, kept)


EVERY = np.arange(RATES.size)
ONCE = np.ones((1, 60), dtype=np.int64)


def estimated(made, per_latent, n_core, seed, weights=ONCE):
    a, b = (sampled(acts, loss, per_latent, n_core, seed) for acts, loss in made)
    return sampled_agreement(a, b, EVERY, EVERY, GROUPS, weights)


@pytest.fixture(scope="module")
def made():
    return world()


@pytest.fixture(scope="module")
def truth(made):
    return effect_agreement(made[0][1], made[1][1], EVERY, EVERY, GROUPS, ONCE)


def test_a_latent_has_its_budget_and_strong_middling_and_weak_firings(made):
    acts = made[0][0]
    sample = sample_entries(acts, 60, 0, lots(0))
    n = np.bincount(acts.indices, minlength=5)
    taken = np.bincount(acts.indices[sample.measured], minlength=5)
    assert taken.tolist() == np.minimum(n, 60).tolist()
    assert n[4] < 60 < n[3]
    for latent in range(4):
        values = acts.data[acts.indices == latent]
        chosen = values[sample.measured[acts.indices == latent]]
        rank = np.searchsorted(np.sort(values), chosen) / values.size
        counts = np.histogram(rank, [0, 0.5, 0.9, 1.0001])[0]
        assert counts.min() >= 18, latent
    assert (sample.chances.data[sample.chances.indices == 4] == 1).all()
    assert (sample.chances.data <= 1).all()
    assert (sample.chances.data > 0).all()


def test_core_rows_have_every_firing_and_all_dictionaries_the_same(made):
    samples = [sample_entries(acts, 9, 50, lots(0)) for acts, _ in made]
    for sample, (acts, _) in zip(samples, made, strict=True):
        assert sample.core.sum() == 50
        rows = np.repeat(np.arange(N_ROWS), np.diff(acts.indptr))
        assert sample.measured[sample.core[rows]].all()
        assert not sample.measured.all()
    assert np.array_equal(samples[0].core, samples[1].core)
    everything = sample_entries(made[0][0], 3, N_ROWS, lots(0))
    assert everything.core.all()
    assert everything.measured.all()


def test_a_row_is_measured_in_both_wherever_the_rarer_choice_is(made):
    """Lots are shared: dictionaries that chose alone would hardly meet."""
    (one, _), (two, _) = made
    budget = 30

    def common(seeds):
        rows = []
        for acts, seed in zip((one, two), seeds, strict=True):
            sample = sample_entries(acts, budget, 0, lots(seed))
            at = np.repeat(np.arange(N_ROWS), np.diff(acts.indptr))
            rows.append(at[sample.measured & (acts.indices == 1)])
        return np.intersect1d(*rows).size

    assert common((0, 0)) > 3 * common((0, 1))


def test_with_everything_measured_it_is_the_agreement_itself(made, truth):
    rng = np.random.default_rng(3)
    weights = rng.multinomial(60, np.full(60, 1 / 60), size=7)
    whole = effect_agreement(made[0][1], made[1][1], EVERY, EVERY, GROUPS, weights)
    for n_core, per_latent in ((N_ROWS, 3), (0, N_ROWS)):
        ours = estimated(made, per_latent, n_core, 0, weights)
        for name in ("r_effect", "r_effect_both", "resampled", "resampled_both"):
            np.testing.assert_allclose(getattr(ours, name), getattr(whole, name), atol=1e-9, err_msg=name)


def test_weighted_sums_of_sampled_firings_are_those_of_all_on_average(made):
    """Sums over rows where both fire, for many draws of lots: no bias; without weights there is a large one."""
    (acts_a, loss_a), (acts_b, loss_b) = made
    products = (loss_a.toarray() * loss_b.toarray())[:, :2]
    drawn, plain = [], []
    for seed in range(300):
        a, b = (sample_entries(acts, 60, 20, lots(seed)) for acts in (acts_a, acts_b))
        chance = np.minimum(a.chances.toarray(), b.chances.toarray())[:, :2]
        taken = a.lots[:, None] < chance
        drawn.append((products * taken / np.where(taken, chance, 1)).sum(axis=0))
        plain.append((products * taken).sum(axis=0) / taken.sum(axis=0) * (products != 0).sum(axis=0))
    for estimates, biased in ((drawn, False), (plain, True)):
        away = np.abs(np.mean(estimates, axis=0) - products.sum(axis=0))
        error = np.std(estimates, axis=0) / np.sqrt(len(estimates))
        assert ((away > 5 * error) if biased else (away < 3 * error)).all()


def test_correlations_of_sampled_firings_are_those_of_all_and_come_nearer_with_more(made, truth):
    spread = {}
    for budget in (60, 480):
        drawn = [estimated(made, budget, 0, seed) for seed in range(60)]
        for name in ("r_effect", "r_effect_both"):
            values = np.array([getattr(one, name) for one in drawn])
            error = values.mean(axis=0) - getattr(truth, name)
            assert np.abs(error).max() < (0.06 if budget == 60 else 0.015), name
            spread[name, budget] = np.sqrt(((values - getattr(truth, name)) ** 2).mean(axis=0))
    for name in ("r_effect", "r_effect_both"):
        assert (spread[name, 480][:3] < 0.6 * spread[name, 60][:3]).all()
        assert spread[name, 60][4] < 1e-9  # the rare latent is measured wherever it fires


def test_a_rare_pair_has_a_value_that_random_rows_do_not_give(made, truth):
    (acts_a, _), (acts_b, _) = made
    ours = estimated(made, 60, 20, 0)
    n_entries = sum(sample_entries(acts, 60, 20, lots(0)).measured.sum() for acts in (acts_a, acts_b))
    n = int(N_ROWS * n_entries / (acts_a.nnz + acts_b.nnz))
    at = np.zeros(N_ROWS)
    at[np.random.default_rng(0).permutation(N_ROWS)[:n]] = 1  # as many firings, but of random rows
    random_a, random_b = (sparse.csr_matrix(sparse.diags(at) @ loss) for _, loss in made)
    before = effect_agreement(random_a, random_b, EVERY, EVERY, GROUPS, ONCE)
    assert np.isnan(before.r_effect_both[4])
    assert ours.r_effect_both[4] == pytest.approx(truth.r_effect_both[4])
    assert np.isfinite(ours.r_effect_both).all()


def test_one_pair_is_the_weighted_correlation_and_so_is_each_draw(made):
    rng = np.random.default_rng(1)
    weights = rng.multinomial(60, np.full(60, 1 / 60), size=3)
    a, b = (sampled(acts, loss, 60, 0, 5) for acts, loss in made)
    ours = sampled_agreement(a, b, EVERY, EVERY, GROUPS, weights)
    latent = 1
    (x, p), (y, q) = (
        (s.loss[:, [latent]].toarray().ravel(), s.sample.chances[:, [latent]].toarray().ravel()) for s in (a, b)
    )
    fires = np.maximum(p, q) > 0
    chance = np.where(p == 0, q, np.where(q == 0, p, np.minimum(p, q)))
    weight = np.where(fires & (a.sample.lots < chance), 1 / np.where(chance > 0, chance, 1), 0.0)
    for drawn, r, r_both in (
        (np.ones(60), ours.r_effect[latent], ours.r_effect_both[latent]),
        (weights[2], ours.resampled[latent, 2], ours.resampled_both[latent, 2]),
    ):
        times = drawn[GROUPS]
        for w, n, value in (
            (weight * times, times.sum(), r),
            (weight * times * (p > 0) * (q > 0), (weight * times * (p > 0) * (q > 0)).sum(), r_both),
        ):
            mean_x, mean_y = w @ x / n, w @ y / n
            cov = w @ (x * y) / n - mean_x * mean_y
            scale = np.sqrt((w @ (x * x) / n - mean_x**2) * (w @ (y * y) / n - mean_y**2))
            assert value == pytest.approx(cov / scale, abs=1e-9)


def test_few_common_rows_say_nothing(made):
    ours = estimated(made, 12, 0, 0)
    assert np.isnan(ours.r_effect_both[:4]).all()


def test_whole_contexts_are_taken_while_they_fit():
    context, usable = np.repeat(np.arange(10), 7), np.flatnonzero(np.arange(70) % 7 > 1)
    taken = context_rows(context, usable, 17, np.random.default_rng(0))
    assert np.unique(context[taken]).size == 3
    assert taken.size == 15
    assert np.array_equal(taken, usable[np.isin(context[usable], context[taken])])
    assert context_rows(context, usable, 2, np.random.default_rng(0)).size == 5
    assert context_rows(context, usable, 999, np.random.default_rng(0)).size == usable.size
