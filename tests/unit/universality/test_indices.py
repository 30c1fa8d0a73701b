from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from universality.indices import (
    covariances,
    linear_cka,
    mutual_nearest,
    offset_power_law,
    random_rotation,
    representational,
    svcca,
)
from universality.neuron_indices import excess_correlation, neuron_maxima, raw_indices, universal_neurons
from universality.weight_indices import cosine_similarity, decoder_indices


def _rotation(d: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def _raw(seed: int, n: int = 3000, d: int = 10) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.standard_normal((n, d)) @ rng.standard_normal((d, d)), 0) + 3.0


def test_rotations_do_not_change_cka_svcca_or_geometry() -> None:
    x = _raw(0)
    y = x @ _rotation(10, 1)
    c = covariances(x, y)
    np.testing.assert_allclose(linear_cka(c).value, 1.0, atol=1e-9)
    np.testing.assert_allclose(svcca(c).value, 1.0, atol=1e-6)
    rsa, knn = representational(x, y, np.random.default_rng(0))
    assert rsa.value > 0.999
    assert knn.value > 0.99


def test_unrelated_activations_are_at_their_chance_level() -> None:
    x, y = _raw(0), _raw(1)
    for index in raw_indices(x, y, np.random.default_rng(0), 2).both:
        assert abs(index.value - index.chance) < 0.1, index


def test_cka_agrees_with_its_definition_on_gram_matrices() -> None:
    x, y = _raw(0, 200), _raw(0, 200) + _raw(2, 200)
    centred = [m - m.mean(axis=0) for m in (x, y)]
    k, h = (m @ m.T for m in centred)
    expected = (k * h).sum() / np.sqrt((k * k).sum() * (h * h).sum())
    np.testing.assert_allclose(linear_cka(covariances(x, y)).value, expected)


def test_excess_correlation_sees_the_basis() -> None:
    x = _raw(0)
    generator = np.random.default_rng(3)
    shared, rotated = (
        {i.name: i for i in excess_correlation(neuron_maxima(covariances(x, y), generator, 3))}
        for y in (x[:, ::-1], x @ _rotation(10, 4))
    )
    assert shared["neuron_excess"].value > 0.1
    assert abs(rotated["neuron_excess"].value) < shared["neuron_excess"].value / 2
    assert shared["neuron_excess"].low <= shared["neuron_excess"].value <= shared["neuron_excess"].high


def test_neurons_best_partners_and_their_excess_are_those_of_numpy() -> None:
    x, y, n_rotations = _raw(0), _raw(0) + _raw(5), 3
    x[:, 4] = 2.0  # a neuron that never varies
    maxima = neuron_maxima(covariances(x, y), np.random.default_rng(1), n_rotations)

    def best(other: np.ndarray) -> np.ndarray:
        alive = np.arange(10) != 4
        r = np.corrcoef(x[:, alive], other, rowvar=False)[:9, 9:].max(axis=1)
        return np.insert(r, 4, 0.0)

    generator = np.random.default_rng(1)
    turned = np.array([best(y @ random_rotation(10, generator)) for _ in range(n_rotations)])
    np.testing.assert_allclose(maxima.highest, best(y), atol=1e-9)
    np.testing.assert_allclose(maxima.unrelated, best(np.roll(y, -1500, axis=0)), atol=1e-9)
    np.testing.assert_allclose(maxima.rotated, turned, atol=1e-9)
    np.testing.assert_allclose(maxima.excess, best(y) - turned.mean(axis=0), atol=1e-9)
    index = {i.name: i for i in excess_correlation(maxima, threshold=0.05)}
    alive = np.arange(10) != 4
    assert index["neuron_bricken_median"].value == pytest.approx(np.median(best(y)[alive]))
    assert index["neuron_bricken_median"].chance == pytest.approx(np.median(maxima.unrelated[alive]))
    assert index["neuron_universal_fraction"].value == (maxima.excess[alive] > 0.05).mean()


def test_a_neuron_is_universal_by_its_mean_excess_over_the_other_models() -> None:
    of_first = [np.array([0.9, 0.9, 0.0]), np.array([0.7, 0.0, 0.0])]
    of_second = [np.array([0.6, 0.4]), np.array([0.6, 0.4])]
    index = universal_neurons([of_first, of_second])
    assert index is not None
    assert (index.value, index.n) == (pytest.approx(2 / 5), 5)  # 0.8 and 0.6; not 0.45, which one model alone makes
    assert (index.low, index.high) == (pytest.approx(1 / 3), pytest.approx(1 / 2))
    assert universal_neurons([]) is None


def test_weight_indices_are_those_of_scipy_s_assignment() -> None:
    rng = np.random.default_rng(2)
    w = [rng.standard_normal((60, 12)), rng.standard_normal((60, 12))]  # decoders; encoders lie near them
    order = rng.permutation(60)
    other = [(m + s * rng.standard_normal(m.shape))[order] for m, s in zip(w, (0.6, 0.8), strict=True)]
    alive = (np.arange(60) != 7, np.arange(60) > 1)
    found = {
        i.name: i.value for i in decoder_indices((w[0], other[0]), (w[1], other[1]), alive, np.random.default_rng(1))
    }
    partner, cosine = [], []
    for a, b in zip(w, other, strict=True):
        x, y = (
            m[is_alive] / np.linalg.norm(m[is_alive], axis=1)[:, None]
            for m, is_alive in zip((a, b), alive, strict=True)
        )
        rows, columns = linear_sum_assignment(-(x @ y.T))
        best = np.full((2, len(x)), -1.0)
        best[:, rows] = columns, (x @ y.T)[rows, columns]
        partner.append(best[0])
        cosine.append(best[1])
    shared = (partner[0] == partner[1]) & (np.minimum(*cosine) >= 0.7)
    assert 0.2 < shared.sum() / 58 < 0.9
    assert found["paulo_shared_fraction"] == shared.sum() / 58
    np.testing.assert_allclose(found["mean_matched_signed_cos"], cosine[0][partner[0] >= 0].mean(), atol=1e-12)


def test_mutual_nearest_neighbours_of_noise_reach_their_stated_chance() -> None:
    rng = np.random.default_rng(0)
    values = []
    for _ in range(30):
        r = rng.random((60, 90))
        index = mutual_nearest(r.argmax(axis=1), r.argmax(axis=0), 60, 90)
        values.append(index.value)
    assert abs(np.mean(values) - index.chance) < 0.02


def test_cosines_of_blocks_are_the_plain_ones() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 6)), rng.standard_normal((40, 6))
    a[4] = 0.0
    found = cosine_similarity(a, b, top=5)
    plain = (a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-9)) @ (
        b / np.linalg.norm(b, axis=1, keepdims=True)
    ).T
    best = found.top_a(1)
    alive = np.arange(30) != 4
    np.testing.assert_array_equal(best[0][alive, 0], plain[alive].argmax(axis=1))
    np.testing.assert_allclose(best[1][alive, 0], plain[alive].max(axis=1))
    assert best[0][4, 0] == -1


def test_a_permuted_dictionary_shares_everything_and_a_random_one_nothing() -> None:
    rng = np.random.default_rng(0)
    w, order = rng.standard_normal((50, 16)), rng.permutation(50)
    alive = np.ones(50, bool)
    same = decoder_indices((w, w[order]), (w, w[order]), (alive, alive), np.random.default_rng(1))
    for index in same:
        np.testing.assert_allclose(index.value, 1.0, err_msg=index.name)
        assert index.chance < 0.8
    other = rng.standard_normal((50, 16))
    found = {i.name: i for i in decoder_indices((w, other), (w, other), (alive, alive), np.random.default_rng(1))}
    assert found["paulo_shared_fraction"].value <= 0.1
    for name in ("mmcs", "mean_matched_signed_cos", "mean_matched_abs_cos", "mean_max_abs_cos"):
        assert abs(found[name].value - found[name].chance) < 0.05


def test_flipped_directions_count_only_in_absolute_indices() -> None:
    w = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]
    alive = np.ones(12, bool)
    found = {i.name: i.value for i in decoder_indices((w, -w), None, (alive, alive), np.random.default_rng(1))}
    np.testing.assert_allclose(found["mean_matched_abs_cos"], 1.0)
    assert found["mean_matched_signed_cos"] < 0.1
    assert "paulo_shared_fraction" not in found


def test_the_power_law_gives_back_its_offset() -> None:
    k = np.arange(1, 9)
    alpha, offset = offset_power_law(k, 0.7 * k**-1.5 + 0.3)
    assert abs(alpha - 1.5) < 0.1
    assert abs(offset - 0.3) < 0.02
