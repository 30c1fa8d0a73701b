from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from results.firing import distinct, firing, joint_histogram, rows_of_choice


@pytest.fixture
def acts() -> sp.csc_matrix:
    dense = np.zeros((10, 3), dtype=np.float32)
    dense[[1, 3, 5, 7], 0] = [1.0, 4.0, 2.0, 3.0]
    dense[[3, 5, 8], 1] = [0.5, 2.0, 1.0]
    return sp.csc_matrix(dense)


def test_firing_reads_one_column_and_answers_for_any_row(acts):
    side = firing(acts, 0)
    assert side.rows.tolist() == [1, 3, 5, 7]
    assert side.at([3, 0, -1, 7]).tolist() == [4.0, 0.0, 0.0, 3.0]
    assert side.maximum == 4.0
    assert side.rate == pytest.approx(0.4)


def test_a_silent_latent_is_defined(acts):
    side = firing(acts, 2)
    assert (side.maximum, side.rate, side.at([0, 4]).tolist()) == (0.0, 0.0, [0.0, 0.0])
    assert rows_of_choice("both", firing(acts, 0), side).size == 0
    assert joint_histogram(side, side).empty


def test_firing_refuses_a_latent_that_is_not_there(acts):
    with pytest.raises(LookupError, match=r"latent of the dictionary must be in 0\.\.2; got 3"):
        firing(acts, 3)


def test_unsorted_columns_and_explicit_zeros_are_read_right():
    shuffled = sp.csc_matrix((np.array([2.0, 0.0, 1.0]), np.array([4, 3, 1]), np.array([0, 3])), shape=(5, 1))
    side = firing(shuffled, 0)
    assert side.rows.tolist() == [1, 4]
    assert side.values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("choice", "rows"),
    [("top_a", [3, 7, 5, 1]), ("top_b", [5, 8, 3]), ("both", [5, 3]), ("a_only", [7, 1]), ("b_only", [8])],
)
def test_rows_of_each_choice_come_strongest_first(acts, choice, rows):
    assert rows_of_choice(choice, firing(acts, 0), firing(acts, 1)).tolist() == rows


def test_an_unknown_choice_is_refused(acts):
    with pytest.raises(ValueError, match="choice must be"):
        rows_of_choice("neither", firing(acts, 0), firing(acts, 1))


def test_the_choices_partition_the_rows_where_either_fires():
    generator = np.random.default_rng(0)
    dense = generator.random((400, 2)) * (generator.random((400, 2)) < 0.3)
    a, b = (firing(sp.csc_matrix(dense), latent) for latent in (0, 1))
    parts = [rows_of_choice(choice, a, b) for choice in ("both", "a_only", "b_only")]
    assert sorted(np.concatenate(parts)) == np.flatnonzero(dense.any(axis=1)).tolist()
    histogram = joint_histogram(a, b)
    assert histogram["count"].sum() == dense.any(axis=1).sum()
    assert histogram.loc[histogram["bin_b"] == -1, "count"].sum() == len(parts[1])
    assert histogram.loc[histogram["bin_a"] == -1, "count"].sum() == len(parts[2])
    assert histogram[["bin_a", "bin_b"]].max().max() == 23


def test_distinct_keeps_the_first_row_of_equal_contexts():
    assert distinct([5, 3, 9, 1], lambda row: bytes([row % 4]), limit=10) == [5, 3]
    assert distinct(range(100), lambda row: bytes([row]), limit=3) == [0, 1, 2]
