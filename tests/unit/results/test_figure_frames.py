"""Frames behind the figures of sets, rates and maps, counted again by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from results.figure_frames import joined_models, map_links, map_points, median_by_rate, membership, models_of, r_by_rate


def test_clusters_are_counted_by_the_set_of_models_they_reach() -> None:
    rows = [
        ("m0", "alive", 0), ("m2", "alive", 0), ("m1", "alive", 1), ("m0", "alive", 2), ("m0", "alive", 2),
        ("m2", "alive", 2), ("m0", "dead", None), ("m2", "alive", 3), ("m1", "alive", 4),
    ]  # fmt: skip
    features = pd.DataFrame(rows, columns=["model", "status", "cluster"]).astype({"cluster": "Int64"})
    sets = membership(features)
    # Two features of one model in a cluster are two features and one model.
    expected = [("m0 m2", 2, 2, 5), ("m1", 1, 2, 2), ("m2", 1, 1, 1)]
    assert list(sets.itertuples(index=False, name=None)) == expected
    assert list(sets.columns) == ["models", "n_models", "n_clusters", "n_features"]


def test_names_with_white_space_and_quotes_stay_whole() -> None:
    names = ["gpt2 small", "it's", 'a "b"', "m0", "a\\b", "(x)", "p|q", "é\u2003é"]
    assert models_of(joined_models(names)) == names
    assert joined_models(["m0", "m1s3r"]) == "m0 m1s3r"
    rows = [(name, "alive", 0) for name in names] + [("gpt2 small", "alive", 1), ("m0", "alive", 2)]
    features = pd.DataFrame(rows, columns=["model", "status", "cluster"]).astype({"cluster": "Int64"})
    assert membership(features)["n_models"].tolist() == [8, 1, 1]


def test_pairs_count_once_for_each_latent_in_half_open_bins() -> None:
    features = pd.DataFrame(
        {"model": ["m0", "m0", "m1", "m1"], "latent": [0, 1, 0, 1], "firing_rate": [0.1, 1.0, 0.02, 0.0]}
    )
    pairs = pd.DataFrame(
        {"model_a": "m0", "latent_a": [0, 1], "model_b": "m1", "latent_b": [0, 1], "r_held_out": [0.4, 1.0]}
    )
    bins = r_by_rate(pairs, features, per_decade=1, step=0.1)
    # 0.1 begins the bin up to 1, which holds 1 as well; 0.4 begins its bin; a latent that never fires has no place.
    expected = [(0.01, 0.1, 0.4, 0.5, 1), (0.1, 1.0, 0.4, 0.5, 1), (0.1, 1.0, 0.9, 1.0, 1)]
    assert np.allclose(bins.to_numpy(float), expected)


def test_the_median_over_bins_is_that_of_the_pairs_to_a_bins_width() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    features = pd.DataFrame({"model": "m0", "latent": np.arange(n), "firing_rate": 0.05})
    other = features.assign(model="m1", firing_rate=0.5)
    r = rng.beta(2, 3, n)
    sides = {"model_a": "m0", "latent_a": np.arange(n), "model_b": "m1", "latent_b": np.arange(n)}
    bins = r_by_rate(pd.DataFrame({**sides, "r_held_out": r}), pd.concat([features, other]), step=0.04)
    medians = median_by_rate(bins)
    assert len(medians) == 2
    assert (medians["r"] - np.median(r)).abs().max() < 0.01
    assert (medians["n"] == n).all()


def test_lines_join_assigned_pairs_of_one_cluster_alone() -> None:
    n = 50
    features = pd.DataFrame({"model": np.repeat(["m0", "m1", "m2"], n), "latent": np.tile(np.arange(n), 3)})
    features["class"] = "shared"
    # Latent i of m0 and its partner n - 1 - i of m1 are of one cluster from 25 on; the others stand alone.
    alone = np.arange(1000, 1000 + 3 * n)
    own = np.where(features["model"] == "m1", n - 1 - features["latent"], features["latent"])
    features["cluster"] = np.where((own >= 25) & (features["model"] != "m2"), own, alone)
    positions = features[["model", "latent"]].assign(x=np.arange(3.0 * n), y=1.0).drop(index=[30])
    points = map_points(positions, features, ("m0", "m1"))
    assert set(points["model"]) == {"m0", "m1"}
    assert len(points) == 2 * n - 1
    sides = {"model_a": "m0", "latent_a": np.arange(n), "model_b": "m1", "latent_b": np.arange(n)[::-1]}
    pairs = pd.DataFrame({**sides, "r_held_out": np.linspace(0, 1, n)})
    links = map_links(pairs, points, 10)
    assert sorted(links["latent_a"]) == [i for i in range(25, n) if i != 30]
    assert links["r_held_out"].is_monotonic_decreasing
    assert (links["x_a"] == links["latent_a"]).all()
    assert (links["x_b"] == n + links["latent_b"]).all()
    assert links["drawn"].sum() == 10
    assert links["drawn"].iloc[[0, -1]].all()
