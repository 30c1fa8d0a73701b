"""Write the report of a run: tables, figures, LaTeX, provenance, and what is missing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from pipelines.report.data_files import write_data_files
from pipelines.report.evidence import Evidence
from pipelines.report.folder import ReportFolder, json_text
from pipelines.report.making import USUAL, Made, ReportOptions, Write, write_exhibits
from pipelines.report.page import report_html, report_markdown
from pipelines.report.paper import floats_tex, paper_tex
from pipelines.report.pins import pinned_rows
from pipelines.report.prose.write import write_prose
from pipelines.report.provenance import clean, results, time_stamps
from pipelines.report.readme import readme_text
from pipelines.report.results_schema import results_schema
from pipelines.report.side_by_side import Side, side_values, sides_of, write_beside
from pipelines.report.tables import EVIDENCE, MAX_CSV_ROWS, TABLES, csv_bytes, parquet_bytes, with_token_text
from storage import ArtifactCorrupt, TableMissing

if TYPE_CHECKING:
    from storage import Run


#: What a run that is to have a table has a step of; of all others "comparison/".
OWNERS = {"sweeps": "sweep/", "documents": "tokens", "vocabulary": "tokenizer"}
OWNERS["pinned"] = "(no step)"
OWNERS |= dict.fromkeys(["positions", "cluster_positions", "cluster_links"], "layout/")


class ReportResult(NamedTuple):
    """What a report holds.

    Attributes:
        files: relative paths of all files, sorted, the manifest last.
        missing: what an unfinished run could not give, in words; empty for a complete one.
    """

    files: tuple[str, ...]
    missing: tuple[str, ...]


def write_report(run: Run, out_dir: str | Path, options: ReportOptions = USUAL) -> ReportResult:
    """Write everything about a run that a paper needs into a folder.

    The same run gives the same bytes, but for ``timestamps.json``. A run that is not finished or has damaged files
    gives a partial report that lists what it lacks.

    Args:
        run: the run; only read.
        out_dir: a new or empty folder, or one with an earlier report, which is replaced.
        options: how it is to look.

    Returns:
        The files, and what is missing.

    Raises:
        InputError: the folder holds something else, or the pins are not of this run.
    """
    tables, missing = _read_tables(run)
    if options.pins is not None and "pairs" in tables:
        tables["pinned"] = pinned_rows(options.pins, run.name, tables["pairs"])
    folder = ReportFolder(Path(out_dir))
    for name, table in tables.items():
        folder.write(f"tables/{name}.parquet", parquet_bytes(table))
        if name not in EVIDENCE and len(table) <= MAX_CSV_ROWS:
            folder.write(f"tables/{name}.csv", csv_bytes(table))
    planned = frozenset(name for name in TABLES if _is_planned(name, run.record["nodes"]))
    made = write_exhibits(folder.write, tables, _taus(run), planned, options, cache(partial(Evidence, run)))
    beside = _beside(run, tables, options, folder.write, made, missing)
    found = results(run, tables, tuple(missing))
    if beside:
        found["beside"] = clean(side_values(beside))
    found["limitations"] = write_prose(folder.write, run, tables, missing, found["warnings"])
    markdown = report_markdown(found, made.shown, (folder.path / "methods.md").read_text(encoding="utf-8"))
    folder.write("report.md", markdown)
    folder.write("report.html", report_html(markdown, run.name, made.shown))
    folder.write("floats.tex", floats_tex(folder.digests, made.shown))
    folder.write("paper.tex", paper_tex())
    write_data_files(folder.write, run, tables, made.numbers, found)
    folder.write("results.json", json_text(found))
    folder.write("results.schema.json", json_text(results_schema()))
    folder.write("README.md", readme_text(found, tables, sorted(folder.digests), missing))
    folder.write("timestamps.json", json_text(time_stamps(run, time.time())), digested=False)
    keys = {node: entry["key"] for node, entry in found["artifacts"].items()}
    return ReportResult(folder.finish(run.name, keys), tuple(missing))


def _beside(
    run: Run,
    tables: Mapping[str, pd.DataFrame],
    options: ReportOptions,
    write: Write,
    made: Made,
    missing: list[str],
) -> list[Side]:
    """Set the run's comparisons beside each other and beside those of other runs; ``made`` and ``missing`` grow."""
    sides, recipes = sides_of(run, tables, _taus(run)), {run.name: run.record.get("recipe") or {}}
    for other in options.runs:
        others, _ = _read_tables(other)
        found = sides_of(other, others, _taus(other))
        if not found:
            made.missing.append(f"run `{other.name}` beside it (it has no finished comparison)")
        sides += found
        recipes[other.name] = other.record.get("recipe") or {}
    if len(sides) > 1:
        together = write_beside(write, sides, recipes, options)
        made.shown.extend(together.shown)
        made.missing.extend(together.missing)
        made.numbers.update(together.numbers)
    missing += made.missing
    return sides if len(sides) > 1 else []


def _is_planned(table: str, nodes: Mapping[str, Any]) -> bool:
    """Whether a run is to have a table: those of sweeps and of comparisons only where it has such."""
    return any(node.startswith(OWNERS.get(table, "comparison/")) for node in nodes)


def _read_tables(run: Run) -> tuple[dict[str, pd.DataFrame], list[str]]:
    nodes = run.record["nodes"]
    missing = [
        f"step `{node}` ({fields.get('status', 'unknown')})"
        for node, fields in nodes.items()
        if not run.store.has(fields["key"])
    ]
    tables: dict[str, pd.DataFrame] = {}
    for name in TABLES:
        try:
            tables[name] = run.table(name)
        except TableMissing:
            if _is_planned(name, nodes):
                missing.append(f"table `{name}`")
        except ArtifactCorrupt as damage:
            missing.append(f"table `{name}`, which is damaged: {damage}")
    if "logits" in tables and "vocabulary" in tables:
        tables["logits"] = with_token_text(tables["logits"], tables["vocabulary"])
    return tables, missing


def _taus(run: Run) -> dict[str, float]:
    """The threshold by comparison id."""
    recipe = run.record.get("recipe") or {}
    tau = (recipe.get("compare") or {}).get("tau")
    ids = [c.get("id", "main") for c in recipe.get("comparisons") or []]
    return {} if tau is None else {str(name): float(tau) for name in ids or ["main"]}
