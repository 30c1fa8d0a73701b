"""Recipes with every trained architecture: planned, keyed, estimated, and told where a target was missed."""
# pyright: reportCallIssue=false, reportOperatorIssue=false

import numpy as np
import pytest

from pipelines.engine.step import StepContext, find_step
from pipelines.errors import TrainingDiverged
from pipelines.plan import build_plan
from pipelines.plan.layout_nodes import Layout
from pipelines.recipe import load_recipe, validate_recipe
from pipelines.steps.dictionary_costs import gpu_seconds
from pipelines.steps.dictionary_steps import missed_target
from storage import artifact_key, open_store
from universality.errors import InputError
from universality.sae.architectures import ARCHITECTURES
from universality.sae.sae_config import SAETrainingConfig, owners_of_settings

SAE = "comparisons.0.sae"
NO_K = [f"{SAE}.k=null"]
CHANGES = {
    "batch_topk": [],
    "matryoshka": [],
    "relu": NO_K,
    "relu_2023": NO_K,
    "gated": [*NO_K, f"{SAE}.l1_coefficient=0.3"],
    "jumprelu": [*NO_K, f"{SAE}.target_l0=8"],
}


def planned(changes=(), device="cpu"):
    return build_plan(load_recipe("tiny", list(changes)), device=device)


@pytest.mark.parametrize("name", CHANGES)
def test_every_architecture_is_planned_with_keys_and_costs_of_its_own(name):
    topk, found = planned(), planned([f"{SAE}.architecture={name}", *CHANGES[name]])
    before, after = topk.keys(), found.keys()
    assert before.keys() == after.keys()
    moved = {node for node in before if before[node] != after[node]}
    assert "sae/main/m0" in moved
    assert not any(node.startswith(("corpus", "tok", "transformer", "activations")) for node in moved)
    cost, usual = found["sae/main/m0"].estimate, topk["sae/main/m0"].estimate
    if "cpu" in ARCHITECTURES[name].sparse_on:  # the same kernels on the CPU, autograd elsewhere
        assert cost == usual
        cost = planned([f"{SAE}.architecture={name}"], "cuda")["sae/main/m0"].estimate
        usual = planned(device="cuda")["sae/main/m0"].estimate
    assert cost.seconds > usual.seconds
    assert cost.memory > usual.memory


@pytest.mark.parametrize(
    ("d_sae", "precision", "n_seeds", "measured_ms"),
    [
        (4096, "float32", 1, 3.03),
        (4096, "bfloat16", 1, 2.86),
        (4096, "bfloat16", 8, 10.6),
        (16_384, "float32", 1, 7.69),
        (16_384, "bfloat16", 1, 4.18),
    ],
)
def test_plans_of_a_gpu_follow_what_was_measured(d_sae, precision, n_seeds, measured_ms):
    settings = {"d_sae": d_sae, "k": 32, "tokens": 4096 * 1000, "batch_rows": 4096, "precision": precision}
    seconds = gpu_seconds(SAETrainingConfig.model_validate(settings), 512, n_seeds)
    assert measured_ms / 1.35 < seconds < measured_ms * 1.35  # of a thousand steps


def test_small_steps_of_a_gpu_cost_their_launches():
    few = [f"{SAE}.batch_rows=32", f"{SAE}.tokens=320000"]
    assert planned(few, "cuda")["sae/main/m0"].estimate.seconds > 10_000 * 1e-3
    sweep = load_recipe("sweep-demo")
    nodes = [node for node in build_plan(sweep, device="cuda") if node.step == "sweep_sae"]
    for node in nodes:
        alone = find_step("sweep_sae").cost(Layout(sweep, "cuda").sizes, {**node.params, "n_seeds": 1}).seconds
        together = find_step("sweep_sae").cost(Layout(sweep, "cuda").sizes, {**node.params, "n_seeds": 8}).seconds
        assert alone < together < 8 * alone


def test_naming_the_default_architecture_changes_no_key():
    named = planned([f"{SAE}.architecture=topk"])
    assert named.keys() == planned().keys()
    assert "architecture" not in named["sae/main/m0"].params["config"]


@pytest.mark.parametrize("name", ["topk", *CHANGES])
def test_a_resolved_recipe_says_every_setting_and_is_the_same_recipe(name):
    recipe = load_recipe("tiny", [f"{SAE}.architecture={name}", *CHANGES.get(name, [])])
    said = recipe.resolved()
    sae = said["comparisons"][0]["sae"]
    assert (sae["architecture"], sae["precision"], sae["buffer_mb"]) == (name, "float32", 256)
    assert set(sae) == set(SAETrainingConfig.model_fields) - {
        setting for setting, owners in owners_of_settings().items() if name not in owners
    }
    again = validate_recipe(said, "again")
    assert again == recipe
    assert build_plan(again).keys() == build_plan(recipe).keys()


def test_a_k_left_over_is_refused_by_name():
    with pytest.raises(InputError, match="k must be absent from relu"):
        load_recipe("tiny", [f"{SAE}.architecture=relu"])


def test_bfloat16_is_planned_for_a_gpu_alone():
    changes = [f"{SAE}.precision=bfloat16"]
    with pytest.raises(InputError, match="must be float32 on the CPU; got bfloat16"):
        planned(changes)
    found, usual = planned(changes, "cuda").keys(), planned(device="cuda").keys()
    assert found["sae/main/m0"] != usual["sae/main/m0"]
    assert planned([f"{SAE}.precision=float32"]).keys() == planned().keys()


def test_a_compiled_optimiser_is_in_the_keys_of_dictionaries_on_a_gpu_alone():
    assert planned(["compile=true"]).keys() == planned().keys()
    before, after = planned(device="cuda"), planned(["compile=true"], "cuda")
    moved = {node for node, key in before.keys().items() if key != after.keys()[node]}
    assert "sae/main/m0" in moved
    assert not any(node.startswith(("tok", "transformer", "activations")) for node in moved)
    assert after["sae/main/m0"].params["compile"] is True
    assert "compile" not in after["latents/main/m0"].params


def test_a_missed_target_is_told():
    recipe = SAETrainingConfig(d_sae=64, tokens=10, architecture="jumprelu", target_l0=8)
    assert missed_target(recipe, 5.0) is missed_target(recipe, 15.9) is None
    for l0 in (3.9, 30.5):
        assert f"l0 ended at {l0}; target_l0 is 8" in missed_target(recipe, l0)
    assert missed_target(SAETrainingConfig(d_sae=64, tokens=10, k=8), 1.0) is None


def test_a_diverged_training_fails_and_says_in_which_step(tmp_path):
    store, key = open_store(str(tmp_path)), artifact_key("activations", 1, {}, {})
    rows = np.random.default_rng(0).standard_normal((2000, 16)).astype(np.float32)
    rows[900:] *= 1e30  # squares overflow
    with store.create(key, step="activations", version=1, params={}, inputs={}) as out:
        out.array("hook", rows)
    config = {"d_sae": 32, "k": 4, "tokens": 2000, "batch_rows": 10, "normalise": False}
    params = {"config": config, "hook_point": "hook", "sae_seed": ["m0"], "root_seed": 0}
    out_key = artifact_key("sae", 1, params, {"activations": key})
    with store.create(out_key, step="sae", version=1, params=params, inputs={"activations": key}) as out:
        ctx = StepContext("sae/main/m0", params, {"activations": store.get(key)}, out, store.checkpoint(out_key))
        with pytest.raises(TrainingDiverged, match=r"Training of sae/main/m0 ended as 'diverged' in step \d+ \(\d+"):
            find_step("sae").function(ctx)
