"""Cosines in blocks: lists, cut-offs and assignments are those of the dense float64 matrix."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from universality.cosines import Best, Cosines, _insert
from universality.errors import InputError
from universality.matching import match
from universality.weight_indices import match_directions


def dense(a, b, absolute=False):
    units = [
        m.astype(np.float64) / np.maximum(np.linalg.norm(m.astype(np.float64), axis=1), 1e-300)[:, None] for m in (a, b)
    ]
    cosines = units[0] @ units[1].T
    return np.abs(cosines) if absolute else cosines


def pair(n_a=700, n_b=1300, d=24, seed=0):
    """Directions over several blocks, with copies, opposites, neighbours within rounding, and one without length."""
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal((n, d)).astype(np.float32) for n in (n_a, n_b))
    b[: n_a // 2] = a[: n_a // 2] + 0.3 * b[: n_a // 2]
    b[600:640], b[640:680] = a[5], -a[6]
    a[100:140] = a[5] * (1 + 1e-6 * rng.standard_normal((40, d)))
    a[9] = b[17] = 0
    return a, b


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("top", [1, 16, 2000])
def test_lists_are_those_of_the_dense_matrix(top, absolute):
    a, b = pair()
    cosines, plain = Cosines(a, b), dense(a, b, absolute)
    found = cosines.lists(top)[absolute]
    at = found.indices_a, found.indices_b
    np.testing.assert_allclose(found.r, plain[at], atol=1e-14)
    alive = np.linalg.norm(a, axis=1) > 0
    np.testing.assert_allclose(found.top_a(1)[1][alive, 0], plain[alive][:, np.arange(len(b)) != 17].max(1), atol=1e-14)
    listed = np.zeros(plain.shape, bool)
    listed[at] = True
    bound = np.minimum(found.cutoff_a[:, None], found.cutoff_b)
    assert (plain <= bound + 1e-15)[~listed].all()
    # Bounds are no higher than the worst listed entry and what float32 may be wrong by.
    if top < 700:
        for cutoff, best in ((found.cutoff_a, found.top_a(top)[1]), (found.cutoff_b, found.top_b(top)[1])):
            full = best[:, -1] != 0
            assert (cutoff[full] - best[full, -1]).max() <= 2 * cosines.error


def test_of_equal_cosines_the_smaller_numbers_are_listed_whoever_comes_first():
    for order in (range(9), range(8, -1, -1), (4, 8, 0, 7, 1, 6, 2, 5, 3)):
        best = Best.empty(1, 4)
        for j in order:
            _insert(best.partner[0], best.cosine[0], np.float32(0.5 if j else 0.25), j)
        assert sorted(best.partner[0]) == [1, 2, 3, 4]


def test_no_byte_depends_on_the_threads():
    a, b = pair()
    for one, three in zip(Cosines(a, b, 1).lists(8), Cosines(a, b, 3).lists(8), strict=True):
        for name, values in one.to_arrays().items():
            np.testing.assert_array_equal(values, three.to_arrays()[name], err_msg=name)


def test_chosen_pairs_have_the_digits_of_listed_ones_from_either_side():
    a, b = pair()
    found, back = Cosines(a, b).lists(8)[0], Cosines(b, a)
    np.testing.assert_array_equal(Cosines(a, b, 2).of(found.indices_a, found.indices_b), found.r)
    np.testing.assert_array_equal(back.of(found.indices_b, found.indices_a), found.r)


def test_the_error_bound_holds_at_its_worst_and_is_not_idle():
    rng = np.random.default_rng(0)
    a, b = (rng.random((400, 3000)).astype(np.float32) for _ in range(2))  # one sign: roundings add up
    cosines = Cosines(a, b)
    units = [(m / np.linalg.norm(m.astype(np.float64), axis=1)[:, None]).astype(np.float32) for m in (a, b)]
    wrong = np.abs((units[0] @ units[1].T).astype(np.float64) - dense(a, b)).max()
    assert 0 < wrong < cosines.error < 3e-4


@pytest.mark.parametrize("absolute", [False, True])
def test_what_short_lists_leave_out_is_searched(absolute):
    """Everybody's best are the same few: lists of 2 hold no good assignment."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((300, 6)), rng.standard_normal((260, 6))
    plain = dense(a, b, absolute)
    rows, columns = linear_sum_assignment(-np.maximum(plain, 0))
    best = np.maximum(plain, 0)[rows, columns].sum()
    cosines = Cosines(a, b)
    short = cosines.lists(2)[absolute]
    listed, proven = match(short), match(short, search=cosines.search(short, absolute))
    assert best - listed.objective > 1
    assert listed.certificate >= best - listed.objective
    np.testing.assert_allclose(proven.objective, best, atol=1e-9)
    assert proven.certificate < 1e-6


@pytest.mark.parametrize(
    ("n", "d"), [(1024, 64), (1024, 8), pytest.param(4096, 64, marks=pytest.mark.slow)]
)  # fmt: skip
def test_assignments_are_those_of_scipy(n, d):
    rng = np.random.default_rng(n + d)
    a = rng.standard_normal((n, d)).astype(np.float32)
    b = (a + rng.uniform(0.1, 3, (n, 1)) * rng.standard_normal((n, d)))[rng.permutation(n)[: n - 50]].astype(np.float32)
    found = match_directions(a, b)
    for absolute, chosen in ((False, found.signed), (True, found.absolute)):
        plain = np.maximum(dense(a, b, absolute), 0)
        rows, columns = linear_sum_assignment(-plain)
        np.testing.assert_allclose(chosen.objective, plain[rows, columns].sum(), rtol=1e-11)
        assert chosen.certificate < 1e-9 * n
        np.testing.assert_allclose(chosen.score, plain[chosen.indices_a, chosen.indices_b], atol=1e-14)
        best = (found.best_a[int(absolute)], found.best_b[int(absolute)])
        np.testing.assert_allclose(best[0], dense(a, b, absolute).max(1), atol=1e-14)
        np.testing.assert_allclose(best[1], dense(a, b, absolute).max(0), atol=1e-14)


def test_a_crowd_that_wants_the_same_few_is_assigned_beyond_its_lists():
    tilt = np.linspace(0.1, 1.2, 200)
    a, b = np.zeros((2, 200, 3))
    a[:, 0], a[:, 1], b[:, 0], b[:, 2] = np.cos(tilt), np.sin(tilt), np.cos(tilt), np.sin(tilt)
    # The cosine is a product: lists of 64 hold the 64 least tilted for everybody, and no pair of two tilted ones.
    plain = np.maximum(dense(a, b), 0)
    best = plain[linear_sum_assignment(-plain)].sum()
    found = match_directions(a, b).signed
    np.testing.assert_allclose(found.objective, best, rtol=1e-11)
    assert best - match(Cosines(a, b).lists(64)[0]).objective > 1


def test_nothing_has_a_cosine_with_nothing():
    found = match_directions(np.zeros((3, 4)), np.eye(4))
    assert found.signed.indices_a.size == 0
    assert not found.best_a.any()
    assert not found.best_b.any()
    with pytest.raises(InputError, match="width of b must be 4, as of a; got 5"):
        Cosines(np.eye(4), np.eye(5))
