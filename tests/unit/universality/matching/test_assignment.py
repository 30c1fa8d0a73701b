"""The exact assignment against scipy's dense solver, and what its certificate promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from universality.correlation.list_union import from_lists
from universality.correlation.top import TopSimilarity
from universality.errors import InputError
from universality.matching import MatchResult, is_matching, match
from universality.matching.candidates import candidates


def lists(matrix, top):
    order = np.argsort(-matrix, axis=1, kind="stable")[:, :top].astype(np.int32)
    return order, np.take_along_axis(matrix, order, axis=1)


def similarity(matrix, top) -> TopSimilarity:
    """The lists that an exact correlation of these values would give."""
    alive_a, alive_b = (np.ones(n, bool) for n in matrix.shape)
    top_a, top_b = min(top, matrix.shape[1]), min(top, matrix.shape[0])
    return from_lists(lists(matrix, top_a), lists(matrix.T, top_b), alive_a, alive_b, 99, top)


def optimum(matrix, unmatched):
    weight = np.maximum(matrix - unmatched, 0.0)
    return weight[linear_sum_assignment(weight, maximize=True)].sum()


def random_matrix(rng, n_a, n_b, kind):
    if kind == "uniform":
        return rng.uniform(-0.5, 1, (n_a, n_b))
    if kind == "ties":
        return np.round(rng.uniform(-0.5, 1, (n_a, n_b)), 1)
    if kind == "sparse":
        return rng.random((n_a, n_b)) * (rng.random((n_a, n_b)) < 0.1)
    if kind == "blocks":  # several connected components, some of one latent
        group = rng.integers(0, 6, n_a)[:, None] == rng.integers(0, 7, n_b)
        return rng.random((n_a, n_b)) * group
    return np.outer(np.arange(1, n_a + 1), np.arange(1, n_b + 1)) / (n_a * n_b)  # every row prefers the same


KINDS = ("uniform", "ties", "sparse", "blocks", "product")


def check_duals(found: MatchResult, matrix: np.ndarray) -> None:
    """Feasible prices for every pair, and nothing paid for a latent that stays alone: a proof of optimality."""
    assert (found.duals_a >= 0).all()
    assert (found.duals_b >= 0).all()
    slack = found.duals_a[:, None] + found.duals_b - (matrix - found.unmatched)
    assert slack.min() >= -1e-12
    np.testing.assert_allclose(slack[found.indices_a, found.indices_b], 0.0, atol=1e-10)
    assert np.delete(found.duals_a, found.indices_a).sum() <= 1e-10
    assert np.delete(found.duals_b, found.indices_b).sum() <= 1e-10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (30, 30), (25, 60), (60, 25)])
@pytest.mark.parametrize("unmatched", [0.0, 0.3, -0.4])
def test_objective_equals_the_dense_solver_and_duals_prove_it(kind, shape, unmatched):
    matrix = random_matrix(np.random.default_rng(shape[0] * 7 + shape[1]), *shape, kind)  # pyright: ignore
    found = match(matrix, unmatched=unmatched)
    assert is_matching(found)
    assert found.objective == pytest.approx(optimum(matrix, unmatched), abs=1e-9)
    assert 0 <= found.certificate <= 1e-9 * max(shape)
    check_duals(found, matrix)
    np.testing.assert_array_equal(found.score, matrix[found.indices_a, found.indices_b])
    assert (found.score > unmatched).all()


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("shape", [(1000, 1000), (600, 1800)])
def test_objective_equals_the_dense_solver_at_size(kind, shape):
    matrix = random_matrix(np.random.default_rng(0), *shape, kind)  # pyright: ignore
    found = match(matrix, unmatched=0.2, threads=2)
    assert found.objective == pytest.approx(optimum(matrix, 0.2), abs=1e-8)
    assert found.certificate <= 1e-9 * max(shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top", [1, 3, 8])
@pytest.mark.parametrize("unmatched", [0.0, 0.6, -0.2])
def test_certificate_covers_pairs_never_formed(kind, top, unmatched):
    for seed in range(4):
        matrix = random_matrix(np.random.default_rng(seed), 40, 55, kind)
        found = match(similarity(matrix, top), unmatched=unmatched)
        assert found.certificate >= optimum(matrix, unmatched) - found.objective
        assert is_matching(found)


@pytest.mark.parametrize("unmatched", [0.0, 0.3, -0.2])
def test_widening_closes_the_certificate(unmatched):
    matrix = random_matrix(np.random.default_rng(5), 50, 70, "uniform")
    asked = []

    def widen(top):
        asked.append(top)
        return similarity(matrix, top)

    found = match(similarity(matrix, 2), unmatched=unmatched, widen=widen)
    assert asked == sorted(set(asked))
    assert asked
    assert found.certificate <= 1e-9 * 70
    assert found.objective == pytest.approx(optimum(matrix, unmatched), abs=1e-9)
    assert found.top == asked[-1]


def test_searching_closes_the_certificate_with_few_pairs():
    matrix = random_matrix(np.random.default_rng(5), 50, 70, "uniform")
    added = []

    def search(floor_a, floor_b):
        at = np.nonzero(matrix > floor_a[:, None] + floor_b)
        added.append(at[0].size)
        return *at, matrix[at]

    found = match(similarity(matrix, 2), search=search)  # pyright: ignore
    assert found.objective == pytest.approx(optimum(matrix, 0.0), abs=1e-9)
    assert found.certificate <= 1e-9 * 70
    assert added[-1] == 0
    assert sum(added) < matrix.size / 4


def test_nothing_is_widened_once_the_cutoffs_are_below_staying_alone():
    matrix = random_matrix(np.random.default_rng(5), 50, 70, "uniform")
    found = match(similarity(matrix, 20), unmatched=0.9, widen=lambda top: pytest.fail(f"widened to {top}"))
    assert found.certificate <= 1e-9 * 70
    assert found.objective == pytest.approx(optimum(matrix, 0.9), abs=1e-9)


def test_margins_are_the_distance_to_the_best_alternative():
    matrix = np.array([[0.9, 0.5, 0.0], [0.8, 0.7, -0.3]])
    found = match(matrix)
    assert found.indices_b.tolist() == [0, 1]
    np.testing.assert_allclose(found.margin_a, [0.4, -0.1])
    np.testing.assert_allclose(found.margin_b, [0.1, 0.2])


def test_margins_end_at_the_cutoff_of_a_list():
    matrix = np.array([[0.9, 0.5, 0.1], [0.2, 0.7, 0.6]])
    found = match(similarity(matrix, 1))
    np.testing.assert_allclose(found.margin_a, [0.0, 0.0])  # the next best is not known to be worse
    np.testing.assert_allclose(match(similarity(matrix, 2)).margin_a, [0.4, 0.1])


def test_no_byte_depends_on_threads_nor_the_input_on_the_call():
    matrix = random_matrix(np.random.default_rng(2), 300, 280, "blocks")
    before = matrix.copy()
    one, many = match(matrix, threads=1), match(matrix, threads=4)
    for name in ("indices_a", "indices_b", "score", "duals_a", "duals_b"):
        assert getattr(one, name).tobytes() == getattr(many, name).tobytes()
    np.testing.assert_array_equal(matrix, before)


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0), (3, 3)])
def test_nothing_to_match(shape):
    found = match(np.zeros(shape))
    assert found.indices_a.size == 0
    assert found.objective == 0
    assert found.certificate <= 1e-9


def test_a_price_for_every_missing_pair_is_what_sorting_says():
    from universality.matching.candidates import missing_excess

    rng = np.random.default_rng(3)
    graph = candidates(similarity(rng.random((20, 30)), 3), 0.1)
    u, v = rng.random(20) * 0.5, rng.random(30) * 0.5
    ceiling = np.minimum.outer(graph.ceiling_a, graph.ceiling_b)
    want = np.maximum((ceiling - v).max(axis=1) - u, 0.0)
    np.testing.assert_allclose(missing_excess(graph, u, v), want, atol=1e-12)


class TestMisuse:
    def test_unknown_method(self):
        with pytest.raises(InputError, match=r"method of match must be one of.*got 'hungarian'"):
            match(np.eye(2), method="hungarian")

    def test_not_finite(self):
        with pytest.raises(InputError, match="must be a finite"):
            match(np.array([[np.nan]]))

    def test_endless_price(self):
        with pytest.raises(InputError, match="unmatched of match must be a finite number"):
            match(np.eye(2), unmatched=-np.inf)
