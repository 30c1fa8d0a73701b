"""What two runs differ in: settings, headline numbers, shares and quality."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from results.side_by_side import (
    class_shares,
    curves_beside,
    flattened,
    headline_differences,
    headlines_beside,
    quality_differences,
    settings_beside,
)


def test_settings_that_differ_are_named_by_their_path():
    a = {
        "root_seed": 0,
        "models": {"training": {"lr": 0.1}},
        "comparisons": [{"id": "main", "k": 8}],
        "seeds": [0, 1],
    }
    b = {
        "root_seed": 0,
        "models": {"training": {"lr": 0.2}},
        "comparisons": [{"id": "main", "k": 16}],
        "seeds": [0, 2],
    }
    b["new"] = "<b>"
    settings = settings_beside({"a": a, "b": b})
    assert settings["setting"].tolist() == ["models.training.lr", "comparisons.main.k", "seeds", "new"]
    assert settings["a"].tolist()[:3] == ["0.1", "8", "[0, 1]"]
    assert settings["b"].tolist() == ["0.2", "16", "[0, 2]", '"<b>"']
    assert settings["a"].isna().tolist() == [False, False, False, True]
    assert settings_beside({"a": a, "b": a}).empty


def test_an_empty_part_is_a_setting_too():
    assert flattened({"a": {}, "b": [], "c": None, "d": [{"x": 1}]}) == {
        "a": "{}",
        "b": "[]",
        "c": "null",
        "d.0.x": "1",
    }
    assert flattened({}) == {}


def headline(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["quantity", "pair", "value", "low", "high", "n"])


def test_headlines_stand_side_by_side_with_their_difference():
    a = headline(("neurons", "overall", 0.3, 0.2, 0.4, 9), ("features", "overall", 0.5, 0.45, 0.55, 9))
    b = headline(
        ("features", "overall", 0.7, 0.6, 0.8, 9), ("features", "m0-m1", 0.9, 0.9, 0.9, 9),
        ("neurons", "overall", 0.35, 0.25, 0.45, 9), ("null_p95", "overall", 0.1, np.nan, np.nan, 9),
    )  # fmt: skip
    differences = headline_differences(a, b)
    assert differences["quantity"].tolist() == ["Features", "Neurons", "Chance, 95 %"]
    assert differences["difference"].tolist()[:2] == pytest.approx([0.2, 0.05])
    assert differences["apart"].tolist()[:2] == [True, False]
    assert differences["apart"].isna().tolist() == [False, False, True]
    assert np.isnan(differences["value_a"][2])
    # What the report draws of the same two comparisons.
    drawn = headlines_beside({"a": a, "b": b}).set_index(["quantity", "side"])
    assert differences["value_b"].tolist() == drawn.loc[(slice(None), "b"), "value"].tolist()


def test_shares_are_of_all_models_together():
    bars = pd.DataFrame(
        {
            "model": ["m0", "m0", "m1", "m1"],
            "class": ["universal", "specific"] * 2,
            "level": "token",
            "n": [1, 1, 2, 4],
        }
    )
    shares = class_shares(bars)
    assert dict(zip(shares["class"], shares["fraction"], strict=True)) == {
        "universal": 3 / 8,
        "specific": 5 / 8,
    }
    curve = pd.DataFrame(
        {"tau": [0.2, 0.2, 0.5], "class": ["shared", "shared", "shared"], "level": ["token", "context", "token"],
         "n_features": [1, 2, 4]}
    )  # fmt: skip
    both = curves_beside({"A": curve, "B": curve.head(2)})
    shared = both[both["class"] == "shared"]
    assert shared[["side", "tau", "fraction"]].to_numpy().tolist() == [
        ["A", 0.2, 1.0],
        ["A", 0.5, 1.0],
        ["B", 0.2, 1.0],
    ]


def test_quality_is_of_the_compared_models():
    a = pd.DataFrame({"role": ["primary", "primary", "untrained"], "fvu": [0.1, 0.3, 9.0], "l0": [8, 8, 8]})
    b = pd.DataFrame({"role": ["primary"], "fvu": [0.4]})
    quality = quality_differences(a, b).set_index("measure")
    assert quality.loc["FVU"].tolist() == pytest.approx([0.2, 0.1, 0.3, 0.4, 0.4, 0.4, 0.2])
    assert np.isnan(quality.loc["L0", "b"])
    assert "dead share" not in quality.index
