"""A run over public models whose text has labels steers its clusters whole: chosen, turned up, transferred, stored."""

import numpy as np
import pytest
import torch
import yaml
from stored_types import assert_files_hold_the_declared_types
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from pipelines.engine.plan import Plan
from pipelines.engine.runner import run_plan
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from pipelines.tokens.tokenizer import train_tokenizer
from pipelines.tokens.tokenizer_config import TrainedTokenizer
from storage import open_store
from universality.transformers.tokenizer import load_tokenizer

TEXTS = {
    "animals": [f"The {a} saw {b} and ran home with {a}." for a in ("cat", "dog", "owl", "cow", "fox")
                for b in ("mice", "birds", "frogs", "ants")],
    "sums": [f"{a} + {b} = {a + b}; {b} - {a} = {b - a}" for a in range(10, 15) for b in range(20, 24)],
}  # fmt: skip
STEERING = {"clusters": 2, "strengths": [4.0], "prompts": 3, "samples": 1, "tokens": 6, "random": 1,
            "transfer_strengths": [2.0], "transfer_contexts": 4}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("labelled")
    for domain, sentences in TEXTS.items():
        (root / "texts" / domain).mkdir(parents=True)
        for number in range(24):
            order = np.random.default_rng(number).permutation(sentences)
            (root / "texts" / domain / f"{number:02}.txt").write_text("\n".join(order))
    raw = train_tokenizer([text for texts in TEXTS.values() for text in texts], TrainedTokenizer(vocab_size=330))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=load_tokenizer(raw), bos_token="<|endoftext|>")
    for seed in (1, 2):
        torch.manual_seed(seed)
        shape = GPT2Config(vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2)
        GPT2LMHeadModel(shape).save_pretrained(root / f"seed{seed}")
        tokenizer.save_pretrained(root / f"seed{seed}")
    recipe = {
        "recipe": "labelled",
        "corpus": {"sources": [{"kind": "text", "path": str(root / "texts"), "domain_by_folder": True}]},
        "split": {"fit_tokens": 3000, "score_tokens": 3000, "validation_tokens": 400, "bytes_per_token": 2.0},
        "tokenizer": {"kind": "hub", "name": str(root / "seed1")},
        "n_ctx": 32,
        "models": {"kind": "pretrained", "models": [{"name": str(root / f"seed{seed}")} for seed in (1, 2)],
                   "n_untrained": 0},
        "comparisons": [{"id": "main", "hook_point": "blocks.1.hook_resid_post", "replicates": False, "neurons": False,
                         "sae": {"d_sae": 48, "k": 4, "tokens": 6000, "batch_rows": 128, "lr": 0.003}}],
        "compare": {"n_shifts": 10, "n_resamples": 20, "min_firings": 5, "tau": 0.3},
        "effects": {"probes": False, "explanations": False, "steering": STEERING},
    }  # fmt: skip
    (root / "labelled.yaml").write_text(yaml.safe_dump(recipe))
    plan = build_plan(load_recipe(str(root / "labelled.yaml")))
    needed = {"steering/main/m0", "steering/main/m1"}
    for node in reversed(plan.nodes):
        if node.id in needed:
            needed.update(node.inputs.values())
    plan = Plan(node for node in plan if node.id in needed)
    store = open_store(str(root / "store"))
    nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id]} for node in plan}
    made = store.create_run("labelled", recipe_name="labelled", recipe=recipe, nodes=nodes)
    outcome = run_plan(plan, store, made)
    assert outcome.status == "done", outcome.errors
    return made


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_both_models_are_steered_and_by_each_others_directions(run):
    chosen = run.table("steering_clusters")
    assert set(chosen["domain"]) == set(TEXTS)
    steered = chosen[chosen["left_out"].isna()]
    assert len(steered) >= 1
    doses, transfer = run.table("steering_doses"), run.table("steering_transfer")
    assert doses["problem"].isna().all()
    assert transfer["problem"].isna().all()
    for cluster in steered["cluster"]:
        own = doses[(doses["cluster"] == cluster) & (doses["kind"] == "own")]
        assert set(own["model"]) == {"m0", "m1"}
        assert set(own["strength"]) == {0.0, 4.0}
        assert own["share"].between(0, 1).all()
        assert own.loc[own["strength"] == 4, "kl"].min() > 1e-4
        arms = transfer[transfer["cluster"] == cluster]
        assert {"own", "partner", "random"} <= set(arms["arm"])
        partner = arms[arms["arm"] == "partner"]
        assert dict(zip(partner["model"], partner["other_model"], strict=True)) == {"m0": "m1", "m1": "m0"}
        assert np.isfinite(partner["cosine"].astype(float)).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", ["steering_clusters", "steering_doses", "steering_transfer"])
def test_files_hold_the_declared_types(run, name):
    assert_files_hold_the_declared_types(run, name)
