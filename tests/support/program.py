"""The command line in this process: what a fresh interpreter would import first is there already."""

from __future__ import annotations

import contextlib
from pathlib import Path

from typer.testing import CliRunner, Result

from pipelines.cli.main import app


def universality(*words: str, cwd: str | Path = ".") -> Result:
    """What a command printed and its exit code; an exception that it does not put into words is raised."""
    with contextlib.chdir(cwd):
        return CliRunner().invoke(app, words, catch_exceptions=False)
