"""Claiming a folder, replacing an earlier report, and cells that no spreadsheet executes."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.report.folder import KIND, MANIFEST, ReportFolder
from pipelines.report.provenance import clean


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


def test_numbers_that_json_lacks_become_null() -> None:
    assert clean({"a": [1.0, float("nan")], "b": (float("inf"), "x", None, True)}) == {
        "a": [1.0, None],
        "b": [None, "x", None, True],
    }
