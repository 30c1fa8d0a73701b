"""Matrices of hook points: which pairs they read, and what they make of agreement that is known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from synthetic_study import layered

from universality.studies.agreement import MEASURES
from universality.studies.design import HALF, HOOK_POINT, MODEL, SAE_SEED, UNTRAINED, Cell, Design
from universality.studies.layers import MODELS, ONE_MODEL, study_layers


def known(design, agreement):
    """Every pair agrees as a function of its two cells says, in all resamples."""
    found = {pair.name: agreement(pair.a, pair.b) for pair in design.pairs}
    return {name: np.full((len(MEASURES), 5), value) for name, value in found.items()}


def layer(cell):
    return int(cell.levels[HOOK_POINT].split(".")[1])


def cells_of(table, kind, **which):
    part = table[(table["kind"] == kind) & (table["measure"] == "shared")]
    for column, value in which.items():
        part = part[part[column] == value]
    layers = [[int(place.split(".")[1]) for place in part[f"hook_point_{side}"]] for side in "ab"]
    return dict(zip(zip(*layers, strict=True), part["value"], strict=True))


def test_every_two_hook_points_are_compared_between_models_within_one_and_of_untrained_ones():
    design = layered(n_models=3, n_layers=3)
    pairs = {frozenset((pair.a.id, pair.b.id)) for pair in design.pairs}
    for a, b in product(design.cells, design.cells):
        if a.untrained != b.untrained or a.id == b.id:
            continue
        other = a.transformer != b.transformer
        # Two dictionaries of one model and seed began alike.
        wanted = other if a.untrained else other or a.levels[SAE_SEED] != b.levels[SAE_SEED]
        assert (frozenset((a.id, b.id)) in pairs) == wanted, (a.id, b.id)
    assert [contrast.name for contrast in design.contrasts] == [SAE_SEED, HOOK_POINT, MODEL]


def test_a_matrix_of_models_that_are_drawn_is_the_mean_of_both_orders():
    design = layered(n_models=3, n_layers=3)

    def agreement(a, b):
        if a.untrained:
            return 0.1
        near = 0.9 - 0.2 * abs(layer(a) - layer(b))
        return near - 0.25 * (a.transformer != b.transformer) - 0.01 * (a.transformer == "m0") * layer(a)

    table = study_layers(design, known(design, agreement))
    models = cells_of(table, MODELS)
    assert set(models) == set(product(range(3), repeat=2))
    # m0 is in two of three pairs of models; of (1, 2) it is at layer 1 in half of these, at layer 2 in the other half.
    assert models[1, 2] == models[2, 1] == pytest.approx(0.9 - 0.2 - 0.25 - 0.01 * 1.5 * 2 / 3)
    assert cells_of(table, ONE_MODEL)[2, 2] == pytest.approx(0.9 - 0.01 * 2 / 3)
    assert set(cells_of(table, UNTRAINED).values()) == {0.1}
    assert (table["group_a"] == "").all()
    rows = table[table["kind"] == MODELS]
    assert rows["low"].notna().all()
    assert set(rows["n_pairs"]) == {3 * 4, 3 * 8}


def test_two_models_have_a_side_each():
    design = layered(n_models=2, n_layers=2)

    def agreement(a, b):  # m0's layer 1 is m1's layer 0, and no other way around
        return 0.8 if (a.transformer, layer(a), b.transformer, layer(b)) == ("m0", 1, "m1", 0) else 0.2

    table = study_layers(design, known(design, agreement))
    assert cells_of(table, MODELS, group_a="m0", group_b="m1") == pytest.approx(
        {(0, 0): 0.2, (0, 1): 0.2, (1, 0): 0.8, (1, 1): 0.2}
    )
    assert set(table.loc[table["kind"] == ONE_MODEL, "group_a"]) == {"m0", "m1"}
    floor = table[table["kind"] == UNTRAINED]
    assert set(zip(floor["group_a"], floor["group_b"], strict=True)) == {("m0", "m1")}
    assert table["low"].isna().all(), "two models say nothing of models"


def test_the_floor_of_two_widths_is_that_of_untrained_models_of_both():
    cells = []
    for model, width in [(f"m{i}", "32" if i < 2 else "64") for i in range(4)]:
        cells += [
            Cell(f"{model}h{n}s0a", model, {SAE_SEED: "0", HALF: "a", HOOK_POINT: f"blocks.{n}.x", MODEL: model,
                                           "d_model": width})
            for n in range(2)
        ]  # fmt: skip
    for model, width in (("u0", "32"), ("u1", "32"), ("u2", "64"), ("u3", "64")):
        cells += [
            Cell(f"{model}h{n}s0a", model, {SAE_SEED: "0", HALF: "a", HOOK_POINT: f"blocks.{n}.x", "d_model": width},
                 0, True)
            for n in range(2)
        ]  # fmt: skip
    design = Design(cells, ("d_model",), (HOOK_POINT,))
    part = {"32": 0.05, "64": 0.3}
    agreement = known(design, lambda a, b: part[a.levels["d_model"]] + part[b.levels["d_model"]] + 0.02 * a.untrained)
    table = study_layers(design, agreement)
    for kind, more in ((MODELS, 0.0), (UNTRAINED, 0.02)):
        for a, b, value in (("32", "32", 0.1), ("32", "64", 0.35), ("64", "64", 0.6)):
            found = cells_of(table, kind, group_a=f"d_model {a}", group_b=f"d_model {b}")
            assert set(found) == set(product(range(2), repeat=2))
            assert list(found.values()) == pytest.approx([value + more] * 4)
