"""What a new user sees and types: the answer last, then commands that can be pasted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from program import universality
from synthetic_run import write_synthetic_run

from pipelines.cli import execute, terminal
from storage import open_run


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    place = str(tmp_path_factory.mktemp("store"))
    write_synthetic_run(place, "it", n_models=2, n_latents=60, n_documents=30, n_ctx=32, comparisons=("main", "late"))
    return place


def test_a_run_is_shown_with_its_answer_last(url):
    printed = " ".join(universality("show", "it", "--store", url).stdout.split())
    tables, _, said = printed.partition(" The answer ")
    assert "Comparison main: median held-out r" in tables
    assert said.startswith("Comparison main Compared: 2 models (m0, m1)")
    assert said.count("How sure: ") == said.count("Look at ") == 2, "of both comparisons"
    assert said.rpartition("How sure: ")[2].endswith(".")


@pytest.mark.parametrize(("called", "typed"), [
    (".venv/bin/universality", ".venv/bin/universality"),
    ("/opt/my envs/bin/universality", "'/opt/my envs/bin/universality'"),
    ("/usr/lib/pipelines/cli/main.py", "universality"),
])  # fmt: skip
def test_the_commands_offered_are_spelled_as_this_one_was(called, typed, url, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [called])
    execute.tell_next(open_run("it", url), "runs")
    said = capsys.readouterr().err.splitlines()
    assert said == ["Next:", *(f"  {typed} {rest}" for rest in ("dash", "report it --out report", "show it"))]


def test_a_program_on_the_path_is_called_by_its_name(tmp_path, monkeypatch):
    place = tmp_path / "universality"
    place.write_text("#!/bin/sh\n")
    place.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(place)])
    assert terminal.program() == str(place)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert terminal.program() == "universality"


def test_the_answer_stands_above_the_commands_in_one_file_too(url):
    program = "import sys; from pipelines.cli import terminal; print('answer'); terminal.say('Next:')"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=True, cwd=Path(__file__).resolve().parents[2])  # fmt: skip
    assert done.stdout.splitlines() == ["answer", "Next:"]
