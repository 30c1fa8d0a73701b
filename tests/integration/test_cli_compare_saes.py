"""``universality compare-saes`` on dictionaries of a run, on folders of public formats, and on what is neither."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from program import universality
from tiny_run import tiny_store

from results.stored_comparison import StoredComparison
from storage import open_run
from universality.sae import load_sae, save_sae

PEERS = Path(__file__).parents[1] / "fixtures" / "peer_formats"
TOPK, GATED = str(PEERS / "saelens_topk"), str(PEERS / "dictlearn_gated")


@pytest.fixture(scope="module")
def store() -> str:
    return str(tiny_store())


def compared(*words: str):
    done = universality("compare-saes", *words, "--json", "--quiet")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_replicates_of_a_run_have_the_run_s_own_indices_to_the_digit(store):
    document = compared("tiny:m0", "tiny:main/m0r", "--store", store)
    own = open_run("tiny", store).table("indices").query("pair == 'm0-m0r'").set_index("name")
    found = {i["name"]: i for i in document["indices"] if i["weights"] != "encoder"}
    names = ["mmcs", "mean_max_abs_cos", "mean_matched_signed_cos", "mean_matched_abs_cos", "paulo_shared_fraction"]
    for name in names:
        assert found[name]["value"] == own.loc[name, "value"], name
    assert found["paulo_shared_fraction"]["n"] == own.loc["paulo_shared_fraction", "n"]
    chance = found["mmcs"]
    assert abs(own.loc["mmcs", "chance"] - chance["chance"]) < 3 * (chance["chance_high"] - chance["chance_low"])
    trace = document["traces_of_a_shared_start"]["aligned_decoder_cos"]["value"]
    assert trace == pytest.approx(own.loc["aligned_decoder_cos", "value"], abs=1e-12)


def test_where_a_run_s_training_started_stands_beside_it(store):
    """The stored cosine of every decoder row to its start is that to the start drawn again."""
    from pipelines.dictionary_sources import open_dictionary

    opened = open_dictionary("tiny:m0", store)
    decoder = opened.sae.W_dec.numpy().astype(np.float64)
    cosine = (decoder * opened.initial).sum(axis=1) / np.linalg.norm(decoder, axis=1)
    stored = open_run("tiny", store).artifact("sae/main/m0").array("init_cosine")
    np.testing.assert_allclose(cosine, stored, atol=1e-5)
    document = compared("tiny:m0", "tiny:m0r", "--store", store)
    assert document["initial_known"]
    initial = {i["name"]: i["initial"] for i in document["indices"] if i["weights"] == "decoder"}
    chance = {i["name"]: i["chance"] for i in document["indices"] if i["weights"] == "decoder"}
    assert initial["mean_matched_signed_cos"] == pytest.approx(chance["mean_matched_signed_cos"], abs=0.05)


def test_a_saved_copy_is_seen_to_be_one(store, tmp_path):
    """A folder knows nothing of its run: neither where training started nor which latents fire."""
    save_sae(StoredComparison(open_run("tiny", store), "main").dictionary("m0"), tmp_path)
    document = compared("tiny:m0", str(tmp_path), "--store", store, "--draws", "0")
    assert document["identical"]
    assert not document["initial_known"]
    assert document["b"]["n_compared"] == 128 > document["a"]["n_compared"]
    assert [index["chance"] for index in document["indices"]] == [None] * len(document["indices"])
    assert [text.split(":")[0] for text in document["warnings"]] == [
        f"Which model is not in the metadata of {tmp_path}", f"Which hook point is not in the metadata of {tmp_path}",
        "Latents of tiny",
    ]  # fmt: skip
    done = universality("compare-saes", "tiny:m0", str(tmp_path), "--store", store, "-q")
    assert "this is one dictionary compared with itself" in done.stdout


def test_two_public_formats_side_by_side(tmp_path):
    document = compared(TOPK, GATED, "--draws", "3", "--seed", "5")
    assert (document["format"], document["version"]) == ("universality.compare-saes", 1)
    assert (document["a"]["format"], document["b"]["format"]) == ("saelens", "dictionary_learning")
    assert (document["a"]["architecture"], document["b"]["architecture"]) == ("topk", "gated")
    assert document["d_in"] == 12
    assert not document["identical"]
    assert max(document["certificates"].values()) < 1e-6
    again = compared(TOPK, GATED, "--draws", "3", "--seed", "5")
    assert again == document
    done = universality("compare-saes", TOPK, GATED, "--draws", "3", "--seed", "5")
    shared = next(i for i in document["indices"] if i["name"] == "paulo_shared_fraction")
    assert f"Shared: {round(43 * shared['value'])} of 43 latents of the smaller side" in done.stdout
    assert "chance 0 %" in done.stdout
    assert "where they started is not known" in done.stdout
    assert "Comparing chance, rotation 3 of 3" in done.stderr


def test_a_part_of_a_crosscoder_is_named_behind_it(tmp_path):
    rng = np.random.default_rng(0)
    config = {"dict_size": 40, "d_in": 16, "hook_point": "blocks.1.hook_resid_pre", "model_name": "gemma-2-2b"}
    second = rng.standard_normal((40, 16))
    for name in "ab":  # the second models' latents are the same
        weights = torch.from_numpy(np.stack([rng.standard_normal((40, 16)), second], axis=1).astype(np.float32))
        tensors = {"W_enc": weights.permute(1, 2, 0), "W_dec": weights, "b_enc": torch.zeros(40)}
        (tmp_path / name).mkdir()
        torch.save({**tensors, "b_dec": torch.zeros(2, 16)}, tmp_path / name / "cc_weights.pt")
        (tmp_path / name / "cfg.json").write_text(json.dumps(config))
    shared = []
    for part in ("#0", "#1", ""):
        document = compared(f"{tmp_path}/a{part}", f"{tmp_path}/b{part}", "--draws", "0")
        shared.append(next(i["value"] for i in document["indices"] if i["name"] == "matched_above"))
        assert document["d_in"] == (16 if part else 32)
    assert shared[1] == 1.0 > shared[2] > shared[0]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_assigned_pairs_are_written(suffix, tmp_path):
    out = tmp_path / f"pairs.{suffix}"
    document = compared(TOPK, GATED, "--draws", "0", "--out", str(out))
    pairs = pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out)
    assert list(pairs) == ["latent_a", "latent_b", "cos_decoder", "cos_encoder", "assigned_by"]
    assert len(pairs) == document["n_pairs"]
    a, b = (load_sae(path).W_dec.numpy().astype(float) for path in (TOPK, GATED))
    by = pairs[pairs["assigned_by"] != "encoder"]
    x, y = a[by["latent_a"]], b[by["latent_b"]]
    cosine = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    np.testing.assert_allclose(by["cos_decoder"], cosine, atol=1e-12)
    matched = next(
        i for i in document["indices"] if (i["name"], i["weights"]) == ("mean_matched_signed_cos", "decoder")
    )
    assert cosine.sum() / 43 == pytest.approx(matched["value"])


REFUSED = {
    ("nowhere", TOPK): "dictionary of compare-saes must be a folder or file with one dictionary",
    (f"{TOPK}#1", TOPK): "part of ",
    ("tiny:m0#1", TOPK): "dictionary of compare-saes must be a folder or file with one dictionary",
    ("tiny:m9", TOPK): "dictionary of run 'tiny' must be one of main/m0, main/m1",
    ("tiny:m0", "tiny:m1"): "model of tiny:m0 and tiny:m1 must be one",
    ("tiny:m0", TOPK): "d_in of tiny:m0 and ",
    ("none:m0", TOPK): "There is no run 'none'",
    ("hub:someone", TOPK): "must be hub:OWNER/NAME[/FOLDER][@REVISION]",
    (str(PEERS), TOPK): "must be those of a known format",
    (TOPK, GATED, "--out", "pairs.txt"): "--out of compare-saes must be a file that ends in .csv or .parquet",
    (TOPK, GATED, "--threshold", "7"): "threshold of compare_dictionaries must be a finite number in 0..1",
}


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: " ".join(map(str, words)).replace(str(PEERS), ""))
def test_what_cannot_be_compared_is_refused(words, store):
    done = universality("compare-saes", *words, "--store", store, "--json", "-q")
    assert done.exit_code == 2
    assert REFUSED[words] in done.stderr
    assert done.stdout == ""


def test_a_dictionary_of_a_hub_is_fetched_by_its_parts(monkeypatch):
    from pipelines import hub_dictionaries

    asked = []
    monkeypatch.setattr(hub_dictionaries, "sae_commit", lambda *place: asked.append(place) or "c0ffee")
    monkeypatch.setattr(hub_dictionaries, "fetch_sae", lambda *place: asked.append(place) or Path(TOPK))
    document = compared("hub:someone/saes/layer/0@v1", "hub:someone/saes", "--draws", "0")
    assert document["identical"]
    assert asked == [
        ("someone/saes", "v1"), ("someone/saes", "layer/0", "c0ffee"), ("someone/saes", None),
        ("someone/saes", None, "c0ffee"),
    ]  # fmt: skip
