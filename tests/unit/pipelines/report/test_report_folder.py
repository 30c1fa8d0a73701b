"""Claiming a folder, replacing an earlier report, and cells that no spreadsheet executes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from pipelines.report.folder import KIND, MANIFEST, ReportFolder
from pipelines.report.provenance import clean
from pipelines.report.tables import csv_bytes, quoted, safe_text


def test_earlier_report_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    first = ReportFolder(tmp_path / "r")
    first.write("tables/old.csv", "x")
    first.write("both.txt", "old")
    first.finish("one")
    (tmp_path / "r" / "notes.txt").write_text("mine")
    second = ReportFolder(tmp_path / "r")
    second.write("both.txt", "new")
    assert second.finish("two") == ("both.txt", MANIFEST)
    assert not (tmp_path / "r" / "tables" / "old.csv").exists()
    assert (tmp_path / "r" / "both.txt").read_text() == "new"
    assert (tmp_path / "r" / "notes.txt").read_text() == "mine"


def test_report_cut_short_is_known_as_one(tmp_path: Path) -> None:
    ReportFolder(tmp_path).write("a.txt", "half")
    assert json.loads((tmp_path / MANIFEST).read_text())["complete"] is False
    whole = ReportFolder(tmp_path)
    whole.write("a.txt", "whole")
    whole.finish("one")
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_manifest_never_reaches_outside_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    folder = tmp_path / "r"
    folder.mkdir()
    listed = {"../precious.txt": {}, str(tmp_path / "precious.txt"): {}}
    (folder / MANIFEST).write_text(json.dumps({"kind": KIND, "files": listed}))
    ReportFolder(folder)
    assert (tmp_path / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@A1", " =1", "\t=1", "\r", "a\nb", "\u202ea", "a\u200b"]
)
def test_risky_text_becomes_a_json_string(text: str) -> None:
    cell = safe_text(text)
    assert isinstance(cell, str)
    assert cell.startswith('"')
    assert json.loads(cell) == text
    assert cell.isprintable()


@pytest.mark.parametrize("value", ["m0-m1", "a,b", 'say "x"', "السلام", "", 3, None])
def test_harmless_cells_stay(value: object) -> None:
    assert safe_text(value) == value


def test_quoted_is_lossless_beyond_the_first_plane() -> None:
    text = 'tag \U000e0041 and "quote" \\ 日'
    assert json.loads(quoted(text)) == text
    assert "\U000e0041" not in quoted(text)


def test_csv_leaves_numbers_and_the_table_alone() -> None:
    table = pd.DataFrame({"r": [-0.1, 1 / 3], "n": pd.array([1, None], dtype="Int64"), "text": ["=x", None]})
    before = table.copy()
    assert csv_bytes(table) == b'r,n,text\n-0.1,1,"""=x"""\n0.3333333333333333,,\n'
    pd.testing.assert_frame_equal(table, before)


def test_numbers_that_json_lacks_become_null() -> None:
    assert clean({"a": [1.0, float("nan")], "b": (float("inf"), "x", None, True)}) == {
        "a": [1.0, None],
        "b": [None, "x", None, True],
    }
