"""From a recipe to its report in a process that may start no other and reach no other machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from guard import guarded
from tiny_run import asked_for, tiny_store, tiny_store_of_workers


@pytest.mark.slow
@pytest.mark.parametrize("computed", [tiny_store, tiny_store_of_workers], ids=["serial", "dask"])
def test_a_run_and_its_report_start_nothing_and_reach_nobody(tmp_path: Path, computed) -> None:
    store, log = computed(), tmp_path / "forbidden.txt"
    assert asked_for(store) == "", "while it was computed"
    commands = [
        ["show", "tiny", "--store", str(store)],
        ["verify", "--store", str(store)],
        ["report", "tiny", "--store", str(store), "--out", str(tmp_path / "report")],
    ]
    for words in commands:
        done = guarded(log, words, workers=False)
        asked = log.read_text() if log.exists() else ""
        assert done.returncode == 0, f"{words}: {done.stdout[-800:]}{done.stderr[-2000:]}{asked}"
        assert asked == "", words
    assert (tmp_path / "report" / "results.json").exists()


@pytest.mark.slow
def test_the_guard_can_fail(tmp_path: Path) -> None:
    log, words = tmp_path / "forbidden.txt", ["run", "tiny", "--store", str(tmp_path / "store")]
    done = guarded(log, [*words, "--scheduler", "tcp://192.0.2.1:8786"], workers=False)
    assert done.returncode != 0
    assert "192.0.2.1" in log.read_text()
