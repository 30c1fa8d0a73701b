"""Recipe tiny, computed once in a session by the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from shared_folders import made_once


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own; files that nobody closed are errors."""
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "pipelines.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def tiny_store() -> Path:
    """A store with the finished run ``tiny``; tests may compute in it what is there already, and nothing else."""
    return made_once("tiny", _compute)


def _compute(folder: Path) -> None:
    done = in_a_process("run", "tiny", "--store", str(folder), "--serial", "--name", "tiny")
    assert done.returncode == 0, done.stderr
    assert "Comparison main" in done.stdout
