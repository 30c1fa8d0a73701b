"""The text lens over stores with weights, without them, with public models, and with damage."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
from synthetic_run import write_synthetic_run
from tiny_models import save_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel
from visits import APP, checked, damage, html, opened, sentences

from dashboards.lens import _lens
from results.public.hub import describe_pretrained
from results.stored_comparison import StoredComparison
from results.text_lens import MAX_CHARACTERS
from storage import open_run

SMALL = {
    "n_models": 2,
    "n_latents": 40,
    "n_documents": 60,
    "n_ctx": 32,
    "n_untrained": 0,
    "replicates": False,
}
EVIL = "</div><img src=x onerror=alert(1)>\u202e:red[x] ![i](http://example.invalid/x.png)"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("lens") / "store")
    write_synthetic_run(url, **SMALL, loadable=True)
    return url


@pytest.fixture
def at(store, monkeypatch):
    return opened(store, monkeypatch, "lens", text="hello", token="2")


def test_a_text_is_read_by_every_model(store, at):
    features = open_run(None, store).table("features")
    tokens, clusters, lonely, whole = (frame.value for frame in at.dataframe)
    assert "".join(tokens["token"]) == "hello"
    assert tokens["n"].sum() > 0
    assert set(clusters.columns) >= {"m0", "m1", "r", "firing"}
    # Eight latents of each dictionary fire on a token; each stands in a cluster of both models, or alone.
    members = features[features["cluster"].notna() & (features["n_models"] >= 2)]
    ids = clusters["link"].str.extract(r"cluster=(\d+)")[0].astype(int)
    assert set(ids) <= set(members["cluster"])
    firing = (clusters[["m0", "m1"]] > 0).sum().sum()
    assert firing + len(lonely) == 2 * 8
    assert not set(lonely["link"].str.extract(r"feature=([^&]+)")[0]) & set(
        members["model"] + ":" + members["latent"].astype(str)
    )
    assert set(ids) <= set(whole["link"].str.extract(r"cluster=(\d+)")[0].astype(int))
    assert html(at).count('class="uv-piece') == 5
    assert html(at).count('"uv-piece uv-framed"') == 1


def test_a_cluster_is_taken_out(at):
    box = at.selectbox(key="without")
    assert box.value is None
    box.select_index(0).run()
    assert any("Mean change of the loss where it fires" in element.value for element in at.markdown)
    changes = next(frame.value for frame in at.dataframe if "next" in frame.value)
    assert set(changes["next"]) <= set("hello")
    assert changes.filter(regex=r"^m\d$").abs().max(axis=None) > 0


def test_another_token_is_chosen_with_the_keys(at):
    at.button(key="token_next").click().run()
    assert at.query_params["token"] == "3"
    assert "Clusters on token 3" in sentences(checked(at))


@pytest.mark.parametrize("token", ["99", "0", "-1", "x", "9" * 30, "²"])
def test_a_link_to_no_token_is_a_sentence(store, monkeypatch, token):
    shown = opened(store, monkeypatch, "lens", text="hello", token=token)
    assert "This text has no token" in sentences(shown)


def test_text_beyond_one_context_is_left_out_and_counted(store, monkeypatch):
    shown = opened(store, monkeypatch, "lens", text="a" * 40)
    assert html(shown).count('class="uv-piece') == 31
    assert "the last 9 of this text are left out" in sentences(shown)
    shown = opened(store, monkeypatch, "lens", text="b" * (MAX_CHARACTERS + 500))
    assert not shown.error


def test_typed_markup_is_escaped(store, monkeypatch):
    shown = opened(store, monkeypatch, "lens", text=EVIL[:31])
    assert "<img" not in html(shown)
    assert "&lt;" in html(shown)
    assert not [value for value in (m.value for m in shown.markdown) if "onerror" in value]


def test_firings_are_not_counted_as_features(store, monkeypatch):
    """Of so many latents, so many fire so many times."""
    shown = opened(store, monkeypatch, "lens", text="hello hello hello")
    features = open_run(None, store).table("features")
    inside = int((features["cluster"].notna() & (features["n_models"] >= 2)).sum())
    lonely = next(frame.value for frame in shown.dataframe if "share" in frame.value and "status" in frame.value)
    n, of, times = map(
        int, re.search(r"\*\*(\d+)\*\* of (\d+) latents .* text, (\d+) times", sentences(shown)).groups()
    )
    assert of == len(features) - inside
    assert n == lonely["link"].nunique() < times == len(lonely)


def test_a_sample_of_the_runs_own_text_is_read_and_the_summary_explained(store, monkeypatch):
    shown = opened(store, monkeypatch, "lens")
    assert shown.button(key="lens_read")
    box = shown.selectbox(key="lens_sample")
    assert {"english", "hebrew", "python"} <= set(box.options)
    checked(box.select("english").run())
    typed = shown.text_area(key="text").value
    assert shown.query_params["text"] == typed
    assert set(typed.split()) & {"the", "law", "party", "agreement"}
    assert "over the evaluation text the same clusters" in sentences(shown)
    assert "100 % is full agreement" in sentences(shown)
    assert [e.label for e in shown.expander] == ["What these numbers say"]


def named_elsewhere(run, spec):
    """The run with m0's weights named and not held."""
    node = run.record["nodes"]["transformer/m0"]
    with run.store.create("f" * 32, step="pretrained", version=1, params={}, inputs={}) as out:
        out.json("pretrained", {"revision": None, "untrained_seed": None, "digest": "0", **spec})
    run.update(nodes={**run.record["nodes"], "transformer/m0": {**node, "key": "f" * 32}})


def test_a_run_without_weights_says_so(tmp_path, monkeypatch):
    write_synthetic_run(str(tmp_path), **SMALL)
    assert "no finished step" in sentences(opened(str(tmp_path), monkeypatch, "lens", text="hello"))


def test_models_of_a_folder_are_opened_from_it(tmp_path, monkeypatch):
    """Once the folder is gone the page says which, and once it holds other weights, that."""
    url, folder = str(tmp_path / "store"), tmp_path / "gpt2"
    run = write_synthetic_run(url, **SMALL, loadable=True)
    config = GPT2Config(
        vocab_size=len(StoredComparison(run, "main").text.token_bytes),
        n_positions=32,
        n_embd=16,
        n_inner=64,
        n_layer=2,
        n_head=2,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    named_elsewhere(run, {"name": str(folder), "digest": describe_pretrained(str(folder))["digest"]})
    shown = opened(url, monkeypatch, "lens", text="hello")
    assert f"m0 from the folder {folder}" in sentences(shown).replace("\\", "")
    assert "public" not in sentences(shown)
    assert html(shown).count('class="uv-piece') == 5
    assert len(shown.dataframe) > 1
    GPT2LMHeadModel(config).save_pretrained(folder)
    _lens.clear()
    shown = opened(url, monkeypatch, "lens", text="other")
    assert "weights of" in " ".join(code.value for code in shown.code)
    assert 'class="uv-piece' not in html(shown)
    shutil.rmtree(folder)
    shown = opened(url, monkeypatch, "lens", text="hello")
    assert "they cannot all be opened here" in sentences(shown)
    assert f"m0 was read from the folder {folder}, which is not here any more" in " ".join(c.value for c in shown.code)
    assert not shown.text_area


def test_models_of_the_hub_are_asked_for_by_a_command_and_never_fetched(tmp_path, monkeypatch):
    """Nothing is cached, so the page tells what to do, and asks nobody."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    url = str(tmp_path / "store")
    run = write_synthetic_run(url, **SMALL, loadable=True)
    named_elsewhere(run, {"name": "somebody/model", "revision": "a" * 40})
    shown = opened(url, monkeypatch, "lens", text="hello")
    assert f"hf download somebody/model --revision {'a' * 40}" in [code.value for code in shown.code]
    assert not shown.text_area


@pytest.mark.parametrize("step", ["transformer", "sae", "tokenizer"])
def test_damaged_weights_are_told(tmp_path, monkeypatch, step):
    write_synthetic_run(str(tmp_path), **SMALL, loadable=True)
    damage(str(tmp_path), step)
    shown = opened(str(tmp_path), monkeypatch, "lens", text="hello")
    assert "is damaged" in sentences(shown)
    assert 'class="uv-piece' not in html(shown)


def test_torch_comes_with_the_first_text_and_not_before(store):
    code = f"""
import sys
sys.argv = ["app.py", "--store", {store!r}]
from streamlit.testing.v1 import AppTest
at = AppTest.from_file({str(APP)!r}, default_timeout=60)
at.switch_page("app_pages/lens.py").run()
assert not at.exception and len(at.text_area) == 1
assert "torch" not in sys.modules
at.text_area(key="text").set_value("hello").run()
assert not at.exception and len(at.dataframe) > 1
assert "torch" in sys.modules
assert not any(name.split(".")[0] == "pipelines" for name in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
