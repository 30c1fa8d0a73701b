"""Nearest neighbours, mutual ones, and the soft matcher."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from universality.errors import InputError
from universality.matching import is_matching, match
from universality.matching.sinkhorn import MAX_ENTRIES

CLEAR = np.array([[0.9, 0.1, 0.2], [0.8, 0.3, 0.0], [0.1, 0.0, 0.0]])


def test_max_takes_each_best_even_twice():
    found = match(CLEAR, method="max", unmatched=0.15)
    assert found.indices_a.tolist() == [0, 1]
    assert found.indices_b.tolist() == [0, 0]
    assert not is_matching(found)
    np.testing.assert_allclose(found.score, [0.9, 0.8])


def test_mutual_keeps_only_pairs_that_choose_each_other():
    found = match(CLEAR, method="mutual")
    assert list(zip(found.indices_a, found.indices_b, strict=True)) == [(0, 0)]
    assert is_matching(found)


def test_two_random_dictionaries_agree_on_about_half_of_their_best():
    """Why a mutual nearest neighbour proves nothing."""
    rng = np.random.default_rng(0)
    found = match(rng.random((600, 600)), method="mutual")
    assert 0.4 < found.indices_a.size / 600 < 0.6


def test_sinkhorn_finds_a_clear_permutation():
    rng = np.random.default_rng(1)
    order = rng.permutation(80)
    matrix = 0.3 * rng.random((80, 80))
    matrix[np.arange(80), order] += 0.5
    found = match(matrix, method="sinkhorn")
    np.testing.assert_array_equal(found.indices_b, order)
    assert found.certificate < 0.2


@pytest.mark.parametrize("method", ["mutual", "sinkhorn", "max"])
@pytest.mark.parametrize("unmatched", [0.0, 0.4])
def test_certificate_bounds_the_distance_to_the_best_matching(method, unmatched):
    for seed in range(5):
        matrix = np.random.default_rng(seed).uniform(-0.3, 1, (20, 26))
        weight = np.maximum(matrix - unmatched, 0.0)
        best = weight[linear_sum_assignment(weight, maximize=True)].sum()
        found = match(matrix, method=method, unmatched=unmatched)
        assert found.certificate >= best - found.objective
        assert method == "max" or is_matching(found)


def test_soft_mass_is_partial_and_the_price_of_staying_alone_decides_how_much():
    matrix = np.random.default_rng(3).uniform(0, 1, (20, 30))
    totals = []
    for unmatched in (0.0, 0.5, 0.9):
        found = match(matrix, method="sinkhorn", unmatched=unmatched)
        for mass in (found.mass_a, found.mass_b):
            assert (mass >= 0).all()
            assert (mass <= 1.02).all()
        assert found.mass_a.sum() == pytest.approx(found.mass_b.sum())
        totals.append(found.mass_a.sum())
    assert totals[0] > totals[1] > totals[2] > 0
    assert ((found.mass_b > 0.05) & (found.mass_b < 0.95)).any()


def test_hard_matchings_have_whole_masses():
    found = match(CLEAR, unmatched=0.15)
    assert found.mass_a.tolist() == [1.0, 1.0, 0.0]
    assert found.mass_b.tolist() == [1.0, 1.0, 0.0]
    assert match(CLEAR, method="max", unmatched=0.15).mass_b.tolist() == [1.0, 0.0, 0.0]


def test_sinkhorn_refuses_what_it_cannot_hold():
    side = int(MAX_ENTRIES**0.5) + 1
    huge = np.broadcast_to(np.float64(0.0), (side, side))
    with pytest.raises(InputError, match=r"n_a \* n_b of sinkhorn must be at most.*assignment"):
        match(huge, method="sinkhorn")


@pytest.mark.parametrize("method", ["max", "mutual", "sinkhorn"])
def test_nothing_above_staying_alone(method):
    assert match(np.zeros((3, 4)), method=method).indices_a.size == 0


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [([0, 1], [1, 0], True), ([0, 0], [1, 0], False), ([0, 1], [2, 2], False), ([], [], True)],
)
def test_predicate(a, b, expected):
    assert is_matching(np.array(a), np.array(b)) is expected
