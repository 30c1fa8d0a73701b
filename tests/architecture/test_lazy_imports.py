"""What must not be imported to answer at once; asked of a fresh interpreter, from its import log."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "torch",
    "numba",
    "pandas",
    "dask",
    "distributed",
    "streamlit",
    "matplotlib",
    "transformer_lens",
    "pyarrow",
    "duckdb",
    "scipy",
    "numpy",
}


def imported_by(*arguments):
    """Top-level modules that a fresh interpreter imports for a command."""
    log = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    ).stderr
    names = [line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")]
    return {name.partition(".")[0] for name in names}


def test_the_log_is_read():
    assert {"json", "pandas"} <= imported_by("-c", "import json, pandas")


def test_help_imports_nothing_heavy():
    assert not imported_by("-m", "pipelines.cli.main", "--help") & (HEAVY | {"pydantic", "rich", "storage"})


@pytest.mark.parametrize("command", ["run", "compare", "status", "steer"])
def test_help_of_a_command_imports_nothing_heavy(command):
    assert not imported_by("-m", "pipelines.cli.main", command, "--help") & HEAVY


@pytest.mark.parametrize(
    "room",
    [
        "universality",
        "storage",
        "results",
        "results.stored_comparison",
        "pipelines",
        "pipelines.engine",
        "pipelines.cli.main",
    ],
)
def test_rooms_import_nothing_heavy(room):
    assert not imported_by("-c", f"import {room}") & (HEAVY - {"numpy"})


def test_science_room_imports_no_numpy_either():
    assert "numpy" not in imported_by("-c", "import universality")


def test_what_a_finished_run_says_needs_no_torch_no_screens_and_no_figures():
    modules = [path.stem for path in (Path(__file__).parents[2] / "results").glob("[!_]*.py")]
    code = "".join(f"import results.{module}\n" for module in modules)
    assert len(modules) > 10
    assert not imported_by("-c", code) & {"torch", "streamlit", "matplotlib", "dask"}


def test_the_shipped_steps_and_plans_need_no_torch():
    """A second run computes nothing: it must not pay for what computing needs."""
    code = "import pipelines.steps, pipelines.plan, pipelines.recipe"
    assert not imported_by("-c", code) & {
        "torch",
        "numba",
        "dask",
        "distributed",
        "transformer_lens",
        "matplotlib",
        "streamlit",
    }
