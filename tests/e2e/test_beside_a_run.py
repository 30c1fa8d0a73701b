"""`gc`, `delete`, `verify`, `report`, `ls` and `status` beside a run that is being computed in the same store."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import pytest
from program import universality
from tiny_run import in_a_process, tiny_store

from storage import open_run

pytestmark = pytest.mark.slow
#: Another comparison of the same models: what both runs use must stay, whichever of them is deleted.
OTHER = ("--set", "compare.tau=0.45", "--serial", "--name", "live")


def tables_of(store, run) -> dict[str, bytes]:
    opened = open_run(run, str(store))
    return {name: opened.table(name).to_csv().encode() for name in opened.tables()}


def test_commands_beside_a_run_change_nothing_and_are_not_disturbed(tmp_path):
    alone, store = tmp_path / "alone", tmp_path / "store"
    for place in (alone, store):
        shutil.copytree(tiny_store(), place)
    done = in_a_process("run", "tiny", "--store", str(alone), *OTHER)
    assert done.returncode == 0, done.stderr
    before = tables_of(store, "tiny")
    command = [sys.executable, "-m", "pipelines.cli.main", "run", "tiny", "--store", str(store), *OTHER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as live:
        try:
            beside = commands_beside(live, store, tmp_path)
            _, errors = live.communicate(timeout=900)
        finally:
            live.kill()
    assert live.returncode == 0, errors
    assert sum(running for running, *_ in beside) > 5, "the run was too short to have anything beside it"
    assert universality("verify", "--store", str(store)).exit_code == 0
    assert tables_of(store, "tiny") == before
    assert tables_of(store, "live") == tables_of(alone, "live")


def commands_beside(live, store, folder) -> list[tuple[bool, tuple[str, ...], int, str]]:
    """Commands until a run ends: whether it still went on, the command, its exit code and what it said."""
    while live.poll() is None and not is_computed(store):
        time.sleep(0.05)
    refused = universality("delete", "live", "--yes", "--store", str(store))
    assert refused.exit_code == 1, refused.output
    assert "computed by process" in refused.output
    rounds, beside = 0, []
    while live.poll() is None:
        spare, out = f"spare{rounds}", str(folder / f"report{rounds}")
        for words in (
            ("run", "tiny", "--name", spare, "--serial"), ("gc",), ("ls",), ("delete", spare, "--yes"), ("verify",),
            ("status", "tiny"), ("gc",), ("report", "tiny", "--out", out),
        ):  # fmt: skip
            said = universality(*words, "--store", str(store))
            beside.append((live.poll() is None, words, said.exit_code, said.output))
            assert said.exit_code == 0, (words, said.output)
        rounds += 1
    return beside


def is_computed(store) -> bool:
    """Whether the run is there, and a process holds it."""
    return (store / "runs/live/run.json").exists() and open_run("live", str(store)).holder() is not None
