"""Designs of studies, and intervals of contrasts in worlds whose effects are known."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_study
from scipy import stats

from universality.studies.agreement import MEASURES
from universality.studies.contrasts import study_contrasts, study_means, study_table
from universality.studies.design import DATA, HALF, INTERACTION, MODEL, SAE_SEED, SAME_INIT, Cell, Design

LOSS = {SAE_SEED: 0.2, HALF: 0.05, MODEL: 0.2, DATA: 0.1}
BOTH = 0.05
TRUTH = {SAE_SEED: 0.2, HALF: 0.05, MODEL: 0.2, DATA: 0.15, SAME_INIT: 0.1, INTERACTION: 0.05}


def crossed(n_models: int = 4, data: str = "AB") -> Design:
    return synthetic_study.crossed(n_models, data, n_untrained=0)


def world(
    design: Design, g: np.random.Generator, of_models: float, of_pairs: float, of_sources: float, null: bool = False
) -> dict[str, np.ndarray]:
    """Agreement of every pair: effects of factors, of models, of pairs of models, and of the text that was drawn."""
    models, pairs = {}, {}
    text = {name: g.normal(0, of_sources, size=61) for name in ("", HALF, MODEL, DATA)}
    measured = {}
    for pair in design.pairs:
        factors = pair.relation.split(" + ")
        y = 1 - sum(LOSS[name] * (name == SAE_SEED or not null) for name in factors)
        y -= BOTH * (MODEL in factors and DATA in factors and not null)
        kinds = [name for name in factors if name != SAE_SEED]
        for cell in (pair.a, pair.b):
            for kind in ("", *kinds):
                y += models.setdefault((kind, cell.levels[MODEL]), g.normal(0, of_models)) / 2
        kind = (*(name for name in kinds if name != HALF), *sorted((pair.a.transformer, pair.b.transformer)))
        y += pairs.setdefault(kind, g.normal(0, of_pairs)) + g.normal(0, of_pairs / 2)
        drawn = text[""] + sum(text[name] for name in kinds)
        measured[pair.name] = np.tile(y + drawn[0] + np.concatenate([[0.0], drawn[1:]]), (len(MEASURES), 1))
    return measured


def shared(table):
    return table[table["measure"] == "shared"].set_index("contrast")


def test_a_crossed_design_estimates_every_contrast_from_pairs_that_differ_in_nothing_else():
    design = crossed()
    assert design.factors == (SAE_SEED, HALF, MODEL, DATA)
    terms = {contrast.name: {relation: weight for weight, relation in contrast.terms} for contrast in design.contrasts}
    assert terms[SAE_SEED] == {"": 1.0, "sae_seed": -1.0}
    assert terms[HALF] == {"sae_seed": 1.0, "sae_seed + half": -1.0}
    assert terms[DATA] == {
        "sae_seed + model": 0.5, "sae_seed + model + data": -0.5,
        "sae_seed + half + model": 0.5, "sae_seed + half + model + data": -0.5,
    }  # fmt: skip
    assert set(terms) == set(TRUTH)
    # One SAE seed in two halves says nothing that is asked: it is the only kind of pair left out.
    left_out = {(a.id, b.id) for n, a in enumerate(design.cells) for b in design.cells[n + 1 :]} - {
        (pair.a.id, pair.b.id) for pair in design.pairs
    }
    assert left_out == {(f"m{i}s{s}a", f"m{i}s{s}b") for i in range(8) for s in range(2)}


def test_contrasts_of_exact_effects_are_these_effects():
    design = crossed()
    measured = world(design, np.random.default_rng(0), 0.0, 0.0, 0.0)
    table = shared(study_contrasts(design, measured))
    for name, truth in TRUTH.items():
        assert table.loc[name, "value"] == pytest.approx(truth, abs=1e-12)
    means = study_means(design, measured, {"sae_seed": 0.01})
    means = means[means["measure"] == "shared"].set_index("relation")
    assert means.loc["sae_seed + half + model + data", "value"] == pytest.approx(1 - 0.2 - 0.05 - 0.2 - 0.1 - 0.05)
    assert means.loc["sae_seed", "chance"] == 0.01
    assert len(study_table(design, measured)) == len(design.pairs) * len(MEASURES)


@pytest.mark.parametrize("spreads", [(0.02, 0.005, 0.005), (0.005, 0.005, 0.02)])
def test_intervals_hold_the_truth_in_as_many_worlds_as_they_say(spreads):
    design, g, n = crossed(), np.random.default_rng(1), 200
    hits = dict.fromkeys(TRUTH, 0)
    for _ in range(n):
        table = shared(study_contrasts(design, world(design, g, *spreads)))
        for name, truth in TRUTH.items():
            hits[name] += table.loc[name, "low"] <= truth <= table.loc[name, "high"]
    # 95 %; of 200 worlds 93 to 97 % over all contrasts, and each within four standard errors.
    assert 0.93 <= sum(hits.values()) / (n * len(hits)) <= 0.97
    assert min(hits.values()) >= 0.89 * n


def test_what_is_particular_to_two_models_is_not_counted_over_and_over():
    """Leaving models out alone would count it 2 (m - 1) / (m - 2) times, 2.7 here; a variance is never taken below what
    the pairs alone make, so that intervals err to the wide side."""
    design, g = crossed(6, "A"), np.random.default_rng(4)
    values, variances = [], []
    for _ in range(150):
        means = study_means(design, world(design, g, 0.0, 0.02, 0.0), {})
        row = means[(means["measure"] == "shared") & (means["relation"] == "sae_seed + model")].iloc[0]
        values.append(row["value"])
        variances.append(((row["high"] - row["low"]) / (2 * stats.t.ppf(0.975, 5))) ** 2)
    assert 1 < np.mean(variances) / np.var(values, ddof=1) < 2.3


def test_the_placebo_of_data_that_do_not_differ_covers_zero():
    design, g = crossed(), np.random.default_rng(2)
    zero = [
        shared(study_contrasts(design, world(design, g, 0.01, 0.005, 0.005, null=True))).loc[DATA] for _ in range(100)
    ]
    assert sum(row["low"] <= 0 <= row["high"] for row in zero) >= 90


def test_too_few_models_have_an_interval_over_sources_alone():
    design = crossed(n_models=2)
    table = shared(study_contrasts(design, world(design, np.random.default_rng(0), 0.01, 0.01, 0.01)))
    assert table["low"].isna().all()
    assert (table["low_sources"] < table["high_sources"]).all()


def test_models_that_began_alike_are_left_out_together():
    design = crossed()
    assert study_contrasts(design, world(design, np.random.default_rng(0), 0.01, 0.01, 0.01))["n_models"].max() == 4


def test_settings_make_points_of_curves_and_contrasts_of_their_own():
    cells = [
        Cell(f"m{m}s{s}-{n}", f"m{m}", {SAE_SEED: str(s), HALF: "a", MODEL: str(m), "d_sae": str(size)}, n)
        for m in range(3)
        for s in range(2)
        for n, size in enumerate((64, 128))
    ]
    design = Design(cells, settings=("d_sae",))
    assert [contrast.name for contrast in design.contrasts] == [SAE_SEED, "d_sae", MODEL]
    assert {design.point(pair) for pair in design.pairs if pair.relation == "sae_seed + model"} == {
        "d_sae 64",
        "d_sae 128",
    }
    between = {design.point(pair) for pair in design.pairs if pair.relation == "sae_seed + d_sae"}
    assert between == {"d_sae 64 / d_sae 128"}


def test_models_of_two_data_without_a_seed_in_common_estimate_what_they_can():
    cells = [
        Cell(f"m{i}s{s}", f"m{i}", {SAE_SEED: str(s), HALF: "a", MODEL: str(i), DATA: "AB"[i // 3]})
        for i in range(6)
        for s in range(2)
    ]
    design = Design(cells, (DATA,))
    assert [contrast.name for contrast in design.contrasts] == [SAE_SEED, MODEL, DATA]
    table = shared(study_contrasts(design, world(design, np.random.default_rng(0), 0.01, 0.01, 0.01)))
    assert table.loc[DATA, "n_models"] == 6
    assert table.loc[DATA, "low"] < 0.15 < table.loc[DATA, "high"]
