"""Everything that a report shows, in the order of its README."""

from __future__ import annotations

from pipelines.report.exhibit import Exhibit
from pipelines.report.figures import FIGURES
from pipelines.report.reading_tables import READING_TABLES

EXHIBITS: tuple[Exhibit, ...] = (*READING_TABLES, *FIGURES)
