"""Other halves of the sources: the reported one among them, fair, and right about what is planted."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from universality.compare import CompareConfig, DictionaryPair, resplits
from universality.compare.assembly import assemble
from universality.compare.pairing import pair_matching
from universality.compare.probabilities import Resplits
from universality.compare.resplits import resplit_edges
from universality.compare.stages import Stages
from universality.planted import plant
from universality.planted.calibration import prepare
from universality.rows import resplits as deal

WORLD = {
    "n_rows": 16_000, "n_documents": 160, "n_sources": 80, "n_domains": 3, "n_universal": 20, "n_shared": 0,
    "n_specific": 12, "n_unstable": 8, "n_decodable": 0, "n_split": 0, "n_untrained": 0, "d_in": 2, "min_rate": 0.01,
}  # fmt: skip
CONFIG = CompareConfig.model_validate({"n_resamples": 20, "n_resplits": 8, "n_shifts": 10})


@lru_cache(maxsize=1)
def world() -> tuple[object, Stages]:
    planted = plant(root_seed=3, **WORLD)
    return planted, prepare(planted, CONFIG, 3, replicates=True)


def pair() -> DictionaryPair:
    return world()[1].pair(("m0", "m1"))


def test_sources_are_dealt_whole_each_half_has_about_half_of_every_domain_and_no_two_deals_are_alike() -> None:
    rows = pair().rows
    dealt = deal(rows, 3, 6)
    of_row = np.unique(rows.groups, return_inverse=True)[1].ravel()
    assert len({fit.tobytes() for fit in dealt}) == 6
    for fit in dealt:
        shares = pd.Series(fit[of_row]).groupby(rows.domains).mean()
        assert shares.between(0.4, 0.6).all()
    np.testing.assert_array_equal(deal(rows, 3, 2), dealt[:2])


def test_the_reported_halves_give_the_reported_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    both, names = pair(), ("m0", "m1")
    null = world()[1].nulls[names]
    fit = both.rows.fit[np.unique(both.rows.groups, return_index=True)[1]]
    monkeypatch.setattr(resplits, "resplits", lambda rows, seed, n: np.array([fit, ~fit]))
    monkeypatch.setattr(resplits, "_drawn", lambda half, rng: half.astype(int))
    drawn = resplit_edges(both, null)
    reported = pair_matching(both, world()[1].similarities[names], null).pairs
    edges = reported[reported["edge"]]
    first = drawn.resplit == 0
    assert list(zip(drawn.a[first], drawn.b[first], strict=True)) == list(
        zip(edges["latent_a"], edges["latent_b"], strict=True)
    )
    np.testing.assert_allclose(drawn.r[first], edges["r_held_out"], atol=1e-6)
    assert 0 < (drawn.resplit == 1).sum() != len(edges) or not np.array_equal(drawn.r[~first], drawn.r[first])


def test_which_side_is_a_changes_nothing() -> None:
    both = pair()
    null = world()[1].nulls["m0", "m1"]
    one, other = resplit_edges(both, null), resplit_edges(both.swapped(), null.swapped()).swapped()
    order = np.lexsort((other.a, other.resplit))
    np.testing.assert_array_equal(one.a, other.a[order])
    np.testing.assert_array_equal(one.b, other.b[order])
    np.testing.assert_array_equal(one.reaches_a, other.reaches_a)


def test_what_is_planted_is_sure() -> None:
    stages = world()[1]
    comparison = assemble(stages.with_matchings())
    alive = comparison.features[comparison.features["status"] == "alive"]
    of_group = alive.groupby("group")["group_probability"].mean()
    assert of_group["partnered"] > 0.98
    assert of_group["unstable"] > 0.98
    table = comparison.k_of_m.set_index("k")
    assert (table["fraction_low"] <= table["fraction"]).all()
    assert (table["fraction"] <= table["fraction_high"]).all()
    assert table.loc[3, "fraction_high"] - table.loc[3, "fraction_low"] < 0.1


def test_without_resplits_nothing_is_said_of_them() -> None:
    stages = replace(world()[1], config=CONFIG.model_copy(update={"n_resplits": 0}))
    comparison = assemble(stages.with_matchings())
    assert comparison.features[["class_probability", "group_probability"]].isna().all(axis=None)
    assert comparison.k_of_m[["fraction_low", "fraction_high"]].isna().all(axis=None)


def test_probabilities_by_hand() -> None:
    """Three features in four re-splits: found in 3, 3, 2, 1 models; never found, stable in half; alone and unstable."""
    drawn = np.array([[3, 1, 1], [3, 1, 1], [2, 1, 1], [1, 1, 2]])
    stable = np.array([[True, True, False], [True, True, False], [True, False, False], [True, False, True]])
    sure = Resplits(drawn, stable)
    node, found = np.arange(3), np.array([3, 1, 1])
    of_class, of_group = sure.probabilities(node, found, np.array(["partnered", "missing", "unstable"]), 3)
    assert of_class.tolist() == [0.5, 1.0, 0.75]
    assert of_group.tolist() == [0.75, 0.5, 0.75]
    low, high = sure.fractions(np.array([0.5, 0.1, 0.4]), 0.95)
    of_three = np.array([1 / 3, 1 / 3, 0, 0]) - 1 / 6
    assert [low[2], high[2]] == pytest.approx((0.4 + np.quantile(of_three, [0.025, 0.975])).tolist())
