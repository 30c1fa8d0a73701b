"""Tidy frames against numbers counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from results import figure_frames, frames, words
from results.older_runs import as_of_now


def _features(rows: list[tuple[str, str, str | None, str | None]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["model", "status", "class", "level"])
    return table.assign(latent=range(len(rows)), firing_rate=0.1, flags="")


def test_class_bars_count_alive_features_and_keep_zeros() -> None:
    bars = frames.class_bars(
        _features(
            [
                ("m0", "alive", "universal", "context"),
                ("m0", "alive", "universal", "context"),
                ("m0", "alive", "specific", None),
                ("m0", "dead", None, None),
                ("m1", "alive", "shared", "token"),
            ]
        )
    )
    assert len(bars) == 2 * 3 * 7
    counted = bars.set_index(["model", "class", "level"])
    assert counted.loc[("m0", "universal", "context"), "n"] == 2
    assert counted.loc[("m0", "specific", "untested"), "fraction"] == pytest.approx(1 / 3)
    assert counted.loc[("m1", "universal", "context"), "n"] == 0
    assert bars.groupby("model")["fraction"].sum().tolist() == pytest.approx([1, 1])


def test_class_curve_shares_sum_to_one_at_every_tau() -> None:
    rows = [
        (0.3, "universal", "token", 3),
        (0.3, "specific", "untested", 1),
        (0.6, "specific", "untested", 4),
    ]
    curve = frames.class_curve(pd.DataFrame(rows, columns=["tau", "class", "level", "n_features"]))
    assert curve.groupby("tau")["fraction"].sum().tolist() == pytest.approx([1, 1])
    at = curve.set_index(["tau", "class", "level"])["n_features"]
    assert at[0.3, "universal", "token"] == 3
    assert at[0.6, "universal", "token"] == 0


def _baselines() -> pd.DataFrame:
    r = [0.5, 0.51, 0.999, -0.03, 1.0]
    token = [0.1, 0.2, np.nan, 0.0, 0.9]
    return pd.DataFrame({"kind": "features", "model_a": "m0", "model_b": "m1", "r_held_out": r, "r_token": token})


def _nulls() -> pd.DataFrame:
    quantile = np.arange(1, 100) / 100
    parts = [
        pd.DataFrame({"pair": pair, "kind": kind, "quantile": quantile, "value": quantile * scale})
        for pair, scale in (("m0-m1", 0.1), ("m0-m2", 0.3))
        for kind in ("plain", "domain")
    ]
    return pd.concat(parts, ignore_index=True)


def test_histogram_bins_are_half_open_aligned_at_zero_and_complete() -> None:
    histogram = frames.r_histogram(_baselines(), _nulls(), 20)
    raw = histogram[(histogram["kind"] == "features") & (histogram["measure"] == "r_held_out")]
    assert raw["left"].iloc[0] == pytest.approx(-0.05)
    assert 0.0 in raw["left"].to_numpy()
    assert raw.loc[np.isclose(raw["left"], 0.5), "count"].item() == 2
    assert raw.loc[np.isclose(raw["left"], 0.95), "count"].item() == 2
    token = histogram[(histogram["kind"] == "features") & (histogram["measure"] == "r_token")]
    assert token["count"].sum() == 4
    sums = histogram.groupby(["kind", "measure"])["fraction"].sum()
    assert sums.tolist() == pytest.approx([1.0] * len(sums))
    assert ("chance", "r_token") not in sums.index


def test_null_histogram_is_the_mean_of_the_pairs_distributions() -> None:
    histogram = frames.r_histogram(_baselines(), _nulls(), [0.0, 0.1, 0.2, 1.0])
    null = histogram[histogram["kind"] == "chance"]
    # m0-m1 lies below 0.1; of m0-m2, uniform on (0, 0.3), a third lies in each of the bins.
    assert null["fraction"].tolist() == pytest.approx([(1 + 1 / 3) / 2, 1 / 6, 1 / 6], abs=0.02)
    assert null["count"].isna().all()


def test_empty_tables_give_empty_frames() -> None:
    histogram = frames.r_histogram(_baselines().iloc[:0], _nulls().iloc[:0])
    assert histogram.empty
    assert list(histogram.columns) == ["kind", "measure", "left", "right", "count", "fraction"]
    assert frames.medians(_baselines().iloc[:0]).empty
    assert frames.class_bars(_features([])).empty
    assert frames.class_curve(pd.DataFrame(columns=["tau", "class", "level", "n_features"])).empty


def test_medians_leave_out_what_was_not_measured() -> None:
    baselines = _baselines().assign(r_token=np.nan)
    found = frames.medians(baselines)
    assert found["measure"].tolist() == ["r_held_out"]
    assert found["median"].item() == pytest.approx(0.51)
    assert found["n"].item() == 5
    assert found["at_least"].item() == pytest.approx(4 / 5)
    assert frames.medians(baselines, tau=0.51)["at_least"].item() == pytest.approx(3 / 5)


def test_model_matrix_is_symmetric_with_ceilings_on_the_diagonal() -> None:
    pairs = pd.DataFrame({"model_a": ["m0", "m0", "m1"], "model_b": ["m1", "m1", "m2"], "r_held_out": [0.2, 0.4, 0.6]})
    ceiling = pd.DataFrame(
        {"kind": ["ceiling", "features"], "model_a": "m0", "model_b": "m0r", "r_held_out": [0.8, 0.1]}
    )
    matrix = frames.model_matrix(pairs, ["m0", "m1", "m2"], ceiling).set_index(["model_a", "model_b"])
    assert matrix.loc[("m0", "m1"), "r"] == matrix.loc[("m1", "m0"), "r"] == pytest.approx(0.3)
    assert matrix.loc[("m0", "m1"), "n"] == 2
    assert matrix.loc[("m0", "m0"), "r"] == pytest.approx(0.8)
    assert np.isnan(matrix.loc[("m0", "m2"), "r"])
    assert matrix.loc[("m2", "m2"), "n"] == 0


def test_k_of_m_adds_up_from_above() -> None:
    table = pd.DataFrame(
        {"k": [2, 1, 3], "n_clusters": [2, 5, 1], "n_features": [4, 5, 3], "fraction": [1 / 3, 5 / 12, 1 / 4]}
    )
    frame = frames.k_of_m_frame(table)
    assert frame["k"].tolist() == [1, 2, 3]
    assert frame["at_least"].tolist() == pytest.approx([1.0, 7 / 12, 3 / 12])


def test_an_index_is_that_of_the_compared_models_beside_its_ceiling_and_floor() -> None:
    rows = [
        ("mppc", "m0-m1", 0.4), ("mppc", "m1-m2", 0.6), ("mppc", "m0-m2", 0.5), ("mppc", "m0-m0r", 0.9),
        ("mppc", "u0-u1", 0.1), ("alone", "m0-m0r", 0.7), ("cycle", "overall", 0.3), ("cycle", "m0-m1", 0.2),
    ]  # fmt: skip
    indices = pd.DataFrame(rows, columns=["name", "pair", "value"]).assign(chance=0.05, low=0.25, high=0.35, n=9)
    found = figure_frames.index_frame(as_of_now("indices", indices, {}))
    assert found["name"].tolist() == ["mppc", "alone", "cycle"]
    assert found.loc[0, ["pairs", "value", "low", "high", "ceiling", "floor"]].tolist() == [
        3,
        0.5,
        0.4,
        0.6,
        0.9,
        0.1,
    ]
    assert found.loc[2, ["pairs", "value", "low", "high"]].tolist() == [0, 0.3, 0.25, 0.35]
    assert found.loc[2, ["ceiling", "floor"]].isna().all()


def test_an_index_of_one_model_s_dictionaries_alone_has_an_untrained_model_s_as_its_floor() -> None:
    rows = [
        ("seeds", "features", "m0s0-m0s1", 0.4), ("seeds", "untrained_ceiling", "u0-u0r", 0.6),
        ("alone", "ceiling", "m0-m0r", 0.7), ("alone", "ceiling", "m1-m1r", 0.9),
        ("alone", "untrained_ceiling", "u0-u0r", 0.8), ("alone", "untrained_ceiling", "u1-u1r", 0.6),
        ("floor only", "untrained_ceiling", "u0-u0r", 0.5),
        ("both", "features", "m0-m1", 0.3), ("both", "untrained", "u0-u1", 0.1),
        ("both", "untrained_ceiling", "u0-u0r", 0.2),
    ]  # fmt: skip
    indices = pd.DataFrame(rows, columns=["name", "kind", "pair", "value"]).assign(chance=0.05, low=0.2, high=0.9)
    found = figure_frames.index_frame(indices).set_index("name")
    assert found.index.tolist() == ["seeds", "alone", "both"]
    assert [str(n) for n in found["pairs"]] == ["1", "2", "1"]  # as the report's table writes them
    assert found["chance"].tolist() == [0.05] * 3
    assert found["floor"].tolist() == pytest.approx([0.6, 0.7, 0.1])
    assert found.loc["alone", "ceiling"] == pytest.approx(0.8)
    assert found.loc["alone", ["value", "low", "high"]].isna().all()


def test_verdicts_count_specific_features_alone() -> None:
    rows = [
        ("m0", "specific", "weak"), ("m0", "specific", "unstable"), ("m1", "specific", "weak"),
        ("m1", "specific", None), ("m1", "universal", None), ("m0", "shared", "weak"),
    ]  # fmt: skip
    found = figure_frames.verdict_frame(pd.DataFrame(rows, columns=["model", "class", "verdict"]))
    assert list(found.columns) == ["verdict", "m0", "m1", "n", "share"]
    expected = [("unstable", 1, 0, 1, 0.25), ("weak", 1, 1, 2, 0.5), ("untested", 0, 1, 1, 0.25)]
    assert list(found.itertuples(index=False, name=None)) == expected


def test_domain_frame_takes_medians_over_models_and_keeps_the_range() -> None:
    rows = pd.DataFrame(
        {
            "domain": ["dna"] * 3 + ["arabic"],
            "model": ["m0", "m1", "m2", "m0"],
            "n_rows": [10, 10, 10, 5],
            **dict.fromkeys(["mcc", "sensitivity", "specificity", "auroc", "r_token", "neuron_r", "untrained_r"], 0.5),
            "r": [0.9, 0.7, np.nan, 0.95],
            "level": ["context", "token", "context", None],
        }
    )
    frame = figure_frames.domain_frame(rows)
    assert frame["domain"].tolist() == ["arabic", "dna"]
    dna = frame.iloc[1]
    assert (dna["r"], dna["r_low"], dna["r_high"]) == pytest.approx((0.8, 0.7, 0.9))
    assert (dna["n_models"], dna["level"]) == (3, "context")
    assert frame.iloc[0]["level"] == ""
    assert figure_frames.domain_frame(rows.iloc[:0]).columns.tolist() == frame.columns.tolist()
    assert frame["n_sources"].isna().all(), "runs of older versions do not count them"
    assert figure_frames.domain_labels(frame) == frame["domain"].tolist()


def test_domains_of_few_sources_stand_last_with_a_mark() -> None:
    rows = pd.DataFrame(
        {
            "domain": ["dna", "he", "py"],
            "model": "m0",
            "n_rows": 100,
            "n_sources": [9, 4, 5],
            "level": "context",
        }
    ).assign(**dict.fromkeys(("mcc", "sensitivity", "specificity", "auroc", "r_token", "neuron_r", "untrained_r"), 0.1))
    frame = figure_frames.domain_frame(rows.assign(r=[0.5, 0.9, 0.7]))
    assert frame["domain"].tolist() == ["py", "dna", "he"]
    assert figure_frames.domain_labels(frame) == ["py", "dna", "he †"]
    assert frame["n_sources"].tolist() == [5, 9, 4]


def test_pair_table_joins_both_sides() -> None:
    features = pd.DataFrame(
        {
            "model": ["m0", "m1", "m1"],
            "latent": [3, 7, 8],
            "class": "universal",
            "firing_rate": [0.2, 0.1, 0.0],
            "flags": ["dense", "", ""],
        }
    )
    pairs = pd.DataFrame(
        {"model_a": "m0", "latent_a": 3, "model_b": "m1", "latent_b": [7, 8], "r_held_out": [0.1, 0.9]}
    )
    table = frames.pair_table(pairs, features)
    assert table["id"].tolist() == ["m0:3-m1:8", "m0:3-m1:7"]
    assert table["flags_a"].tolist() == ["dense", "dense"]
    assert np.isnan(table["rate_ratio"].iloc[0])
    assert table["rate_ratio"].iloc[1] == pytest.approx(2.0)


def test_firing_rates_are_counted_in_bins_of_equal_width_and_the_silent_apart() -> None:
    rates = {"m0": [0.0, 0.001, 0.01, 0.5, 1.0], "m1": [0.0, 0.0, 0.0009]}
    rows = [(model, rate) for model, own in rates.items() for rate in own]
    found = figure_frames.firing_rates(pd.DataFrame(rows, columns=["model", "firing_rate"]), per_decade=1)
    assert found.groupby("model", sort=False)["n"].sum().tolist() == [5, 3]
    assert found.groupby("model")["fraction"].sum().tolist() == pytest.approx([1, 1])
    first = found[found["model"] == "m0"]
    np.testing.assert_allclose(first["left"], [0, 1e-4, 1e-3, 1e-2, 1e-1])
    np.testing.assert_allclose(first["right"], [0, 1e-3, 1e-2, 1e-1, 1])
    assert first["n"].tolist() == [1, 0, 1, 1, 2]
    assert found.loc[found["model"] == "m1", "n"].tolist() == [2, 1, 0, 0, 0]


@pytest.mark.parametrize("rates", [[0.0, 0.0], [1.0], []])
def test_firing_rates_of_dictionaries_without_a_spread(rates: list[float]) -> None:
    found = figure_frames.firing_rates(pd.DataFrame({"model": "m0", "firing_rate": rates}))
    assert found["n"].sum() == len(rates)


@pytest.mark.parametrize("per_decade", [1, 3, 4, 7])
def test_no_firing_rate_is_lost_at_the_edges(per_decade: int) -> None:
    rates = np.concatenate([10.0 ** -np.arange(0, 7, 1 / per_decade), 1 / np.arange(1, 500)])
    for lowest in np.unique(rates):
        own = rates[rates >= lowest]
        found = figure_frames.firing_rates(pd.DataFrame({"model": "m0", "firing_rate": own}), per_decade=per_decade)
        assert found["n"].sum() == len(own)


def test_dictionaries_of_earlier_runs_lack_columns_not_rows() -> None:
    found = figure_frames.dictionary_frame(pd.DataFrame({"model": ["m0", "m1"], "fvu": [0.1, 0.2]}))
    assert found["fvu"].tolist() == [0.1, 0.2]
    assert found["architecture"].isna().all()


def test_points_of_a_sweep_are_means_over_the_seeds_that_ended_well() -> None:
    rows = [
        ("b", 0, "ok", 8.0, 0.2),
        ("b", 1, "ok", 10.0, 0.4),
        ("a", 0, "diverged", 3.0, 9.0),
        ("a", 1, "ok", 5.0, 0.5),
    ]
    sweeps = pd.DataFrame([*rows, ("c", 0, "dead", 1.0, 1.0)], columns=["point", "seed", "status", "l0", "fvu"])
    fixed = {"architecture": "topk", "d_sae": 2048, "sparsity": None, "seed_cosine": 0.5, "frontier": False}
    others = dict.fromkeys(["ce_recovered", "kl_recovered", "dead_fraction", "n_dense"], 1.0)
    points = figure_frames.sweep_points(sweeps.assign(**fixed, **others))
    assert points["point"].tolist() == ["b", "a", "c"]
    assert points["l0"].tolist()[:2] == [9.0, 5.0]
    assert points["fvu"].tolist()[:2] == pytest.approx([0.3, 0.5])
    assert points["n_seeds"].tolist() == [2, 1, 0]
    assert points.loc[2, ["l0", "fvu", "ce_recovered"]].isna().all()
    assert points["series"].unique().tolist() == ["TopK, 2,048 latents"]


def test_inputs_are_not_changed() -> None:
    baselines, nulls = _baselines(), _nulls()
    before = baselines.copy(), nulls.copy()
    frames.r_histogram(baselines, nulls)
    pd.testing.assert_frame_equal(baselines, before[0])
    pd.testing.assert_frame_equal(nulls, before[1])


def test_the_domain_of_a_cluster_is_that_of_most_members_then_of_the_best() -> None:
    rows = [
        (0, "b", 0.1), (0, "a", 0.9), (0, "b", 0.2),
        (1, "a", 0.3), (1, "b", 0.4),
        (2, "b", 0.5), (2, "a", 0.5),
        (3, None, 0.5), (None, "a", 1.0),
    ]  # fmt: skip
    features = pd.DataFrame(rows, columns=["cluster", "top_domain", "best_r"]).astype({"cluster": "Int64"})
    assert frames.cluster_domains(features).to_dict() == {0: "b", 1: "b", 2: "a"}
    assert frames.cluster_domains(features.drop(columns="top_domain")).empty


def test_a_second_dictionary_of_an_untrained_model_is_no_ceiling_of_trained_ones() -> None:
    models = pd.DataFrame(
        [("m0", "primary", None), ("m0r", "replicate", "m0"), ("u0", "untrained", None), ("u0r", "replicate", "u0")],
        columns=["model", "role", "replicate_of"],
    )
    roles = ["primary", "replicate", "untrained", "untrained_replicate"]
    assert frames.dictionary_roles(models).tolist() == roles
    assert frames.dictionary_roles(models.drop(columns="replicate_of")).tolist() == roles, "runs of before"
    assert words.ROLES["untrained_replicate"] == "second SAE of random weights (their ceiling)"
