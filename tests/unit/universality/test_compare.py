from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from universality.compare import (
    CompareConfig,
    Comparison,
    Dictionary,
    DictionaryPair,
    LatentStatistics,
    PairMatching,
    PairNull,
    PairPlan,
    ScatteredDocuments,
    SpaceMatching,
    Stages,
    assemble,
    compare,
    latent_statistics,
    model_coordinates,
    pair_matching,
    pair_null,
    pair_similarity,
    pair_spaces,
)
from universality.compare.chance import _studentise
from universality.compare.inputs import checked_rows
from universality.compare.levels import decide_levels
from universality.compare.pair_plan import replicate_names
from universality.compare.token_interval import resampled_conditional
from universality.correlation.conditional import conditional_correlation
from universality.correlation.top import TopSimilarity
from universality.errors import InputError
from universality.planted import Planted, plant
from universality.rows import Rows, split_documents
from universality.seeds import generator

CONFIG = CompareConfig(n_shifts=10, n_resamples=30, taus=(0.4, 0.5), n_rotations=2, min_firings=10)


@cache
def world() -> Planted:
    return plant(
        n_models=3, n_rows=8_000, n_documents=100, n_universal=12, n_shared=4, n_specific=8, n_unstable=2,
        n_decodable=2, n_split=2, n_domain=2, n_token=2, n_position=1, n_domains=2, d_in=16, d_vocab=120, n_ctx=16,
        min_rate=0.01,
    )  # fmt: skip


NOTHING = dict.fromkeys(("sources", "domains", "tokens", "positions", "next_tokens"))


def run(**changes: Any) -> Comparison:
    return compare(world().acts, **{"documents": world().documents, "config": CONFIG, **changes})


# --- what is missing is untested, not guessed ---------------------------------------------------------------


@cache
def bare() -> Comparison:
    return run()


def test_without_optional_inputs_levels_and_verdicts_are_untested() -> None:
    comparison = bare()
    assert set(comparison.pairs["level"]) <= {"document", "untested"}
    assert comparison.pairs[["q_domain", "r_token", "from_domain", "r_joint", "r_bigram"]].isna().all().all()
    assert comparison.pairs["r_document"].notna().all(), "documents are always there"
    assert not {"unstable", "decodable", "absent"} & set(comparison.verdicts["verdict"])
    assert "untested" in set(comparison.verdicts["verdict"])
    assert set(comparison.headline["quantity"]) == {"features", "null_p95"}
    assert comparison.headline.notna().all().all()
    assert comparison.domains.empty
    assert set(comparison.baselines["kind"]) == {"features"}


def test_classes_do_not_need_optional_inputs() -> None:
    full = run(domains=world().domains, tokens=world().tokens, fit=_rows().fit)
    again = run(fit=_rows().fit)
    assert full.features["class"].equals(again.features["class"])


def test_tokens_without_domains_give_every_level_but_those_that_need_them() -> None:
    comparison = run(tokens=world().tokens, positions=world().positions)
    assert comparison.pairs[["r_token", "r_joint"]].notna().all().all()
    edges = comparison.pairs[comparison.pairs["edge"]]
    assert {"token", "untested"} <= set(edges["level"]) <= {"document", "token", "untested"}


def test_without_positions_nothing_is_called_context() -> None:
    comparison = run(tokens=world().tokens, domains=world().domains)
    assert "token" in set(comparison.pairs["level"])
    assert not {"context", "bigram", "token_x_domain"} & set(comparison.pairs["level"])


def test_one_label_for_all_rows_says_that_there_is_one_domain() -> None:
    tokens, positions = world().tokens, world().positions
    comparison = run(tokens=tokens, positions=positions, domains=np.zeros(len(tokens), int))
    assert "context" in set(comparison.pairs["level"])
    assert comparison.pairs["q_domain"].isna().all()
    np.testing.assert_allclose(comparison.pairs["from_domain"], 0.0, atol=1e-12)


LEFT = {
    "context": [0.9, 0.8, 0.7, 0.6, 0.6, 0.6],
    "bigram": [0.9, 0.8, 0.7, 0.6, 0.6, 0.4],
    "token_x_domain": [0.9, 0.8, 0.7, 0.6, 0.4, 0.6],
    "token": [0.9, 0.8, 0.7, 0.4, 0.4, 0.4],
    "document": [0.9, 0.8, 0.4, 0.6, 0.2, 0.2],
    "domain": [0.9, 0.4, 0.4, 0.4, 0.4, 0.4],
}


@pytest.mark.parametrize("level", LEFT)
def test_levels_follow_their_definition(level: str) -> None:
    r = np.array([LEFT[level]])
    # Parts as of latents whose norms nothing takes off: what is left of r is what is left of the covariance.
    parts = np.append(-np.diff(r), r[:, -1:], axis=1)
    if level == "document":  # half of r is gone there, whatever comes back when more is taken off
        r[0, 3] = 0.3
    assert decide_levels(r, parts, 0.5, complete=True).tolist() == [level]
    weak = decide_levels(r, parts, 0.5, complete=True, joint_low=np.array([0.2]))
    assert weak.tolist() == (["untested"] if r[0, 3] >= 0.5 else [level]), "too few sources vouch for it"
    # A token that is special to a document counts as one within a domain; without repeats nothing is said of it.
    fine = level in ("context", "bigram", "token_x_domain")
    for repeated, told in ((0.39, "token_x_domain" if fine else level), (0.41, level), (np.nan, level)):
        assert decide_levels(r, parts, 0.5, complete=True, repeated=repeated).tolist() == [told]
    unsaid = decide_levels(r, parts, 0.5, complete=False)
    assert unsaid.tolist() == (["untested"] if r[0, 3] >= 0.5 else [level])
    assert decide_levels(r / 3, parts / 3, 0.5, complete=True)[0] in (
        "untested",
        "domain",
        "document",
        "token",
    )


def test_a_step_that_could_not_be_taken_leaves_what_there_was() -> None:
    nan = np.nan
    r, parts = np.array([[0.9, nan, 0.3, nan, nan, nan]]), np.array([[nan, 0.6, nan, nan, nan, 0.3]])
    assert decide_levels(r, parts, 0.5, complete=False).tolist() == ["document"]
    r, parts = np.array([[0.9, nan, 0.8, nan, nan, nan]]), np.array([[nan, 0.1, nan, nan, nan, 0.8]])
    assert decide_levels(r, parts, 0.5, complete=False).tolist() == ["untested"]


def test_documents_of_one_row_cannot_tell_what_documents_explain() -> None:
    n = world().acts["m0"].shape[0]
    with pytest.raises(InputError, match="documents of rows must be of several rows"):
        run(documents=np.arange(n))
    comparison = run(documents=np.arange(n), sources=world().documents, fit=_rows().fit)
    assert comparison.pairs["r_document"].isna().all()


def test_rows_that_are_independent_are_said_to_be_their_own_sources() -> None:
    rows = checked_rows(6, np.arange(6), {**NOTHING, "sources": np.arange(6)}, None, 0, None)
    assert rows.groups.tolist() == list(range(6))


def test_documents_that_come_back_are_warned_of() -> None:
    with pytest.warns(ScatteredDocuments, match="2 documents lie in 4 stretches"):
        checked_rows(4, np.array([0, 1, 0, 1]), NOTHING, None, 0, None)


def test_sources_hold_the_halves_apart_and_widen_the_intervals() -> None:
    documents = world().documents
    comparison = run(sources=documents // 10)
    width = {
        name: (one.pairs["r_high"] - one.pairs["r_low"]).where(one.pairs["r_held_out"] > 0.5).median()
        for name, one in {"document": bare(), "source": comparison}.items()
    }
    assert width["source"] != width["document"]
    fit = split_documents(documents, 0, None, documents // 10)
    same = run(sources=documents // 10, fit=fit)
    pd.testing.assert_frame_equal(same.pairs, comparison.pairs)


# --- the columns that were promised -------------------------------------------------------------------------

COLUMNS = {
    "features": "model latent status flags firing_rate cluster class level n_models best_r verdict group "
    "class_probability group_probability max_activation top_domain",
    "pairs": "model_a latent_a model_b latent_b r r_held_out p q q_min q_domain edge r_token r_domain r_document "
    "r_joint r_token_x_domain r_bigram from_domain from_document from_token from_token_x_domain from_bigram from_rest "
    "r_joint_low r_joint_high r_repeated level level_probability r_loo n_eff_sources few_sources top_rows_share "
    "margin_a margin_b family method r_low r_high phi r_log jaccard n_both p_b_given_a p_a_given_b cos_procrustes "
    "r_logits r_attribution",
    "verdicts": "model latent other_model verdict statistic about",
    "clusters": "cluster class level n_models completeness cohesion r_joint members",
    "indices": "name kind pair value chance low high low_models high_models n",
    "headline": "quantity pair value low high n",
    "agreement": "kind pair n mean_r mean_r_low mean_r_high share_r share_r_low share_r_high mean_r_joint "
    "mean_r_joint_low mean_r_joint_high share_r_joint share_r_joint_low share_r_joint_high n_edges from_domain "
    "from_document from_token from_token_x_domain from_bigram from_rest",
    "spaces": "space measure n n_pairs value low high median floor floor_median best best_floor best_haar haar "
    "haar_floor above_haar above_haar_low above_haar_high",
    "baselines": "kind model_a latent_a model_b latent_b r_held_out r_token",
    "null_quantiles": "pair kind quantile value",
    "null_rates": "left right n p05 p50 p95",
    "tau_curve": "tau class level n_features",
    "k_of_m": "k n_clusters n_features fraction fraction_low fraction_high untrained homogeneous identical_low "
    "identical_high",
    "candidates": "model_a latent_a model_b latent_b rank r",
    "domains": "domain model latent n_rows n_sources mcc sensitivity specificity auroc partner_model partner_latent r "
    "r_token level nearest_neuron neuron_r untrained_r proxy_r",
}


def test_tables_have_the_promised_columns_in_order() -> None:
    tables = bare().to_tables()
    assert {name: " ".join(table.columns) for name, table in tables.items()} == COLUMNS


def test_candidates_are_ranked_both_ways() -> None:
    candidates = bare().candidates
    one = candidates[(candidates["model_a"] == "m1") & (candidates["model_b"] == "m0")]
    assert one["rank"].between(1, 5).all()
    first = one[one["latent_a"] == one["latent_a"].iloc[0]]
    assert first["r"].is_monotonic_decreasing


# --- stages -------------------------------------------------------------------------------------------------


def _rows() -> Rows:
    w = world()
    fit = split_documents(w.documents, 0, w.domains)
    return Rows(w.documents, fit, w.domains, tokens=w.tokens, positions=w.positions, n_ctx=w.n_ctx)


def _stored(result: Any) -> Any:
    """A stage result after a trip through plain tables and arrays."""
    copies = {name: np.array(array) for name, array in result.to_arrays().items()}
    if hasattr(result, "from_stored"):
        tables = {name: table.copy() for name, table in result.to_tables().items()}
        return type(result).from_stored(tables, copies)
    return type(result).from_arrays(copies)


def test_stages_one_at_a_time_give_the_tables_of_compare() -> None:
    w, rows, seed = world(), _rows(), 0
    every = {**w.acts, "m0r": w.replicates["m0"], **w.untrained}
    plan = PairPlan(tuple(w.acts), {"m0r": "m0"}, tuple(w.untrained))
    dictionaries = {
        name: Dictionary(name, acts, rows, _stored(latent_statistics(acts, rows)), CONFIG.min_firings)
        for name, acts in every.items()
    }
    assert isinstance(dictionaries["m0"].statistics, LatentStatistics)
    similarities: dict[tuple[str, str], TopSimilarity] = {}
    nulls: dict[tuple[str, str], PairNull] = {}
    matchings: dict[tuple[str, str], PairMatching] = {}
    for pair in plan.all:
        both = DictionaryPair(dictionaries[pair[0]], dictionaries[pair[1]], CONFIG, seed)
        similarities[pair] = _stored(pair_similarity(both))
        nulls[pair] = _stored(pair_null(both))
        matchings[pair] = _stored(pair_matching(both, similarities[pair], nulls[pair]))
    raw = {**w.raw, **w.untrained_raw}
    made = {name: model_coordinates(raw[name], dictionaries[name], seed) for name in raw}
    spaces: dict[tuple[str, str], SpaceMatching] = {}
    for a, b in (*plan.model_pairs, *plan.untrained_pairs):
        both = DictionaryPair(dictionaries[a], dictionaries[b], CONFIG, seed)
        matched = pair_spaces((raw[a], raw[b]), (made[a], made[b]), both, intervals=a in w.raw)
        spaces[a, b] = _stored(matched)
    staged = assemble(
        Stages(
            plan=plan,
            dictionaries=dictionaries,
            similarities=similarities,
            nulls=nulls,
            matchings=matchings,
            config=CONFIG,
            root_seed=seed,
            spaces=spaces,
            raw=w.raw,
            untrained_raw=w.untrained_raw,
        )
    )
    whole = compare(w.acts, **{**w.inputs(), "replicates": {"m0": w.replicates["m0"]}}, config=CONFIG)
    for name, table in whole.to_tables().items():
        pd.testing.assert_frame_equal(table, staged.to_tables()[name], check_exact=True, obj=name)
    assert whole.counts == staged.counts
    _check_null_rates(whole.null_rates, plan.model_pairs, dictionaries, nulls)


def _check_null_rates(
    table: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    dictionaries: Mapping[str, Dictionary],
    nulls: Mapping[tuple[str, str], PairNull],
) -> None:
    rows = []
    for a, b in pairs:
        for name, maxima in ((a, nulls[a, b].plain_a), (b, nulls[a, b].plain_b)):
            rate = dictionaries[name].statistics.firing_rate
            for latent in np.flatnonzero(dictionaries[name].alive):
                rows += [(rate[latent], value) for value in maxima[:, latent]]
    expected = pd.DataFrame(rows, columns=["rate", "value"])
    assert table["n"].sum() == len(expected)
    assert len(table) > 1
    for row in table.itertuples():
        from_left, below_right = (expected["rate"] >= edge * (1 - 1e-9) for edge in (row.left, row.right))
        binned = expected[from_left & ~below_right]
        np.testing.assert_allclose([row.p05, row.p50, row.p95], binned["value"].quantile([0.05, 0.5, 0.95]), rtol=1e-12)


def test_swapping_the_names_swaps_the_sides_and_nothing_else() -> None:
    w, rows = world(), _rows()
    a, b = (Dictionary(m, w.acts[m], rows, latent_statistics(w.acts[m], rows), 10) for m in ("m0", "m1"))
    pair = DictionaryPair(a, b, CONFIG, 3)
    one, two = (pair_matching(p, pair_similarity(p), pair_null(p)) for p in (pair, pair.swapped()))
    pd.testing.assert_frame_equal(one.pairs, two.swapped().pairs, check_exact=True)
    np.testing.assert_array_equal(one.best_a.partner, two.best_b.partner)


def test_weights_unlock_indices_of_the_ceiling_pairs_only() -> None:
    rng = np.random.default_rng(0)
    w = world()
    decoders = {name: rng.standard_normal((w.acts[name].shape[1], 8)) for name in ("m0", "m1")}
    decoders["m0r"] = rng.standard_normal((w.replicates["m0"].shape[1], 8))
    indices = run(replicates={"m0": w.replicates["m0"]}, weights=decoders).indices
    assert set(indices.loc[indices["name"] == "mmcs", "pair"]) == {"m0-m0r"}


def test_two_dictionaries_of_an_untrained_model_are_the_floor_of_weight_indices() -> None:
    rng = np.random.default_rng(0)
    w = world()
    acts = {"u0": w.untrained["u0"], "u0r": w.untrained["u1"]}
    first = rng.standard_normal((acts["u0"].shape[1], 8))
    again = first[rng.permutation(len(first))]
    indices = run(
        untrained=w.untrained, replicates={"m0": w.replicates["m0"], "u0r": acts["u0r"]},
        weights={"u0": (first, first), "u0r": (again, again)},
    ).indices  # fmt: skip
    shared = indices[indices["name"] == "paulo_shared_fraction"]
    assert shared[["pair", "kind"]].to_numpy().tolist() == [["u0-u0r", "untrained_ceiling"]]
    assert shared["value"].item() > 0.5 > shared["chance"].item()


def test_the_floor_of_one_model_s_dictionaries_is_that_of_one_untrained_model() -> None:
    w = world()
    acts = {name: w.acts[name] for name in ("m0", "m1")}
    read = np.random.default_rng(0).standard_normal((len(w.documents), 8))
    inputs = {"untrained": w.untrained, "replicates": {"u0r": w.untrained["u1"]}, "domains": w.domains}
    one = compare(acts, documents=w.documents, raw={"m0": read, "m1": read}, config=CONFIG, root_seed=3, **inputs)
    other = compare(acts, documents=w.documents, config=CONFIG, root_seed=3, **inputs)
    for comparison, floor in ((one, "u0-u0r"), (other, "u0-u1")):
        headline = comparison.headline.query("quantity == 'untrained'")
        assert headline["pair"].tolist() == ["overall", floor]
        assert set(comparison.indices.query("kind == 'untrained'")["pair"]) - {"untrained"} >= {floor}
        assert comparison.domains["untrained_r"].notna().any()
    assert one.k_of_m["untrained"].isna().all()
    assert other.k_of_m["untrained"].notna().any()
    assert "untrained_ceiling" not in set(one.indices["kind"])


def test_dictionaries_of_one_model_have_weight_indices_and_no_neurons_to_compare() -> None:
    rng = np.random.default_rng(0)
    w = world()
    one, other = (rng.standard_normal((len(w.documents), 8)) for _ in range(2))
    decoders = {name: rng.standard_normal((acts.shape[1], 8)) for name, acts in w.acts.items()}
    indices = run(raw={"m0": one, "m1": one, "m2": other}, weights=decoders).indices
    assert set(indices.loc[indices["name"] == "mean_matched_signed_cos", "pair"]) == {"m0-m1"}
    neurons = indices[indices["name"] == "neuron_universal_fraction"]
    assert set(neurons["pair"]) == {"m0-m2", "m2-m0", "m1-m2", "m2-m1", "overall"}
    assert neurons.set_index("pair").loc["overall", ["value", "n"]].to_list() == [0, 24]


# --- statistics ---------------------------------------------------------------------------------------------


def test_latent_statistics_by_hand() -> None:
    # Ten documents of four rows; latents: one token, one position, dense, rare, dead.
    n = 40
    documents, positions = np.arange(n) // 4, np.arange(n) % 4
    tokens = np.where(np.arange(n) % 5 == 0, 7, 100 + np.arange(n))
    dense = np.zeros((n, 5))
    dense[:, 0] = (tokens == 7) * 2.0
    dense[:, 1] = (positions == 2) * 1.0
    dense[:, 2] = 1.0 + np.arange(n) % 3
    dense[3, 3] = 5.0
    rows = Rows(documents, documents % 2 == 0, tokens=tokens, positions=positions)
    acts = sparse.csr_matrix(dense)
    counted = latent_statistics(acts, rows)
    status = Dictionary("m0", acts, rows, counted, 3).status
    assert status.tolist() == ["alive", "alive", "alive", "rare", "dead"]
    assert counted.flags(CompareConfig()).tolist() == [
        "dense;single_token",
        "dense;positional",
        "dense",
        "single_token",
        "",
    ]
    np.testing.assert_allclose(counted.firing_rate, [8 / 40, 10 / 40, 1, 1 / 40, 0])
    assert counted.documents_score.tolist() == [4, 5, 5, 0, 0]
    assert counted.max_activation.tolist() == [2.0, 1.0, 3.0, 5.0, 0.0]
    np.testing.assert_allclose(counted.mass[2], dense[rows.score, 2].sum())
    np.testing.assert_allclose(counted.position_share[1], 1.0)


def test_studentised_nulls_leave_the_judged_shift_out() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((12, 3)) * [0.1, 1.0, 5.0] + [0.0, 2.0, 9.0]
    r = np.array([2.5])
    z, null = _studentise(r, values, np.array([1]))
    np.testing.assert_allclose(z, (2.5 - values[:, 1].mean()) / values[:, 1].std(ddof=1))
    others = np.delete(values[:, 2], 4)
    np.testing.assert_allclose(null[4, 2], (values[4, 2] - others.mean()) / others.std(ddof=1))


def test_token_conditional_resamples_centre_on_the_point_estimate() -> None:
    w, rows = world(), _rows()
    left, right = (w.acts[m][np.flatnonzero(rows.score)] for m in ("m0", "m1"))
    truth = w.truth[w.truth["kind"] == "universal"].set_index(["model", "feature"])["latent"]
    features = truth["m0"].index[:5]
    ia, ib = truth["m0"][features].to_numpy(), truth["m1"][features].to_numpy()
    draws = resampled_conditional(left, right, ia, ib, rows, 50, generator(0, "test"))
    assert rows.tokens is not None
    assert rows.positions is not None
    point = conditional_correlation(
        left, right, ia, ib, tokens=rows.tokens[rows.score], positions=rows.positions[rows.score]
    )
    assert (np.abs(draws.mean(axis=1) - point) < 0.05).all()
    assert (draws.std(axis=1) > 0).all()


# --- input validation ---------------------------------------------------------------------------------------


def test_wrong_inputs_are_refused_in_words() -> None:
    w = world()
    m0, m1 = w.acts["m0"], w.acts["m1"]
    n0 = m0.shape[1]
    bad = m0.copy()
    bad.data = bad.data.copy()
    bad.data[3] = np.nan
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("at least two models", {"m0": m0}, {}),
        (r"name of a model of acts must be text .*; got 'a\\x00b'", {"m0": m0, "a\x00b": m1}, {}),
        ("name of a model of acts must be text .*; got 'a;b'", {"m0": m0, "a;b": m1}, {}),
        ("name of a model of acts must be text .*; got ''", {"m0": m0, "": m1}, {}),
        ("name of a model of untrained must be text", w.acts, {"untrained": {"m0\udc80": m0}}),
        ("names of acts must be different as text; got '1'", {1: m0, "1": m1}, {}),
        (r"number of rows of acts\['m1'\] must be 8000", {"m0": m0, "m1": m1[:100]}, {}),
        (r"every value of acts\['m1'\] must be finite", {"m0": m0, "m1": bad}, {}),
        (r"acts\['m1'\] of compare must be a scipy sparse matrix", {"m0": m0, "m1": m1.toarray()}, {}),
        ("documents of rows must be at least two", w.acts, {"documents": np.zeros(8000, int)}),
        (r"documents must be \(8000,\)", w.acts, {"documents": w.documents[:-1]}),
        ("tokens of rows must be of length 8000", w.acts, {"tokens": w.tokens[:-1]}),
        ("names of replicates must be among m0r, m1r, m2r", w.acts, {"replicates": {"m7": m0}}),
        ("names of raw must be among m0, m1, m2", w.acts, {"raw": {"x": w.raw["m0"]}}),
        (r"shape of raw\['m0'\] must be \(8000, d_in\)", w.acts, {"raw": {"m0": w.raw["m0"][:10]}}),
        ("unique across all roles; got m1", w.acts, {"untrained": {"m1": m1}}),
        ("encoder of weights", w.acts, {"weights": {"m0": (np.ones((n0, 2)), np.ones((2, n0)))}}),
        ("decoder of weights", w.acts, {"weights": {"m0": np.ones((3, 2))}}),
        ("decoder of weights", w.acts, {"weights": {"m0": np.ones((n0, 2))}, "raw": {"m0": w.raw["m0"]}}),
        ("names of weights must be among m0", w.acts, {"weights": {"mO": np.ones((n0, 2))}}),
        (
            r"d_in of logits\['m0'\] must be 2, as its decoder; got 3",
            w.acts,
            {"weights": {"m0": np.ones((n0, 2))}, "logits": {"m0": np.ones((3, 9))}},
        ),
    ]
    for message, acts, changes in cases:
        with pytest.raises(InputError, match=message):
            compare(acts, **{"documents": w.documents, "config": CONFIG, **changes})


def test_illegal_settings_are_refused() -> None:
    with pytest.raises(InputError, match="tau"):
        compare(world().acts, documents=world().documents, tau=1.5)


def test_replicates_are_named_after_their_model() -> None:
    assert replicate_names(["m0", "m1r", "m1r2"], ("m0", "m1")) == {
        "m0": ("m0r", "m0"), "m1r": ("m1r", "m1"), "m1r2": ("m1r2", "m1"),
    }  # fmt: skip


def test_dictionaries_without_alive_latents_give_empty_tables_not_errors() -> None:
    w = world()
    empty = sparse.csr_matrix((8000, 7), dtype=np.float32)
    comparison = compare(
        {"m0": w.acts["m0"], "m1": empty},
        documents=w.documents,
        domains=w.domains,
        tokens=w.tokens,
        config=CONFIG,
    )
    assert comparison.pairs.empty
    assert set(comparison.features.loc[comparison.features["model"] == "m1", "status"]) == {"dead"}
    assert set(comparison.features["class"].dropna()) == {"specific"}
    both = compare({"m0": empty, "m1": empty.copy()}, documents=w.documents, config=CONFIG)
    assert both.graph.number_of_nodes() == 0


def test_inputs_are_not_modified() -> None:
    w = world()
    acts = {m: a.copy() for m, a in w.acts.items()}
    compare({m: acts[m] for m in ("m0", "m1")}, documents=w.documents, config=CONFIG)
    for model, matrix in acts.items():
        assert (matrix != w.acts[model]).nnz == 0


def test_importing_the_package_is_light() -> None:
    code = "import sys; import universality.compare; print(sorted({'numba', 'scipy', 'networkx'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_what_is_reproduced_is_counted_among_what_the_own_replicate_has() -> None:
    """A replicate that is the model itself has every feature, and nothing explains why a feature equals itself."""
    rows = {"domains": world().domains, "tokens": world().tokens, "positions": world().positions}
    acts = world().acts["m0"].tocsc()
    comparison = run(replicates={"m0": acts[:, np.roll(np.arange(acts.shape[1]), 1)].tocsr()}, **rows)
    pairs = comparison.pairs.query("model_a == 'm0' and model_b == 'm1' and edge")
    alive = comparison.features.query("model == 'm0' and status == 'alive'")
    table = comparison.indices[comparison.indices["pair"] == "m0-m1"].set_index("name")
    assert table.loc["reproduced", "n"] == len(alive)
    assert table.loc["reproduced", "value"] == pytest.approx(len(pairs) / len(alive))
    context, n = table.loc["reproduced_context"], table.loc["reproduced_context", "n"]
    of_level = pairs.loc[pairs["level"] == "context"]
    assert n == len(alive)
    assert 0 < len(of_level) < len(pairs)
    assert context["value"] == pytest.approx(len(of_level) / n)
    assert context["low"] <= context["value"] <= context["high"]
    assert not comparison.indices["name"].str.startswith("reproduced")[comparison.indices["pair"] == "m1-m0"].any()


def test_a_domain_s_r_is_the_mean_over_other_models_and_not_the_best_of_them() -> None:
    """The best of M - 1 partners grows with M, whatever models share."""
    comparison = run(domains=world().domains, tokens=world().tokens)
    pairs, row = comparison.pairs, comparison.domains.iloc[0]
    of_row = [
        pairs[(pairs[f"model_{own}"] == row["model"]) & (pairs[f"latent_{own}"] == row["latent"])] for own in "ab"
    ]  # fmt: skip
    partners = pd.concat(of_row)
    others = len(comparison.features["model"].unique()) - 1
    assert others > 1
    assert row["r"] == pytest.approx(partners["r_held_out"].sum() / others)
    assert row["r_token"] == pytest.approx(partners["r_token"].sum() / others)
    best = partners.loc[partners["r_held_out"].idxmax()]
    assert row["partner_latent"] in (best["latent_a"], best["latent_b"])
    assert row["level"] == best["level"]
