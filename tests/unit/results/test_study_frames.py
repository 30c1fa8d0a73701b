"""What is drawn and said of a study is what its tables say."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_run import write_synthetic_run
from synthetic_study import LOSS, add_studies, crossed, kept, measured, sized
from visits import TINY

from pipelines.report.exhibit_writer import ReportOptions
from pipelines.report.report_writer import write_report
from results.study_frames import (
    FACTOR,
    OBSERVED,
    all_differ,
    contrast_rows,
    curve_rows,
    level_rows,
    study_sentence,
    training_rows,
    training_sentence,
    waterfall,
)
from universality.studies.contrasts import study_contrasts, study_means
from universality.studies.design import HALF, MODEL, SAE_SEED, UNTRAINED


def tables(design):
    found = measured(design, np.random.default_rng(0))
    return study_contrasts(design, found), study_means(design, found, {})


def test_bars_hang_from_each_other_down_to_what_effects_would_leave_together():
    contrasts, means = tables(crossed())
    bars = waterfall(contrasts, means)
    factors = bars[bars["kind"] == FACTOR]
    assert factors["label"].tolist() == ["SAE seed", "half of the documents", "model seed", "data"]
    assert factors["start"].tolist() == [1.0, *factors["end"].tolist()[:-1]]
    left = 1 - sum(LOSS[name] for name in (SAE_SEED, HALF, MODEL, "data"))
    assert factors["end"].iloc[-1] == pytest.approx(left, abs=0.02)
    assert bars.loc[bars["kind"] == OBSERVED, "value"].iloc[0] == pytest.approx(left, abs=0.02)
    assert bars.loc[bars["kind"] == UNTRAINED, "value"].iloc[0] == pytest.approx(1 - LOSS[UNTRAINED], abs=0.02)
    assert (factors["low"] < factors["value"]).all()


def test_a_curve_has_a_line_for_each_relation_and_leaves_out_pairs_of_two_points():
    means = tables(sized())[1]
    rows = curve_rows(means)
    assert set(rows["series"]) == {"SAE seed", "SAE seed + model", "untrained models"}
    assert all(part["x"].tolist() == [64.0, 128.0, 256.0] for _, part in rows.groupby("series"))
    assert set(rows["factor"]) == {"d_sae"}
    assert curve_rows(tables(crossed())[1]).empty
    assert all_differ(means) == "sae_seed + model"
    # What varies in training only has a floor of no size: the same at every point.
    of_tokens = means.assign(point=means["point"].where(means["relation"] != UNTRAINED, ""))
    of_tokens = of_tokens.drop_duplicates(["relation", "point", "measure"])
    floor = curve_rows(of_tokens).query("relation == @UNTRAINED")
    assert floor["x"].tolist() == [64.0, 128.0, 256.0]
    assert floor["value"].nunique() == 1


def test_a_model_at_its_end_stands_in_the_curve_where_it_was_then():
    contrasts, means = tables(kept())
    assert set(contrasts["contrast"]) == {SAE_SEED, MODEL}, "places of trainings are points of curves"
    rows = curve_rows(means, "r_joint")
    assert {name: part["x"].tolist() for name, part in rows.groupby("series")} == {
        "SAE seed": [0.0, 10_000.0, 100_000.0],
        "SAE seed + model": [0.0, 10_000.0, 100_000.0],
        "one model, then and at its end": [0.0, 10_000.0],
    }
    levels = training_rows(means)
    shared = curve_rows(means).query("relation == 'sae_seed + model'").set_index("x")["value"]
    assert levels.groupby("x")["value"].sum().tolist() == pytest.approx(shared.tolist(), rel=1e-6)
    sentence = training_sentence(means)
    for x, value in shared.items():
        assert f"{x:,.0f}: {100 * value:.0f} % (" in sentence
    assert training_sentence(tables(sized())[1]) == ""
    assert training_rows(tables(sized())[1]).empty


def test_levels_of_a_relation_add_up_to_its_share():
    means = tables(crossed())[1]
    shared = means[means["measure"] == "shared"].set_index("relation")["value"]
    for relation, part in level_rows(means).groupby("relation"):
        assert part["value"].sum() == pytest.approx(shared[relation], rel=1e-6)


def test_the_sentence_has_every_factor_with_its_interval_and_the_floor():
    contrasts, means = tables(crossed())
    sentence = study_sentence(contrasts, means)
    rows = contrast_rows(contrasts, means).set_index("name")
    value, low, high = (100 * rows.loc[MODEL, name] for name in ("shared", "shared_low", "shared_high"))
    assert f"model seed {value:.1f} ({low:.1f} to {high:.1f})" in sentence
    assert f"of untrained models {100 * rows.loc[UNTRAINED, 'shared']:.0f} %;" in sentence
    assert f"of untrained models {rows.loc[UNTRAINED, 'r_joint']:.2f}." in sentence
    assert "initialisation" not in sentence, "contrasts that are no factor stand in the table"


def test_a_report_tells_studies_in_figure_table_text_and_in_short(tmp_path):
    run = write_synthetic_run(str(tmp_path / "store"), **TINY)
    add_studies(run)
    write_report(run, tmp_path / "report")
    report = tmp_path / "report"
    for file in (
        "figures/study-data.svg",
        "figures/study-size.svg",
        "figures/study_curve-size.pdf",
        "figures/study_training-kept.svg",
        "tables/study-data.tex",
    ):
        assert (report / file).exists(), file
    assert not list(report.glob("figures/study_curve-data*")), "nothing varies there"
    domains = (report / "tables" / "study_domains.tex").read_text()
    assert "all / no-dna" in domains
    assert "python" not in domains, "of what both saw the mean stands there"
    page = (report / "report.md").read_text()
    assert "What makes two dictionaries differ?" in page
    assert "so many have none in another" in page


def test_a_report_tells_splitting_where_a_study_has_several_sizes_and_seeds(tmp_path):
    run = write_synthetic_run(str(tmp_path / "store"), **TINY)
    add_studies(run)
    report = tmp_path / "report"
    write_report(run, report, ReportOptions(formats=()))
    page, table = ((report / name).read_text() for name in ("report.md", "tables/splits.tex"))
    assert "Do features split in larger dictionaries?" in page
    assert (report / "figures/splitting.csv").exists()
    # Of more than six pairs of sizes only the smallest and the largest of every model are listed.
    assert [f"m{i}, 64 to 256" in table for i in range(3)] == [True] * 3
    assert "64 to 128" not in table
    agreement = (report / "tables/split_agreement.tex").read_text()
    assert "same parent & 64 to 128 & models" in agreement
    assert "rescued & 64 to 128 & one model" not in agreement
