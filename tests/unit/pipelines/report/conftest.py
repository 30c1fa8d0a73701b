"""One small synthetic run and its report for all tests that only read them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from shared_folders import made_once
from synthetic_run import write_synthetic_run

from pipelines.report.report_writer import ReportOptions, ReportResult, write_report
from storage import Run, open_run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three models of 60 latents, 96 documents."""
    return write_synthetic_run(str(tmp_path_factory.mktemp("store")), n_latents=60, n_documents=96)


@pytest.fixture(scope="session")
def small_written(small_run: Run) -> tuple[Path, ReportResult]:
    """The report of that run in all formats: its folder, and what was said of it."""
    folder = made_once("small-report", lambda folder: _write(small_run, folder, ReportOptions()))
    return folder / "report", pickle.loads((folder / "result").read_bytes())


def _write(run: Run, folder: Path, options: ReportOptions) -> None:
    """The report of a run and, beside it, what was said of it."""
    result = write_report(run, folder / "report", options)
    (folder / "result").write_bytes(pickle.dumps(result))


@pytest.fixture(scope="session")
def small_report(small_written: tuple[Path, ReportResult]) -> Path:
    """The report folder of that run."""
    return small_written[0]


@pytest.fixture(scope="session")
def two_comparisons() -> tuple[Run, Path, ReportResult]:
    """A run of two models with the comparisons layer0 and layer1, without any control, its report (one format, one
    width), and what was said of it.
    """

    def fill(folder: Path) -> None:
        run = write_synthetic_run(
            str(folder / "store"),
            n_models=2,
            n_untrained=0,
            replicates=False,
            comparisons=("layer0", "layer1"),
            n_latents=60,
            n_documents=96,
        )
        _write(run, folder, ReportOptions(formats=("svg",), columns=1))

    folder = made_once("two-comparisons", fill)
    run = open_run(None, str(folder / "store"))
    return run, folder / "report", pickle.loads((folder / "result").read_bytes())


@pytest.fixture
def run(small_run: Run) -> Run:
    """The small run, for tests that only read it."""
    return small_run


@pytest.fixture
def report(small_report: Path) -> Path:
    """Its report folder."""
    return small_report
