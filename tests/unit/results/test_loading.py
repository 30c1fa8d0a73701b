"""What a notebook gets of a run."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

import results
from results.schema import TABLES
from storage import RunMissing
from universality.errors import InputError


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    url = str(tmp_path_factory.mktemp("store"))
    write_synthetic_run(url, "it", n_models=2, n_latents=60, n_documents=30, n_ctx=32, comparisons=("main", "late"))
    return url


@pytest.fixture(scope="module")
def run(url):
    return results.load("it", store=url)


def test_every_table_is_an_attribute(run):
    for name in ("pairs", "features", "clusters", "verdicts", "headline", "candidates"):
        pd.testing.assert_frame_equal(getattr(run, name), run.table(name))
    assert {"pairs", "contexts", "table", "graph"} <= set(dir(run))
    with pytest.raises(AttributeError, match="try 'pairs'"):
        _ = run.pair
    assert not hasattr(run, "_repr_html_")


def test_the_first_comparison_is_loaded_unless_another_is_named(url, run):
    assert (run.comparison, results.load(store=url, comparison="late").comparison) == ("main", "late")
    assert repr(run) == "LoadedComparison('it', 'main')"
    with pytest.raises(InputError, match="main, late"):
        results.load("it", "mian", url)
    with pytest.raises(RunMissing):
        results.load("that", store=url)


def test_contexts_come_with_their_text(run):
    latent = int(run.table("contexts")["latent"].iloc[0])
    contexts = run.contexts("m0", latent)
    assert len(contexts) == len(run.of_latent("contexts", "m0", latent)) > 0
    row = contexts.iloc[0]
    window = run.text.window(int(row["row"]))
    assert row["before"] + row["token"] + row["after"] == "".join(window.tokens)
    assert row["token"] == window.tokens[window.peak]


def test_columns_are_documented_and_the_graph_is_one(run):
    assert set(run.pairs.columns) <= set(run.describe("pairs")["column"])
    assert set(run.describe("features")["column"]) == set(TABLES["features"].names)
    assert run.graph().number_of_nodes() == (run.features["status"] == "alive").sum()


def test_the_room_is_opened_without_anything_heavy():
    code = "import sys, results; results.load; assert not {'pandas', 'numpy', 'torch', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
