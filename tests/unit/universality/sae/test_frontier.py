"""Which points of a sweep nothing beats, and how near two dictionaries of one model are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from universality.sae.evaluation import frontier, mean_max_cosine

numbers = st.one_of(st.integers(0, 5).map(float), st.just(float("nan")))


@given(st.lists(st.tuples(numbers, numbers), max_size=12), st.sampled_from([0.0, 0.01, 0.3]))
def test_the_frontier_is_what_its_definition_says(points, slack):
    l0, fvu = (np.array([point[axis] for point in points]) for axis in (0, 1))
    for i, found in enumerate(frontier(l0, fvu, slack=slack)):
        beaten = any(
            (l0[j] <= l0[i] and fvu[j] <= fvu[i] and (l0[j] < l0[i] or fvu[j] < fvu[i]))
            or (l0[j] <= (1 + slack) * l0[i] and fvu[j] < fvu[i])
            for j in range(len(points))
        )
        assert found == (not beaten and not np.isnan(l0[i]) and not np.isnan(fvu[i]))


def test_a_clear_frontier():
    found = frontier(np.array([8, 16, 16, 32, 8.0]), np.array([0.3, 0.2, 0.25, 0.2, 0.3]))
    assert found.tolist() == [True, True, False, False, True]


def test_a_chance_difference_in_l0_saves_nobody():
    """Two TopK dictionaries of one k: the smaller one has an l0 that is less by an accident."""
    assert frontier(np.array([7.9998, 8.0, 8.2]), np.array([0.122, 0.110, 0.1])).tolist() == [
        False,
        True,
        True,
    ]


@given(st.lists(st.tuples(st.floats(1, 99), st.floats(0.01, 1)), min_size=1, max_size=12))
def test_somebody_is_always_on_the_frontier(points):
    assert frontier(*np.array(points).T, slack=0.5).any()


def test_mean_max_cosine_is_the_mean_of_the_largest_cosines():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((50, 8)), rng.standard_normal((70, 8))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b)]
    expected = (unit[0] @ unit[1].T).max(axis=1).mean()
    for block in (7, 2048):
        assert mean_max_cosine(a, b, block=block) == pytest.approx(expected)
    assert mean_max_cosine(a, 3 * a[::-1]) == pytest.approx(1)
    assert mean_max_cosine(np.eye(3), np.zeros((2, 3))) == 0
