from __future__ import annotations

import numpy as np

from universality.indices import (
    covariances,
    excess_correlation,
    linear_cka,
    mutual_nearest,
    offset_power_law,
    raw_indices,
    representational,
    svcca,
)
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
    indices, _, _ = raw_indices(x, y, np.random.default_rng(0), 2)
    for index in indices:
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
    shared = {i.name: i for i in excess_correlation(covariances(x, x[:, ::-1]), generator, 3)}
    rotated = {i.name: i for i in excess_correlation(covariances(x, x @ _rotation(10, 4)), generator, 3)}
    assert shared["neuron_excess"].value > 0.1
    assert abs(rotated["neuron_excess"].value) < shared["neuron_excess"].value / 2
    assert shared["neuron_excess"].low <= shared["neuron_excess"].value <= shared["neuron_excess"].high


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
