"""Several SAE seeds of one model: computed by the command line, reported, and shown on the overview."""

import json

import pytest
from program import universality
from visits import opened, sentences

from storage import open_run

pytestmark = pytest.mark.slow

IDS = ["m0s0", "m0s1", "m0s2"]
SMALL = ["models.model_seeds=[0]", "models.training.tokens=20000", "models.n_untrained=0"]
SEEDS = ["comparisons.0.sae_seeds=[0,1,2]", "comparisons.0.sae.tokens=20000"]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    url = str(tmp_path_factory.mktemp("seeds") / "store")
    flags = [part for override in (*SMALL, *SEEDS) for part in ("--set", override)]
    done = universality("run", "tiny", "--serial", "--name", "seeds", "--store", url, *flags)
    assert done.exit_code == 0, done.stderr
    assert "m0s0-m0s1" in done.stdout
    return url


def test_tables_hold_the_three_dictionaries_of_one_model(url):
    run = open_run("seeds", url)
    models = run.table("models").set_index("model")
    assert models.index.tolist() == [*IDS, *(f"{name}r" for name in IDS)]
    assert models["replicate_of"].dropna().to_dict() == {f"{name}r": name for name in IDS}
    assert models["sae_seed"].tolist() == models.index.tolist()
    assert models["model_seed"].nunique() == 1
    assert run.table("features")["model"].drop_duplicates().tolist() == IDS
    pairs = run.table("pairs")
    assert sorted(set(zip(pairs["model_a"], pairs["model_b"], strict=True))) == [
        ("m0s0", "m0s1"), ("m0s0", "m0s2"), ("m0s1", "m0s2"),
    ]  # fmt: skip
    # Not one dictionary three times: their latents are different, and alike beyond chance.
    assert pairs["r_held_out"].max() < 0.999
    headline = run.table("headline").query("pair == 'overall'").set_index("quantity")["value"]
    assert headline["features"] > headline["null_p95"]
    assert "neurons" not in headline


def test_the_report_has_them_all(url, tmp_path):
    out = tmp_path / "report"
    done = universality("report", "seeds", "--store", url, "--out", str(out), "--format", "svg")
    assert done.exit_code in (0, 3), done.stderr
    results = json.loads((out / "results.json").read_text())
    assert [model["model"] for model in results["seeds"]["models"]][:3] == IDS
    assert "m0s2" in (out / "tables" / "models.tex").read_text()
    methods = (out / "methods.md").read_text()
    assert "every model has one dictionary for each SAE seed: a TopK" in methods
    assert "All dictionaries have different seeds" in methods


@pytest.mark.parametrize("page", ["overview", "clusters"])
def test_screens_show_them(url, monkeypatch, page):
    at = opened(url, monkeypatch, page)
    said = sentences(at) + " ".join(str(frame.value.to_dict()) for frame in at.dataframe)
    assert all(name in said for name in IDS)


def test_the_lens_reads_a_text_through_all_three(url, monkeypatch):
    said = sentences(opened(url, monkeypatch, "lens", text="def main(): return 1"))
    assert "clusters fire" in said
