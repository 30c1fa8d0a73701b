"""A dictionary of a hub repository in a run: read from the local cache, the same artifact as from its folder."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from pipelines.engine.plan import Plan
from pipelines.engine.runner import run_plan
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from results.stored_comparison import step_warnings
from storage import open_store
from universality.sae import SparseAutoencoder
from universality.sae.activations import TopK
from universality.sae.formats import save_sae

REPO, INSIDE, COMMIT = "someone/saes", "blocks.0.mlp.hook_post", "cd34" * 10
HOOK_POINT = "blocks.0.mlp.hook_post"


@pytest.fixture
def cached(tmp_path, monkeypatch):
    from huggingface_hub import constants

    repo = tmp_path / "cache" / "models--someone--saes"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    weights = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    sae = SparseAutoencoder(
        W_enc=weights,
        b_enc=torch.zeros(32),
        W_dec=weights.T.contiguous(),
        b_dec=torch.zeros(64),
        activation=TopK(4),
        metadata={"model": "gpt2", "hook_point": "blocks.0.hook_mlp_out"},
    )
    folder = repo / "snapshots" / COMMIT / INSIDE
    save_sae(sae, folder)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


def computed(store, name, entry, more=()):
    plan = build_plan(load_recipe("tiny", ["models.training.tokens=2000", f"comparisons.0.saes=[{entry}]"]))
    wanted = {"corpus", "tokenizer", "tokens", "transformer/m0", "activations/m0/eval", "sae/main/m0", *more}
    plan = Plan([node for node in plan if node.id in wanted])
    nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id]} for node in plan}
    run = store.create_run(name, recipe_name="tiny", recipe={}, nodes=nodes)
    outcome = run_plan(plan, store, run)
    return run, outcome


def test_it_is_the_artifact_that_its_folder_gives(cached, tmp_path):
    store = open_store(str(tmp_path / "store"))
    hub, outcome = computed(store, "hub", f"{{model: m0, hub: {REPO}, subfolder: {INSIDE}}}", ["latents/main/m0"])
    assert outcome.status == "done", outcome.errors
    # What the file says of its hook point and model is held against the recipe, and kept with the run.
    warned = {entry["node"]: entry["warning"] for entry in step_warnings(hub)}
    assert "says it reads blocks.0.hook_mlp_out; here it reads blocks.0.mlp.hook_post" in warned["sae/main/m0"]
    assert "says it was trained on gpt2; here it reads a transformer of this run" in warned["latents/main/m0"]
    assert {event["message"] for event in hub.events() if event["event"] == "warning"} >= set(warned.values())
    folder, outcome = computed(store, "folder", f"{{model: m0, path: {cached}}}")
    assert outcome.status == "done", outcome.errors
    a, b = (run.artifact("sae/main/m0") for run in (hub, folder))
    assert a.key != b.key
    assert a.manifest["files"] == b.manifest["files"]
    assert a.manifest["params"]["commit"] == COMMIT
    # Out of the cache between planning and running: the run says so, the rest of it is done.
    (cached / "sae.safetensors").unlink()
    other = f"{{model: m0, hub: {REPO}, subfolder: {INSIDE}, revision: {COMMIT}}}"
    store = open_store(str(tmp_path / "second"))
    _, outcome = computed(store, "gone", other)
    assert outcome.status != "done"
    assert "none in the local cache" in str(outcome.errors["sae/main/m0"])


@pytest.mark.usefixtures("cached")
def test_a_plan_that_cannot_be_pinned_ends_in_words():
    command = [sys.executable, "-m", "pipelines.cli.main", "plan", "tiny", "--set"]
    entry = f"comparisons.0.saes=[{{model: m0, hub: {REPO}, subfolder: {INSIDE}, revision: v9}}]"
    done = subprocess.run([*command, entry], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "dictionary 'someone/saes' at revision 'v9' of saes must be" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("normalisation", ["layer_norm", "centred"])
def test_variance_explained_is_that_of_whole_reconstructions(tmp_path, normalisation):
    """Of rows that are normalised one by one, what the decoder gives is in another space than the rows."""
    weights = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    sae = SparseAutoencoder(
        W_enc=weights,
        b_enc=torch.zeros(32),
        W_dec=0.1 * weights.T.contiguous(),
        b_dec=torch.ones(64),
        activation=TopK(4),
        normalisation=normalisation,
    )
    save_sae(sae, tmp_path / "sae")
    store = open_store(str(tmp_path / "store"))
    entry = f"{{model: m0, path: {tmp_path / 'sae'}}}"
    run, outcome = computed(store, "run", entry, ["latents/main/m0"])
    assert outcome.status == "done", outcome.errors
    node = {name: store.get(run.record["nodes"][name]["key"]) for name in run.record["nodes"]}
    score = ~node["tokens"].array("row_fit")
    x = np.asarray(node["activations/m0/eval"].array(HOOK_POINT), np.float64)[score]
    error = x - sae.reconstruct(x.astype(np.float32))
    expected = (error**2).sum() / ((x - x.mean(axis=0)) ** 2).sum()
    assert node["latents/main/m0"].json("quality")["fvu"] == pytest.approx(expected, rel=1e-4)
