"""What is drawn and said of layers is what the table of a study says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from program import universality
from synthetic_run import write_synthetic_run
from synthetic_study import LOSS, add_studies, layered, measured
from visits import TINY

from pipelines.report.exhibit_writer import ReportOptions
from pipelines.report.report_writer import write_report
from results.layer_frames import layer_means, layer_rows, layer_sentence, layer_table, place_labels
from universality.studies.design import HOOK_POINT, MODEL, SAE_SEED, UNTRAINED
from universality.studies.layers import MODELS, ONE_MODEL, study_layers


def layers(n_models=3, n_layers=2):
    design = layered(n_models, n_layers)
    return study_layers(design, measured(design, np.random.default_rng(0)))


def test_places_of_one_site_are_called_by_their_layer():
    one_site = ["blocks.0.hook_resid_post", "blocks.11.hook_resid_post"]
    assert place_labels(one_site) == (dict(zip(one_site, ["0", "11"], strict=True)), "layer (hook_resid_post)")
    two_sites = ["blocks.0.mlp.hook_post", "blocks.0.hook_resid_post", "hook_embed"]
    names, axis = place_labels(two_sites)
    assert list(names.values()) == ["0 mlp.post", "0 resid_post", "embed"]
    assert axis == "hook point"


def test_every_cell_stands_beside_its_ceiling_and_its_floor():
    table = layers()
    rows = layer_rows(table)
    assert list(dict.fromkeys(rows["panel"])) == ["two models", "one model, two SAE seeds", "untrained models"]
    cell = rows[(rows["kind"] == MODELS) & (rows["a"] == "0") & (rows["b"] == "1")].iloc[0]
    taken = LOSS[SAE_SEED] + LOSS[HOOK_POINT]
    assert cell["value"] == pytest.approx(1 - taken - LOSS[MODEL], abs=0.02)
    assert cell["one_model"] == pytest.approx(1 - taken, abs=0.02)
    assert cell["untrained"] == pytest.approx(1 - LOSS[UNTRAINED], abs=0.02)
    assert (rows["low"] < rows["value"]).all()
    joint = layer_table(table)
    assert joint["joint"].tolist() == pytest.approx((0.6 * joint["value"]).tolist(), abs=0.02)


def test_two_models_have_intervals_over_sources_and_a_ceiling_each():
    rows = layer_rows(layers(n_models=2))
    assert set(rows["panel"]) == {
        "two models: m0 and m1", "one model, two SAE seeds: m0", "one model, two SAE seeds: m1",
        "untrained models: m0 and m1",
    }  # fmt: skip
    assert rows["low"].notna().all()


def test_the_sentence_names_the_nearest_of_each_layer_and_the_floor():
    table = layers(n_layers=3)
    means, sentence = layer_means(table), layer_sentence(table)
    assert [f"layer {i} with layer {i} (" in sentence for i in range(3)] == [True] * 3
    for kind in (MODELS, UNTRAINED):
        assert f"{100 * means.loc[(kind, 'same'), 'shared']:.0f} %" in sentence
    assert "in 8 of 8 cases with the same place" in layer_sentence(layers(n_layers=8))
    assert layer_sentence(table[table["kind"] == ONE_MODEL]) == ""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = write_synthetic_run(str(tmp_path_factory.mktemp("layers")), **TINY)
    add_studies(run)
    return run


def test_a_report_tells_layers_in_figure_table_and_in_short(run, tmp_path):
    write_report(run, tmp_path, ReportOptions(formats=("svg",)))
    table = dict(tuple(run.table("study_layers").groupby("study_id")))["layers"]
    assert layer_sentence(table) in (tmp_path / "report.md").read_text().replace("\\", "")
    assert "one model, two SAE seeds" in (tmp_path / "figures/study_layers.svg").read_text()
    listed = (tmp_path / "tables/study_layers.tex").read_text()
    first = layer_table(table).iloc[0]
    assert f"{first['value']:.2f}" in listed
    assert f"{first['joint_low']:.2f} to {first['joint_high']:.2f}" in listed


def test_the_terminal_prints_the_matrices(run):
    said = " ".join(universality("show", run.name, "--store", run.store.url).stdout.split())
    assert "Study layers, two models: share with a partner" in said
    rows = layer_table(run.table("study_layers").drop(columns="study_id"))
    assert f"{rows['value'].iloc[0]:.2f} ({rows['joint'].iloc[0]:.2f})" in said
    told = json.loads(universality("show", run.name, "--store", run.store.url, "--json").stdout)["layers"]["layers"]
    assert [cell["value"] for cell in told] == pytest.approx(rows["value"].tolist())
