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
    "test_kills", "test_network_namespaces", "test_run_equals_compare", "test_interrupted_training",
    "test_object_store", "test_killed_dictionaries", "test_calibration", "test_damage_laws", "test_executor_contract",
    "test_live_dictionaries", "test_pretrained_run", "test_screens", "test_border_matrices", "test_beside_a_run",
    "test_guarded_run", "test_border_text", "test_recipe_yaml", "test_public_calls", "test_border_checkpoints",
    "test_artifacts", "test_sae_seeds", "test_memory", "test_engine_resume", "test_browser", "test_browser_places",
    "test_report_prose", "test_controls", "test_screens_lens", "test_screens_every", "test_trained_sae_contract",
    "test_sweep_run", "test_report_figures", "test_cli_compare_files", "test_report_cases", "test_report_writer",
    "test_screens_clusters", "test_report_beside", "test_screens_pins", "test_sae_precision", "test_screens_steer",
    "test_cli_steer", "test_steering", "test_shells", "test_browser_gate", "test_dask_processes", "test_rerun_effects",
    "test_pair_effects", "test_cli_compare_saes", "test_browser_atlas", "test_browser_text", "test_atlas",
    "test_cli_explain", "test_cli_json", "test_cli_slips", "test_cli_init", "test_cli_first_hour",
    "test_browser_notes", "test_screens_notes",
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
