"""The controls that must hold: what is planted is found, what is not there is not, and order changes nothing."""

from __future__ import annotations

from functools import cache

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from universality.compare import (
    CompareConfig,
    Comparison,
    Dictionary,
    DictionaryPair,
    compare,
    latent_statistics,
    pair_matching,
    pair_null,
    pair_similarity,
)
from universality.graph import is_m_partite
from universality.matching import is_matching
from universality.nulls import strata
from universality.planted import Planted, plant
from universality.rows import Rows, split_documents
from universality.verdicts import VERDICTS

SMALL = {
    "n_rows": 24_000, "n_documents": 240, "n_universal": 40, "n_shared": 20, "n_specific": 40, "n_unstable": 6,
    "n_decodable": 6, "n_split": 6, "n_domain": 4, "n_token": 6, "n_position": 1, "n_domains": 4, "d_in": 48,
    "d_vocab": 400, "n_ctx": 32, "min_rate": 0.006, "n_dead": 2, "n_rare": 2,
}  # fmt: skip
SETTINGS = CompareConfig(n_resamples=60, taus=(0.3, 0.5, 0.7), n_rotations=2)
NOTHING = {
    "n_universal": 0, "n_shared": 0, "n_specific": 420, "n_unstable": 0, "n_decodable": 0, "n_split": 0,
    "n_domain": 0, "n_token": 0, "n_position": 0, "n_untrained": 0, "d_in": 2, "n_rows": 16_000,
    "n_documents": 160, "burst": 0.08, "min_rate": 0.005,
}  # fmt: skip


@cache
def world(seed: int) -> Planted:
    return plant(root_seed=seed, **SMALL)


@cache
def found(seed: int) -> Comparison:
    return compare(world(seed).acts, **world(seed).inputs(), root_seed=seed, config=SETTINGS, threads=1)


def judged(seed: int) -> pd.DataFrame:
    """Features beside their truth, alive ones only."""
    table = found(seed).features.merge(world(seed).truth, on=["model", "latent"])
    return table[table["status"] == "alive"]


# --- planted truth ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_classes_are_found(seed: int) -> None:
    table = judged(seed)
    # Token and position decoys are universal too, at their own level: classes are judged at the level context.
    table = table[~table["kind"].isin(["domain", "token", "position", "piece"])]
    for name in ("universal", "specific"):
        called, true = table["class"] == name, table["expected_class"] == name
        assert (called & true).sum() / called.sum() >= 0.95, name
        assert (called & true).sum() / true.sum() >= 0.95, name


@pytest.mark.parametrize("seed", [0, 1])
def test_true_pairs_are_beyond_chance_and_matched_to_each_other(seed: int) -> None:
    truth = world(seed).truth[["model", "latent", "feature", "kind"]]
    real = truth[truth["kind"].isin(["universal", "shared"])]
    a, b = (real.rename(columns={c: f"{c}_{side}" for c in ("model", "latent")}) for side in "ab")
    true = a.merge(b, on="feature")
    pairs = found(seed).pairs.merge(true, on=["model_a", "latent_a", "model_b", "latent_b"])
    order = {"m0": 0, "m1": 1, "m2": 2}
    n_true = (true["model_a"].map(order) < true["model_b"].map(order)).sum()
    assert (pairs["q"] < 0.05).sum() / n_true >= 0.95


@pytest.mark.parametrize("seed", [0, 1])
def test_levels_name_what_decoys_share(seed: int) -> None:
    truth = world(seed).truth[["model", "latent", "kind"]].rename(columns={"model": "model_a", "latent": "latent_a"})
    pairs = found(seed).pairs.merge(truth, on=["model_a", "latent_a"])
    assert set(pairs.loc[pairs["kind"] == "domain", "level"]) == {"domain"}
    assert set(pairs.loc[pairs["kind"].isin(["token", "position"]), "level"]) == {"token"}
    universal = pairs[(pairs["kind"] == "universal") & (pairs["r_held_out"] >= 0.5)]
    assert (universal["level"] == "context").mean() >= 0.95


@pytest.mark.parametrize("seed", [0, 1])
def test_verdicts_name_why_a_feature_is_missing(seed: int) -> None:
    table = found(seed).verdicts.merge(world(seed).truth, on=["model", "latent"])
    for kind, expected in (
        ("whole", "split"), ("piece", "part_of"), ("unstable", "unstable"), ("decodable", "decodable"),
        ("specific", "absent"), ("shared", "absent"),
    ):  # fmt: skip
        part = table[table["kind"] == kind]
        assert len(part)
        assert (part["verdict"] == expected).mean() >= 0.9, kind


def test_verdicts_name_the_latents_that_they_are_about() -> None:
    planted, table = world(0), found(0).verdicts
    truth = planted.truth.set_index(["model", "latent"])
    family = truth["whole"].where(truth["whole"] >= 0, truth["feature"])
    acts = {**planted.acts, **{f"{model}r": matrix for model, matrix in planted.replicates.items()}}
    score = ~split_documents(planted.documents, 0, planted.domains, planted.sources)
    n_named = dict.fromkeys(VERDICTS, 0)
    for row in table.itertuples():
        named = [part.partition(":") for part in (row.about or "").split(";") if part]
        n_named[row.verdict] += len(named)
        assert {model for model, _, _ in named} <= {f"{row.model}r" if row.verdict == "unstable" else row.other_model}
        if row.verdict in ("split", "part_of"):
            assert {family[model, int(latent)] for model, _, latent in named} == {family[row.model, row.latent]}
            assert (len(named) > 1) == (row.verdict == "split")
        elif named and row.verdict != "decodable":
            ((model, _, latent),) = named
            x, y = (
                acts[m][:, [int(i)]].toarray().ravel()[score] for m, i in ((row.model, row.latent), (model, latent))
            )
            assert np.corrcoef(x, y)[0, 1] == pytest.approx(row.statistic, abs=1e-5)
    assert all(n_named[verdict] for verdict in ("unstable", "split", "part_of", "absent"))


def test_untrained_models_share_tokens_and_positions_only() -> None:
    indices = found(0).indices.set_index(["name", "pair"])["value"]
    assert indices["shared_fraction", "u0-u1"] > 0.3
    assert indices["shared_fraction_context", "u0-u1"] == 0.0


def test_the_headline_has_every_quantity_with_its_interval() -> None:
    headline = found(0).headline
    overall = headline[headline["pair"] == "overall"].set_index("quantity")
    expected = {"features", "neurons", "null_p95", "ceiling", "untrained", "token_conditional"}
    assert set(overall.index) == expected
    assert headline[["value", "low", "high"]].notna().all().all()
    assert (headline["low"] <= headline["value"] + 1e-9).all()
    assert (headline["value"] <= headline["high"] + 1e-9).all()
    assert overall.loc["ceiling", "value"] > overall.loc["features", "value"] > overall.loc["null_p95", "value"]


def test_tables_are_consistent_with_each_other() -> None:
    comparison = found(0)
    features, clusters = comparison.features, comparison.clusters
    alive = features[features["status"] == "alive"]
    assert alive[["cluster", "class", "level"]].notna().all().all()
    assert features.loc[features["status"] != "alive", ["cluster", "class", "level", "verdict"]].isna().all().all()
    size = alive.groupby("cluster").size()
    assert (size.reindex(clusters["cluster"]).to_numpy() == clusters["n_models"]).all()
    assert alive.groupby("cluster")["model"].nunique().equals(size)
    missing = alive.assign(missing=3 - alive["n_models"])
    n_verdicts = comparison.verdicts.groupby(["model", "latent"]).size()
    assert n_verdicts.sum() == missing["missing"].sum()
    assert alive.loc[alive["class"] == "universal", "verdict"].isna().all()
    assert alive.loc[alive["class"] != "universal", "verdict"].notna().all()
    assert is_m_partite(comparison.graph)
    assert set(comparison.graph.nodes) == set(zip(alive["model"], alive["latent"], strict=True))
    for _, part in comparison.pairs.groupby(["model_a", "model_b"]):
        assert is_matching(part["latent_a"].to_numpy(), part["latent_b"].to_numpy())
    for component in nx.connected_components(comparison.graph):
        assert len(component) >= 1
    bounded = comparison.indices.dropna(subset=["low", "high"])
    assert len(bounded) > 10
    assert bounded["value"].between(bounded["low"] - 1e-9, bounded["high"] + 1e-9).all()
    curve = comparison.tau_curve.groupby("tau")["n_features"].sum()
    assert (curve == len(alive)).all()
    assert comparison.k_of_m["n_features"].sum() == len(alive)
    at_half = comparison.tau_curve[comparison.tau_curve["tau"] == 0.5].set_index(["class", "level"])["n_features"]
    counted = alive.groupby(["class", "level"]).size()
    assert at_half.sort_index().to_dict() == counted.sort_index().to_dict()


# --- nothing shared -----------------------------------------------------------------------------------------


def test_nothing_shared_gives_no_discovery_and_honest_p_values() -> None:
    families, parts = [], []
    settings = SETTINGS.model_copy(update={"n_resamples": 20, "n_resplits": 0})  # intervals are not looked at here
    for seed in range(7):
        planted = plant(root_seed=100 + seed, **NOTHING)
        rows = Rows(planted.documents, split_documents(planted.documents, seed), n_ctx=planted.n_ctx)
        dictionaries = {
            m: Dictionary(m, acts, rows, latent_statistics(acts, rows), settings.min_firings)
            for m, acts in planted.acts.items()
        }
        for names in (("m0", "m1"), ("m0", "m2"), ("m1", "m2")):
            pair = DictionaryPair(*(dictionaries[m] for m in names), settings, seed, threads=1)
            pairs = pair_matching(pair, pair_similarity(pair), pair_null(pair)).pairs
            families.append(bool((pairs["q"] < 0.05).any()))
            for side, dictionary in (("a", pair.a), ("b", pair.b)):
                counted = dictionary.statistics
                firings = counted.firings_score * dictionary.alive
                stratum = strata(firings, counted.documents_score, n_shifts=settings.n_shifts)
                parts.append(pd.DataFrame({"stratum": stratum[pairs[f"latent_{side}"]], "p": pairs["p"]}))
    assert len(families) == 21
    assert np.mean(families) <= 0.05
    below = (pd.concat(parts).set_index("stratum")["p"] < 0.05).groupby("stratum").mean()
    assert len(below) >= 2
    assert below.max() <= 0.06


def test_shifted_rows_leave_nothing_universal() -> None:
    planted = world(0)
    offset = planted.acts["m0"].shape[0] // 3 + 7
    order = np.roll(np.arange(planted.acts["m0"].shape[0]), offset)
    shifted = {"m0": planted.acts["m0"], "m1": planted.acts["m1"][order]}
    comparison = compare(
        shifted, documents=planted.documents, domains=planted.domains, tokens=planted.tokens, config=SETTINGS
    )
    assert set(comparison.features["class"].dropna()) == {"specific"}
    assert comparison.graph.number_of_edges() == 0


# --- identity and invariance --------------------------------------------------------------------------------


def test_a_permuted_copy_is_recognised_latent_by_latent() -> None:
    planted = world(0)
    acts = planted.acts["m0"]
    image = np.random.default_rng(0).permutation(acts.shape[1])
    copy = sparse.csr_matrix((acts.data, image[acts.indices].astype(np.int32), acts.indptr), shape=acts.shape)
    comparison = compare(
        {"m0": acts, "copy": copy}, documents=planted.documents, domains=planted.domains, tokens=planted.tokens,
        positions=planted.positions, config=SETTINGS,
    )  # fmt: skip
    features = comparison.features.set_index(["model", "latent"])
    alive = np.flatnonzero((features.loc["m0", "status"] == "alive").to_numpy())
    pairs = comparison.pairs.sort_values("latent_a")
    np.testing.assert_array_equal(pairs["latent_a"], alive)
    np.testing.assert_array_equal(pairs["latent_b"], image[alive])
    np.testing.assert_allclose(pairs["r_held_out"], 1.0)
    assert (pairs["q"] < 0.05).all()
    assert set(features["class"].dropna()) == {"universal"}
    assert comparison.verdicts.empty


def _by_feature(features: pd.DataFrame) -> pd.DataFrame:
    return features.sort_values(["model", "latent"], ignore_index=True)


def test_the_order_of_models_changes_nothing() -> None:
    planted, inputs = world(0), world(0).inputs()
    order = ["m2", "m0", "m1"]
    inputs |= {name: dict(reversed(inputs[name].items())) for name in ("raw", "replicates")}
    other = compare({m: planted.acts[m] for m in order}, **inputs, root_seed=0, config=SETTINGS, threads=1)
    pd.testing.assert_frame_equal(_by_feature(other.features), _by_feature(found(0).features))
    pd.testing.assert_frame_equal(other.clusters, found(0).clusters)
    keys = ["model", "latent", "other_model"]
    one, two = (c.verdicts.sort_values(keys, ignore_index=True) for c in (other, found(0)))
    pd.testing.assert_frame_equal(one, two, rtol=1e-9)
    swapped = other.pairs[(other.pairs["model_a"] == "m2") & (other.pairs["model_b"] == "m0")]
    straight = found(0).pairs[(found(0).pairs["model_a"] == "m0") & (found(0).pairs["model_b"] == "m2")]
    merged = swapped.merge(straight, left_on=["latent_b", "latent_a"], right_on=["latent_a", "latent_b"])
    assert len(merged) == len(straight) == len(swapped)
    for name in ("r", "r_held_out", "p", "q", "q_domain", "r_document", "r_token", "r_low", "r_high"):
        np.testing.assert_array_equal(merged[f"{name}_x"], merged[f"{name}_y"], err_msg=name)
    for name in ("margin", "p"):
        suffix = ("_a", "_b") if name == "margin" else ("_b_given_a", "_a_given_b")
        np.testing.assert_array_equal(merged[f"{name}{suffix[0]}_x"], merged[f"{name}{suffix[1]}_y"])
    overall = [c.headline[c.headline["pair"] == "overall"].reset_index(drop=True) for c in (other, found(0))]
    pd.testing.assert_frame_equal(*overall)


def test_the_order_of_latents_changes_nothing() -> None:
    planted = world(0)
    image = np.random.default_rng(1).permutation(planted.acts["m1"].shape[1])
    acts = dict(planted.acts)
    m1 = planted.acts["m1"]
    acts["m1"] = sparse.csr_matrix((m1.data, image[m1.indices].astype(np.int32), m1.indptr), shape=m1.shape)
    other = compare(acts, **planted.inputs(), root_seed=0, config=SETTINGS, threads=1)
    features = other.features.copy()
    back = np.argsort(image)
    here = features["model"] == "m1"
    features.loc[here, "latent"] = back[features.loc[here, "latent"]]
    columns = [
        "model",
        "latent",
        "status",
        "flags",
        "firing_rate",
        "class",
        "level",
        "n_models",
        "best_r",
        "verdict",
    ]
    pd.testing.assert_frame_equal(_by_feature(features)[columns], _by_feature(found(0).features)[columns])
    assert len(other.clusters) == len(found(0).clusters)


def test_threads_change_no_byte() -> None:
    planted = world(0)
    other = compare(planted.acts, **planted.inputs(), root_seed=0, config=SETTINGS, threads=3)
    for name, table in other.to_tables().items():
        pd.testing.assert_frame_equal(table, found(0).to_tables()[name], check_exact=True)
