"""Shares over all pairs together: means of the pairs, their intervals, and the same of untrained models."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from universality.compare import CompareConfig, compare
from universality.compare.shares import over_models
from universality.planted import plant


def test_an_interval_over_models_is_the_jackknife_by_hand_and_needs_four() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(0, 0.1, 5)
    values = {(f"m{a}", f"m{b}"): 0.5 + own[a] + own[b] for a, b in combinations(range(5), 2)}
    low, high = over_models(values, 0.9)
    mean = np.mean(list(values.values()))
    left_out = [np.mean([v for pair, v in values.items() if f"m{k}" not in pair]) for k in range(5)]
    error = np.sqrt(4 / 5 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    assert [low, high] == pytest.approx([mean - stats.t.ppf(0.95, 4) * error, mean + stats.t.ppf(0.95, 4) * error])
    three = {pair: value for pair, value in values.items() if set(pair) <= {"m0", "m1", "m2"}}
    assert np.isnan(over_models(three, 0.9)).all()
    star = {("a", other): 0.5 for other in "bcd"}  # leaving a out leaves nothing: no interval, and no warning
    assert np.isnan(over_models(star, 0.9)).all()


def test_intervals_over_models_cover() -> None:
    """Every model has an effect of its own on all its pairs; t makes up for how few models there are."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(400):
        own = rng.normal(0, 0.1, 4)
        low, high = over_models({(str(a), str(b)): own[a] + own[b] for a, b in combinations(range(4), 2)}, 0.95)
        hits += low <= 0 <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_all_pairs_together_are_their_mean_and_untrained_models_have_the_same() -> None:
    planted = plant(
        root_seed=1, n_rows=12_000, n_documents=120, n_domains=2, n_universal=20, n_shared=8, n_specific=6,
        n_unstable=4, n_decodable=0, n_split=0, n_untrained=3, d_in=2, min_rate=0.01,
    )  # fmt: skip
    config = CompareConfig.model_validate({"n_resamples": 20, "n_resplits": 0, "n_shifts": 10})
    # An untrained model whose second dictionary is the first: all that it has is reproduced there.
    same = planted.untrained["u0"].tocsc()
    replicates = {**planted.replicates, "u0r": same[:, np.roll(np.arange(same.shape[1]), 1)].tocsr()}
    comparison = compare(
        planted.acts, documents=planted.documents, domains=planted.domains, tokens=planted.tokens,
        positions=planted.positions, replicates=replicates, untrained=planted.untrained, config=config,
    )  # fmt: skip
    for kind, together in (("features", "overall"), ("untrained", "untrained")):
        for name in ("shared_fraction", "reproduced"):
            rows = comparison.indices.query("name == @name and kind == @kind")
            whole, pairs = rows[rows["pair"] == together], rows[rows["pair"] != together]
            assert len(whole) == 1, (kind, name)
            assert whole["value"].item() == pytest.approx(pairs["value"].mean())
            assert whole["low"].item() <= whole["value"].item() <= whole["high"].item()
            narrower = (whole["high"] - whole["low"]).item() <= (pairs["high"] - pairs["low"]).max() + 1e-9
            assert narrower, "many pairs are no wider than the widest"
    kinds = comparison.indices.drop_duplicates("pair").set_index("pair")["kind"]
    assert kinds[["m0-m1", "m0-m0r", "u0-u1", "u0-u0r"]].tolist() == [
        "features", "ceiling", "untrained", "untrained_ceiling",
    ]  # fmt: skip
    table = comparison.k_of_m
    assert table["untrained"].sum() == pytest.approx(1)
    edges = comparison.baselines.query("kind == 'untrained' and r_held_out >= 0.5")
    assert (table.loc[table["k"] == 1, "untrained"].item() == 1) == edges.empty
