"""Write the report of a run: tables, figures, LaTeX, provenance, and what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from pipelines.cli.summary import split_comparisons
from pipelines.report.data_files import write_data_files
from pipelines.report.evidence import Evidence
from pipelines.report.exhibit import Exhibit, Page
from pipelines.report.exhibits import EXHIBITS
from pipelines.report.folder import ReportFolder, json_text
from pipelines.report.pins import Pins, pinned_rows
from pipelines.report.prose.write import write_prose
from pipelines.report.provenance import results, time_stamps
from pipelines.report.readme import readme_text
from pipelines.report.results_schema import results_schema
from pipelines.report.tables import EVIDENCE, MAX_CSV_ROWS, TABLES, csv_bytes, parquet_bytes, with_token_text
from storage import ArtifactCorrupt, StoreError, TableMissing

if TYPE_CHECKING:
    from storage import Run


#: What a run that is to have a table has a step of; of all others "comparison/".
OWNERS = {"sweeps": "sweep/", "documents": "tokens", "vocabulary": "tokenizer"}
OWNERS["pinned"] = "(no step)"
OWNERS |= dict.fromkeys(["positions", "cluster_positions", "cluster_links"], "layout/")


class ReportOptions(NamedTuple):
    """How a report is to look.

    Attributes:
        formats: of figures, some of :data:`universality.exhibits.paper.FORMATS`; none leaves the numbers behind them.
        columns: of the page that every figure is to span, 1 or 2; None leaves each its own width.
        pins: pairs to show one by one.
    """

    formats: tuple[str, ...] = ("pdf", "svg", "png")
    columns: int | None = None
    pins: Pins | None = None


USUAL = ReportOptions()


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
    missing += write_exhibits(folder.write, tables, _taus(run), planned, options, partial(Evidence, run))
    found = results(run, tables, tuple(missing))
    found["limitations"] = write_prose(folder.write, run, tables, missing, found["warnings"])
    write_data_files(folder.write, run, tables, found)
    folder.write("results.json", json_text(found))
    folder.write("results.schema.json", json_text(results_schema()))
    folder.write("README.md", readme_text(found, tables, sorted(folder.digests), missing))
    folder.write("timestamps.json", json_text(time_stamps(run, time.time())), digested=False)
    keys = {node: entry["key"] for node, entry in found["artifacts"].items()}
    return ReportResult(folder.finish(run.name, keys), tuple(missing))


def write_exhibits(
    write: Callable[[str, bytes | str], None],
    tables: Mapping[str, pd.DataFrame],
    taus: Mapping[str, float],
    planned: frozenset[str] = frozenset(),
    options: ReportOptions = USUAL,
    evidence: Callable[[str], Evidence] | None = None,
) -> list[str]:
    """Write every figure and LaTeX table that the given tables allow.

    Args:
        write: takes a relative path and its content.
        tables: tables by name, with or without ``comparison_id``.
        taus: the threshold by comparison id; "main" without ids.
        planned: tables that there should be; what needs others is left out without a word where they are not given.
        options: how figures are to look.
        evidence: gives text and activations by comparison id.

    Returns:
        What could not be made, and why, in words.
    """
    wanted = [exhibit for exhibit in EXHIBITS if planned.union(tables) >= set(exhibit.needs)]
    return [
        words
        for exhibit in wanted
        for words in _write_exhibit(write, exhibit, tables, taus, options, evidence)
    ]


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


def _write_exhibit(
    write: Callable[[str, bytes | str], None],
    exhibit: Exhibit,
    tables: Mapping[str, pd.DataFrame],
    taus: Mapping[str, float],
    options: ReportOptions,
    evidence: Callable[[str], Evidence] | None,
) -> list[str]:
    """Write an exhibit for every comparison; answers with what keeps it from being made."""
    from universality.exhibits.paper import to_file

    lacking = [name for name in exhibit.needs if name not in tables]
    if lacking:
        return [f"`{exhibit.name}` (needs {', '.join(lacking)})"]
    split = {name: dict(split_comparisons(tables[name])) for name in exhibit.needs}
    comparisons = list(split[exhibit.needs[0]])
    missing = []
    for comparison in comparisons:
        # One comparison keeps plain names, so that a paper's \input paths stay short.
        name = exhibit.name if len(comparisons) == 1 else f"{exhibit.name}-{comparison}"
        if any(comparison not in part for part in split.values()):
            missing.append(f"`{name}` (tables of this comparison)")
            continue
        chosen = {table: part[comparison] for table, part in split.items()}
        source = evidence(comparison) if evidence else None
        try:
            contents = exhibit.make(chosen, Page(taus.get(comparison), options.columns, source))
        except StoreError as damage:
            missing.append(f"`{name}`: {damage}")
            continue
        for suffix, content in contents.items():
            if isinstance(content, pd.DataFrame):
                write(name + suffix, csv_bytes(content))
            elif isinstance(content, str):
                write(name + suffix, content)
            elif options.formats:
                figure = content()
                for form in options.formats:
                    write(f"{name}{suffix}.{form}", to_file(figure, form))
    return missing


def _taus(run: Run) -> dict[str, float]:
    """The threshold by comparison id."""
    recipe = run.record.get("recipe") or {}
    tau = (recipe.get("compare") or {}).get("tau")
    ids = [c.get("id", "main") for c in recipe.get("comparisons") or []]
    return {} if tau is None else {str(name): float(tau) for name in ids or ["main"]}
