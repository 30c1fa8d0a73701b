"""The report's own README: what was found, and what every file holds."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from pipelines.report.exhibit import caption
from pipelines.report.exhibit_writer import EXHIBITS
from pipelines.report.page import in_short
from pipelines.report.prose.template import filled
from pipelines.report.side_by_side import TOGETHER
from pipelines.report.table_exhibits import intervals
from pipelines.report.table_files import MAX_CSV_ROWS, TABLES
from results.headline import headline_frame, split_comparisons
from universality.compare.marks import SHARED_INIT_WORDS, flagged_pairs


def readme_text(
    results: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    files: Sequence[str],
    missing: Sequence[str],
) -> str:
    """Markdown for the report folder.

    Args:
        results: as :func:`pipelines.report.provenance.run_values` makes it.
        tables: the run's tables.
        files: relative paths written so far, sorted.
        missing: what the report lacks, in words.
    """
    doubtful = flagged_pairs(tables["indices"]) if "indices" in tables else []
    warnings = [f"{pair}: {SHARED_INIT_WORDS}" for pair in doubtful]
    warnings += [f"`{entry['node']}`: {_plain(entry['warning'])}" for entry in results["warnings"]]

    def row(pattern: str, meaning: str) -> str:
        """A row of the table of files; empty where nothing that fits the pattern was written."""
        made = [file for file in files if fnmatchcase(file, pattern)]
        # The PDF of a figure comes first.
        made.sort(key=lambda file: (file.startswith("figures/") and not file.endswith(".pdf"), file))
        return f"| {', '.join(f'`{file}`' for file in made)} | {meaning} |\n" if made else ""

    return filled(
        "README.md",
        **{name: results[name] for name in ("run", "recipe_name", "status")},
        missing=missing,
        in_short=in_short(results),
        headlines=_headlines(tables["headline"]) if "headline" in tables else [],
        warnings=warnings,
        row=row,
        exhibits=_exhibits(),
        tables={
            name: f"{schema.meaning} ({len(tables[name]):,} rows)" for name, schema in TABLES.items() if name in tables
        },
        max_csv_rows=MAX_CSV_ROWS,
    )


def _exhibits() -> Iterator[tuple[str, str]]:
    """Patterns of the files of every exhibit, with what it shows."""
    yield from ((f"{name}.*", caption(name)) for name in TOGETHER)
    yield "beside/*", "the same figures of every run, one column wide"
    for exhibit in EXHIBITS:
        yield f"{exhibit.name}*{'.[tp][ed][xf]' if exhibit.name.startswith('tables/') else ''}", exhibit.caption


def _headlines(headline: pd.DataFrame) -> list[tuple[str, list[dict[str, str]]]]:
    """Comparisons, each with its overall quantities in words."""
    listed = []
    for comparison, part in split_comparisons(headline):
        frame = headline_frame(part)
        frame = frame[frame["pair"] == "overall"]
        words = frame.assign(
            value=["not measured" if pd.isna(value) else f"{value:.2f}" for value in frame["value"]],
            interval=[interval or "" for interval in intervals(frame["low"], frame["high"])],
            n=frame["n"].map("{:,}".format),
        )
        listed.append((comparison, words.to_dict("records")))
    return listed


def _plain(text: str) -> str:
    """Text from a run inside Markdown: on one line, nothing that starts a link or a tag."""
    return " ".join(text.split()).replace("<", "&lt;").replace("[", "\\[").replace("|", "\\|")
