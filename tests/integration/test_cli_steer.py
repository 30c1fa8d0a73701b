"""``universality steer`` on a run with weights, and on one whose models were trained elsewhere."""

from __future__ import annotations

import json
import shlex
from typing import Any

import numpy as np
import pytest
import torch
from program import universality
from synthetic_run import write_synthetic_run
from transformers import GPT2Config, GPT2LMHeadModel

from results.steered import command, document, steer_prompt
from results.steering import Sampling, Steering, domain_of, members_of, strengths_of
from results.stored_comparison import StoredComparison
from results.transfer import exchanged
from storage import open_run

SMALL: dict[str, Any] = {
    "n_models": 2,
    "n_latents": 40,
    "n_documents": 60,
    "n_ctx": 32,
    "n_untrained": 0,
    "replicates": False,
}
ASKED = ("--prompt", "hello", "--tokens", "6", "--samples", "2")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("steer") / "store")
    write_synthetic_run(url, **SMALL, loadable=True)
    return url


@pytest.fixture(scope="module")
def stored(store) -> StoredComparison:
    return StoredComparison(open_run("synthetic", store), "main")


@pytest.fixture(scope="module")
def cluster(stored) -> str:
    features = stored.table("features")
    return str(int(features.loc[features["n_models"] == 2, "cluster"].iloc[0]))


def steer(store, *words):
    return universality("steer", "synthetic", *words, "--store", store)


def test_every_model_that_has_the_feature_writes(store, stored, cluster):
    done = steer(store, cluster, *ASKED, "--strength", "m0=4,m1=1", "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    members = members_of(stored, cluster)
    assert [(side["model"], side["latent"]) for side in said["models"]] == [(m.model, m.latent) for m in members]
    assert [side["strength"] for side in said["models"]] == [4, 1]
    assert said["domain"]["name"] == domain_of(stored, members)
    assert 0 <= said["domain"]["hit"] <= 1
    for side in said["models"]:
        assert [len(side[part]) for part in ("without", "steered", "random", "up")] == [2, 2, 2, 10]
        assert side["kl"] > 0
        assert 0 <= side["share_steered"] <= 1
    again = json.loads(steer(store, cluster, *ASKED, "--strength", "m0=4,m1=1", "--json").stdout)
    assert again == said
    other = json.loads(steer(store, cluster, *ASKED, "--seed", "1", "--json").stdout)
    assert other["models"][0]["without"] != said["models"][0]["without"]


def test_a_latent_is_steered_in_its_model_alone_and_is_told_in_words(store, stored):
    features = stored.table("features")
    latent = int(features.loc[(features["model"] == "m1") & (features["status"] == "alive"), "latent"].iloc[0])
    done = steer(store, f"m1:{latent}", *ASKED)
    assert done.exit_code == 0, done.stderr
    assert f"m1:{latent}, strength 2 (adds a norm of" in done.stdout
    assert "m0:" not in done.stdout
    assert "norm of the residual stream x" in done.stdout
    assert done.stdout.count("without 1:") == done.stdout.count("steered 2:") == 1
    assert "of held-out text it finds" in done.stdout


def test_the_command_of_a_screen_writes_the_same(store, stored, cluster):
    members, prompt = members_of(stored, cluster), "it's $HOME \"\n`x` --seed=7 ü"
    sampling, strengths = Sampling(5, 2, 0.5, 3), strengths_of(members, "m0=1.5,m1=-3")
    line = command("synthetic", cluster, prompt, strengths, sampling, {"store": store, "domain": "dna"})
    words = shlex.split(line)
    assert words[0] == "universality"
    said = json.loads(universality(*words[1:], "--json").stdout)
    steering = Steering(stored)
    for member, side in zip(members, said["models"], strict=True):
        shown = steer_prompt(steering, member, strengths[member.model], prompt, domain="dna", sampling=sampling)
        assert document(steering, shown) == side


def test_doses_go_beside_random_directions_and_another_latent(store, cluster):
    done = steer(store, cluster, "--doses", "--tokens", "4", "--samples", "1", "--domain", "dna", "--json")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    kinds = [(row["model"], row["kind"], row["draw"]) for row in rows if row["strength"] == 8]
    assert kinds == [(model, *arm) for model in ("m0", "m1")
                     for arm in (("own", 0), ("random", 0), ("random", 1), ("random", 2), ("other", 0))]  # fmt: skip
    at_zero = {(row["model"], row["share"], row["kl"]) for row in rows if row["strength"] == 0}
    assert len(at_zero) == 2  # without steering all directions are one
    assert {kl for _, _, kl in at_zero} == {0}
    table = steer(store, cluster, "--doses", "--tokens", "4", "--samples", "1", "--domain", "dna").stdout
    assert "Share of dna in continuations" in table
    assert "random, norm" in table


def test_transfer_goes_both_ways_beside_exchanged_and_random_directions(store, stored, cluster):
    done = steer(store, cluster, "--transfer", "--json")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    pairs = {(row["model"], row["other_model"]) for row in rows if row["other_model"] is not None}
    assert pairs == {("m0", "m1"), ("m1", "m0")}
    arms = {row["arm"] for row in rows}
    assert arms >= {"own", "partner", "random"}
    assert {row["draw"] for row in rows if row["arm"] == "random"} == {0, 1, 2}
    assert {row["beta"] for row in rows} == {1, 2, 4}
    for row in rows:
        assert -1 <= row["cosine"] <= 1
        assert (row["r2"] is None) == (row["arm"] in ("own", "random"))
        assert row["problem"] is None
        if row["arm"] == "own":
            assert (row["cosine"], row["ratio"], row["matched_kl"]) == (1, 1, row["kl"])
    # The exchanged latent is matched with the model too, of the same domain, and not the partner itself.
    features = stored.table("features").set_index(["model", "latent"])
    a, b = members_of(stored, cluster)
    other = exchanged(Steering(stored), a, b)
    assert ("hard_exchange" in arms) or other is None
    if other is not None:
        assert other != b
        assert features.loc[(b.model, other.latent), "top_domain"] == features.loc[(b.model, b.latent), "top_domain"]
    table = steer(store, cluster, "--transfer").stdout
    assert "T: cosine of the mean logit shifts" in table
    assert "partner" in table


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["999999", *ASKED], "cluster of run 'synthetic', comparison 'main' must be one of its"),
        (["x", *ASKED], "the number of a cluster or a latent"),
        (["m7:1", *ASKED], "model of run 'synthetic' must be one of m0, m1"),
        (["m0:4000", *ASKED], "latent of model m0 must be below 40"),
        (["m0:1", "--prompt", ""], "prompt of steering must be of at least one token"),
        (["m0:1"], "Give exactly one"),
        (["m0:1", "--doses", "--prompt", "x"], "Give exactly one"),
        (["m0:1", "--doses", "--transfer"], "Give exactly one"),
        (["m0:1", "--transfer"], "features of steering transfer must be at least 2"),
        (["m0:1", "--prompt", "x" * 501], "501 characters"),
        (["m0:1", *ASKED, "--strength", "much"], "numbers from -100 to 100"),
        (["m0:1", *ASKED, "--strength", "nan"], "numbers from -100 to 100"),
        (["m0:1", *ASKED, "--strength", "1e9"], "numbers from -100 to 100"),
        (["m0:1", *ASKED, "--strength", "m1=2"], "one that has the feature: m0"),
        (["m0:1", *ASKED, "--domain", "klingon"], "domain of this run"),
        (["m0:1", *ASKED, "--temperature", "-1"], "temperature of steering"),
        (["m0:1", *ASKED, "--comparison", "other"], "comparison of run 'synthetic'"),
    ],
)
def test_refusals_are_usage_errors_in_one_sentence(store, words, sentence):
    done = steer(store, *words)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dead_latent_and_a_run_without_weights_are_refused(store, stored, tmp_path):
    features = stored.table("features")
    dead = features[(features["status"] == "dead") & (features["model"] == "m0")]
    done = steer(store, f"m0:{dead['latent'].iloc[0]}", *ASKED)
    assert done.exit_code == 2
    assert "no unit to steer by" in done.stderr
    write_synthetic_run(str(tmp_path), **SMALL)
    done = steer(str(tmp_path), "m0:1", *ASKED)
    assert done.exit_code == 1
    assert "Traceback" not in done.stderr


def test_public_models_are_steered_from_where_the_run_had_them(store, tmp_path):
    """A GPT-2 folder of two layers in the place of m0: as wide as the dictionaries read."""
    run = write_synthetic_run(str(tmp_path / "store"), **SMALL, loadable=True)
    d_vocab = len(StoredComparison(run, "main").text.token_bytes)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=d_vocab, n_positions=32, n_embd=16, n_inner=64, n_layer=2, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    from tiny_models import save_tokenizer

    save_tokenizer(tmp_path / "gpt2")
    with run.store.create("e" * 32, step="pretrained", version=1, params={}, inputs={}) as out:
        pins = dict.fromkeys(("revision", "untrained_seed", "digest"))
        out.json("pretrained", {"name": str(tmp_path / "gpt2"), **pins})
    node = run.record["nodes"]["transformer/m0"]
    run.update(nodes={**run.record["nodes"], "transformer/m0": {**node, "key": "e" * 32}})
    done = steer(str(tmp_path / "store"), "m0:1", *ASKED, "--strength", "8", "--json")
    assert done.exit_code == 0, done.stderr
    (side,) = json.loads(done.stdout)["models"]
    assert side["kl"] > 0
    assert np.isfinite(side["norm_ratio"])
