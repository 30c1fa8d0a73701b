"""What every test starts from."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

# One thread for each process of pytest-xdist, which reads this when it starts: they share the cores, and threads of
# BLAS that wait for each other spin.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# Nothing that is imported and collected becomes garbage; looking for it takes a quarter of the time.
gc.disable()
# No test cuts the power; processes of their own still wait for the disk.
os.fsync = lambda descriptor: None

SUPPORT = Path(__file__).parent / "support"
sys.path.append(str(SUPPORT))
import shared_folders

#: Test files that take longest, longest first: they start first, so that all workers end together.
LONGEST = [
    "test_kills", "test_network_namespaces", "test_object_store",
    "test_run_equals_compare", "test_executor_contract", "test_screens", "test_engine_resume", "test_browser",
    "test_browser_places", "test_report_prose", "test_controls", "test_calibration", "test_screens_lens",
    "test_screens_every", "test_trained_sae_contract", "test_sweep_run", "test_report_figures",
    "test_cli_compare_files", "test_report_cases", "test_report_writer", "test_screens_clusters",
    "test_report_beside", "test_screens_pins", "test_sae_precision",
    "test_screens_steer", "test_cli_steer", "test_steering",
    "test_shells", "test_damage_laws", "test_browser_gate", "test_dask_processes", "test_recipe_yaml",
    "test_rerun_effects", "test_pair_effects",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order within a file stays."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_collection_finish() -> None:
    """Whatever the test files imported stays to the end: the garbage collector need not look at it again and again.

    Streamlit collects after every page that it draws.
    """
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _shared_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One folder for all workers of pytest-xdist, each of which has a folder of its own below it."""
    base = tmp_path_factory.getbasetemp()
    shared_folders.root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of the command line have the width of no terminal, whatever runs the tests."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("LINES", raising=False)
