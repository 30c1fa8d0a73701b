from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dashboards.components import class_charts, overview_charts, pair_charts, verdicts
from results import frames
from results.firing import N_BINS
from results.map_points import NO_PARTNER


def rows_of(chart) -> list[dict]:
    """Every datum that a chart draws, over all its data sets."""
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def features(*classes: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": "m0",
            "status": "alive",
            "class": [name for name, _ in classes],
            "level": [level for _, level in classes],
        }
    )


def test_class_bars_draw_every_feature_once_and_name_present_levels_only():
    bars = frames.class_bars(features(("universal", "context"), ("universal", "token"), ("specific", "untested")))
    for by, kinds in (("Class", ["universal", "specific"]), ("Level", ["context", "token", NO_PARTNER])):
        frame = class_charts.stacked(bars, "model", by)
        drawn = rows_of(class_charts.class_bars_chart(frame, by))
        assert [row["kind"] for row in drawn] == kinds
        assert sum(row["n"] for row in drawn) == 3
        assert [row["low"] for row in drawn[1:]] == pytest.approx([row["high"] for row in drawn[:-1]])
        assert drawn[-1]["high"] == pytest.approx(1)
        # A feature without a partner has no level.
        assert "untested" not in class_charts.class_legend(frame, by)
        assert all(kind in class_charts.class_legend(frame, by) for kind in kinds)


def test_areas_of_classes_have_their_names_where_they_are_widest_and_never_at_the_ends():
    curve = pd.DataFrame(
        {
            "tau": np.repeat([0.2, 0.4, 0.6, 0.8], 2), "class": ["universal", "specific"] * 4, "level": "token",
            "n_features": [9, 1, 6, 4, 4, 6, 1, 9],
        }
    ).assign(fraction=lambda frame: frame["n_features"] / 10)  # fmt: skip
    chart = class_charts.class_curve_chart(class_charts.stacked(curve, "tau", "Class"), "Class", 0.5).to_dict()
    names = chart["datasets"][chart["layer"][1]["data"]["name"]]
    assert {(row["kind"], row["tau"]) for row in names} == {("universal", 0.4), ("specific", 0.6)}


def test_the_last_step_of_a_histogram_is_closed():
    baselines = pd.DataFrame({"kind": "features", "r_held_out": [0.1, 0.99], "r_token": [0.1, np.nan]})
    nulls = pd.DataFrame({"pair": "m0-m1", "kind": "plain", "quantile": [0.5, 0.99], "value": [0.01, 0.1]})
    frame = frames.r_histogram(baselines, nulls, bins=10)
    drawn = rows_of(overview_charts.histogram_chart(frame, "r_held_out", 0.1, 0.0))
    steps = [row for row in drawn if row.get("kind") == "features"]
    assert max(row["left"] for row in steps) == 1.0
    assert {row["kind"] for row in drawn if "kind" in row} == {"features"}
    legend = overview_charts.histogram_legend(frames.medians(baselines), "r_held_out")
    assert f"Features, median {(0.1 + 0.99) / 2:.2f}" in legend


def test_the_axis_of_r_begins_where_the_pairs_do():
    nulls = pd.DataFrame({"pair": [], "kind": [], "quantile": [], "value": []})
    many = np.concatenate([[-0.75], np.linspace(-0.1, 0.9, 999)])
    baselines = pd.DataFrame({"kind": "features", "r_held_out": many, "r_token": many})
    frame = frames.r_histogram(baselines, nulls, bins=20)
    assert frame["left"].min() <= -0.75
    assert overview_charts.lowest_shown(frame) == pytest.approx(-0.1)


def test_pairs_of_models_that_were_not_compared_are_dashes():
    pairs = pd.DataFrame({"model_a": ["m0"], "model_b": ["m1"], "r_held_out": [0.4]})
    drawn = rows_of(overview_charts.matrix_chart(frames.model_matrix(pairs, ["m0", "m1", "m2"])))
    texts = {(row["model_a"], row["model_b"]): row["text"] for row in drawn}
    assert texts["m0", "m1"] == texts["m1", "m0"] == "0.40"
    assert texts["m2", "m2"] == "–"


def test_histograms_of_two_features_share_their_axes():
    small = pd.DataFrame({"left": [0.0, 1.0], "right": [1.0, 2.0], "count": [30, 0]})
    large = pd.DataFrame({"left": [0.0, 5.0], "right": [5.0, 10.0], "count": [1, 900]})
    shares = [pair_charts.shares_of_maximum(frame, 1000) for frame in (small, large)]
    assert shares[0]["share"].tolist() == [0.03]
    assert shares[1]["right"].max() == 1.0
    assert pair_charts.common_limits(shares) == pytest.approx((1e-4, 1.0))
    assert pair_charts.common_limits([]) == (1e-6, 1.0)
    assert pair_charts.common_limits([shares[0].iloc[:0]]) == (1e-6, 1.0)


def test_rows_where_one_side_is_silent_are_drawn_beyond_zero():
    frame = pd.DataFrame({"bin_a": [-1, 0, N_BINS - 1], "bin_b": [3, 0, -1], "count": [5, 1, 2]})
    cells = [row for row in rows_of(pair_charts.joint_chart(frame, "m0:1", "m1:2")) if "count" in row]
    silent = next(row for row in cells if row["bin_a"] == -1)
    assert silent["a1"] < 0
    assert silent["text_a"] == "silent"
    assert max(row["a1"] for row in cells) == pytest.approx(1.0)
    assert sum(row["count"] for row in cells) == 8


def test_verdicts_are_counted_in_the_legend_and_none_is_black():
    counts = pd.DataFrame({"model": ["m0", "m1"], "verdict": ["absent", "absent"], "n": [3, 4]})
    assert "absent 7" in verdicts.verdict_legend(counts)
    assert "#000000" not in verdicts.verdict_legend(counts) + str(verdicts.verdict_chart(counts).to_dict())


def test_every_kind_of_coordinates_has_its_random_directions_and_its_floor_if_there_is_one():
    columns = {"n": 474, "value": 0.5, "low": 0.4, "high": 0.6, "haar": 0.3, "floor": [0.1, np.nan]}
    drawn = rows_of(overview_charts.space_chart(pd.DataFrame({"space": ["features", "pca"], **columns}), 0.0, 0.6))
    points = {(row["name"], row["what"]): row["r"] for row in drawn if "what" in row}
    kinds = ("These coordinates", "As many random directions", "Untrained models")
    expected = {("SAE features, 474", kind): r for kind, r in zip(kinds, (0.5, 0.3, 0.1), strict=True)}
    assert points == expected | {
        ("principal components, 474", kind): r for kind, r in zip(kinds[:2], (0.5, 0.3), strict=True)
    }
    assert "Untrained models" in overview_charts.space_legend()
