"""``atlas`` as a command: what it prints, and what it refuses before anything is written."""

from __future__ import annotations

import json

import pytest
from program import universality
from synthetic_run import write_synthetic_run

from storage import open_run


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("atlas") / "store")
    write_synthetic_run(url, n_models=2, n_latents=60, n_documents=60, comparisons=("main", "wide"))
    run = write_synthetic_run(url, "early", 2, 24, n_documents=40, n_untrained=0, replicates=False)
    run.update(status="interrupted")
    studies = write_synthetic_run(url, "studies", 2, 24, n_documents=40, n_untrained=0, replicates=False)
    nodes = {node: fields for node, fields in studies.record["nodes"].items() if fields["step"] == "tokens"}
    studies.update(nodes=nodes)
    return url


def atlas(store: str, *words: str):
    return universality("atlas", *words, "--store", store)


def test_it_prints_the_page_to_open(store, tmp_path):
    done = atlas(store, "synth", "--out", str(tmp_path / "pages"))
    assert done.exit_code == 0
    assert done.stdout == f"{tmp_path / 'pages/index.html'}\n"
    assert (tmp_path / "pages/index.html").is_file()
    assert "m1: 60 latents" in done.stderr


def test_json_says_what_was_written(store, tmp_path):
    done = atlas(store, "synthetic", "--out", str(tmp_path / "pages"), "--comparison", "wide", "--json")
    said = json.loads(done.stdout)
    assert (said["run"], said["comparison"]) == ("synthetic", "wide")
    assert said["features"] == 120
    assert said["pairs"] == (open_run("synthetic", store).table("pairs")["comparison_id"] == "wide").sum()
    assert said["bytes"] == sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody"], "nobody"),
        (["early"], "status of run early must be done for an atlas; got interrupted"),
        (["studies"], "comparisons of run studies must be at least one for an atlas; got none"),
        (["synthetic", "--comparison", "narrow"], "must be one of main, wide; got 'narrow'"),
    ],
)
def test_what_cannot_be_shown_is_refused(store, tmp_path, words, said):
    done = atlas(store, *words, "--out", str(tmp_path / "pages"))
    assert done.exit_code in (1, 2)
    assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "pages").exists()


def test_a_folder_of_others_is_refused(store, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    done = atlas(store, "synthetic", "--out", str(tmp_path))
    assert done.exit_code == 2
    assert "holds mine.txt" in " ".join(done.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
