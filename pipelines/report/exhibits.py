"""Everything that a report shows, in the order of its README."""

from pipelines.report.exhibit import Exhibit
from pipelines.report.figure_exhibits import FIGURES
from pipelines.report.table_exhibits import READING_TABLES

EXHIBITS: tuple[Exhibit, ...] = (*READING_TABLES, *FIGURES)
