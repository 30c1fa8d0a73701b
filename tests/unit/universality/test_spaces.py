"""Coordinates other than features: planted truth, the estimator against plain numpy, floors and equal counts."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from universality.compare import CompareConfig, Dictionary, DictionaryPair, compare, model_coordinates, pair_spaces
from universality.compare import coordinates as made_here
from universality.compare.coordinates import CODES, Coordinates
from universality.compare.levels import nested_rows
from universality.compare.space_correlations import N_SUBSETS, RawMoments, SpaceCorrelations, code_correlations
from universality.compare.spaces import SpaceMatching
from universality.compare.statistics import latent_statistics
from universality.ica import independent_components, principal_components
from universality.indices import random_rotation
from universality.planted import plant
from universality.rows import Rows
from universality.seeds import generator

N, D = 6_000, 24
CONFIG = CompareConfig(n_shifts=10, n_resamples=20, n_resplits=0, taus=(0.5,), n_rotations=2, min_firings=10)


def _rows(n: int = N) -> Rows:
    documents = np.arange(n) // 50
    tokens = np.random.default_rng(3).integers(0, 30, n)
    return Rows(documents, documents % 2 == 0, documents % 3, tokens=tokens, positions=np.arange(n) % 50)


def _dictionary(name: str, n_latents: int = 40) -> Dictionary:
    """Latents that fire at random: they only say how many there are, and how many fire in a row."""
    acts = sparse.random_array(
        (N, n_latents), density=0.1, rng=np.random.default_rng(7), format="csr", dtype=np.float32
    )
    acts = sparse.csr_matrix(acts)
    return Dictionary(name, acts, _rows(), latent_statistics(acts, _rows()), 10)


def _matched(x: np.ndarray, y: np.ndarray, **options: bool) -> SpaceMatching:
    a, b = _dictionary("m0"), _dictionary("m1")
    made = model_coordinates(x, a, 0), model_coordinates(y, b, 0)
    return pair_spaces((x, y), made, DictionaryPair(a, b, CONFIG, 0), **options)


def _mean_r(matched: SpaceMatching, space: str) -> float:
    means = matched.means.set_index(["space", "like"])
    return float(means.loc[[(space, space)], "mean_r"].iloc[0])


def _turned(sources: np.ndarray, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The same sources in two models, each with noise and behind a rotation of its own."""
    rng = np.random.default_rng(1)
    a, b = ((sources + noise * rng.standard_normal(sources.shape)) @ random_rotation(D, rng) for _ in range(2))
    return a, b


def test_independent_components_find_sources_that_no_other_coordinates_find() -> None:
    x, y = _turned(np.random.default_rng(0).laplace(size=(N, D)))
    matched = _matched(x, y, intervals=False)
    assert _mean_r(matched, "ica") > 0.97
    # Neurons are turned as random directions are; no entry of a random orthogonal matrix of this size is near 1.
    entries = np.abs(random_rotation(D, np.random.default_rng(5))).max(axis=1).mean()
    for space in ("haar", "neurons"):
        assert _mean_r(matched, space) == pytest.approx(entries, abs=0.05)


def test_components_of_gaussian_rows_are_arbitrary() -> None:
    # Without noise of their own both models would see one and the same sample, whose variances are never quite equal.
    x, y = _turned(np.random.default_rng(0).standard_normal((N, D)), noise=0.7)
    matched = _matched(x, y, intervals=False)
    assert _mean_r(matched, "ica") == pytest.approx(_mean_r(matched, "haar"), abs=0.08)
    assert _mean_r(matched, "pca") == pytest.approx(_mean_r(matched, "haar"), abs=0.08)
    laplace = _turned(np.random.default_rng(0).laplace(size=(N, D)), noise=0.7)
    assert _mean_r(_matched(*laplace, intervals=False), "ica") > 0.7


def test_principal_components_find_directions_of_their_own_variance() -> None:
    x, y = _turned(np.random.default_rng(0).standard_normal((N, D)) * 1.5 ** np.arange(D))
    matched = _matched(x, y, intervals=False)
    assert _mean_r(matched, "pca") > 0.97
    assert _mean_r(matched, "neurons") < 0.95


def test_random_directions_reach_what_the_rotation_between_them_says() -> None:
    x, y = _turned(np.random.default_rng(0).standard_normal((N, D)))
    random = np.random.default_rng(9)
    a, b = random_rotation(D, random), random_rotation(D, random)
    haar = RawMoments((x, y), nested_rows(_rows())).along(a, b, signed=True)
    chosen = haar.assign((D, D), 0.0, random)
    # x = s A and y = s B of white sources s: their coordinates correlate as the columns of A a and B b do.
    turn_a, turn_b = (
        np.linalg.lstsq(np.random.default_rng(0).standard_normal((N, D)), side, rcond=None)[0] for side in (x, y)
    )
    expected = (turn_a @ a).T @ (turn_b @ b)
    np.testing.assert_allclose(chosen.score, chosen.sign * expected[chosen.ia, chosen.ib], atol=0.05)


def test_gaussian_directions_have_the_variance_and_independence_asked_for() -> None:
    x = np.random.default_rng(0).laplace(size=(2000, 5)) @ np.random.default_rng(1).standard_normal((5, 7))
    directions = independent_components(x, 64, generator(0, "ica"))
    assert directions.shape == (7, 5)  # no more than the rows have dimensions
    np.testing.assert_allclose(np.cov((x @ directions).T, bias=True), np.eye(5), atol=1e-4)
    vectors, variance = principal_components(x)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(5), atol=1e-10)
    np.testing.assert_allclose((x @ vectors).var(axis=0), variance, rtol=1e-9)


def _residual(x: np.ndarray, rows: Rows) -> np.ndarray:
    """What dummies of documents, tokens, positions and rows from either end leave, by dense least squares."""
    score = np.flatnonzero(rows.score)
    place = np.arange(score.size) % 50
    assert rows.tokens is not None
    labels = [rows.documents[score], rows.tokens[score], place, np.minimum(place, 8), np.minimum(49 - place, 8)]
    dummies = np.concatenate([(label[:, None] == np.unique(label)).astype(float) for label in labels], axis=1)
    return x[score] - dummies @ np.linalg.lstsq(dummies, x[score], rcond=None)[0]


def _crossed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.corrcoef(a.T, b.T)[: a.shape[1], a.shape[1] :]


def _holds(found: SpaceCorrelations, a: np.ndarray, b: np.ndarray, rows: Rows) -> None:
    np.testing.assert_allclose(found.fit, _crossed(a[rows.fit], b[rows.fit]), atol=1e-9)
    np.testing.assert_allclose(found.score, _crossed(a[rows.score], b[rows.score]), atol=1e-9)
    np.testing.assert_allclose(found.joint, _crossed(_residual(a, rows), _residual(b, rows)), atol=1e-8)
    chosen = np.array([2, 0])
    np.testing.assert_allclose(found.columns(1, chosen), b[rows.score][:, chosen], rtol=1e-5, atol=1e-5)


def test_correlations_of_directions_are_those_of_numpy() -> None:
    rows, random = _rows(1_500), np.random.default_rng(2)
    # Far from 0, and with a document and a token in every coordinate.
    common = random.standard_normal((1_500, 4)) + 0.5 * (rows.documents[:, None] % 5) + 0.1 * rows.tokens[:, None] + 30
    x, y = (
        common @ random.standard_normal((4, 4)),
        common @ random.standard_normal((4, 6)) + random.standard_normal((1_500, 6)),
    )
    a, b = random_rotation(4, random), random_rotation(6, random)[:, :5]
    moments = RawMoments((x, y), nested_rows(rows))
    assert moments.signed == bool((x[rows.fit] < 0).any() or (y[rows.fit] < 0).any())
    _holds(moments.along(None, None, signed=False), x, y, rows)
    r = np.abs(np.corrcoef(x[rows.score].T, y[rows.score].T)[:4, 4:])
    expected = (np.median(r[:, :3].max(axis=1)) + np.median(r[:, :3].max(axis=0))) / 2
    assert moments.along(None, None, signed=True).best(4, 3) == pytest.approx(expected)
    _holds(moments.along(a, b, signed=True), x @ a, y @ b, rows)


def test_correlations_of_codes_are_those_of_numpy() -> None:
    rows, random = _rows(1_500), np.random.default_rng(2)
    dense = [np.maximum(random.standard_normal((1_500, n)) + 0.2 * (rows.tokens[:, None] % 3) - 0.8, 0) for n in (4, 5)]
    _holds(
        code_correlations((sparse.csr_matrix(dense[0]), sparse.csr_matrix(dense[1])), nested_rows(rows)), *dense, rows
    )


def test_codes_are_the_largest_positive_of_each_row() -> None:
    x, dictionary = np.random.default_rng(0).standard_normal((N, D)) + 1.0, _dictionary("m0")
    codes = model_coordinates(x, dictionary, 0).codes
    assert tuple(codes) == CODES
    active = round(dictionary.acts.nnz / N)
    for name, code in codes.items():
        assert code.nnz
        assert (code.data > 0).all()
        assert np.diff(code.indptr).max() <= active, name
        for half in (dictionary.rows.fit, dictionary.rows.score):
            assert (np.asarray((code[np.flatnonzero(half)] > 0).sum(axis=0)) >= 10).all()
    # Far from 0 the largest are always the same few directions, unless rows are measured from their middle.
    assert codes["random_sae"].shape[1] < codes["initial_sae"].shape[1] <= dictionary.d_sae


def test_a_coordinate_is_as_good_as_its_negative_and_keeps_its_sign() -> None:
    x = np.random.default_rng(0).standard_normal((N, 4))
    y = -x[:, ::-1].copy()
    # The last one agrees on fit rows with one sign, on score rows with the other.
    y[_rows().score, 0] *= -1
    neurons = _matched(x, y, intervals=False).pairs.set_index("latent_a")
    assert neurons["latent_b"].tolist() == [3, 2, 1, 0]
    np.testing.assert_allclose(neurons["r"], 1.0)
    np.testing.assert_allclose(neurons["r_held_out"], [1, 1, 1, -1])


def test_coordinates_that_are_never_negative_are_not_matched_by_negative_r() -> None:
    x = np.random.default_rng(0).random((N, 3))
    assert _matched(x, 1 - x, intervals=False).pairs["r"].min() >= 0
    assert _mean_r(_matched(x, 1 - x, intervals=False), "neurons") < 0.1


def test_which_side_is_a_changes_nothing() -> None:
    x, y = _turned(np.random.default_rng(0).laplace(size=(N, D)))
    a, b = _dictionary("m0"), _dictionary("m1")
    made = model_coordinates(x, a, 0), model_coordinates(y, b, 0)
    one = pair_spaces((x, y), made, DictionaryPair(a, b, CONFIG, 0))
    two = pair_spaces((y, x), made[::-1], DictionaryPair(b, a, CONFIG, 0)).swapped()
    pd.testing.assert_frame_equal(one.pairs, two.pairs)
    pd.testing.assert_frame_equal(one.means, two.means)
    for name, draws in one.mean_draws.items():
        np.testing.assert_array_equal(draws, two.mean_draws[name])
    np.testing.assert_array_equal(one.resampled, two.resampled)
    for excess, swapped in zip(one.excess, two.excess, strict=True):
        np.testing.assert_array_equal(excess, swapped)
    means = one.indices.set_index(["name", "pair"])["value"]
    assert [of.mean() for of in one.excess] == pytest.approx(
        [means["neuron_excess", way] for way in ("m0-m1", "m1-m0")]
    )


def test_as_many_random_directions_stand_beside_every_kind() -> None:
    x, y = _turned(np.random.default_rng(0).laplace(size=(N, D)))
    means = _matched(x, y, intervals=False).means.set_index(["space", "like"])
    n_features = _dictionary("m0").n_alive
    assert means.loc[("haar", "haar"), "n"] == n_features > D
    for space in ("neurons", "pca", "ica", "random_sae", "initial_sae", "features_subset"):
        n = means.loc[(space, space), "n"]
        assert means.loc[("haar", space), "n"] == n <= n_features
        subsets = N_SUBSETS if n < n_features else 1
        assert means.loc[("haar", space), "n_pairs"] == pytest.approx(n * subsets, rel=0.05), space
    assert means.loc[("features_subset", "features_subset"), "n"] == D


def test_spaces_without_directions_have_neurons_and_codes_alone() -> None:
    x, y = _turned(np.random.default_rng(0).laplace(size=(N, D)))
    a, b = _dictionary("m0"), _dictionary("m1")
    made = [Coordinates({}, model_coordinates(side, d, 0).codes) for side, d in ((x, a), (y, b))]
    matched = pair_spaces((x, y), (made[0], made[1]), DictionaryPair(a, b, CONFIG, 0))
    assert set(matched.means["space"]) == {"neurons", *CODES, "features_subset"} == set(matched.mean_draws)


def test_models_without_features_or_activations_have_what_is_left() -> None:
    x, y = _turned(np.random.default_rng(0).laplace(size=(N, D)))
    nothing = sparse.csr_matrix((N, 5), dtype=np.float32)
    a, b = (Dictionary(name, nothing, _rows(), latent_statistics(nothing, _rows()), 10) for name in ("m0", "m1"))
    for left, kinds in ((x, {"neurons", "pca", "ica", *CODES}), (0 * x, {"neurons"})):
        made = model_coordinates(left, a, 0), model_coordinates(y, b, 0)
        matched = pair_spaces((left, y), made, DictionaryPair(a, b, CONFIG, 0))
        assert set(matched.means["space"]) == kinds
        assert np.isfinite(matched.means.drop(columns=["space", "like"]).to_numpy(float)).all()
        assert set(matched.mean_draws) == (kinds if left is x else set())


# --- the table ----------------------------------------------------------------------------------------------


@cache
def _table(*without: str) -> pd.DataFrame:
    w = plant(
        n_models=3, n_rows=8_000, n_documents=100, n_universal=12, n_shared=4, n_specific=8, n_unstable=2,
        n_decodable=2, n_split=2, n_domain=2, n_token=2, n_position=1, n_domains=2, d_in=16, d_vocab=120, n_ctx=16,
        min_rate=0.01,
    )  # fmt: skip
    inputs = {name: value for name, value in w.inputs().items() if name not in without}
    comparison = compare(w.acts, **inputs, config=CONFIG)
    features = comparison.agreement.query("kind == 'features' and pair == 'overall'").iloc[0]
    table = comparison.spaces.set_index(["space", "measure"])
    if len(table):
        assert table.loc[("features", "r_held_out"), "value"] == pytest.approx(features["mean_r"])
        assert table.loc[("features", "r_held_out"), "low"] == pytest.approx(features["mean_r_low"], abs=1e-6)
    return table


def test_every_row_has_a_floor_an_interval_and_random_directions_beside_it() -> None:
    table = _table()
    kinds = ["features", "features_subset", "ica", "haar", "neurons", "initial_sae", "random_sae", "pca"]
    assert list(table.index) == [(kind, measure) for kind in kinds for measure in ("r_held_out", "r_joint")]
    one_sided = table[["best", "best_floor", "best_haar"]]
    assert one_sided.xs("r_joint", level="measure").isna().all(axis=None)
    assert one_sided.xs("r_held_out", level="measure").notna().all(axis=None)
    assert table.drop(columns=one_sided.columns).notna().all().all()
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    above = table["value"] - table["haar"]
    np.testing.assert_allclose(table["above_haar"], above)
    assert ((table["above_haar_low"] <= above) & (above <= table["above_haar_high"])).all()
    assert (table.xs("haar")["above_haar"] == 0).all()
    # Planted features are there in all models, along directions of each model's own.
    assert table.loc[("features", "r_held_out"), "above_haar_low"] > 0


def test_without_token_ids_nothing_is_said_beyond_them_and_without_raw_activations_nothing_at_all() -> None:
    assert set(_table("tokens").index.get_level_values("measure")) == {"r_held_out"}
    assert _table("raw", "untrained_raw", "weights", "logits").empty
    without_floor = _table("untrained", "untrained_raw")
    assert without_floor[["floor", "haar_floor"]].isna().all().all()
    assert without_floor["haar"].notna().all()


def test_codes_of_wide_dictionaries_are_made_in_blocks_and_hold_the_largest_of_each_row(monkeypatch) -> None:
    x, dictionary = np.random.default_rng(2).standard_normal((N, D)), _dictionary("m0", 1_024)
    whole = model_coordinates(x, dictionary, 0).codes
    sizes = []

    def watched(code: np.ndarray, active: int) -> sparse.csr_matrix:
        sizes.append(code.nbytes)
        got = largest(code, active)
        least = np.partition(code, -active, axis=1)[:, -active, None]
        np.testing.assert_array_equal(got.toarray(), np.where(code >= least, np.maximum(code, 0.0), 0.0))
        return got

    largest = made_here._largest
    monkeypatch.setattr(made_here, "_largest", watched)
    monkeypatch.setattr(made_here, "_BLOCK_BYTES", 1 << 20)
    narrow = model_coordinates(x, dictionary, 0).codes
    assert max(sizes) <= 1 << 20
    for name in CODES:
        assert narrow[name].data.tobytes() == whole[name].data.tobytes()
        assert narrow[name].indices.tobytes() == whole[name].indices.tobytes()
    tied = np.array([[2, 1, 1, 0], [-1, -2, 3, -4], [-1, -1, -1, -1]], np.float32)
    np.testing.assert_array_equal(largest(tied, 2).toarray(), [[2, 1, 1, 0], [0, 0, 3, 0], [0, 0, 0, 0]])
