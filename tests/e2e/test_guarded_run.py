"""From a recipe to its report in a process that may start no other and reach no other machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Told by Python before each such act, whoever asks for it; the first is written down and refused.
GUARD = """
import socket, sys

FORBIDDEN = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"}
HERE = {"127.0.0.1", "::1", "localhost"}

def guard(event, arguments):
    place = None
    if event == "socket.connect" and arguments[0].family != socket.AF_UNIX:
        place = arguments[1][0]
    if event == "socket.getaddrinfo":
        place = arguments[0]
    if (not WORKERS and event in FORBIDDEN) or (place is not None and place not in HERE):
        with open(LOG, "a") as log:
            print(event, repr(arguments)[:300], file=log)
        raise PermissionError(f"{event} {place or ''} is forbidden here")

sys.addaudithook(guard)
from pipelines.cli.main import app
sys.argv[1:] = WORDS
app()
"""


def guarded(log: Path, words: list[str], *, workers: bool) -> subprocess.CompletedProcess[str]:
    script = f"LOG, WORDS, WORKERS = {str(log)!r}, {words!r}, {workers}\n{GUARD}"
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=600, env=environment, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", [["--serial"], ["--workers", "1"]], ids=["serial", "dask"])
def test_a_run_and_its_report_start_nothing_and_reach_nobody(tmp_path: Path, how: list[str]) -> None:
    """With a worker, processes of its own are allowed, and sockets of this machine."""
    store, log = str(tmp_path / "store"), tmp_path / "forbidden.txt"
    commands = [
        ["run", "tiny", "--store", store, *how],
        ["show", "tiny", "--store", store],
        ["verify", "--store", store],
        ["report", "tiny", "--store", store, "--out", str(tmp_path / "report")],
    ]
    for words in commands:
        done = guarded(log, words, workers="--workers" in words)
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
