"""Activations that people brought, compared and kept: every screen opens, the report is whole."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from program import universality
from starting_folders import WORLD
from visits import html, links, opened, sentences, turned

from dashboards.navigation import SCREENS
from results import load
from results.kept_comparison import BROUGHT, is_kept, keep_comparison
from storage import open_run, open_store
from universality.compare import compare
from universality.planted import plant

#: What is drawn of activations alone, by screen; the others say what is not there.
DRAWN = {"overview": "vega_lite_chart", "clusters": "dataframe", "pairs": "dataframe", "specific": "dataframe",
         "feature": "dataframe", "graph": "echarts_chart", "map": "echarts_chart", "runs": "dataframe"}  # fmt: skip


@pytest.fixture(scope="module")
def world():
    made = plant(WORLD, root_seed=3)
    labels = np.array([f"domain {code}" for code in made.domains])
    rows = {"documents": made.documents, "sources": made.documents // 3, "domains": labels, "tokens": made.tokens}
    return made.acts, {**rows, "replicates": made.replicates, "untrained": made.untrained}


@pytest.fixture(scope="module")
def comparison(world):
    acts, given = world
    return compare(acts, n_shifts=10, **given)


@pytest.fixture(scope="module")
def url(world, comparison, tmp_path_factory):
    place = str(tmp_path_factory.mktemp("kept"))
    acts, given = world
    keep_comparison(comparison, open_store(place), "mine", acts, **given)
    return place


def test_the_tables_are_those_of_the_comparison(url, comparison, tmp_path):
    run = load("mine", store=url)
    for name in ("features", "pairs", "clusters", "verdicts", "indices", "candidates"):
        getattr(comparison, name).to_parquet(tmp_path / "made.parquet", index=False)
        pd.testing.assert_frame_equal(getattr(run, name), pd.read_parquet(tmp_path / "made.parquet"))
    assert set(map(tuple, run.graph())) == set(comparison.graph)
    models = run.table("models")
    alive = comparison.features.query("status == 'alive'").groupby("model").size()
    told = models.set_index("model")["n_alive"]
    assert {model: told[model] for model in alive.index} == alive.to_dict()
    assert models["role"].value_counts().to_dict() == {"primary": 2, "replicate": 2, "untrained": 2}


@pytest.fixture
def visit(url, monkeypatch):
    def visit(screen, **params):
        monkeypatch.setattr(sys, "argv", ["window.py", "--store", url])
        return turned(opened(url, monkeypatch, run="mine"), screen, run="mine", **params)

    return visit


@pytest.mark.parametrize("screen", [screen for screen in SCREENS if screen != "beside"])
def test_every_screen_opens(url, screen, visit):
    at = visit(screen, **links(open_run("mine", url)).get(screen, {}))
    assert not at.error
    if screen in DRAWN:
        assert at.get(DRAWN[screen])
    said = sentences(at) + html(at)
    assert "not finished" not in said
    assert "earlier version" not in said
    assert (BROUGHT in said) == (screen in ("overview", "runs"))
    assert not [code for code in at.code if "universality run" in code.value and screen in ("overview", "runs")]


def test_the_report_is_whole_and_says_what_it_does_not_know(url, tmp_path):
    done = universality("report", "mine", "--store", url, "--out", str(tmp_path / "report"), "--format", "png")
    assert done.exit_code == 0, done.stderr
    methods = (tmp_path / "report/methods.md").read_text(encoding="utf-8")
    assert "Activations of 6 dictionaries over the same rows were brought and compared" in methods
    assert "cannot be read" not in methods
    assert "## Missing" not in (tmp_path / "report/README.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "report/results.json").read_text(encoding="utf-8"))["run"] == "mine"
    shown = " ".join(universality("show", "mine", "--store", url).stdout.split())
    assert "SAE features that fire often enough, on held-out text of" in shown, "where they are read is not known"


def test_a_run_of_a_recipe_is_none_that_was_kept(url):
    record = open_run("mine", url).record
    assert is_kept(record)
    assert not is_kept({**record, "recipe": {**record["recipe"], "models": {}}})
    assert not is_kept({**record, "recipe_name": "quickstart"})
    assert not is_kept({**record, "recipe": None})


def test_it_may_be_kept_again_in_its_place(world, comparison, tmp_path):
    acts, given = world
    store = open_store(str(tmp_path))
    bare = {name: value for name, value in given.items() if name == "documents"}
    alone = compare(acts, n_shifts=10, **bare)
    for made, rows in ((comparison, given), (alone, bare)):
        keep_comparison(made, store, "mine", acts, **rows)
    assert [run.name for run in store.runs()] == ["mine"]
    assert store.run("mine").table("models")["role"].unique().tolist() == ["primary"]
    said = " ".join(universality("show", "mine", "--store", str(tmp_path)).stdout.split())
    assert "no untrained models, so without a floor" in said
