"""What other data cost a domain, in worlds where it is known."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_study import crossed

from universality.studies.design import DATA, MODEL
from universality.studies.study_domains import BOTH, FIRST, SECOND, study_domains

NAMES = ("prose", "law", "dna", "arabic")
UNSEEN = {"A": frozenset({"dna"}), "B": frozenset({"arabic"})}


def world(g, noise):
    """Agreement by domain: other data cost .05 everywhere, .3 more where one of them never saw the domain."""
    design, found = crossed(4, "AB", n_untrained=0), {}
    of_models = {seed: g.normal(0, noise, size=4) for seed in "0123"}
    text = g.normal(0, noise / 2, size=(4, 41))
    for pair in design.pairs:
        factors = pair.relation.split(" + ")
        y = 0.8 - 0.2 * (MODEL in factors) * np.ones(4)
        if DATA in factors:
            y -= 0.05 + np.array([0.0, 0.0, 0.3, 0.3])
            y += sum(of_models[cell.levels[MODEL]] for cell in (pair.a, pair.b)) / 2
        drawn = np.concatenate([[0.0], np.ones(40)]) * text * (DATA in factors)
        found[pair.name] = y[:, None] + text[:, :1] * (DATA in factors) + drawn
    return design, found


def test_what_one_kind_never_saw_loses_more_than_what_both_saw():
    design, found = world(np.random.default_rng(0), 0.0)
    table = study_domains(design, found, UNSEEN, NAMES).set_index("domain")
    assert table.loc[["prose", "law", "dna", "arabic"], "seen_by"].tolist() == [BOTH, BOTH, SECOND, FIRST]
    assert table.loc[["prose", "law"], "did"].tolist() == pytest.approx([0, 0], abs=1e-12)
    assert table.loc[["dna", "arabic"], "did"].tolist() == pytest.approx([-0.3, -0.3])
    assert table.loc["dna", ["r_first", "r_second", "r_differ"]].tolist() == pytest.approx([0.6, 0.6, 0.25])
    assert table.loc["(all)"].set_index("seen_by").loc[BOTH, "did"] == 0


def test_intervals_hold_the_truth():
    g, hits = np.random.default_rng(3), 0
    for _ in range(100):
        table = study_domains(*world(g, 0.02), UNSEEN, NAMES).set_index("domain")
        hits += table.loc["dna", "low"] <= -0.3 <= table.loc["dna", "high"]
    assert 89 <= hits <= 100


def test_a_domain_without_latents_is_unknown_and_takes_no_other_with_it():
    design, found = world(np.random.default_rng(0), 0.01)
    for values in found.values():
        values[3] = np.nan
    table = study_domains(design, found, UNSEEN, NAMES).set_index("domain")
    assert np.isnan(table.loc["arabic", "did"])
    assert table.loc["dna", "did"] < -0.2


def test_models_that_all_saw_the_same_have_no_rows():
    design = crossed(4, "A", n_untrained=0)
    found = {pair.name: np.zeros((4, 41)) for pair in design.pairs}
    assert study_domains(design, found, {}, NAMES).empty
