"""``note --of`` and ``notes`` on a synthetic run: what may be named, how it is listed, and as files."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from synthetic_run import write_synthetic_run
from typer.testing import CliRunner

from pipelines.cli.main import app
from storage import open_run


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("notes") / "store")
    sizes = {"n_models": 2, "n_latents": 40, "n_documents": 60, "n_untrained": 0, "replicates": False}
    write_synthetic_run(url, "one", **sizes)
    write_synthetic_run(url, "two", comparisons=("main", "late"), **sizes)
    return url


@pytest.fixture
def call(store, monkeypatch):
    monkeypatch.setenv("UNIVERSALITY_STORE", store)

    def call(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return call


def test_things_are_named_listed_and_exported_without_formulas(call, store, tmp_path):
    pair = open_run("one", store).table("pairs").iloc[0]
    a, b = (f"{pair[f'model_{s}']}/{pair[f'latent_{s}']}" for s in "ab")
    assert "no notes yet" in call("notes", "one")[2]
    assert "feature m0:3 is kept" in call("note", "one", "--of", "m0/3", "--name", "=1+1", "first\nsecond")[2]
    assert "is kept" in call("note", "one", "--of", f"{b}-{a}", "--name", "turned round")[2], "either order will do"
    assert "cluster 0 is kept" in call("note", "one", "--of", "Cluster 0", "all [of] them")[2]
    assert call("note", "one", "--of", "m0:3")[1] == "=1+1\nfirst\nsecond\n"
    listed = json.loads(call("notes", "one", "--json")[1])
    assert [(one["kind"], one["id"], one["name"], one["note"]) for one in listed] == [
        ("feature", "m0:3", "=1+1", "first\nsecond"),
        ("pair", f"{a}-{b}".replace("/", ":"), "turned round", ""),
        ("cluster", "0", "", "all [of] them"),
    ]
    assert "all [of] them" in call("notes", "one")[1]
    for name in ("notes.csv", "notes.json"):
        assert f"3 notes written to {tmp_path / name}." in call("notes", "one", "--export", tmp_path / name)[2]
    assert json.loads((tmp_path / "notes.json").read_text(encoding="utf-8")) == listed
    cells = pd.read_csv(tmp_path / "notes.csv", keep_default_na=False)
    assert cells["name"].tolist()[0] == '"=1+1"', "no spreadsheet runs it"
    assert cells["note"].tolist()[0] == '"first\\nsecond"'
    everything = json.loads(call("notes", "--all", "--json")[1])
    assert [(one["run"], one["kind"]) for one in everything] == [
        ("one", "feature"),
        ("one", "pair"),
        ("one", "cluster"),
    ]
    assert "is gone" in call("note", "one", "--of", "m0:3", "--name", "", "")[2]
    assert len(json.loads(call("notes", "one", "--json")[1])) == 2


def test_names_of_several_comparisons_and_what_names_nothing(call):
    assert call("note", "two", "--of", "m1:2", "--comparison", "late", "--name", "late one")[0] == 0
    (row,) = [one for one in json.loads(call("notes", "two", "--json")[1]) if one["name"] == "late one"]
    assert row["comparison_id"] == "late"
    for of in ("m0/9999", "m9:1", "cluster 9999", "m0:1-m1:9999", "somewhere", ""):
        code, _, err = call("note", "two", "--of", of, "--name", "x")
        assert code == 2
        assert "must be one of its features (m0:12), assigned pairs (m0:12-m1:7) or clusters ('cluster 12')" in err
    code, _, err = call("note", "two", "--name", "x")
    assert (code, "--of of note must be given with --name" in err) == (2, True)
    code, _, err = call("note", "two", "--of", "m0:1", "--name", "n" * 61)
    assert (code, "name of 'm0:1' must be at most 60 characters; got 61 characters" in err) == (2, True)
    code, _, err = call("notes", "two", "--export", "notes.xlsx")
    assert (code, "must be a file that ends in .csv or .json" in err) == (2, True)
    code, _, err = call("notes", "two", "--export", "no/such/folder/notes.csv")
    assert (code, "cannot be read or written" in err) == (2, True)
