"""Models behind different tokenizers, through whole plans: nothing but the rows that all share is compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from pipelines.engine.runner import run_plan
from pipelines.plan import build_plan
from pipelines.recipe import Recipe, load_recipe
from pipelines.tokens.tokenizer import train_tokenizer
from pipelines.tokens.tokenizer_config import TrainedTokenizer
from results.lens_ablation import without_cluster
from results.loading import LoadedComparison
from results.steering import Steering
from results.text_lens import open_lens, read_text
from results.tokenizers import own_text, own_tokenizer, own_window, tokenizer_of, tokenizers_frame
from storage import open_store
from universality.errors import InputError
from universality.sae import SparseAutoencoder, save_sae
from universality.sae.activations import TopK
from universality.transformers.tokenizer import load_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

HOOK_POINT = "blocks.0.hook_resid_post"
LINES = [
    f"The {animal} number {n} sat on the {place}, καὶ 漢字 went 🙂 home again.\r\n"
    for n in range(120)
    for animal, place in (("cat", "mat"), ("dog", "road"), ("owl", "tree"))
]


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> tuple[list[Path], Path]:
    """A model, and its copy in which every token has another id: the same of every text, under other numbers."""
    root = tmp_path_factory.mktemp("copies")
    settings = json.loads(train_tokenizer(LINES, TrainedTokenizer(vocab_size=400)))
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=400, n_positions=64, n_embd=32, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config)
    order = np.concatenate([[0], 1 + np.random.default_rng(0).permutation(399)])  # the separator keeps its number
    folders = []
    for name, number in (("one", np.arange(400)), ("other", order)):
        vocabulary = settings["model"]["vocab"]
        renamed = {token: int(number[n]) for token, n in vocabulary.items()}
        made = json.dumps({**settings, "model": {**settings["model"], "vocab": renamed}})
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=load_tokenizer(made.encode()), bos_token="<|endoftext|>")
        copy = GPT2LMHeadModel(config)
        copy.load_state_dict(model.state_dict())
        with torch.no_grad():
            weights = torch.empty_like(model.transformer.wte.weight)
            weights[torch.from_numpy(number)] = model.transformer.wte.weight
            copy.transformer.wte.weight.copy_(weights)
        folders.append(root / name)
        copy.save_pretrained(folders[-1])
        tokenizer.save_pretrained(folders[-1])
    texts = root / "texts"
    texts.mkdir()
    for start in range(0, len(LINES), 6):
        (texts / f"{start:03}.txt").write_text("".join(LINES[start : start + 6]), newline="")
    return folders, texts


def family(copies, saes: Path, *, listed: bool, **more) -> dict:
    (one, other), texts = copies
    groups = [{"kind": "pretrained", "models": [{"name": str(name)}], "n_untrained": 0} for name in (one, other)]
    together = {"kind": "pretrained", "models": [g["models"][0] for g in groups], "n_untrained": 0}
    recipe = {
        "recipe": "copies",
        "corpus": {"sources": [{"kind": "text", "path": str(texts)}], "max_document_bytes": 512},
        "split": {"fit_tokens": 1500, "score_tokens": 1500, "validation_tokens": 300, "bytes_per_token": 2.0},
        "n_ctx": 32,
        "models": groups if listed else together,
        "comparisons": [{"id": "main", "hook_point": HOOK_POINT, "replicates": False,
                         "saes": [{"model": name, "path": str(saes / name)} for name in ("m0", "m1")]}],
        "compare": {"n_shifts": 10, "n_resamples": 20, "n_resplits": 2, "min_firings": 5},
        **more,
    }  # fmt: skip
    return recipe if listed else recipe | {"tokenizer": {"kind": "hub", "name": str(one)}}


@pytest.fixture
def saes(tmp_path) -> Path:
    """One dictionary for both copies, its latents numbered otherwise in the second."""
    weights = torch.randn(32, 24, generator=torch.Generator().manual_seed(0))
    for name, order in (("m0", torch.arange(24)), ("m1", torch.arange(23, -1, -1))):
        columns = weights[:, order].contiguous()
        sae = SparseAutoencoder(columns, torch.zeros(24), columns.T.contiguous(), torch.zeros(32), TopK(3))
        save_sae(sae, tmp_path / name)
    return tmp_path


def ran(recipe: dict, place: Path) -> LoadedComparison:
    (place / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return computed(load_recipe(str(place / "recipe.yaml")), place)


def computed(loaded: Recipe, place: Path) -> LoadedComparison:
    plan, store = build_plan(loaded), open_store(str(place / "store"))
    nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id]} for node in plan}
    run = store.create_run("run", recipe_name=loaded.recipe, recipe=loaded.resolved(), nodes=nodes)
    outcome = run_plan(plan, store, run)
    assert outcome.status == "done", outcome.errors
    return LoadedComparison(run, loaded.comparisons[0].id)


def test_a_copy_under_other_token_ids_is_the_same_model(copies, saes, tmp_path):
    stored = ran(family(copies, saes, listed=True), tmp_path)
    pairs = stored.table("pairs")
    assert len(pairs) >= 12
    np.testing.assert_array_equal(pairs["latent_b"], 23 - pairs["latent_a"])
    np.testing.assert_allclose(pairs["r_held_out"], 1.0, atol=1e-5)
    frame = tokenizers_frame(stored)
    assert frame["models"].tolist() == ["m0", "m1"]
    np.testing.assert_array_equal(frame["coverage"], 1.0)  # they split alike: every token is a row
    # Both read the same text under their own numbers, and what is compared spells it too.
    of = [stored.text, own_text(stored, "m0"), own_text(stored, "m1")]
    assert [tokenizer_of(stored, name) for name in ("m0", "m1")] == ["t0", "t1"]
    assert (np.asarray(of[1].contexts) != np.asarray(of[2].contexts)).any()
    for row in (0, 7, stored.text.n_rows - 1):
        shown = ["".join(text.window(row).tokens).replace("<|separator|>", "<|endoftext|>") for text in of]
        assert shown[0] == shown[1] == shown[2]
        window = stored.text.window(row)
        own = [own_window(stored, name, window) for name in ("m0", "m1")]
        assert (
            "".join(own[0].tokens)
            == "".join(own[1].tokens)
            == "".join(window.tokens).replace("<|separator|>", "<|endoftext|>")
        )
        assert {int(of.rows[of.peak]) for of in own} == {row}
    ids = [own_tokenizer(stored, name).encode("The cat").ids for name in ("m0", "m1")]
    assert ids[0] != ids[1]
    # A typed text is read by both, in tokens of their own, and they fire alike.
    lens = open_lens(stored)
    reading = read_text(lens, "The cat sat on the 漢字 road 🙂.")
    assert "".join(reading.tokens).replace("┊", "") == "The cat sat on the 漢字 road 🙂."
    fired = reading.firings.assign(latent=lambda t: np.where(t["model"] == "m1", 23 - t["latent"], t["latent"]))
    m0, m1 = (
        fired[fired["model"] == m].set_index(["position", "latent"])["activation"].sort_index() for m in ("m0", "m1")
    )
    assert len(m0) > 10
    pd.testing.assert_series_equal(m0, m1, rtol=1e-4)
    assert without_cluster(lens, "The cat", pd.DataFrame({"model": ["m0", "m1"], "latent": [0, 23]})).shape[1] == 3
    with pytest.raises(InputError, match="one that all models share"):
        Steering(stored)
    # Vocabularies are not compared with each other.
    assert "r_logits" not in pairs or pairs["r_logits"].isna().all()


def test_foreign_token_ids_are_refused_before_anything_is_computed(copies, saes, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(family(copies, saes, listed=False)))
    with pytest.raises(InputError, match=r"tokenizer of .*other must be the one that the model was trained with"):
        build_plan(load_recipe(str(tmp_path / "recipe.yaml")))


def test_equal_tokenizers_of_two_groups_are_one(copies, saes, tmp_path):
    recipe = family(copies, saes, listed=True)
    for group in recipe["models"]:
        group["models"] = [{"name": recipe["models"][0]["models"][0]["name"]}]
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in Path(recipe["models"][0]["models"][0]["name"]).iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    recipe["models"][1]["models"] = [{"name": str(copy)}]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    plan = build_plan(load_recipe(str(tmp_path / "recipe.yaml")))
    assert plan["tokenizer"].step == "tokenizer"
    assert "tokenizer/t0" not in plan


NORMALIZERS = [{"type": "NFKC"}, {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}]


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_a_tokenizer_that_changes_the_text_is_refused_by_name(copies, saes, tmp_path, normalizer):
    recipe = family(copies, saes, listed=True)
    other = Path(recipe["models"][1]["models"][0]["name"])
    changed = tmp_path / "changed"
    changed.mkdir()
    for file in other.iterdir():
        (changed / file.name).write_bytes(file.read_bytes())
    settings = json.loads((changed / "tokenizer.json").read_text())
    (changed / "tokenizer.json").write_text(json.dumps({**settings, "normalizer": normalizer}))
    recipe["models"][1]["models"] = [{"name": str(changed)}]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(InputError, match=r"tokenizer of .*changed must be one that keeps the bytes"):
        build_plan(load_recipe(str(tmp_path / "recipe.yaml")))


@pytest.mark.slow
def test_the_recipe_of_two_public_families_runs_on_stand_ins(copies, tmp_path):
    """GPT-NeoX beside GPT-2, each trained on nothing, in a tokenizer of its own."""
    _, texts = copies
    torch.manual_seed(3)
    shape = {"num_hidden_layers": 8, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    folders = {}
    for name, size in (("neox", 400), ("neox-seed1", 400), ("gpt2", 320)):
        content = train_tokenizer(LINES if size == 400 else LINES[:90], TrainedTokenizer(vocab_size=size))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=load_tokenizer(content), bos_token="<|endoftext|>")
        model = (
            GPT2LMHeadModel(GPT2Config(vocab_size=size, n_positions=64, n_embd=24, n_layer=8, n_head=2))
            if name == "gpt2"
            else GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=size, max_position_embeddings=64, **shape))
        )
        folders[name] = tmp_path / name
        model.save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])
    sources = f"corpus={{sources: [{{kind: text, path: {texts}}}], max_document_bytes: 512}}"
    split = "split={fit_tokens: 1500, score_tokens: 1500, validation_tokens: 300, bytes_per_token: 2.0}"
    sae = "comparisons.0.sae={d_sae: 48, k: 4, tokens: 4000, batch_rows: 128}"
    loaded = load_recipe("pythia-x-gpt2", [
        sources, split, sae, "n_ctx=32", "compare={n_shifts: 10, n_resamples: 20, n_resplits: 2, min_firings: 5}",
        *(f"models.{group}.models.{place}.name={folders[name]}"
          for group, place, name in ((0, 0, "neox"), (0, 1, "neox-seed1"), (1, 0, "gpt2"))),
    ])  # fmt: skip
    stored = computed(loaded, tmp_path)
    assert stored.models() == ["m0", "m1", "m2"]
    assert tokenizers_frame(stored)["models"].tolist() == ["m0, m1", "m2"]
    # Twins of the floor are of their own family: each has its width, and reads its tokenizer.
    widths = stored.table("models").set_index("model")["d_in"]
    assert [widths[name] for name in ("m0", "m2", "u0", "u1", "u2", "u3")] == [16, 24, 16, 16, 24, 24]
    assert {tokenizer_of(stored, name) for name in ("u2", "u3")} == {"t1"}
    assert set(stored.table("headline")["pair"]) >= {"m0-m1", "m0-m2", "u0-u2"}
