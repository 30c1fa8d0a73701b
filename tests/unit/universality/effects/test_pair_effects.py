"""Effects of pairs: planted causal structure is found, controls and shuffled rows give chance."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from universality.compare.compare_config import CompareConfig
from universality.compare.pair import Dictionary, DictionaryPair
from universality.compare.pair_plan import Pair
from universality.compare.statistics import latent_statistics
from universality.correlation import correlate, correlate_pairs
from universality.effects.ablation import fingerprints
from universality.effects.agreement import effect_agreement
from universality.effects.controls import hard_exchange, random_directions, random_partner, runner_up
from universality.effects.curves import substitution_curves
from universality.effects.effect_table import effect_agreement_table
from universality.effects.pair_attribution import AttributionSide, pair_attribution
from universality.effects.pair_effects import EffectSide, PairEffects, pair_effects, source_draws
from universality.effects.predictions import ReadPredictions
from universality.effects.readout import Readout
from universality.effects.sampling import sample_entries
from universality.rows import Rows
from universality.schema import TableSchema
from universality.table_schemas import TABLES

N_ROWS, N_SOURCES, N_KIND, D_MODEL, D_VOCAB = 30_000, 100, 24, 128, 150
#: Norm of a direction over that of the stream. A large one lowers every prediction's confidence, whatever it says.
SMALL = 0.2
KINDS = np.repeat(["same_effect", "other_effect", "other_firing"], N_KIND)


def world(seed=0):
    """Two models of one truth: the basis of the second is rotated, and some of its latents do something else."""
    rng = np.random.default_rng(seed)
    sources = np.sort(rng.integers(0, N_SOURCES, N_ROWS))
    rows = Rows(documents=sources, fit=sources % 2 == 0, domains=sources % 3, domain_names=("a", "b", "c"))
    rotation = np.linalg.qr(rng.normal(size=(D_MODEL, D_MODEL)))[0]
    stream = rng.normal(size=(N_ROWS, D_MODEL))
    weights = rng.normal(size=(D_MODEL, D_VOCAB)) * 0.3
    directions = SMALL * rng.normal(size=(KINDS.size, D_MODEL))
    fires = rng.random((N_ROWS, KINDS.size)) < 0.06
    strength = np.abs(rng.normal(1.0, 0.3, (N_ROWS, KINDS.size))) * fires
    both = [strength * rng.lognormal(0, 0.1, strength.shape), strength * rng.lognormal(0, 0.1, strength.shape)]
    elsewhere = KINDS == "other_firing"
    both[1][:, elsewhere] = np.abs(rng.normal(1.0, 0.3, strength.shape)[:, elsewhere]) * (
        rng.random((N_ROWS, N_KIND)) < 0.06
    )
    # What else a latent does has nothing to do with what it does here: not even by chance, in so few dimensions.
    effects, other = directions @ weights, directions.copy()
    for latent in np.flatnonzero(KINDS == "other_effect"):
        drawn = SMALL * rng.normal(size=D_MODEL)
        along = weights @ effects[latent]
        other[latent] = drawn - along * (drawn @ along) / (along @ along)
    scores = stream @ weights / stream.std(axis=1, keepdims=True)
    targets = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    sides = []
    for name, turn, acts, own in (("m0", np.eye(D_MODEL), both[0], directions), ("m1", rotation, both[1], other)):
        readout = Readout(
            to_stream=np.eye(D_MODEL, dtype=np.float32), weights=(turn.T @ weights).astype(np.float32),
            bias=np.zeros(D_VOCAB, np.float32), centres=False, normalises=True, eps=1e-5, stream="",
        )  # fmt: skip
        matrix = sparse.csr_matrix(acts.astype(np.float32))
        dictionary = Dictionary(name, matrix, rows, latent_statistics(matrix, rows), 20)
        sides.append((dictionary, readout, (stream @ turn).astype(np.float32), (own @ turn).astype(np.float32)))
    return rows, targets, sides


def measured(seed=0, shuffled=False):
    rows, targets, made = world(seed)
    numbers = np.flatnonzero(rows.score)
    some, sides = np.arange(0, numbers.size, 2), []
    for number, (dictionary, readout, stream, directions) in enumerate(made):
        predictions = ReadPredictions(readout, stream[numbers], targets[numbers], threads=1)
        acts = dictionary.acts[numbers]
        means = np.asarray(dictionary.fit.mean(axis=0)).ravel()
        loss = fingerprints(predictions, acts, directions, means).loss
        drawn = random_directions(directions, np.random.default_rng(number))
        loss_random = fingerprints(predictions, acts, drawn, means).loss
        if shuffled:
            loss = loss.tocsr()
            rng = np.random.default_rng(number)
            for latent in range(loss.shape[1]):  # effects exchanged among the rows where the latent fires
                at = loss.indices == latent
                loss.data[at] = rng.permutation(loss.data[at])
        at_some = ReadPredictions(readout, stream[numbers[some]], targets[numbers[some]], threads=1)
        sides.append(EffectSide(dictionary, loss, loss_random, directions, at_some))
    settings: dict = {"n_resamples": 50}
    pair = DictionaryPair(made[0][0], made[1][0], CompareConfig(**settings), 0, 1)
    similarity = correlate(*pair.fit, top=5, threads=1)
    latents = np.arange(KINDS.size)
    r = correlate_pairs(*pair.score, latents, latents, threads=1).r
    matched = pd.DataFrame(
        {"latent_a": latents, "latent_b": latents, "r": r, "r_held_out": r, "level": "context", "edge": r >= 0.5}
    )
    made = pair_effects(pair, sides[0], sides[1], matched, similarity, numbers, some, kind="features")
    return pair, sides, matched, made, numbers, some


@pytest.fixture(scope="module")
def planted():
    return measured()


def test_planted_causal_structure_is_found(planted):
    table = planted[3].table
    TABLES["effects"].check(table)
    own = table[table["kind"] == "matched"].set_index("latent_a")
    assert (own["edge"].to_numpy() == (KINDS != "other_firing")).all()
    assert own.loc[KINDS == "other_firing", "effect_class"].isna().all()
    for name in ("same_effect", "other_effect"):
        called, true = (own["effect_class"] == name).to_numpy(), np.equal(KINDS, name)
        assert (called & true).sum() >= 0.95 * true.sum(), name
        assert (called & true).sum() >= 0.95 * called.sum(), name
    assert own.loc[KINDS == "same_effect", "recovered"].min() > 0.8
    assert np.abs(own.loc[KINDS == "other_firing", "r_effect"]).max() < 0.2


def test_controls_lie_below_the_matched_partner(planted):
    table = planted[3].table
    mean = table[table["latent_a"].isin(np.flatnonzero(KINDS == "same_effect"))].groupby("kind")["r_effect"].mean()
    assert mean["matched"] > 0.8
    for control in ("runner_up", "hard_exchange", "random", "random_direction"):
        assert abs(mean[control]) < 0.15, control


def test_effects_shuffled_among_the_rows_of_a_latent_give_chance():
    table = measured(shuffled=True)[3].table
    own = table[(table["kind"] == "matched") & table["edge"]]
    assert abs(own["r_effect_both"].mean()) < 0.03
    assert (own["effect_class"] == "same_effect").mean() <= 0.05


def test_one_pair_is_pearson_over_all_rows_and_over_common_rows(planted):
    _, (a, b), _, made, _, _ = planted
    x, y = (side.loss[:, [3]].toarray().ravel().astype(np.float64) for side in (a, b))
    row = made.table.query("kind == 'matched' and latent_a == 3").iloc[0]
    fires = [side.loss[:, [3]].tocoo().row for side in (a, b)]
    common = np.intersect1d(*fires)
    assert row["r_effect"] == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-9)
    assert row["r_effect_both"] == pytest.approx(stats.pearsonr(x[common], y[common])[0], abs=1e-9)


def test_draws_are_those_of_sources_drawn_with_replacement(planted):
    pair, (a, b), _, _, numbers, _ = planted
    sources = pair.rows.groups[numbers]
    weights = source_draws(pair.rows, 50, 0, numbers)
    agreed = effect_agreement(a.loss, b.loss, np.array([0]), np.array([0]), sources, weights)
    x, y = (side.loss[:, [0]].toarray().ravel().astype(np.float64) for side in (a, b))
    known = np.unique(sources)
    drawn = np.concatenate([np.flatnonzero(sources == known[s]) for s in np.repeat(np.arange(known.size), weights[7])])
    assert agreed.resampled[0, 7] == pytest.approx(np.corrcoef(x[drawn], y[drawn])[0, 1], abs=1e-9)
    fires = np.ones(x.size, bool)
    for side in (a, b):
        fires &= np.isin(np.arange(x.size), side.loss[:, [0]].tocoo().row)
    drawn = drawn[fires[drawn]]
    assert agreed.resampled_both[0, 7] == pytest.approx(np.corrcoef(x[drawn], y[drawn])[0, 1], abs=1e-9)


def test_substitution_is_what_predictions_lose_with_the_partner_in_place(planted):
    _, (a, b), _, made, numbers, some = planted
    latent, rows, lost = 5, numbers[some], np.zeros(2)
    for own, other in ((a, b), (b, a)):
        x, y = (side.dictionary.acts[rows][:, [latent]].toarray().ravel().astype(np.float64) for side in (own, other))
        fit_x, fit_y = (side.dictionary.fit[:, [latent]].toarray().ravel().astype(np.float64) for side in (own, other))
        factor = max((fit_x @ fit_y) / (fit_y @ fit_y), 0.0)
        mean = fit_x.mean()
        everyone = np.arange(rows.size)
        clean = own.predictions.losses(everyone, None)
        for place, change in enumerate((factor * y - x, np.where(x != 0, mean - x, 0.0))):
            added = (change[:, None] * own.directions[latent]).astype(np.float32)
            lost[place] += (own.predictions.losses(everyone, added) - clean).sum()
    row = made.table.query("kind == 'matched' and latent_a == @latent").iloc[0]
    assert row["recovered"] == pytest.approx(1 - lost[0] / lost[1], abs=1e-3)


def test_the_table_pools_pairs_and_its_intervals_hold_its_values(planted):
    pair, _, _, made, numbers, _ = planted
    again = PairEffects.from_stored(made.table, made.to_arrays())
    weights = source_draws(pair.rows, 50, 0, numbers)
    pairs: dict[Pair, PairEffects] = {("m0", "m1"): again}
    table = effect_agreement_table(pairs, weights, tau=0.5, confidence=0.95)
    schema: TableSchema = TABLES["effect_agreement"]
    schema.check(table)
    edges = table.query("kind == 'matched' and pair == 'overall' and level == 'edges'").iloc[0]
    own = made.table.query("kind == 'matched' and edge")
    assert edges["n"] == len(own) == 2 * N_KIND
    assert edges["r_effect"] == pytest.approx(own["r_effect"].mean())
    assert edges["same_effect"] == pytest.approx((own["effect_class"] == "same_effect").mean())
    for name in ("r_effect", "r_effect_both", "recovered", "same_effect"):
        assert edges[f"{name}_low"] <= edges[name] <= edges[f"{name}_high"], name
    assert set(table["level"]) == {"all_pairs", "edges", "context"}


def test_resamples_without_spread_say_nothing(planted):
    made = planted[3]
    drawn = made.resampled_both.copy()
    drawn[:, 3] = np.nan
    for draws, ends in ((drawn, False), (np.full_like(drawn, np.nan), True)):
        some: dict[Pair, PairEffects] = {("m0", "m1"): replace(made, resampled_both=draws)}
        weights = source_draws(planted[0].rows, 50, 0, planted[4])
        table = effect_agreement_table(some, weights, tau=0.5, confidence=0.95)
        assert table["r_effect_both"].notna().all()
        assert table["r_effect_both_low"].isna().all() == ends


def test_a_curve_ends_where_all_partners_are_in_place(planted):
    _, (a, b), matched, made, numbers, some = planted
    curves = substitution_curves(planted[0], a, b, made.table, matched, numbers[some])
    TABLES["substitution_curve"].check(curves)
    own = curves.query("kind == 'matched' and model_a == 'm0'")
    assert own["n_replaced"].is_monotonic_increasing
    assert own["n_replaced"].iloc[-1] == KINDS.size
    best = curves.query("n_replaced == 1 and model_a == 'm0'").set_index("kind")["recovered"]
    assert best["matched"] > 0.8 > best["hard_exchange"]


def test_partners_of_controls_are_never_the_assigned_one(planted):
    pair, *_ = planted
    ib = np.arange(KINDS.size)
    similarity = correlate(*pair.fit, top=5, threads=1)
    exchanged = hard_exchange(pair.b, ib)
    drawn = random_partner(pair.b, ib, np.random.default_rng(0))
    for other in (runner_up(similarity, ib, ib), exchanged, drawn):
        assert (other != ib).all()
    assert not np.array_equal(drawn, random_partner(pair.b, ib, np.random.default_rng(1)))
    alone = hard_exchange(pair.b, ib[:1])
    assert alone.tolist() == [-1]


def test_first_order_effects_are_correlated_as_exact_ones_are(planted):
    """With exact changes in the place of first-order ones, the two tables are one."""
    pair, (a, b), _, made, numbers, _ = planted
    known = np.linspace(0.5, 0.9, KINDS.size)
    sides = [AttributionSide(numbers, side.loss, side.loss_random, r) for side, r in ((a, known), (b, known[::-1]))]
    table = pair_attribution(pair, sides, made.table)
    schema: TableSchema = TABLES["attribution"]
    schema.check(table)
    for ours, theirs in (("r_gradient", "r_effect"), ("r_gradient_both", "r_effect_both")):
        np.testing.assert_allclose(table[ours], made.table[theirs], atol=1e-9)
    for end in ("low", "high"):
        np.testing.assert_allclose(table[f"r_gradient_both_{end}"], made.table[f"r_effect_both_{end}"], atol=1e-9)
    row = table.query("kind == 'runner_up'").iloc[3]
    assert (row["r_exact_a"], row["r_exact_b"]) == (known[row["latent_a"]], known[::-1][row["latent_b"]])
    assert table.loc[table["kind"] == "random_direction", "r_exact_b"].isna().all()


def test_a_sample_of_firings_finds_what_all_of_them_find(planted):
    pair, sides, matched, made, numbers, some = planted
    lots, sampled = np.random.default_rng(0).random(numbers.size), []
    for side in sides:
        acts = side.dictionary.acts[numbers]
        sample = sample_entries(acts, 300, 0, lots)
        losses = {name: sample.only(getattr(side, name)) for name in ("loss", "loss_random")}
        assert losses["loss"].nnz < 0.5 * side.loss.nnz
        sampled.append(replace(side, **losses, sample=sample, predictions=None))
    similarity = correlate(*pair.fit, top=5, threads=1)
    table = pair_effects(pair, sampled[0], sampled[1], matched, similarity, numbers, some, kind="features").table
    own, whole = (t[t["kind"] == "matched"].set_index("latent_a") for t in (table, made.table))
    away = (own["r_effect_both"] - whole["r_effect_both"])[KINDS != "other_firing"]
    assert 0.001 < away.abs().mean() < 0.08
    assert abs(away.mean()) < 0.02
    same = np.equal(KINDS, "same_effect") & whole["edge"].to_numpy(bool)
    assert (own["effect_class"] == "same_effect").to_numpy()[same].mean() >= 0.9
    random = table.loc[table["kind"] == "random_direction", "r_effect_both"].mean()
    assert abs(random) < 0.15


def test_random_directions_have_the_norms_of_those_they_replace():
    directions = np.random.default_rng(0).normal(size=(5, 7))
    drawn = random_directions(directions, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), np.linalg.norm(directions, axis=1), rtol=1e-5)
