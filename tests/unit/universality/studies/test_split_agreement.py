"""Whether models split alike: planted models that share their features, and counts by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.support.planted_splits import COMPARE, plant_splits
from universality.errors import InputError
from universality.studies.split_agreement import split_agreement
from universality.studies.split_study import SplitStudy, TreeCell


@pytest.fixture(scope="module")
def dictionaries():
    """Two models of the same features; ten that m0 has at once m1 has in its larger dictionaries alone."""
    return plant_splits(world=5).cells | plant_splits(world=5, root_seed=9, model="m1", late=True).cells


def told(cells):
    study = SplitStudy(cells, COMPARE, 0, 1)
    tables = [split_agreement(study, models) for models in (("m0", "m0"), ("m0", "m1"), ("m1", "m1"))]
    return pd.concat(tables).set_index(["model", "other_model", "measure"])


def test_models_of_the_same_features_have_the_same_parents_and_far_more_than_by_chance(dictionaries):
    same = told(dictionaries).xs("same_parent", level="measure")
    assert len(same) == 4
    assert (same["n_asked"] >= 150).all()
    assert (same["value"] >= 0.97).all()
    assert (same["chance"] <= 0.2).all()
    assert ((same["low"] <= same["value"]) & (same["value"] <= same["high"])).all()


def test_what_a_model_has_only_at_the_larger_size_is_rescued_there_and_not_by_another_seed(dictionaries):
    rescued = told(dictionaries).xs("rescued", level="measure")
    across = rescued.loc[("m0", "m1")]
    assert across["n_asked"] == 30
    assert across["value"] >= 0.95
    assert across["control"] == 0.0
    assert rescued.loc[("m1", "m0"), "n_asked"] == 0
    assert pd.isna(rescued.loc[("m1", "m0"), "value"])


def test_with_two_seeds_there_is_no_further_dictionary_to_control_what_is_rescued(dictionaries):
    table = told({cell: own for cell, own in dictionaries.items() if cell.sae_seed < 2})
    assert table.loc[("m0", "m1", "rescued"), "value"] >= 0.95
    assert pd.isna(table.loc[("m0", "m1", "rescued"), "control"])
    assert table.loc[("m0", "m1", "same_parent"), "control"] >= 0.97


def test_seeds_that_are_not_crossed_with_sizes_are_refused(dictionaries):
    sizes = sorted({cell.d_sae for cell in dictionaries})
    cells = {c: own for c, own in dictionaries.items() if c.model == "m0" and c.sae_seed != sizes.index(c.d_sae) * 2}
    with pytest.raises(InputError, match="that every d_sae has"):
        split_agreement(SplitStudy(cells, COMPARE, 0, 1), ("m0", "m0"))


class ByHand(SimpleNamespace):
    """Six children under three parents in each of two dictionaries; two of the second's children lie elsewhere."""

    def partners(self, a, b):
        n = 3 if a.d_sae == 3 else 6
        holds = np.ones((n, 2), bool)
        holds[0, 1] = False  # in the draw the first pair of either size is below tau
        return SimpleNamespace(partner=np.arange(n), holds=holds)

    def parents(self, small, large):
        if large.d_sae == 3:
            return SimpleNamespace(parent=np.arange(3), edges=(np.arange(3), np.arange(3)))
        parent = np.array([0, 0, 1, 1, 2, -1]) if small.model == "a" else np.array([0, 1, 1, 2, 2, 2])
        return SimpleNamespace(parent=parent, edges=(parent[parent >= 0], np.flatnonzero(parent >= 0)))


def test_same_parents_are_counted_by_hand():
    own = SimpleNamespace(name="x", alive=np.ones(3, bool), statistics=SimpleNamespace(firings_fit=np.full(6, 50)))
    cells = {TreeCell(model, size, seed): own for model in "ab" for size in (3, 6) for seed in (0, 1)}
    study = ByHand(cells=cells, root_seed=0, config=SimpleNamespace(confidence=0.95))
    row = (
        split_agreement(study, ("a", "b")).set_index(["model", "other_model", "measure"]).loc[("a", "b", "same_parent")]
    )
    # Of five children with a parent the second and the fourth have another one in the other dictionary.
    assert row["n_asked"] == 10  # in two turns of seeds
    assert row["value"] == pytest.approx(3 / 5)
