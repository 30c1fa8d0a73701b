"""A recipe over models that were trained elsewhere: two small GPT-2 folders with their tokenizer, no hub."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from pipelines.engine.plan import Plan
from pipelines.engine.runner import run_plan
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from pipelines.tokens.tokenizer import train_tokenizer
from pipelines.tokens.tokenizer_config import TrainedTokenizer
from results.stored_comparison import step_warnings
from storage import open_store
from universality.sae import SparseAutoencoder, save_sae
from universality.sae.activations import TopK
from universality.transformers.tokenizer import load_tokenizer

SENTENCES = [f"The {animal} number {n} sat on the {place}, and then it went home again." for n in range(120)
             for animal, place in (("cat", "mat"), ("dog", "road"), ("owl", "tree"))]  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("family")
    raw = train_tokenizer(SENTENCES, TrainedTokenizer(vocab_size=400))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=load_tokenizer(raw), bos_token="<|endoftext|>")
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        config = GPT2Config(vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2)
        folder = root / f"seed{seed}"
        GPT2LMHeadModel(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        paths.append(folder)
    texts = root / "texts"
    texts.mkdir()
    for start in range(0, len(SENTENCES), 6):
        (texts / f"{start:03}.txt").write_text("\n".join(SENTENCES[start : start + 6]))
    return paths, texts, root


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_dictionary_of_a_model_with_centred_weights_reads_what_it_was_trained_on(folders, tmp_path):
    """TransformerLens's own centring of the same model is the reference."""
    from transformer_lens.model_bridge import TransformerBridge

    paths, texts, _ = folders
    hook_point = "blocks.0.hook_resid_post"
    weights = torch.randn(32, 24, generator=torch.Generator().manual_seed(0))
    sae = SparseAutoencoder(weights, torch.zeros(24), weights.T.contiguous(), torch.zeros(32), TopK(3))
    for name, prepend_bos in (("m0", False), ("m1", True)):
        save_sae(replace(sae, metadata={"hook_point": hook_point}), tmp_path / name, format="saelens")
        config = json.loads((tmp_path / name / "cfg.json").read_text())
        config["metadata"] |= {"model_from_pretrained_kwargs": {"center_writing_weights": True}}
        config["metadata"]["prepend_bos"] = prepend_bos
        (tmp_path / name / "cfg.json").write_text(json.dumps(config))
    recipe = {
        "recipe": "centred",
        "corpus": {"sources": [{"kind": "text", "path": str(texts)}]},
        "split": {"fit_tokens": 1500, "score_tokens": 1500, "validation_tokens": 300, "bytes_per_token": 2.0},
        "tokenizer": {"kind": "hub", "name": str(paths[0])},
        "n_ctx": 32,
        "models": {"kind": "pretrained", "models": [{"name": str(path)} for path in paths], "n_untrained": 0},
        "comparisons": [{"id": "resid", "hook_point": hook_point, "replicates": False,
                         "saes": [{"model": name, "path": str(tmp_path / name)} for name in ("m0", "m1")]}],
    }  # fmt: skip
    (tmp_path / "centred.yaml").write_text(yaml.safe_dump(recipe))
    plan = build_plan(load_recipe(str(tmp_path / "centred.yaml")))
    wanted = {"corpus", "tokenizer", "tokens", "latents/resid/m0"}
    wanted |= {f"{step}/{model}" for model in ("m0", "m1") for step in ("transformer", "sae/resid")}
    wanted |= {f"activations/{model}/eval" for model in ("m0", "m1")}
    plan = Plan([node for node in plan if node.id in wanted])
    store = open_store(str(tmp_path / "store"))
    nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id]} for node in plan}
    run = store.create_run("centred", recipe_name="centred", recipe=recipe, nodes=nodes)
    outcome = run_plan(plan, store, run)
    assert outcome.status == "done", outcome.errors
    tokens = run.artifact("tokens")
    contexts = torch.tensor(tokens.array("eval_contexts")[:40].tolist())
    model = TransformerBridge.boot_transformers(str(paths[0]))
    model.enable_compatibility_mode(center_writing_weights=True, fold_ln=False)
    with torch.no_grad():
        stream = model.run_with_cache(contexts)[1][hook_point]
    rows = tokens.array("row_context") < 40
    x = stream[tokens.array("row_context")[rows], tokens.array("row_position")[rows]].numpy()
    acts = run.artifact("latents/resid/m0").csr("acts")[: rows.sum()].toarray()
    np.testing.assert_allclose(acts, sae.encode(x), rtol=1e-3, atol=1e-3)
    warned = {entry["node"]: entry["warning"] for entry in step_warnings(run) if entry["node"].startswith("sae/")}
    assert "prepend_bos false" in warned["sae/resid/m0"]
    # GPT-2's config names token 50256, which the small vocabulary has not.
    assert "model's first token (prepend_bos); here they start with '<|endoftext|>'" in warned["sae/resid/m1"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.slow
@pytest.mark.parametrize(("floor", "dtype"), [("random", None), ("shuffled", "bfloat16")])
def test_local_models_of_one_family_are_compared(folders, tmp_path, floor, dtype):
    paths, texts, root = folders
    numbers = {"dtype": dtype} if dtype else {}
    recipe = {
        "recipe": "family",
        "corpus": {"sources": [{"kind": "text", "path": str(texts)}]},
        "split": {"fit_tokens": 1500, "score_tokens": 1500, "validation_tokens": 300, "bytes_per_token": 2.0},
        "tokenizer": {"kind": "hub", "name": str(paths[0])},
        "n_ctx": 32,
        "models": {"kind": "pretrained", "models": [{"name": str(path), **numbers} for path in paths],
                   "n_untrained": 2, "floor": floor},
        "comparisons": [
            {"id": "resid", "hook_point": "blocks.0.hook_resid_post", "sae": {"d_sae": 64, "k": 4, "tokens": 4000}},
            {"id": "mlp", "hook_point": "blocks.1.hook_mlp_out", "sae": {"d_sae": 48, "k": 4, "tokens": 4000},
             "replicates": False, "neurons": False},
        ],
        "compare": {"n_shifts": 10, "n_resamples": 20, "n_resplits": 2, "min_firings": 5},
        "effects": {"rerun_rows": 100, "per_latent": 12, "horizon": 4},
    }  # fmt: skip
    path = root / "family.yaml"
    path.write_text(yaml.safe_dump(recipe))
    plan = build_plan(load_recipe(str(path)))
    store = open_store(str(tmp_path / "store"))
    nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id]} for node in plan}
    run = store.create_run("family", recipe_name="family", recipe=recipe, nodes=nodes)
    outcome = run_plan(plan, store, run)
    assert outcome.status == "done", outcome.errors
    models = run.table("models")
    assert set(models["comparison_id"]) == {"resid", "mlp"}
    resid = models[models["comparison_id"] == "resid"].set_index("model")
    assert list(resid.index) == ["m0", "m1", "m0r", "m1r", "u0r", "u1r", "u0", "u1"]
    assert resid.loc["m0", "model_seed"] == (f"{paths[0]} in bfloat16" if dtype else str(paths[0]))
    assert resid.loc["m0", "d_in"] == 32
    said = {"random": f"{paths[0]} (random weights 1)", "shuffled": f"{paths[1]} in bfloat16 (shuffled weights)"}
    assert resid.loc["u1", "model_seed"] == said[floor]
    assert set(run.table("pairs")["comparison_id"]) == {"resid", "mlp"}
    # In the first of two blocks the model runs again for every firing; at the end of the last the readout is enough.
    effects = run.table("effects")
    for comparison in ("resid", "mlp"):
        of = effects[effects["comparison_id"] == comparison]
        assert {"matched", "runner_up", "hard_exchange", "random", "random_direction", "floor"} <= set(of["kind"])
        assert of["r_effect"].abs().max() <= 1
    assert set(run.table("effect_agreement")["comparison_id"]) == {"resid", "mlp"}
    tried = {name: run.artifact(f"fingerprints/{name}/m0").manifest["facts"]["exact"] for name in ("resid", "mlp")}
    # What follows from the readout is not what bfloat16 rounds to.
    assert tried == {"resid": False, "mlp": dtype is None}
    assert run.artifact("readouts/resid").manifest["facts"]["reruns"]
    attribution = run.table("attribution")
    again = {name for name, exact in tried.items() if not exact}
    assert set(attribution["comparison_id"]) == again
    assert len(attribution) == effects["comparison_id"].isin(again).sum()
    assert attribution["r_gradient"].abs().max() <= 1
    # The weights that were read are pinned: other bytes under the same name are refused.
    first = run.artifact("transformer/m0").json("pretrained")["digest"]
    assert first != run.artifact("transformer/m1").json("pretrained")["digest"]
