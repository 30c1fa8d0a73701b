"""Names and notes on the screens: written there, shown in lists, in reports and atlases, never run."""

from __future__ import annotations

import base64
import json
import shutil
import zlib
from pathlib import Path

import pandas as pd
import pytest
from synthetic_run import write_synthetic_run
from typer.testing import CliRunner
from visits import TINY, html, opened, sentences

from pipelines.cli.main import app
from results import load
from results.atlas.site import write_atlas
from results.named_things import subject_of
from results.own_notes import keep_note, read_notes, run_notes, run_subject
from storage import open_run

EVIL = '<img src=x onerror=alert(1)> **b** \\input{x} $1$ | =1+1 "q" _'


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("notes") / "store")
    for name in ("older", "synthetic"):
        write_synthetic_run(url, name, **TINY)
    return url


@pytest.fixture(autouse=True)
def _no_notes_yet(store):
    shutil.rmtree(f"{store}-notes", ignore_errors=True)


def unpacked(path: Path):
    """What a file of an atlas holds."""
    return json.loads(zlib.decompress(base64.b64decode(path.read_text("ascii").split('"')[3]), -15))


def written(at, subject: str, **words: str):
    """The form of a subject, filled in and sent."""
    for part, text in words.items():
        (at.text_input if part == "name" else at.text_area)(key=f"own_{subject}_{part}").set_value(text)
    at.button(key=f"FormSubmitter:own_{subject}_form-Keep").click().run()
    assert not at.exception
    return at


def test_a_note_about_a_run_is_written_on_the_screen_of_runs_and_shown_beside_every_screen(store, monkeypatch):
    at = opened(store, monkeypatch, "runs", run="older")
    assert "note" not in at.dataframe[0].value
    written(at, "run_older", note=f"the {EVIL}")
    run = open_run("older", store)
    assert run_notes(run.store, [run.record]) == [f"the {EVIL}"]
    at = opened(store, monkeypatch, "runs", run="older")
    listed = at.dataframe[0].value.set_index("run")["note"]
    assert listed.to_dict() == {"older": f"the {EVIL}", "synthetic": ""}
    assert "&lt;img src=x onerror" in html(at)
    assert "<img" not in html(at)
    at = opened(store, monkeypatch, "pairs", run="older")
    assert r"the \<img src=x onerror=alert\(1\)\> \*\*b\*\*" in sentences(at)
    at = written(opened(store, monkeypatch, "runs", run="older"), "run_older", note="")
    assert read_notes(run.store).notes == ()


def test_what_cannot_be_written_is_told_and_the_words_stay(store, monkeypatch):
    at = opened(store, monkeypatch, "runs", run="older")
    written(at, "run_older", note="a\x07b")
    assert any("got U+0007. Remove them." in code.value for code in at.code)
    monkeypatch.setattr("results.own_notes.os.access", lambda path, mode: False)
    at = opened(store, monkeypatch, "runs", run="older")
    assert "where you may not write" in sentences(at)
    assert not [area for area in at.text_area if area.key == "own_run_older_note"]


def test_the_note_about_a_run_stands_in_its_report_and_atlas(store, tmp_path):
    run = open_run("synthetic", store)
    keep_note(run.store, run_subject(run.record), run=run.name, note=f"third try {EVIL}")
    asked = ["report", "synthetic", "--store", store, "--out", str(tmp_path / "report"), "--format", "svg"]
    assert CliRunner().invoke(app, asked).exit_code in (0, 3)
    page = (tmp_path / "report/report.md").read_text(encoding="utf-8")
    assert r"*Note by those who made it:* third try \<img src=x onerror=alert(1)\> \*\*b\*\*" in page
    assert "<img src=x" not in (tmp_path / "report/report.html").read_text(encoding="utf-8")
    macros = (tmp_path / "report/macros.tex").read_text(encoding="utf-8")
    assert r"\newcommand{\ufRunNote}{third try \ensuremath{<}img" in macros
    assert r"\textbackslash{}input\{x\}" in macros
    write_atlas(load("synthetic", store=run.store), tmp_path / "atlas")
    assert ["note by those who made it", f"third try {EVIL}"] in unpacked(tmp_path / "atlas/data/home.js")["provenance"]


@pytest.fixture(scope="module")
def pair(store) -> tuple[str, str, str]:
    """An assigned pair, its first side, and the number of that one's cluster."""
    run = open_run("synthetic", store)
    row, features = run.table("pairs").iloc[0], run.table("features")
    of = features[(features["model"] == row["model_a"]) & (features["latent"] == row["latent_a"])]
    one, two = f"{row['model_a']}:{row['latent_a']}", f"{row['model_b']}:{row['latent_b']}"
    return f"{one}-{two}", one, str(int(of["cluster"].iloc[0]))


def test_a_thing_is_named_on_its_screen_and_the_name_stands_there_and_in_lists(store, monkeypatch, pair):
    both, one, cluster = pair
    for kind, screen, thing in (("pair", "pairs", both), ("cluster", "clusters", cluster), ("feature", "feature", one)):
        at = opened(store, monkeypatch, screen, **{kind: thing})
        assert EVIL not in html(at)
        written(at, f"{kind}_{thing}", name=f"my {kind}", note=f"noted {EVIL}")
        at = opened(store, monkeypatch, screen, **{kind: thing})
        assert f"<b>my {kind}</b>" in html(at)
        assert "noted &lt;img src=x onerror" in html(at)
        assert "<img" not in html(at)
    named = opened(store, monkeypatch, "pairs").dataframe[0].value.set_index(["feature", "partner"])["name"]
    assert named[one, both.split("-")[1]] == "my pair"
    clusters = opened(store, monkeypatch, "clusters").dataframe[0].value.set_index("cluster")["name"]
    assert clusters[int(cluster)] == "my cluster"
    at = opened(store, monkeypatch, "feature", sought="MY FEATURE")
    assert "1 feature, named or noted so by people" in sentences(at)
    assert at.dataframe[0].value["name"].tolist() == ["my feature"]
    at = opened(store, monkeypatch, "clusters", member="my cluster")
    assert at.dataframe[0].value["name"].tolist() == ["my cluster"]


def test_report_and_atlas_tell_names_as_those_of_people(store, pair, tmp_path):
    run = open_run("synthetic", store)
    stored = load("synthetic", store=run.store)
    for kind, thing in zip(("pair", "feature", "cluster"), pair, strict=True):
        subject = subject_of(stored, kind, thing)
        keep_note(run.store, subject, run=run.name, comparison="main", name=f"my {kind}", note=EVIL)
    asked = ["report", "synthetic", "--store", store, "--out", str(tmp_path / "report"), "--format", "svg"]
    assert CliRunner().invoke(app, asked).exit_code in (0, 3)
    page = (tmp_path / "report/report.md").read_text(encoding="utf-8")
    section = page.partition("## What people call them")[2].partition("\n## ")[0]
    assert "They are no result" in section
    assert r"\<img src=x onerror=alert(1)\> \*\*b\*\* \\input\{x\} \$1\$ \| =1+1" in section
    assert "<img src=x" not in (tmp_path / "report/report.html").read_text(encoding="utf-8")
    tex = (tmp_path / "report/tables/names.tex").read_text(encoding="utf-8")
    assert r"\textbackslash{}input\{x\} \$1\$ \ensuremath{|} =1+1" in tex
    kept = pd.read_csv(tmp_path / "report/tables/names.csv")
    assert set(kept["name"]) == {"my feature", "my pair", "my cluster"}
    atlas = write_atlas(stored, tmp_path / "atlas").index.parent
    own = unpacked(atlas / "data/home.js")["own"]
    assert own["feature"] == {pair[1]: ["my feature", EVIL]}
    assert (list(own["pair"]), list(own["cluster"])) == ([pair[0]], [pair[2]])
