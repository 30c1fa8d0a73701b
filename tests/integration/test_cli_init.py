"""Files to start from: each is planned as it stands over small folders, and two ways for own work run to their end."""

import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from program import universality
from starting_folders import write_activations, write_models

from pipelines.cli.compare_settings import DENSE, OTHERS, ROW_FILES, SETTINGS
from pipelines.cli.init import KINDS, starter
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from pipelines.recipe.files import validate_recipe
from pipelines.recipe.yaml_text import parsed
from storage import open_run

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    write_models(place)
    return place


@pytest.fixture(scope="module")
def activations(tmp_path_factory):
    place = tmp_path_factory.mktemp("activations")
    write_activations(place)
    return place


def complete_example():
    """The recipe of the README for own models, and the commands below it."""
    text, commands = re.search(r"```yaml\n(recipe: mine\n.*?)```\n\n```\n(.*?)```", README, re.DOTALL).groups()
    return text, [line.partition("#")[0].split()[1:] for line in commands.splitlines()]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "own-activations"])
def test_each_is_planned_as_it_stands(kind, models, tmp_path, monkeypatch):
    monkeypatch.chdir(models)
    printed = universality("init", kind, cwd=models)
    assert printed.exit_code == 0
    assert re.search(r"then: universality plan my\.yaml", printed.stderr)
    path = tmp_path / "my.yaml"
    path.write_text(printed.stdout, encoding="utf-8")
    recipe = load_recipe(str(path))
    assert "comparison/main" in {node.id for node in build_plan(recipe)}
    assert recipe.untrained_ids, "an example has its floor"
    lines = printed.stdout.splitlines()
    assert [line for line in lines if len(line) > 120] == []
    blocks = re.split(r"\n(?=[a-z_]+:)", printed.stdout)
    assert [block for block in blocks if "#" not in block and "description" not in block] == [], "all is explained"
    assert sum("EDIT" in line for line in lines) >= 4


def test_quickstart_is_the_shipped_recipe_with_another_name():
    shipped = load_recipe("quickstart").resolved()
    made = validate_recipe(parsed(starter("quickstart"), "my.yaml"), "my.yaml").resolved()
    assert {name for name in made if made[name] != shipped[name]} == {"recipe", "description"}


def test_a_file_is_written_once(tmp_path):
    place = tmp_path / "my.yaml"
    first = universality("init", "own-saes", "-o", str(place))
    assert (first.exit_code, first.stdout) == (0, "")
    assert f"universality plan {place}" in first.stderr
    assert place.read_text(encoding="utf-8") == starter("own-saes")
    again = universality("init", "quickstart", "-o", str(place))
    assert again.exit_code == 2
    assert "must be a new file" in again.stderr
    assert place.read_text(encoding="utf-8") == starter("own-saes")
    unknown = universality("init", "own-sae")
    assert unknown.exit_code == 2
    assert "Did you mean 'own-saes'?" in unknown.stderr


def test_own_activations_are_compared_as_the_file_says(activations, tmp_path):
    (tmp_path / "my.yaml").write_text(starter("own-activations").replace("seed: 0", "seed: 4"), encoding="utf-8")
    for name in ("activations", "rows"):
        os.symlink(activations / name, tmp_path / name)
    done = universality("compare", "my.yaml", "--out", "results", "--n-shifts", "10", cwd=tmp_path)
    assert done.exit_code == 0, done.stderr
    said = " ".join(done.stdout.partition("The answer")[2].split())
    assert said.startswith("Compared: 2 models (m0, m1) by ")
    assert "untrained models (the floor), two dictionaries of one model (the ceiling)" in said
    typed = ["compare", "activations/m0.npz", "activations/m1.npz", "--out", "typed", "--seed", "4", "--n-shifts", "10"]
    typed += [part for name in ("documents", "sources", "domains", "tokens", "positions")
              for part in (f"--{name}", f"rows/{name}.npy")]  # fmt: skip
    for kind, names in (("untrained", ("u0", "u1")), ("replicate", ("m0",))):
        file = {"m0": "m0r"}
        typed += [part for m in names for part in (f"--{kind}", f"{m}=activations/{file.get(m, m)}.npz")]
    assert universality(*typed, cwd=tmp_path).exit_code == 0
    pd.testing.assert_frame_equal(*(pd.read_parquet(tmp_path / out / "pairs.parquet") for out in ("results", "typed")))
    assert json.loads((tmp_path / "results/summary.json").read_text())["headline"]["untrained"]


@pytest.mark.parametrize(("said", "why"), [
    ("models: {m0: a.npz, m1: b.npz}\ntokens: 3", "tokens of my.yaml must be the path of a file; got 3"),
    ("models: {m0: a.npz, m1: b.npz}\ntoken: t.npy", "Did you mean 'tokens'?"),
    ("models: {m0: a.npz, m1: b.npz}\nuntrained: u0.npz", "untrained of my.yaml must be a mapping of names to files"),
    ("models: {m0: a.npz, m1: b.npz}\ntau: 2", "tau of my.yaml must be a number of at least 0.01 and at most 0.99"),
    ("models: {m0: a.npz, m1: b.npz}\nblock: 1.5", "block of my.yaml must be a whole number of at least 1"),
    ("documents: d.npy", "models of my.yaml must be a mapping of names to files"),
    ("recipe: mine\nmodels: {kind: native}", "must be one that names activations; got a recipe. `universality run`"),
    ("- a.npz", "models of my.yaml must be a mapping of names to files"),
    ("models: {m0: gone.npz, m1: b.npz}", "gone.npz"),
])  # fmt: skip
def test_slips_in_the_file_are_told(said, why, tmp_path):
    (tmp_path / "my.yaml").write_text(said, encoding="utf-8")
    done = universality("compare", "my.yaml", "--out", "out", cwd=tmp_path)
    assert done.exit_code == 2
    assert why in " ".join(done.stderr.split())


def test_the_file_may_say_all_that_options_say():
    lines = starter("own-activations").splitlines()
    named = {line.partition(":")[0] for line in lines if re.match(r"[a-z]", line)}
    assert named <= {"models", *ROW_FILES, *OTHERS, *DENSE, *SETTINGS}


def test_the_complete_example_of_the_readme_is_planned(models, monkeypatch, tmp_path):
    monkeypatch.chdir(models)
    text, commands = complete_example()
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    assert "comparison/main" in {node.id for node in build_plan(load_recipe(str(tmp_path / "my.yaml")))}
    assert commands == [["plan", "my.yaml"], ["run", "my.yaml"], ["dash"]]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_complete_example_of_the_readme_runs(models, tmp_path):
    for name in ("models", "saes", "texts"):
        shutil.copytree(models / name, tmp_path / name)
    text, (plan, run, _) = complete_example()
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    assert universality(*plan, cwd=tmp_path).exit_code == 0
    done = universality(*run, "--serial", cwd=tmp_path)
    assert done.exit_code == 0, done.stderr
    said = " ".join(done.stdout.partition("The answer")[2].split())
    assert "Compared: 2 models (m0, m1)" in said
    assert "untrained models (the floor)" in said
    assert done.stderr.splitlines()[-3].strip() == "universality dash"
    roles = open_run(None, str(tmp_path / "runs")).table("models").groupby("role")["model"].agg(set)
    assert roles["primary"] == {"m0", "m1"}
    assert roles["untrained"] == {"u0", "u1"}
