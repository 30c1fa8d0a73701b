"""``--json`` of every command that prints data: one document on stdout and nothing else, exit codes unchanged."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from program import universality
from synthetic_run import write_synthetic_run
from tiny_run import tiny_store
from typer.main import get_command

from pipelines.cli import execute, outputs
from pipelines.cli.main import app
from universality.planted import calibration

#: Commands without ``--json``: what they print is a document anyway, or nothing.
NO_DATA = {
    "dash": "serves until it is stopped",
    "fetch-text": "only downloads",
    "init": "prints a recipe",
    "schema": "prints a JSON schema",
}
COMMANDS = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]


class Words:
    """What is typed behind each command; ``folder`` is a new one for every call."""

    def __init__(self, store, folder, monkeypatch):
        self.store, self.folder, self.monkeypatch = ["--store", str(store)], folder, monkeypatch
        self.out = ["--out", str(folder / "out")]

    def run(self):
        return ["tiny", "--name", "tiny", "--serial", *self.store]

    def plan(self):
        return ["tiny", *self.store]

    def status(self):
        return ["tiny", *self.store]

    show = verify = notes = status

    def ls(self):
        return self.store

    doctor = ls

    def gc(self):
        return ["--dry-run", *self.store]

    def recipes(self):
        return []

    def note(self):
        return ["tiny", "seen", *self.store]

    def report(self):
        self.monkeypatch.setattr(outputs, "chosen_formats", lambda text: ())  # no figures: they cost most of it
        return ["tiny", *self.store, *self.out]

    def delete(self):
        write_synthetic_run(str(self.folder), "gone", n_models=2, n_latents=60, n_documents=30, n_ctx=32)
        return ["gone", "--yes", "--store", str(self.folder)]

    def compare(self):
        rng = np.random.default_rng(0)
        for name in ("a", "b"):
            np.save(self.folder / f"{name}.npy", np.maximum(rng.normal(size=(600, 12)), 0))
        np.save(self.folder / "documents.npy", np.arange(600) // 20)
        places = [str(self.folder / f"{name}.npy") for name in ("a", "b")]
        return [*places, "--documents", str(self.folder / "documents.npy"), *self.out]

    def compare_saes(self):
        return ["tiny:m0", "tiny:m0r", *self.store, "--draws", "2"]

    def calibrate(self):
        setting = calibration.Setting(0.2, 0.1, n_rows=5_000, n_models=2)
        self.monkeypatch.setattr(calibration, "settings_of", lambda sizes: (setting,))
        return ["--quick", "--threads", "1"]

    def steer(self):
        return ["tiny", "m0:0", "--prompt", "The", "--tokens", "2", "--samples", "1", *self.store]

    def explain(self):
        return ["tiny", "--dry-run", "--features", "all", *self.store]

    def reproduce(self):
        # Any recipe is a run that is there: nothing is computed.
        sizes = {"n_latents": 60, "n_documents": 60, "comparisons": ("narrow", "wide")}
        run = write_synthetic_run(str(self.folder), **sizes)
        outcome = SimpleNamespace(status="done", exit_code=0, n_computed=0, errors={})
        self.monkeypatch.setattr(execute, "compute", lambda *asked, **options: (run, outcome))
        return ["gurnee2024"]

    def export(self):
        return ["tiny", *self.store, *self.out]

    export_saes = atlas = export


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shutil.copytree(tiny_store(), tmp_path_factory.mktemp("copy") / "store")


def test_every_command_is_told_of():
    known = {name for name in vars(Words) if not name.startswith("_")}
    told = {name.replace("-", "_") for name in COMMANDS if name not in NO_DATA}
    assert told == known, "give a new command --json and its words here, or say in NO_DATA why it prints no data"
    for name, command in COMMANDS.items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert ("--json" in options) == (name not in NO_DATA), name


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - NO_DATA.keys()))
def test_stdout_is_one_document(name, store, tmp_path, monkeypatch):
    done = {}
    for way in ([], ["--json"]):
        folder = tmp_path / f"call{len(way)}"
        folder.mkdir()
        words = getattr(Words(store, folder, monkeypatch), name.replace("-", "_"))()
        done[bool(way)] = universality(name, *words, *way)
    assert done[True].exit_code == done[False].exit_code == 0, done[True].stderr
    assert json.loads(done[True].stdout)
    with pytest.raises(ValueError, match=r"Expecting|Extra"):
        json.loads(done[False].stdout)


@pytest.mark.parametrize("name", ["show", "report", "delete", "export", "export-saes", "status"])
def test_a_refusal_leaves_stdout_empty(name, store, tmp_path):
    words = [] if name in ("show", "status", "delete") else ["--out", str(tmp_path / "out")]
    done = universality(name, "nowhere", *words, "--store", str(store), "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "nowhere" in done.stderr
