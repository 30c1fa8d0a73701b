"""Laws of the assignment on whatever hypothesis finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from universality.correlation.top import TopSimilarity
from universality.matching import is_matching, match

quick = settings(deadline=None, max_examples=80)


@st.composite
def problems(draw):
    n_a, n_b = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    matrix = rng.uniform(-1, 1, (n_a, n_b)) * (rng.random((n_a, n_b)) < draw(st.sampled_from([0.2, 0.6, 1.0])))
    matrix = np.round(matrix, draw(st.integers(0, 6)))
    return matrix, draw(st.sampled_from([0.0, 0.25, -0.5])), rng


def best(matrix, unmatched):
    weight = np.maximum(matrix - unmatched, 0.0)
    return weight[linear_sum_assignment(weight, maximize=True)].sum()


@quick
@given(problems())
def test_exact_and_proven(problem):
    matrix, unmatched, _ = problem
    found = match(matrix, unmatched=unmatched)
    assert is_matching(found)
    assert abs(found.objective - best(matrix, unmatched)) <= 1e-9
    assert best(matrix, unmatched) - found.objective <= found.certificate <= 1e-9


@quick
@given(problems())
def test_the_value_does_not_depend_on_sides_or_order(problem):
    matrix, unmatched, rng = problem
    value = match(matrix, unmatched=unmatched).objective
    assert abs(match(matrix.T, unmatched=unmatched).objective - value) <= 1e-9
    moved = matrix[rng.permutation(matrix.shape[0])][:, rng.permutation(matrix.shape[1])]
    assert abs(match(moved, unmatched=unmatched).objective - value) <= 1e-9


@quick
@given(problems(), st.floats(0.0, 1.0))
def test_any_honest_list_has_an_honest_certificate(problem, share):
    """Whatever pairs are left out, cut-offs that bound them give a certificate that bounds what they add."""
    matrix, unmatched, rng = problem
    listed = rng.random(matrix.shape) < share
    at = np.nonzero(listed)
    hidden = np.where(listed, -1.0, matrix)
    similarity = TopSimilarity(
        *matrix.shape, 9, *(index.astype(np.int32) for index in at), matrix[at],
        hidden.max(axis=1), hidden.max(axis=0), 1,
    )  # fmt: skip
    found = match(similarity, unmatched=unmatched)
    assert is_matching(found)
    assert best(matrix, unmatched) - found.objective <= found.certificate
