"""Everything that a report shows, in the order of its README."""

from __future__ import annotations

from pipelines.report.exhibit import Exhibit
from pipelines.report.figures import FIGURES
from pipelines.report.latex_tables import LATEX_TABLES

EXHIBITS: tuple[Exhibit, ...] = (*LATEX_TABLES, *FIGURES)
