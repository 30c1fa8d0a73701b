"""Models that never saw a domain, through the command line, the screen and the report."""

import numpy as np
import pytest
import yaml
from program import universality
from stored_types import assert_files_hold_the_declared_types
from visits import opened, sentences

from pipelines.recipe import load_recipe
from results.unseen_frames import unseen_summary
from storage import open_run
from universality.transformers.token_loss import token_losses

MIXES = {"no-dna": {"without": ["dna"]}, "no-arabic": {"without": ["arabic"]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("unseen")
    recipe = load_recipe("tiny").model_dump(mode="json", exclude={"effects"})
    recipe["models"] |= {"model_seeds": [0, 1, 2], "data": [None, *MIXES], "n_untrained": 0}
    recipe["comparisons"][0]["sae"]["tokens"] = 20_000
    (place / "seen.yaml").write_text(yaml.safe_dump({**recipe, "mixes": MIXES, "effects": None}))
    done = universality("run", "seen.yaml", "--name", "seen", "--serial", "--store", "store", cwd=place)
    assert done.exit_code == 0, done.stderr
    assert "in a model that never saw it" in " ".join(done.stdout.split())
    return place


@pytest.fixture(scope="module")
def run(folder):
    return open_run("seen", store=str(folder / "store"))


def test_the_text_of_a_mix_lacks_its_domain_and_validation_is_everyones(run):
    tokens, mix = run.artifact("tokens"), run.artifact("mix/no-dna")
    assert mix.json("mix")["unseen"] == ["dna"]
    assert np.array_equal(mix.array("validation_contexts")[:], tokens.array("validation_contexts")[:])
    texts = run.table("texts").query("domain == 'dna' and part in ('sae_a', 'sae_b')")["text"].str.cat()
    vocabulary = run.table("vocabulary")["text"].to_numpy()
    spelled = "".join(vocabulary[mix.array("train_contexts")[:].ravel()])
    pieces = [texts[start : start + 24] for start in range(0, len(texts), 997) if "\n" not in texts[start : start + 24]]
    assert len(pieces) > 10
    assert not [piece for piece in pieces if piece in spelled]


def test_a_model_is_worse_at_what_it_never_saw(run):
    assert_files_hold_the_declared_types(run, "unseen_domains")
    losses = run.table("unseen_domains").set_index(["domain", "model"])["loss"]
    for domain, model in (("dna", "m1"), ("arabic", "m2")):
        others = [losses[domain, other] for other in ("m0", "m1", "m2") if other != model]
        assert losses[domain, model] > max(others) + 1


def test_losses_are_those_of_the_score_rows(run):
    from results.public.opening import open_transformer

    tokens = run.artifact("tokens")
    contexts, domains = tokens.array("eval_contexts")[:], np.array(tokens.json("domains"))
    losses = token_losses(open_transformer(run.artifact("transformer/m0")), contexts, batch_contexts=7)
    at = tokens.array("row_context")[:], tokens.array("row_position")[:]
    counted = ~tokens.array("row_fit")[:] & (tokens.array("row_next_token")[:] >= 0)
    dna = counted & (domains[tokens.array("row_domain")[:]] == "dna")
    told = run.table("unseen_domains").query("domain == 'dna' and model == 'm0'")["loss"].iloc[0]
    assert told == pytest.approx(losses[at][dna].mean(), abs=1e-4)
    assert np.isnan(losses[:, -1]).all()


def test_screen_and_report_show_what_is_lacked(folder, run, monkeypatch):
    shown = opened(str(folder / "store"), monkeypatch, "specific")
    assert "Domains that a model never saw" in sentences(shown)
    summary = unseen_summary(run.table("unseen_domains"))
    assert set(zip(summary["domain"], summary["model"], strict=True)) == {("dna", "m1"), ("arabic", "m2")}
    done = universality("report", "seen", "--store", "store", "--out", "report", cwd=folder)
    assert done.exit_code == 0, done.stderr
    page = (folder / "report" / "report.md").read_text()
    assert "What do models lack of what they never saw?" in page
    assert (folder / "report" / "tables" / "unseen.tex").exists()
    assert "Missing" not in (folder / "report" / "README.md").read_text()
