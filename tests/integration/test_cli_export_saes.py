"""``export-saes`` on stored runs: folders that load to the same, cards with the run's numbers, nothing replaced."""

from __future__ import annotations

import json
import socket

import numpy as np
import pytest
import yaml
from program import universality
from tiny_run import tiny_store

from pipelines.dictionary_card import card, hub_model
from pipelines.dictionary_export import export_dictionaries
from pipelines.engine.plan import Plan
from pipelines.engine.runner import run_plan
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from results.stored_comparison import StoredComparison
from storage import open_run, open_store
from universality.errors import InputError
from universality.sae import load_sae, save_sae


@pytest.fixture(scope="module")
def run():
    return open_run("tiny", store=str(tiny_store()))


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    """Every dictionary of the run, by the command, on a machine without a network."""
    out = tmp_path_factory.mktemp("export")

    def no_network(*_):
        raise AssertionError("an export asked for another machine")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", no_network)
        done = universality("export-saes", "tiny", "--store", str(run.store.url), "--out", str(out), "--license", "mit")
    assert done.exit_code == 0, done.output
    return out


def front_matter(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_every_dictionary_loads_to_the_same(run, folder):
    stored = [node for node, fields in run.record["nodes"].items() if fields["step"] == "sae"]
    assert len(stored) > 3
    assert {f"sae/main/{path.name}" for path in (folder / "main").iterdir()} == set(stored)
    comparison = StoredComparison(run, "main")
    x = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    for node in stored:
        sae, again = comparison.dictionary(node.split("/")[-1]), load_sae(folder / "main" / node.split("/")[-1])
        np.testing.assert_array_equal(again.encode(x), sae.encode(x))
        np.testing.assert_array_equal(again.reconstruct(x), sae.reconstruct(x))
        assert again.metadata["hook_point"] == "blocks.0.mlp.hook_post"
        assert again.metadata["model_from_pretrained_kwargs"] == {}


def test_the_card_has_the_runs_numbers(run, folder):
    text = (folder / "main/m0/README.md").read_text()
    said = front_matter(text)
    assert said["license"] == "mit"
    assert said["library_name"] == "saelens"
    assert {"sparse-autoencoder", "saelens"} <= set(said["tags"])
    assert "base_model" not in said, "a transformer of the run is no public model"
    models = run.table("models").set_index("model")
    for column in ("fvu", "ce_recovered"):
        assert f"{models.loc['m0', column]:.4f}" in text
    assert f"| L0 | {models.loc['m0', 'l0']:.1f} |" in text
    artifact = run.artifact("sae/main/m0")
    for word in (
        artifact.key, "blocks.0.mlp.hook_post", "| d_in | 64 |", f"| d_sae | {models.loc['m0', 'd_sae']} |",
        f"{artifact.manifest['facts']['training_tokens']:,}", "root seed 0", 'SAE.load_from_disk("this/folder")',
        f"universality {artifact.manifest['facts']['made_with']['universality']}",
    ):  # fmt: skip
        assert word in text
    assert "untrained (random weights)" in (folder / "main/u0/README.md").read_text()


def test_nothing_that_is_there_is_replaced(run, folder, tmp_path):
    before = (folder / "main/m1/README.md").read_bytes()
    (tmp_path / "main/m0").mkdir(parents=True)
    (tmp_path / "main/m1").mkdir()
    (tmp_path / "main/m1/mine.txt").write_text("x")
    for out in (folder, tmp_path):
        done = universality("export-saes", "tiny", "--store", str(run.store.url), "--out", str(out), "--model", "m0",
                            "--model", "m1")  # fmt: skip
        assert done.exit_code == 2
        assert "without earlier exports" in done.stderr
    assert (folder / "main/m1/README.md").read_bytes() == before
    assert not list((tmp_path / "main/m0").iterdir()), "refused before anything is written"
    done = universality("export-saes", "tiny", "--store", str(run.store.url), "--out", str(tmp_path), "--model", "m0",
                        "--format", "ours", "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["written"] == [{"dictionary": "main/m0", "folder": str(tmp_path / "main/m0")}]
    assert load_sae(tmp_path / "main/m0").metadata["artifact"] == run.artifact("sae/main/m0").key
    assert {path.name for path in (tmp_path / "main/m0").iterdir()} == {"README.md", "sae.json", "sae.safetensors"}
    assert "sae_lens" not in (tmp_path / "main/m0/README.md").read_text()
    with pytest.raises(InputError, match=r"a dictionary of run tiny: m0, m1.*got m7"):
        export_dictionaries(run, tmp_path / "new", models=["m7"])
    assert not (tmp_path / "new").exists()


def test_dictionaries_from_elsewhere_and_unfinished_ones_are_left_out(run, tmp_path):
    save_sae(StoredComparison(run, "main").dictionary("m1"), tmp_path / "theirs")
    entry = f"comparisons.0.saes=[{{model: m0, path: {tmp_path / 'theirs'}}}]"
    plan = build_plan(load_recipe("tiny", ["models.training.tokens=2000", "comparisons.0.sae.lr=1e30", entry]))
    wanted = {"corpus", "tokenizer", "tokens", "transformer/m0", "activations/m0/eval", "sae/main/m0"}
    wanted |= {"activations/m0/sae_b", "sae/main/m0r"}
    nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id]} for node in plan}
    store = open_store(str(tmp_path / "store"))
    other = store.create_run("mixed", recipe_name="tiny", recipe={}, nodes=nodes)
    run_plan(Plan([node for node in plan if node.id in wanted]), store, other)
    done = universality("export-saes", "mixed", "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert f"Left out sae/main/m0: it came from {tmp_path / 'theirs'}: publish it from there" in done.stderr
    assert "Left out sae/main/m0r: the run has not computed it (it is failed)" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"name": "EleutherAI/pythia-70m"}, "EleutherAI/pythia-70m"),
        ({"name": "gpt2", "untrained_seed": None}, "gpt2"),
        ({"name": "gpt2", "untrained_seed": 3}, None),
        ({"name": "gpt2", "shuffle_seed": 3}, None),
        ({"name": "/models/gpt2"}, None),
        (None, None),
    ],
)
def test_a_public_model_is_the_base_model(run, said, expected):
    assert hub_model(said) == expected
    facts = {
        "name": "main/m0", "run": "r", "recipe": "x", "n_ctx": 64, "key": "k", "version": "1", "training": {},
        "seed": "m0", "params": run.artifact("sae/main/m0").manifest["params"], "quality": {}, "pretrained": said,
        "native": None,
    }  # fmt: skip
    text = card(facts, StoredComparison(run, "main").dictionary("m0"), "saelens", "")
    assert front_matter(text).get("base_model") == expected
    assert "license" not in front_matter(text)
    assert ("apply beside it" in text) == (expected is not None)
    assert "The run did not measure it." in text
