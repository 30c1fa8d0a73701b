"""In how many models features are: what sharing alike and identical models would give."""

import numpy as np
import pandas as pd
import pytest

from universality.compare import k_of_m
from universality.compare.k_of_m import over_dispersion
from universality.compare.probabilities import Resplits


def k_of_m_table(n_models: np.ndarray, m: int, ceiling: float) -> pd.DataFrame:
    none = Resplits(np.zeros((0, 9), int), np.zeros((0, 9), bool))
    return k_of_m.k_of_m_table(n_models, m, ceiling, none, np.full(m, np.nan), 0.95)


def _clusters(rng: np.random.Generator, chance: np.ndarray, m: int) -> np.ndarray:
    """Models of clusters whose features the other models have with the chance given for each, drawn per feature."""
    k = 1 + rng.binomial(m - 1, chance)
    # A cluster of k models holds k features: one in k features is the first of its cluster.
    return np.repeat(np.arange(1, m + 1), np.bincount(k, minlength=m + 1)[1:] // np.arange(1, m + 1))


@pytest.mark.parametrize("m", [3, 5, 8])
def test_features_shared_alike_are_as_expected_and_not_over_dispersed(m: int) -> None:
    n_models = _clusters(np.random.default_rng(0), np.full(200_000, 0.4), m)
    table = k_of_m_table(n_models, m, np.nan)
    np.testing.assert_allclose(table["fraction"], table["homogeneous"], atol=0.01)
    assert table["homogeneous"].sum() == pytest.approx(1)
    index = over_dispersion(table)
    assert index is not None
    assert index.value == pytest.approx(1, abs=0.02)
    assert table[["identical_low", "identical_high"]].isna().all().all()


def test_features_that_are_in_all_models_or_in_one_are_over_dispersed() -> None:
    rng = np.random.default_rng(0)
    n_models = _clusters(rng, np.where(rng.random(50_000) < 0.5, 0.95, 0.05), 5)
    index = over_dispersion(k_of_m_table(n_models, 5, np.nan))
    assert index is not None
    assert index.value > 3
    assert index.chance == 1.0


@pytest.mark.parametrize("independent", [True, False])
def test_identical_models_lie_within_their_bounds(independent: bool) -> None:
    """Whether dictionaries miss features independently of each other, or all the same ones."""
    rng, m, s = np.random.default_rng(0), 4, 0.6
    k = 1 + (rng.binomial(m - 1, s, 100_000) if independent else (m - 1) * (rng.random(100_000) < s))
    n_models = np.repeat(np.arange(1, m + 1), np.bincount(k, minlength=m + 1)[1:] // np.arange(1, m + 1))
    table = k_of_m_table(n_models, m, s).iloc[[0, -1]]
    assert (table["fraction"] >= table["identical_low"] - 0.01).all()
    assert (table["fraction"] <= table["identical_high"] + 0.01).all()


def test_with_two_models_or_nothing_shared_there_is_no_dispersion_to_speak_of() -> None:
    assert over_dispersion(k_of_m_table(np.array([1, 2, 2]), 2, 0.5)) is None
    assert over_dispersion(k_of_m_table(np.array([1, 1, 1]), 3, 0.5)) is None
