"""Dictionaries trained straight from the transformer: no activations on disk, the rows and figures of stored ones."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pipelines.engine.plan import Plan
from pipelines.engine.runner import run_plan
from pipelines.engine.step import StepContext
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from pipelines.steps.step_rows import live_rows, mixing_of
from storage import open_run, open_store
from universality.sae.sae_config import SAETrainingConfig

HOOK = "blocks.0.mlp.hook_post"
SMALL = ["models.n_untrained=0", "comparisons.0.replicates=false", "comparisons.0.neurons=false"]
LIVE = "activation_source=live"


def planned(*changes):
    """What the dictionary of m0 needs, and no more."""
    plan = build_plan(load_recipe("tiny", [*SMALL, *changes]))
    wanted = {"corpus", "tokenizer", "tokens", "transformer/m0", "activations/m0/sae_a", "sae/main/m0"}
    return Plan([node for node in plan if node.id in wanted])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(str(tmp_path_factory.mktemp("store")))


def computed(store, name, *changes):
    plan = planned(*changes)
    nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id]} for node in plan}
    run = store.create_run(name, recipe_name="tiny", recipe={}, nodes=nodes)
    outcome = run_plan(plan, store, run)
    assert outcome.status == "done", outcome.errors
    return run


@pytest.fixture(scope="module")
def stored(store):
    return computed(store, "stored")


@pytest.fixture(scope="module")
def live(store, stored):
    return computed(store, "live", LIVE)


def rows_of(run, plan):
    """The rows that the live dictionary of a plan is trained on."""
    node = plan["sae/main/m0"]
    inputs = {name: run.artifact(source) for name, source in node.inputs.items()}
    return live_rows(StepContext(node.id, node.params, inputs, out=None, checkpoint=None))


def test_no_training_activations_lie_on_disk(stored, live):
    assert "activations/m0/sae_a" in stored.nodes()
    assert not [node for node in live.nodes() if node.startswith("activations/")]


@pytest.mark.parametrize("policy", [[], ["training_rows.first_position=4", "training_rows.special_tokens=true"]])
def test_live_rows_are_the_stored_ones(store, stored, policy):
    run = stored if not policy else computed(store, "policy", *policy)
    expected = np.asarray(run.artifact("activations/m0/sae_a").array(HOOK))
    found = rows_of(run, planned(LIVE, *policy))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[:], expected, rtol=0, atol=1e-5)
    usual = stored.artifact("activations/m0/sae_a").array(HOOK).shape
    assert (expected.shape == usual) == (not policy)


def test_a_live_dictionary_is_as_good_as_a_stored_one(stored, live):
    before, after = (run.artifact("sae/main/m0") for run in (stored, live))
    assert before.key != after.key
    a, b = before.manifest["facts"], after.manifest["facts"]
    assert b["training_fvu"] == pytest.approx(a["training_fvu"], abs=0.01)
    assert b["training_rows"] == a["training_rows"] > 30_000
    for facts in (a, b):  # all rows fit the buffer
        assert facts["mixing_chunks"] == pytest.approx(1, abs=0.05)
        assert "warnings" not in facts


def test_rows_of_outlier_norm_are_counted_and_told(store, stored):
    norms = np.linalg.norm(np.asarray(stored.artifact("activations/m0/sae_a").array(HOOK)), axis=1)
    limit = round(float(np.quantile(norms, 0.97) / np.median(norms)), 3)  # beyond it are more than one in a hundred
    run = computed(store, "inliers", f"training_rows.max_norm={limit}")
    facts = run.artifact("sae/main/m0").manifest["facts"]
    assert facts["rows_left_out"] == (norms > limit * np.median(norms)).sum() > 0
    assert facts["training_rows"] == len(norms) - facts["rows_left_out"]
    assert facts["median_norm"] == pytest.approx(np.median(norms), rel=1e-5)
    assert f"more than {limit:g} times the median norm" in facts["warnings"][0]
    assert run.artifact("activations/m0/sae_a").key == stored.artifact("activations/m0/sae_a").key
    between = np.sort(norms)[-20:-18].mean() / np.median(norms)  # on no row, however norms are rounded
    few = computed(store, "few", f"training_rows.max_norm={between}")
    assert 0 < few.artifact("sae/main/m0").manifest["facts"]["rows_left_out"] < 20
    assert "warnings" not in few.artifact("sae/main/m0").manifest["facts"]


def test_poor_mixing_is_told():
    config = SAETrainingConfig(d_sae=16, k=4, tokens=100_000, batch_rows=1024)
    wide, narrow = (np.broadcast_to(np.float32(0), (400_000, d_in)) for d_in in (8192, 16))
    facts, warnings = mixing_of(wide, config, 1)
    assert facts["mixing_chunks"] < 0.1
    assert "poorly mixed" in warnings[0]
    assert "Raise buffer_mb (now 256; 13108 hold all rows), or lower batch_rows." in warnings[0]
    larger = config.model_copy(update={"buffer_mb": 8000})
    mixed, quiet = mixing_of(wide, larger, 1)
    assert mixed["mixing_chunks"] > 0.9
    assert quiet == []
    assert mixing_of(narrow, config, 1)[1] == []


@pytest.mark.slow
def test_killed_in_a_live_training_the_next_run_ends_with_the_same_bytes(tmp_path):
    changes = [*SMALL, LIVE, "comparisons.0.sae.tokens=100000", "effects=null"]
    flags = [part for change in changes for part in ("--set", change)]

    def start(url):
        command = [sys.executable, "-m", "pipelines.cli.main", "run", "tiny", "--store", str(url)]
        return subprocess.Popen([*command, "--name", "tiny", "--serial", "--quiet", *flags], stdout=-3, stderr=-3)

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert start(whole).wait(timeout=900) == 0
    key = build_plan(load_recipe("tiny", changes)).keys()["sae/main/m1"]
    process = start(cut)
    deadline = time.monotonic() + 600
    while not list((cut / "checkpoints").glob(f"{key}*")):
        assert process.poll() is None, "it ended before it was stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not open_store(str(cut)).has(key)
    assert start(cut).wait(timeout=900) == 0
    expected, found = (open_run("tiny", store=str(url)) for url in (whole, cut))
    for node in expected.nodes():
        files = [run.artifact(node).manifest["files"] for run in (expected, found)]
        assert files[0] == files[1], node
