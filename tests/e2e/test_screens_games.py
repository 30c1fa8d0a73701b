"""The page of blind games: it tells nothing, keeps answers beside the store, and the report reads them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from synthetic_run import write_synthetic_run
from typer.testing import CliRunner
from visits import html, sentences, turned, visitor

from dashboards.components.mark_legend import meanings
from pipelines.cli.main import app
from results.answers import answers_file, read_answers
from results.games import question
from results.stored_comparison import StoredComparison
from storage import open_run


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("full") / "store")
    write_synthetic_run(url, n_models=2, n_latents=60, n_documents=150)
    return url


@pytest.fixture
def at(full, monkeypatch):
    path = answers_file(full, "synthetic")
    assert path is not None
    path.unlink(missing_ok=True)
    at = visitor(full, monkeypatch)
    at = turned(at, "games", game="partner")
    return at.text_input(key="games_player").set_value("eve").run()


def click(at, key: str):
    at.button(key=key).click().run()
    assert not at.exception
    return at


def test_a_question_names_no_feature_no_number_and_no_truth(full, at):
    asked = question(StoredComparison(open_run("synthetic", full), "main"), "partner", "eve", 0)
    assert "**Question 1.**" in sentences(at)
    shown = html(at).replace(meanings(), "") + sentences(at)  # the legend is of every screen
    for name in (f"{asked.model_a}:{asked.latent_a}", f"{asked.model_b}:{asked.latent_b}", asked.level, "untrained"):
        assert name not in shown
    assert not at.query_params.get("feature")
    assert shown.count("activation ") >= 20


def test_answers_are_kept_and_counted_and_rightness_is_told_late(full, at):
    stored, path = StoredComparison(open_run("synthetic", full), "main"), answers_file(full, "synthetic")
    assert path is not None
    for number in range(10):
        right = question(stored, "partner", "eve", number).right
        click(at, "pass" if number == 3 else f"option_{right if number % 2 else (right + 1) % 5}")
        assert f"**Question {number + 2}.**" in sentences(at)
        told = [frame.value for frame in at.dataframe if "accuracy" in frame.value.columns]
        assert bool(told) == (number == 9)
    answers = read_answers(path, "synthetic")
    assert [answer.number for answer in answers] == list(range(10))
    assert [answer.chosen is None for answer in answers] == [number == 3 for number in range(10)]
    assert sum(answer.chosen == answer.right for answer in answers) == 4
    assert not list(Path(full).rglob("*synthetic.jsonl"))


def test_a_report_has_the_answers_beside_the_store(full, at, tmp_path):
    for _ in range(3):
        click(at, "option_0")
    result = CliRunner().invoke(app, ["report", "--store", full, "--out", str(tmp_path / "out"), "--format", "svg"])
    assert result.exit_code == 0, result.output
    assert len(pd.read_parquet(tmp_path / "out/tables/answers.parquet")) == 3
    assert "Can people tell?" in (tmp_path / "out/report.md").read_text(encoding="utf-8")
    refused = CliRunner().invoke(
        app, ["report", "--store", full, "--out", str(tmp_path / "no"), "--answers", str(tmp_path / "none")]
    )
    assert refused.exit_code == 2


def test_where_no_file_can_be_written_answers_stay_in_the_session(full, at, monkeypatch):
    def refuse(*_):
        raise OSError("read-only file system")

    monkeypatch.setattr("results.beside_store.keep_line", refuse)
    click(at, "option_1")
    assert "**Question 2.**" in sentences(at)
    assert "save your answers" in sentences(at)
