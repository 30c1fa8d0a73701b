"""The page that turns a feature up: what is drawn, that the command writes the same, and what is refused."""

from __future__ import annotations

import html as markup
import json
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
import torch
from program import universality
from synthetic_run import write_synthetic_run
from tiny_models import save_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel
from visits import APP, checked, html, opened, sentences

from dashboards.steering import steering_of
from results.public.hub import describe_pretrained
from results.steering import domain_of, members_of
from results.stored_comparison import StoredComparison
from storage import open_run

SMALL: dict[str, Any] = {
    "n_models": 2,
    "n_latents": 40,
    "n_documents": 60,
    "n_ctx": 32,
    "n_untrained": 0,
    "replicates": False,
}
PROMPT = "it's <b>\":red[x] $HOME"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("steer") / "store")
    write_synthetic_run(url, **SMALL, loadable=True)
    return url


@pytest.fixture(scope="module")
def cluster(store) -> str:
    features = open_run(None, store).table("features")
    return str(int(features.loc[features["n_models"] == 2, "cluster"].iloc[0]))


@pytest.fixture
def at(store, cluster, monkeypatch):
    params = {"subject": cluster, "prompt": PROMPT, "tokens": "10", "samples": "2", "seed": "5", "go": "1"}
    return opened(store, monkeypatch, "steer", **params)


def test_every_model_writes_with_and_without(at, store, cluster):
    features = open_run(None, store).table("features")
    members = features[features["cluster"] == int(cluster)].sort_values("model")
    for feature in members["model"] + ":" + members["latent"].astype(str):
        assert f">{feature}</span>" in html(at)
    assert html(at).count('class="uv-context"') == 2 * 2 * 2
    assert html(at).count("raises most") == 2
    assert "naive Bayes" in sentences(at)
    assert not at.error
    assert not at.warning


def test_the_command_writes_what_is_shown(at, store):
    at.number_input(key="strength_m1").set_value(-1.5).run()
    (code,) = [element.value for element in checked(at).code if element.value.startswith("universality steer")]
    assert "--strength=m0=2,m1=-1.5" in code
    done = universality(*shlex.split(code)[1:], "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["prompt"] == PROMPT
    shown = re.findall(r'<div class="uv-strip">', html(at))
    assert len(shown) == 8
    text = markup.unescape(re.sub(r"<[^>]+>", "", html(at)))
    for side in said["models"]:
        for kind in ("without", "steered"):
            for written in side[kind]:
                # The longest piece without characters that the screen marks.
                piece = max(re.findall(r"[A-Za-z0-9 .,]+", written), key=len)
                assert piece in text
        assert f"{side['norm']:.3g}" in text
        assert f"× {side['norm_ratio']:.2f}" in text


def test_typed_markup_and_tokens_are_escaped(at):
    assert '<b>":red' not in html(at)
    assert "<script" not in html(at)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"subject": "99999"}, "cluster of run 'synthetic', comparison 'main' must be one of its"),
        ({"subject": "<img src=x>"}, "the number of a cluster or a latent"),
        ({"subject": "m9:1"}, "one of m0, m1"),
        ({"subject": "m0:1", "prompt": " "}, ""),
    ],
)
def test_what_cannot_be_steered_is_told(store, monkeypatch, params, sentence):
    shown = opened(store, monkeypatch, "steer", **{"prompt": "hello", "go": "1", "tokens": "5", **params})
    assert not shown.error
    if sentence:
        assert "cannot be done" in sentences(shown)
        assert any(sentence in code.value for code in shown.code)


def test_settings_that_are_out_of_range_are_dropped(store, monkeypatch, cluster):
    given = {"subject": cluster, "prompt": "x" * 900, "strength_m0": "1e9", "seed": "-3", "samples": "900", "go": "x"}
    shown = opened(store, monkeypatch, "steer", **given)
    assert not shown.error
    assert shown.number_input(key="strength_m0").value == 2


def test_public_models_are_steered_from_where_the_run_had_them(tmp_path, monkeypatch):
    """A GPT-2 folder in the place of m0; once it holds other weights, the page says so."""
    run = write_synthetic_run(str(tmp_path / "store"), **SMALL, loadable=True)
    d_vocab = len(StoredComparison(run, "main").text.token_bytes)
    sizes: dict[str, Any] = {
        "vocab_size": d_vocab,
        "n_positions": 32,
        "n_embd": 16,
        "n_inner": 64,
        "n_layer": 2,
        "n_head": 2,
    }
    folder, node = tmp_path / "gpt2", run.record["nodes"]["transformer/m0"]
    for seed in (0, 1):
        torch.manual_seed(seed)
        GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(folder)
        save_tokenizer(folder)
        if seed == 0:
            pins = {"revision": None, "untrained_seed": None, "digest": describe_pretrained(str(folder))["digest"]}
            with run.store.create("e" * 32, step="pretrained", version=1, params={}, inputs={}) as out:
                out.json("pretrained", {"name": str(folder), **pins})
            run.update(nodes={**run.record["nodes"], "transformer/m0": {**node, "key": "e" * 32}})
            first = StoredComparison(run, "main").transformer("m0")
            assert first.cfg.n_layers == 2
        asked = {"subject": f"m0:{1 + seed}", "go": "1", "tokens": "5", "samples": "1"}
        shown = opened(str(tmp_path / "store"), monkeypatch, "steer", **asked)
        assert "they are opened again, m0 from the folder" in sentences(shown)
        if seed == 0:
            assert html(shown).count('class="uv-context"') == 2
            assert not shown.error
            steering_of.clear()
        else:
            assert "weights of" in sentences(shown) + " ".join(code.value for code in shown.code)
            assert 'class="uv-context"' not in html(shown)


def test_pages_of_clusters_and_features_lead_here(store, monkeypatch, cluster):
    shown = opened(store, monkeypatch, "clusters", cluster=cluster)
    links = [link.proto for link in shown.get("page_link")]
    assert [link.query_string for link in links if link.page == "steer"] == [
        f"run=synthetic&comparison=main&subject={cluster}"
    ]


def test_torch_comes_with_the_button_and_not_before(store, cluster):
    code = f"""
import sys
sys.argv = ["app.py", "--store", {store!r}]
from streamlit.testing.v1 import AppTest
at = AppTest.from_file({str(APP)!r}, default_timeout=60)
at.switch_page("app_pages/steer.py")
at.query_params["subject"] = {cluster!r}
at.run()
assert not at.exception and len(at.number_input) == 3, at.exception
assert "torch" not in sys.modules
at.button(key="steer").click().run()
assert not at.exception and at.query_params["go"] == "1", at.query_params
assert "torch" in sys.modules
assert not any(name.split(".")[0] == "pipelines" for name in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_the_run_stored_is_shown_before_any_model_is_opened(tmp_path, monkeypatch):
    """A run without weights of its dictionaries: nothing could be steered here."""
    run = write_synthetic_run(str(tmp_path), n_models=2, n_latents=60, n_documents=96)
    clusters = run.table("steering_clusters")
    steered = clusters[clusters["left_out"].isna()]
    shown = opened(str(tmp_path), monkeypatch, "steer")
    assert not shown.error
    for _, row in steered.iterrows():
        assert f"**{row['domain']}**, cluster {row['cluster']}" in sentences(shown)
    # A chart of doses and one of transfer for each; the last of m1 has a problem and says so.
    assert len(shown.get("vega_lite_chart")) == 2 * len(steered)
    assert "norm of the direction must be" in sentences(shown)
    assert "its tokens do not tell it: " in sentences(shown)
    chosen = steered.iloc[0]
    for page in ({"steer": "subject"}, {"clusters": "cluster"}):
        (name, key), *_ = page.items()
        shown = opened(str(tmp_path), monkeypatch, name, **{key: str(chosen["cluster"])})
        assert f"**{chosen['domain']}**, cluster {chosen['cluster']}" in sentences(shown)
        assert f"**{steered.iloc[1]['domain']}**, cluster" not in sentences(shown)


def test_the_domain_that_is_judged_can_be_chosen(at, store, cluster):
    stored = StoredComparison(open_run(None, store), "main")
    own = domain_of(stored, members_of(stored, cluster))
    other = next(name for name in sorted(stored.text.domains) if name != own)
    assert f"Tokens of {own} are told" in sentences(at)
    at.selectbox(key="judged").select(other).run()
    assert f"Tokens of {other} are told" in sentences(checked(at))
    (code,) = [element.value for element in at.code if element.value.startswith("universality steer")]
    assert f"--domain={other}" in code
    said = json.loads(universality(*shlex.split(code)[1:], "--json").stdout)
    assert said["domain"]["name"] == other
