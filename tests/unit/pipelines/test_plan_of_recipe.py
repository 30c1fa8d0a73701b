import subprocess
import sys

import pytest

from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from universality.errors import InputError


def keys(overrides=(), device="cpu"):
    return build_plan(load_recipe("tiny", list(overrides)), device).keys()


def test_ids_name_step_and_subject():
    plan = build_plan(load_recipe("quickstart"))
    ids = {node.id for node in plan}
    assert {
        "corpus",
        "tokenizer",
        "tokens",
        "transformer/m2",
        "transformer/u1",
        "activations/m0/sae_b",
    } <= ids
    assert {"sae/main/m0r", "latents/main/m0", "matching/main/m0-m1", "matching/main/m0-m0r"} <= ids
    assert {
        "matching/main/u0-u1",
        "coordinates/main/u2",
        "spaces/main/m0-m2",
        "spaces/main/u1-u2",
        "comparison/main",
        "evidence/main/m2",
    } <= ids
    assert {"sae/main/u0r", "matching/main/u0-u0r", "matching/main/u0-u2"} <= ids, "what is floor has all that has one"


def test_a_threshold_moves_only_what_it_can_change():
    before, after = keys(), keys(["compare.tau=0.6"])
    moved = {node for node in before if before[node] != after[node]}
    assert "comparison/main" in moved
    assert not any(node.startswith(("corpus", "tok", "transformer", "activations", "sae", "latents")) for node in moved)


def test_seeds_move_only_their_own_branch():
    before, after = keys(), keys(["models.model_seeds=[0, 7]"])
    assert before["transformer/m0"] == after["transformer/m0"]
    assert before["sae/main/m0"] == after["sae/main/m0"]
    assert before["transformer/m1"] != after["transformer/m1"]
    assert before["matching/main/m0-m1"] != after["matching/main/m0-m1"]


def test_device_is_part_of_training_keys_only():
    cpu, gpu = keys(), keys(device="cuda")
    assert cpu["tokens"] == gpu["tokens"]
    assert cpu["transformer/m0"] != gpu["transformer/m0"]


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_the_precision_of_transformers_is_planned_for_a_gpu_alone_and_in_a_key_where_it_is_said(precision):
    said = [f"models.training.precision={precision}"]
    with pytest.raises(InputError, match=f"models.training must be float32 on the CPU; got {precision}"):
        keys(said)
    usual, found = keys(device="cuda"), keys(said, "cuda")
    assert found["transformer/m0"] != usual["transformer/m0"]
    assert found["transformer/u0"] == usual["transformer/u0"], "untrained models have no products"
    assert keys(["models.training.precision=float32"]) == keys()


def test_primary_and_replicate_dictionaries_never_share_a_key():
    found = keys()
    dictionaries = [key for node, key in found.items() if node.startswith("sae/")]
    assert len(set(dictionaries)) == len(dictionaries)


def test_planning_imports_no_torch():
    code = (
        "import sys\n"
        "from pipelines.plan import build_plan\n"
        "from pipelines.recipe import load_recipe\n"
        "build_plan(load_recipe('quickstart')).keys()\n"
        "print(sorted({'torch', 'numba', 'transformer_lens', 'distributed'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_loaded_dictionaries_are_not_trained_and_nothing_is_harvested_for_them(tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    saes = []
    for name in ("m0", "m0r", "u0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sae.json").write_text('{"architecture": "relu"}')
        shapes = {"W_enc": (1, 1), "b_enc": (1,), "W_dec": (1, 1), "b_dec": (1,)}
        tensors = {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}
        save_file(tensors, tmp_path / name / "sae.safetensors")
        saes.append(f"{{model: {name}, path: {tmp_path / name}}}")
    override = [f"comparisons.0.saes=[{', '.join(saes)}]", "models.architecture.d_mlp=1"]
    plan = build_plan(load_recipe("tiny", override))
    steps = {node.id: node.step for node in plan}
    assert {steps[f"sae/main/{name}"] for name in ("m0", "m0r", "u0")} == {"loaded_sae"}
    assert {steps[f"sae/main/{name}"] for name in ("m1", "m1r", "u1")} == {"sae"}
    harvested = {node for node in steps if node.startswith("activations/") and not node.endswith("/eval")}
    assert harvested == {f"activations/{part}" for part in ("m1/sae_a", "m1/sae_b", "u0/sae_b", "u1/sae_a", "u1/sae_b")}
    before = plan.keys()
    (tmp_path / "m0" / "sae.json").write_text('{ "architecture": "relu"}')
    after = build_plan(load_recipe("tiny", override)).keys()
    assert before["sae/main/m0"] != after["sae/main/m0"], "another file under the same path is another artifact"
    assert before["sae/main/m0r"] == after["sae/main/m0r"]


def test_a_shuffled_floor_comes_from_the_trained_models():
    plan = {node.id: node for node in build_plan(load_recipe("tiny", ["models.floor=shuffled"]))}
    for index in (0, 1):
        assert plan[f"transformer/u{index}"].step == "shuffled"
        assert plan[f"transformer/u{index}"].inputs["transformer"] == f"transformer/m{index}"
    assert keys()["sae/main/m0"] == keys(["models.floor=shuffled"])["sae/main/m0"]
    assert keys()["sae/main/u0"] != keys(["models.floor=shuffled"])["sae/main/u0"]
