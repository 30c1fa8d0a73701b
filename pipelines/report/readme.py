"""The report's own README: what was found, and what every file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipelines.report.data_files import FILES as DATA
from pipelines.report.exhibits import EXHIBITS
from pipelines.report.prose.write import FILES as PROSE
from pipelines.report.side_by_side import CAPTIONS
from pipelines.report.tables import MAX_CSV_ROWS, TABLES
from results.headline import headline_frame
from universality.compare.marks import SHARED_INIT_WORDS, flagged_pairs


def readme_text(
    results: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    files: Sequence[str],
    missing: Sequence[str],
) -> str:
    """Markdown for the report folder.

    Args:
        results: as :func:`pipelines.report.provenance.results` makes it.
        tables: the run's tables.
        files: relative paths written so far.
        missing: what the report lacks, in words.
    """
    lines = [f"# Report of run {results['run']}", ""]
    lines += [f"Recipe `{results['recipe_name']}`, status **{results['status']}**.", ""]
    if missing:
        lines += [
            "## Missing",
            "",
            "`universality run` on the same recipe computes steps that are missing and reuses the rest. Lacking:",
            "",
        ]
        lines += [*(f"- {item}" for item in missing), ""]
    if "headline" in tables:
        lines += ["## Headline", "", *_headline(tables["headline"]), ""]
    doubtful = flagged_pairs(tables["indices"]) if "indices" in tables else []
    if results["warnings"] or doubtful:
        lines += ["## Warnings", ""]
        lines += [f"- {pair}: {SHARED_INIT_WORDS}" for pair in doubtful]
        lines += [*(f"- `{w['node']}`: {_plain(w['warning'])}" for w in results["warnings"]), ""]
    lines += ["## Files", "", *_files(tables, files), ""]
    lines += ["`DATA_DICTIONARY.md` says what every column means.", ""]
    return "\n".join(lines)


def _headline(headline: pd.DataFrame) -> list[str]:
    lines = ["Median held-out r of assigned pairs, with 95 % intervals.", ""]
    comparisons = list(headline["comparison_id"].unique()) if "comparison_id" in headline else [None]
    for comparison in comparisons:
        part = headline if comparison is None else headline[headline["comparison_id"] == comparison]
        frame = headline_frame(part)
        lines += [f"Comparison `{comparison}`:", ""] if len(comparisons) > 1 else []
        lines += ["| quantity | median r | 95 % interval | n |", "| --- | ---: | --- | ---: |"]
        for row in frame[frame["pair"] == "overall"].to_dict("records"):
            interval = "" if pd.isna(row["low"]) else f"{row['low']:.2f} to {row['high']:.2f}"
            value = "not measured" if pd.isna(row["value"]) else f"{row['value']:.2f}"
            lines.append(f"| {row['label']} | {value} | {interval} | {row['n']:,} |")
        lines.append("")
    return lines[:-1]


def _files(tables: Mapping[str, pd.DataFrame], files: Sequence[str]) -> list[str]:
    """A row per file or per group of files that belong together, only of what was written."""
    rows = [
        (
            "results.json",
            "everything in numbers: headline, counts, recipe, seeds, artifact keys, environment, corpus",
        ),
        (
            "results.schema.json",
            "JSON schema of results.json, versioned; `universality schema --kind results`",
        ),
        (
            "timestamps.json",
            "all times and durations; the only file that differs when a report is written again",
        ),
        ("manifest.json", "sha256 of every other file"),
        *((name, meaning) for name, meaning in PROSE.items() if name in files),
        *(row for name, meaning in DATA.items() for row in _data_row(name, meaning, files)),
    ]
    for name, caption in CAPTIONS.items():
        made = [file for file in files if file.startswith(f"{name}.")]
        if made:
            rows.append((", ".join(f"`{file}`" for file in sorted(made, key=_picture_first)), caption))
    rows += _data_row("beside/", "the same figures of every run, one column wide", files)
    for exhibit in EXHIBITS:
        made = [name for name in files if _belongs(name, exhibit.name)]
        if made:
            rows.append(
                (", ".join(f"`{name}`" for name in sorted(made, key=_picture_first)), exhibit.caption)
            )
    for name, meaning in TABLES.items():
        if f"tables/{name}.parquet" in files:
            csv = f"`tables/{name}.csv`, " if f"tables/{name}.csv" in files else ""
            size = f" ({len(tables[name]):,} rows)"
            rows.append((f"{csv}`tables/{name}.parquet`", meaning + size))
    lines = ["| file | holds |", "| --- | --- |"]
    lines += [f"| {name if '`' in name else f'`{name}`'} | {meaning} |" for name, meaning in rows]
    return [
        *lines,
        "",
        "Parquet files are exact. In CSV files tokens, and texts that a spreadsheet could take for a formula, are JSON "
        f"strings; evidence of single latents and tables of more than {MAX_CSV_ROWS:,} rows come as Parquet only. "
        "The LaTeX tables need `\\usepackage{booktabs}`.",
    ]


def _data_row(name: str, meaning: str, files: Sequence[str]) -> list[tuple[str, str]]:
    """A row for a file, or one for all files of a folder."""
    made = [f"`{file}`" for file in files if file == name or (name.endswith("/") and file.startswith(name))]
    return [(", ".join(made), meaning)] if made else []


def _belongs(file: str, exhibit: str) -> bool:
    if exhibit.startswith("tables/"):
        return file.startswith(exhibit) and file.endswith(".tex")
    return file.startswith(exhibit)


def _picture_first(name: str) -> tuple[bool, str]:
    return not name.endswith(".pdf"), name


def _plain(text: str) -> str:
    """Text from a run inside Markdown: on one line, nothing that starts a link or a tag."""
    return " ".join(text.split()).replace("<", "&lt;").replace("[", "\\[").replace("|", "\\|")
