"""Recipe tiny, computed once in a session by the command line, in one process and by two workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from guard import guarded
from shared_folders import made_once


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own; files that nobody closed are errors."""
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "pipelines.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)


def tiny_store() -> Path:
    """A store with the finished run ``tiny``, for reading only: what computes in it takes a copy.

    The process that computed it could start no other and reach no other machine.
    """
    return made_once("tiny", lambda folder: _compute(folder, "--serial"))


def tiny_store_of_workers() -> Path:
    """The same run in another store, by two workers."""
    return made_once("tiny-of-workers", lambda folder: _compute(folder, "--workers", "2"))


def asked_for(store: Path) -> str:
    """What the process that computed a store asked for, though it is forbidden."""
    log = _log(store)
    return log.read_text() if log.exists() else ""


def _log(store: Path) -> Path:
    return store.with_name(f"{store.name}.forbidden")


def _compute(folder: Path, *how: str) -> None:
    words = ["run", "tiny", "--store", str(folder), "--name", "tiny", *how]
    done = guarded(_log(folder), words, workers="--workers" in how)
    assert done.returncode == 0, done.stderr + asked_for(folder)
    assert "Comparison main" in done.stdout
