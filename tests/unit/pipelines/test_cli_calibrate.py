"""``universality calibrate``: what stands on stdout, on stderr and in the folder."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from pipelines.cli.main import app
from universality.planted import calibration


@pytest.fixture
def one_small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = calibration.Setting(0.2, 0.1, n_rows=5_000, n_models=2)
    monkeypatch.setattr(calibration, "settings_of", lambda sizes: (setting,))


@pytest.mark.usefixtures("one_small_world")
def test_both_tables_are_written_and_the_pooled_one_is_printed(tmp_path) -> None:
    out = tmp_path / "new" / "folder"
    result = CliRunner().invoke(app, ["calibrate", "--quick", "--threads", "1", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "[1/1] noise 0.2" in result.stderr
    assert "5,000 tokens, 2 models" in result.stdout
    assert "assignment" in result.stdout
    table = pd.read_parquet(out / "calibration.parquet")
    assert list(table.columns) == list(calibration.COLUMNS)
    assert set(table["matcher"]) == set(calibration.MATCHERS)
    assert len(pd.read_csv(out / "calibration.csv")) == len(table)


@pytest.mark.usefixtures("one_small_world")
def test_json_is_one_document_of_records() -> None:
    result = CliRunner().invoke(app, ["calibrate", "--seeds", "2", "--threads", "1", "--json"])
    assert result.exit_code == 0, result.output
    records = json.loads(result.stdout)
    assert {record["n_worlds"] for record in records} == {2}
    assert {"universal", "specific", "pairs", "twins"} <= {record["class"] for record in records}


def test_no_worlds_are_a_wrong_usage() -> None:
    assert CliRunner().invoke(app, ["calibrate", "--seeds", "0"]).exit_code == 2
