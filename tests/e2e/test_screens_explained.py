"""Words of language models on screen: as plain text, beside their scores, found by the search."""

from __future__ import annotations

from html import escape

import pandas as pd
import pytest
from explained import explanation
from program import universality
from synthetic_run import write_synthetic_run
from visits import checked, html, turned, visitor

from results.beside_store import keep_line
from results.explained import Tally, explanation_sentence, explanations_file
from results.ids import feature_ids
from results.search import found_by
from results.stored_comparison import StoredComparison
from storage import open_run

HOSTILE = "</script><img src=x onerror=alert(1)> **bold** $x$ Quetzalcoatl's feathers"


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("full") / "store")
    write_synthetic_run(url, n_models=2, n_latents=60, n_documents=100)
    return url


@pytest.fixture
def path(full):
    path = explanations_file(full, "synthetic")
    assert path is not None
    path.unlink(missing_ok=True)
    return path


def test_a_feature_its_pair_and_its_cluster_have_its_words(full, path, monkeypatch):
    run = open_run(None, full)
    pair = run.table("pairs").query("comparison_id == 'main'").iloc[0]
    name, other = (f"{pair[f'model_{side}']}:{pair[f'latent_{side}']}" for side in "ab")
    one = explanation(name, HOSTILE)
    at = turned(visitor(full, monkeypatch), "feature", feature=name)
    assert "in words by" not in html(at)
    keep_line(path, one)
    at = turned(at, "feature", feature=name)
    assert f"<bdi>{escape(HOSTILE)}</bdi>" in html(at)
    assert escape(explanation_sentence(one)) in html(at)
    assert "in words by" not in html(turned(at, "feature", feature=other))
    assert f"<bdi>{escape(HOSTILE)}</bdi>" in html(turned(at, "pairs", pair=f"{name}-{other}"))
    features = run.table("features")
    members = features[features["cluster"] == features["cluster"].dropna().iloc[0]]
    first, second = feature_ids(members)[:2]
    keep_line(path, explanation(first, "the better words"))
    keep_line(path, explanation(second, "worse", detection=Tally(yes=1, yes_right=0, no=1, no_right=0)))
    at = turned(at, "clusters", cluster=str(int(members["cluster"].iloc[0])))
    assert "<bdi>the better words</bdi>" in html(at)
    assert f"of {first}" in html(at)
    assert "<bdi>worse</bdi>" not in html(at)


def test_the_search_finds_words_as_soon_as_they_are_there(full, path):
    stored = StoredComparison(open_run(None, full), "main")
    assert not found_by(stored, "quetzalcoatl")
    keep_line(path, explanation("m0:3", HOSTILE))
    keep_line(path, explanation("u0:3", HOSTILE, kind="untrained"))
    assert found_by(stored, "quetzalcoatl") == {"words of a language model": ["m0:3"]}
    assert not found_by(stored, '"quetzalcoatl"')
    assert not found_by(stored, "quetzal")
    keep_line(path, explanation("m0:4", "latent 7 of 9"))
    assert "words of a language model" not in found_by(stored, "7")


def test_a_file_that_cannot_be_read_is_said_in_its_place(full, path, monkeypatch):
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"schema": 1}\n', encoding="utf-8")
    run = open_run(None, full)
    name = feature_ids(run.table("features").query("status == 'alive'")).iloc[0]
    at = checked(turned(visitor(full, monkeypatch), "feature", feature=name))
    assert "line 1 of" in html(at)
    assert not found_by(StoredComparison(run, "main"), "quetzalcoatl")


def test_a_report_has_the_words_beside_the_store(full, path, tmp_path):
    for number, language_model in enumerate(["words-1", "words-1", "$x_1$ <b>&"]):
        keep_line(path, explanation(f"m0:{number}", HOSTILE, language_model=language_model))
    words = ("report", "--store", full, "--format", "svg")
    done = universality(*words, "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(tmp_path / "out/tables/explained.parquet")
    assert table["explanation"].tolist() == [HOSTILE] * 3
    assert table["detection"].tolist() == [0.75] * 3
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "What does a language model say of them?" in page
    assert "<b>&" not in page
    assert "features into words" in page
    assert "accuracy of 0.75 (by the words of another feature 0.50)" in " ".join(page.split())
    assert "0.75" in (tmp_path / "out/tables/words.tex").read_text(encoding="utf-8")
    refused = universality(*words, "--out", str(tmp_path / "no"), "--explanations", str(tmp_path / "none"))
    assert refused.exit_code == 2
