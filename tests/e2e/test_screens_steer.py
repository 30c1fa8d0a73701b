"""The page that turns a feature up: what is drawn, that the command writes the same, and what is refused."""

from __future__ import annotations

import html as markup
import json
import re
import shlex
import subprocess
import sys

import pytest
from program import universality
from synthetic_run import write_synthetic_run
from visits import APP, checked, html, opened, sentences

from storage import open_run

SMALL = {"n_models": 2, "n_latents": 40, "n_documents": 60, "n_ctx": 32, "n_untrained": 0, "replicates": False}
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


def test_a_run_of_public_models_says_how_they_are_steered(tmp_path, monkeypatch):
    run = write_synthetic_run(str(tmp_path), **SMALL)
    node = run.record["nodes"]["transformer/m0"]
    with run.store.create("f" * 32, step="pretrained", version=1, params={}, inputs={}) as out:
        out.json("pretrained", {"name": "somebody/model"})
    run.update(nodes={**run.record["nodes"], "transformer/m0": {**node, "key": "f" * 32}})
    shown = opened(str(tmp_path), monkeypatch, "steer", subject="m0:1", go="1")
    assert "public ones: universality steer loads them" in sentences(shown)
    assert not shown.text_area


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
