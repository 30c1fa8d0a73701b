"""Frames behind the figures of sets, rates and text, counted again by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from results.calibration_frames import certainty, fit_and_held_out
from results.figure_frames import (
    domain_sources,
    joined_models,
    level_shares,
    median_by_rate,
    membership,
    models_of,
    r_by_rate,
)


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


def test_shares_by_level_are_those_of_all_pairs_or_their_mean() -> None:
    names = ["shared_fraction", "shared_fraction_context", "shared_fraction_token"]
    rows = [
        (name, kind, pair, value * (1 + number), value / 2, value * 2, 0.01)
        for number, name in enumerate(names)
        for kind, pair, value in (
            ("features", "m0-m1", 0.1), ("features", "overall", 0.2), ("ceiling", "m0-m0r", 0.3),
            ("ceiling", "m1-m1r", 0.1),
        )
    ]  # fmt: skip
    columns = ["name", "kind", "pair", "value", "low", "high", "chance"]
    shares = level_shares(pd.DataFrame(rows, columns=columns)).set_index(["kind", "level"])
    assert list(shares.index) == [
        (kind, level) for kind in ("features", "ceiling") for level in ("any", "context", "token")
    ]
    assert shares["value"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.2, 0.4, 0.6])
    assert shares.loc["features", "high"].tolist() == [0.4] * 3
    assert shares.loc["ceiling", ["low", "high"]].isna().all(axis=None)


def test_documents_and_sources_are_counted_by_part_of_the_text() -> None:
    rows = [
        ("b", "sae_a", 1),
        ("b", "sae_b", 1),
        ("b", "score", 2),
        ("a", "score", 3),
        ("a", "score", 4),
        ("a", "fit", 5),
    ]
    documents = pd.DataFrame(rows, columns=["domain", "part", "source_group"]).assign(n_tokens=10)
    counts = domain_sources(documents).set_index(["domain", "part"])[["n_documents", "n_sources", "n_tokens"]]
    assert counts.loc[("b", "training")].tolist() == [2, 1, 20]
    assert counts.loc[("a", "score")].tolist() == [2, 2, 20]
    assert counts.loc[("b", "fit")].tolist() == [0, 0, 0]
    assert counts.index[0][0] == "a"


def test_what_held_out_r_is_over_fit_r_and_how_sure_classes_are() -> None:
    r = np.repeat([0.12, 0.52, 0.55], 11)
    pairs = pd.DataFrame({"r": r, "r_held_out": r - np.tile(np.linspace(0, 0.1, 11), 3)})
    bins = fit_and_held_out(pairs)
    assert bins["left"].tolist() == pytest.approx([0.1, 0.5, 0.55])
    assert bins["median"].tolist() == pytest.approx([0.07, 0.47, 0.5])
    assert bins["high"].tolist() == pytest.approx([0.11, 0.51, 0.54])
    features = pd.DataFrame(
        {
            "status": ["alive"] * 5 + ["dead"],
            "class_probability": [1.0, 1.0, 0.9, 0.55, 0.2, 1.0],
            "group_probability": np.nan,
        }
    )
    certain = certainty(features)
    assert set(certain["of"]) == {"class"}
    assert certain["n"].tolist() == [1, 1, 0, 1, 2]
    assert certain["fraction"].sum() == pytest.approx(1)
