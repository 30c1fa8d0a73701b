"""``universality export`` on a stored run: what it writes, says and refuses."""

from __future__ import annotations

import json

from program import universality
from tiny_run import tiny_store


def test_pairs_of_a_run_in_one_command(tmp_path):
    done = universality("export", "tiny", "--store", str(tiny_store()), "--out", str(tmp_path), "--json")
    assert done.exit_code == 0, done.stderr
    (file,) = json.loads(done.stdout)["written"]
    document = json.loads((tmp_path / "main" / "pairs.json").read_text("utf-8"))
    assert file == str(tmp_path / "main" / "pairs.json")
    assert (document["run"], document["recipe"]["name"]) == ("tiny", "tiny")
    again = universality("export", "tiny", "--store", str(tiny_store()), "--out", str(tmp_path))
    assert again.exit_code == 2
    assert "remove that first" in again.stderr


def test_a_comparison_that_there_is_not_is_refused(tmp_path):
    words = ("export", "tiny", "--store", str(tiny_store()), "--out", str(tmp_path / "out"))
    done = universality(*words, "--comparison", "mian")
    assert (done.exit_code, "one of main" in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_the_schema_of_pairs_is_printed():
    assert json.loads(universality("schema", "--kind", "pairs").stdout)["title"] == "PairFile"


def test_features_of_a_run_as_other_programs_read_them(tmp_path):
    for name, file in (("neuronpedia", "tiny-m0/0-main-m0/source.jsonl"), ("saedashboard", "main/m0/batch-0.json")):
        words = ("--store", str(tiny_store()), "--out", str(tmp_path / name), "--format", name, "--model", "m0")
        done = universality("export", "tiny", *words)
        assert done.exit_code == 0, done.stderr
        assert (tmp_path / name / file).exists()
        assert done.stdout.splitlines() == [str((tmp_path / name / file).parent)]


def test_an_option_that_says_nothing_is_refused(tmp_path):
    words = ("export", "tiny", "--store", str(tiny_store()), "--out", str(tmp_path / "out"))
    for more in (("--model", "m0"), ("--creator", "me"), ("--format", "saedashboard", "--creator", "me")):
        done = universality(*words, *more)
        assert (done.exit_code, f"Drop {more[-2]}" in done.stderr) == (2, True)
