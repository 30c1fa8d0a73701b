"""Explanations from the last tokens: held against dense regression, and planted rules carried to a partner."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from universality.compare.pair import Dictionary
from universality.compare.statistics import latent_statistics
from universality.effects import explanations as module
from universality.effects.explanations import N_HASHED, PENALTY, Explainer, Explanations, hashed_context
from universality.effects.predictions import TextRows
from universality.rows import Rows
from universality.table_schemas import TABLES

N_CONTEXTS, N_CTX, N_SOURCES = 400, 16, 20


def text() -> TextRows:
    contexts = np.random.default_rng(0).integers(1, 30, (N_CONTEXTS, N_CTX))
    context, position = (part.ravel() for part in np.mgrid[:N_CONTEXTS, 1:N_CTX])
    return TextRows(contexts, context, position)


def test_every_pair_of_token_and_distance_has_its_column_and_none_reaches_beyond_the_context():
    contexts = np.array([[5, 7, 5, 9, 7]])
    rows = TextRows(contexts, np.zeros(5, int), np.arange(5))
    made = hashed_context(rows)
    assert made.shape == (5, N_HASHED)
    assert made.sum(axis=1).A1.tolist() == [1, 2, 3, 4, 5]
    one, other = made[0].nonzero()[1], made[2].nonzero()[1]
    assert set(one) < set(other)  # token 5 at distance 0
    long = hashed_context(TextRows(np.arange(60).reshape(2, 30), np.repeat([0, 1], 30), np.tile(np.arange(30), 2)))
    assert long.sum(axis=1).max() == module.N_BEFORE + 1


def test_an_explanation_is_dense_ridge_regression_with_a_free_constant():
    rows = text()
    features = hashed_context(rows)[:800]
    acts = sparse.csr_matrix(np.random.default_rng(1).exponential(size=(800, 3)) + np.array([0, 2, 5]))
    weights, constants = Explainer(features)(acts)
    used = np.flatnonzero(features.sum(axis=0).A1)
    x, y = features[:, used].toarray(), acts.toarray()
    centred = x - x.mean(axis=0)
    exact = np.linalg.solve(centred.T @ centred + PENALTY * np.eye(used.size), centred.T @ (y - y.mean(axis=0)))
    np.testing.assert_allclose(weights[used], exact, atol=1e-8)
    np.testing.assert_allclose(constants, y.mean(axis=0) - x.mean(axis=0) @ exact, atol=1e-8)


@pytest.fixture(scope="module")
def explained():
    """Latent 0: the token three before is below 10; 1: this one is even; 2: chance. In b 0 and 1 follow the rules too,
    3 is latent 0 of a by chance half the time."""
    rows, rng = text(), np.random.default_rng(2)
    before = np.where(rows.position >= 3, rows.contexts[rows.context, np.maximum(rows.position - 3, 0)], 99)
    rules = [before < 10, rows.contexts[rows.context, rows.position] % 2 == 0]
    sources = np.sort(rng.integers(0, N_SOURCES, N_CONTEXTS))[rows.context]
    known = Rows(documents=sources, fit=sources % 2 == 0, domains=np.zeros(rows.n_rows, int), domain_names=("a",))
    sides = {}
    for name in ("m0", "m1", "u0", "u1"):
        random = rng.random(rows.n_rows) < 0.3
        half = np.where(rng.random(rows.n_rows) < 0.5, rules[0], random)
        columns = [*rules, rng.random(rows.n_rows) < 0.3, half] if name[0] == "m" else [random] * 4
        acts = np.stack(columns, axis=1) * rng.uniform(1, 2, (rows.n_rows, 4))
        matrix = sparse.csr_matrix(acts.astype(np.float32))
        sides[name] = Dictionary(name, matrix, known, latent_statistics(matrix, known), 20)
    weights = rng.multinomial(N_SOURCES // 2, np.full(N_SOURCES // 2, 2 / N_SOURCES), size=40).astype(float)
    made = Explanations(sides, rows.contexts, rows.context, rows.position, weights, 0)
    latents = np.arange(4)
    matched = pd.DataFrame({"latent_a": latents, "latent_b": latents, "level": "token", "edge": latents < 3})
    tables = made.tables([("matched", ("m0", "m1"), matched), ("floor", ("u0", "u1"), matched)])
    return rows, known, sides, tables


def test_rules_of_the_text_are_explained_and_carry_over_and_chance_does_not(explained):
    table, means = explained[3]
    TABLES["explanations"].check(table)
    TABLES["explanation_transfer"].check(means)
    own = table[(table["kind"] == "matched") & (table["model_a"] == "m0")].set_index("latent_a")
    assert own.loc[[0, 1], "own"].min() > 0.7
    assert abs(own.loc[2, "own"]) < 0.1
    np.testing.assert_allclose(own.loc[[0, 1], "score"], own.loc[[0, 1], "own"], atol=0.05)
    assert 0.3 < own.loc[3, "own"] < 0.8 * own.loc[0, "own"]
    exchanged = table[(table["kind"] == "hard_exchange") & (table["model_a"] == "m0")].set_index("latent_a")
    assert exchanged.loc[1, "latent_b"] != 1
    assert exchanged.loc[1, "score"] < 0.2
    rows = means[means["level"] == "all_pairs"].set_index("kind")
    assert rows.loc["matched", "transfer"] > 0.9
    assert (
        rows.loc["matched", "transfer_low"] <= rows.loc["matched", "transfer"] <= rows.loc["matched", "transfer_high"]
    )
    assert abs(rows["score"].get("floor", 0.0)) < 0.1


def test_a_score_is_the_rank_correlation_over_score_rows(explained):
    rows, known, sides, (table, _) = explained
    seen = hashed_context(rows)
    fit, score = np.flatnonzero(known.fit), np.flatnonzero(known.score)
    weights, constants = Explainer(seen[fit])(sides["m0"].acts[fit][:, [3]])
    predicted = (seen[score] @ weights + constants).ravel()
    row = table.query("kind == 'matched' and model_a == 'm0' and latent_a == 3").iloc[0]
    for name, side in (("own", "m0"), ("score", "m1")):
        exact = stats.spearmanr(predicted, sides[side].acts[score][:, [3]].toarray().ravel())[0]
        assert row[name] == pytest.approx(exact, abs=1e-5)


def test_of_many_pairs_some_are_drawn_and_no_more(explained, monkeypatch):
    rows, _, sides, _ = explained
    monkeypatch.setattr(module, "MOST_PAIRS", 2)
    latents = np.arange(4)
    matched = pd.DataFrame({"latent_a": latents, "latent_b": latents, "level": "token", "edge": True})
    made = Explanations(sides, rows.contexts, rows.context, rows.position, np.ones((3, N_SOURCES // 2)), 0)
    table, _ = made.tables([("ceiling", ("m0", "m1"), matched)])
    assert len(table) == 4  # both ways
    assert table.groupby("model_a")["latent_a"].apply(frozenset).nunique() == 1
