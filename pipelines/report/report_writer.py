"""Write the report of a run: tables, figures, LaTeX, provenance, and what is missing."""

import time
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipelines.report.data_files import write_data_files
from pipelines.report.evidence import Evidence
from pipelines.report.exhibit_writer import USUAL, ExhibitWriter, ReportOptions
from pipelines.report.folder import ReportFolder, json_text
from pipelines.report.page import report_html, report_markdown
from pipelines.report.paper import floats_tex
from pipelines.report.prose.material import readable_recipe
from pipelines.report.prose.template import filled
from pipelines.report.prose.text_files import write_text
from pipelines.report.provenance import clean, run_values, time_stamps
from pipelines.report.readme import readme_text
from pipelines.report.record_check import refuse_other_settings
from pipelines.report.results_schema import results_schema
from pipelines.report.side_by_side import RunComparison, beside_values, run_comparisons, write_beside
from pipelines.report.table_files import EVIDENCE, MAX_CSV_ROWS, TABLES, with_token_text
from results.answers import answers_table
from results.explained import explained_table
from results.export import csv_bytes, parquet_bytes
from results.kept_comparison import is_kept
from results.named_things import notes_table
from results.older_runs import as_of_now
from results.own_notes import run_notes
from results.pins import pinned_rows
from storage import ArtifactCorrupt, ArtifactGone, Run, TableMissing

#: The step that makes a table; of all others it is "comparison", or makes no sense without one.
OWNERS = {
    "sweeps": "sweep",
    "documents": "tokens",
    "coverage": "shared_rows",
    "vocabulary": "tokenizer",
    "pinned": "(no step)",
    "names": "(no step)",
    "answers": "(no step)",
    "explained": "(no step)",
}
OWNERS |= {"effects": "effects", "substitution_curve": "effects", "effect_agreement": "effect_agreement"}
OWNERS |= {"latent_effects": "fingerprints", "steering_clusters": "steering_clusters"}
OWNERS |= dict.fromkeys(["explanations", "explanation_transfer"], "explanations")
OWNERS |= dict.fromkeys(["labels", "label_parts", "cluster_labels"], "labels")
OWNERS |= {"probes": "probes", "steering_doses": "steering", "steering_transfer": "steering"}
# Steps that only runs have whose models see different text, or that ask for latents of equal number.
OWNERS |= {"unseen_domains": "unseen_domains", "same_index": "same_index"}
OWNERS |= dict.fromkeys(["study", "study_cells", "study_means", "study_contrasts", "study_domains"], "study")
# Of studies with several hook points alone: nothing is missing where it is not.
OWNERS |= {"study_layers": "(no step)"}
OWNERS |= {"split_tree": "splitting", "splits_by_size": "splitting", "split_agreement": "split_agreement"}
# Steps of effects make these of some hook points only: nothing is missing where they are not.
OWNERS |= dict.fromkeys(["attribution", "latent_attribution"], "(no step)")
OWNERS |= dict.fromkeys(["positions", "cluster_positions", "cluster_links"], "layout")


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

    The same run and what people wrote of it give the same bytes, but for ``timestamps.json``. A run that is not
    finished or has damaged files gives a partial report that lists what it lacks.

    Args:
        run: the run; only read.
        out_dir: a new or empty folder, or one with an earlier report, which is replaced.
        options: how it is to look.

    Returns:
        The files, and what is missing.

    Raises:
        InputError: the folder holds something else, the pins are not of this run, or the run's record names other
            settings than those that its artifacts were made with.
    """
    for one in (run, *options.runs):
        refuse_other_settings(one, readable_recipe(one))
    tables, missing = _read_tables(run)
    if options.pins is not None and "pairs" in tables:
        tables["pinned"] = pinned_rows(options.pins, run.name, tables["pairs"])
    names = notes_table(run)
    if (names["kind"] != "run").any():
        tables["names"] = names[names["kind"] != "run"].reset_index(drop=True)
    if options.answers:
        tables["answers"] = answers_table(list(options.answers))
    if options.explanations:
        tables["explained"] = explained_table(options.explanations)
    folder = ReportFolder(Path(out_dir))
    for name, table in tables.items():
        folder.write(f"tables/{name}.parquet", parquet_bytes(table))
        if name not in EVIDENCE and len(table) <= MAX_CSV_ROWS:
            folder.write(f"tables/{name}.csv", csv_bytes(table))
    exhibits = ExhibitWriter(folder.write, options)
    exhibits.write_all(
        tables, _taus(run), _planned(run), None if is_kept(run.record) else cache(partial(Evidence, run))
    )
    beside = _write_beside(run, tables, options, exhibits)
    missing += exhibits.missing
    values = run_values(run, tables, tuple(missing))
    if beside:
        values["beside"] = clean(beside_values(beside))
    values["limitations"] = write_text(folder.write, run, tables, missing, values["warnings"], values["conclusions"])
    methods = (folder.path / "methods.md").read_text(encoding="utf-8")
    markdown = report_markdown(values, exhibits.shown, methods, run_notes(run.store, [run.record])[0])
    folder.write("report.md", markdown)
    folder.write("report.html", report_html(markdown, run.name, exhibits.shown))
    folder.write("floats.tex", floats_tex(folder.digests, exhibits.shown))
    folder.write("paper.tex", filled("paper.tex"))
    write_data_files(folder.write, run, tables, exhibits.numbers, values)
    folder.write("results.json", json_text(values))
    folder.write("results.schema.json", json_text(results_schema()))
    folder.write("README.md", readme_text(values, tables, sorted(folder.digests), missing))
    folder.write("timestamps.json", json_text(time_stamps(run, time.time())), digested=False)
    keys = {node: entry["key"] for node, entry in values["artifacts"].items()}
    return ReportResult(folder.finish(run.name, keys), tuple(missing))


def _write_beside(
    run: Run, tables: Mapping[str, pd.DataFrame], options: ReportOptions, exhibits: ExhibitWriter
) -> list[RunComparison]:
    """Set the run's comparisons beside each other and beside those of other runs; none where there is one alone."""
    comparisons, recipes = run_comparisons(run, tables, _taus(run)), {run.name: _recipe(run)}
    for other in options.runs:
        theirs = run_comparisons(other, _read_tables(other)[0], _taus(other))
        if not theirs:
            exhibits.missing.append(f"run `{other.name}` beside it (it has no finished comparison)")
        comparisons += theirs
        recipes[other.name] = _recipe(other)
    if len(comparisons) < 2:
        return []
    write_beside(exhibits, comparisons, recipes, options.columns)
    return comparisons


def _recipe(run: Run) -> Mapping[str, Any]:
    """The recipe as it ran; empty where the record has none."""
    return run.record.get("recipe") or {}


def _planned(run: Run) -> frozenset[str]:
    """The tables that a run is to have: those of sweeps and of comparisons only where it has such, and of activations
    that were brought what they can tell."""
    if is_kept(run.record):
        return frozenset(run.tables())
    steps = {node["step"] for node in run.record["nodes"].values()}
    return frozenset(name for name in TABLES if OWNERS.get(name, "comparison") in steps)


def _read_tables(run: Run) -> tuple[dict[str, pd.DataFrame], list[str]]:
    nodes = run.observed["nodes"]
    missing = [
        f"step `{node}` ({fields['status']})" for node, fields in nodes.items() if not run.store.has(fields["key"])
    ]
    tables: dict[str, pd.DataFrame] = {}
    planned = _planned(run)
    for name in TABLES:
        try:
            tables[name] = as_of_now(name, run.table(name), run.record)
        except TableMissing:
            if name in planned:
                missing.append(f"table `{name}`")
        except (ArtifactCorrupt, ArtifactGone) as damage:
            missing.append(f"table `{name}`, which is damaged: {damage}")
    if "logits" in tables and "vocabulary" in tables:
        tables["logits"] = with_token_text(run, tables["logits"])
    return tables, missing


def _taus(run: Run) -> dict[str, float]:
    """The threshold by comparison id."""
    recipe = _recipe(run)
    tau = (recipe.get("compare") or {}).get("tau")
    ids = [c.get("id", "main") for c in recipe.get("comparisons") or []]
    return {} if tau is None else {str(name): float(tau) for name in ids or ["main"]}
