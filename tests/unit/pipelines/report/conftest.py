"""One small synthetic run and its report for all tests that only read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_run import write_synthetic_run

from pipelines.report.report_writer import ReportOptions, ReportResult, write_report
from storage import Run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three models of 60 latents, 96 documents."""
    return write_synthetic_run(str(tmp_path_factory.mktemp("store")), n_latents=60, n_documents=96)


@pytest.fixture(scope="session")
def small_written(small_run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReportResult]:
    """The report of that run in all formats: its folder, and what was said of it."""
    out = tmp_path_factory.mktemp("reports") / "report"
    return out, write_report(small_run, out)


@pytest.fixture(scope="session")
def small_report(small_written: tuple[Path, ReportResult]) -> Path:
    """The report folder of that run."""
    return small_written[0]


@pytest.fixture(scope="session")
def two_comparisons(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path, ReportResult]:
    """A run of two models with the comparisons layer0 and layer1, without any control, its report (one format, one
    width), and what was said of it.
    """
    folder = tmp_path_factory.mktemp("two")
    run = write_synthetic_run(
        str(folder / "store"),
        n_models=2,
        n_untrained=0,
        replicates=False,
        comparisons=("layer0", "layer1"),
        n_latents=60,
        n_documents=96,
    )
    result = write_report(run, folder / "report", ReportOptions(formats=("svg",), columns=1))
    return run, folder / "report", result


@pytest.fixture
def run(small_run: Run) -> Run:
    """The small run, for tests that only read it."""
    return small_run


@pytest.fixture
def report(small_report: Path) -> Path:
    """Its report folder."""
    return small_report
