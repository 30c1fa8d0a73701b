"""Make every figure and table of a report that the given tables allow, and keep what its page shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from pipelines.report.evidence import Evidence
from pipelines.report.exhibit import Contents, Exhibit, Listing, Page, Shown
from pipelines.report.exhibits import EXHIBITS
from pipelines.report.latex import booktabs
from pipelines.report.markdown import markdown_table
from pipelines.report.pins import Pins
from pipelines.report.tables import csv_bytes
from results.headline import split_comparisons
from storage import StoreError

if TYPE_CHECKING:
    from storage import Run

Write = Callable[[str, "bytes | str"], None]


class ReportOptions(NamedTuple):
    """How a report is to look.

    Attributes:
        formats: of figures, some of :data:`pipelines.report.figures.canvas.FORMATS`; none leaves the numbers behind
            them.
        columns: of the page that every figure is to span, 1 or 2; None leaves each its own width.
        pins: pairs to show one by one.
        runs: other runs to set beside it.
    """

    formats: tuple[str, ...] = ("pdf", "svg", "png")
    columns: int | None = None
    pins: Pins | None = None
    runs: tuple[Run, ...] = ()


USUAL = ReportOptions()


class Made(NamedTuple):
    """What came of the exhibits.

    Attributes:
        shown: figures and tables in the order of the report.
        missing: what could not be made, and why, in words.
        numbers: the frames behind figures by key of :data:`results.schema_figures.FIGURES`, of one
            comparison each.
    """

    shown: list[Shown]
    missing: list[str]
    numbers: dict[str, pd.DataFrame]

    def keep_numbers(self, name: str, contents: Contents) -> None:
        """Remember what stands behind a figure."""
        if name.startswith("figures/"):
            for suffix, content in contents.items():
                if isinstance(content, pd.DataFrame):
                    part = re.sub(r"^-page\d+", "", suffix).removesuffix(".csv")
                    self.numbers.setdefault(name.removeprefix("figures/") + part, content)


def write_exhibits(
    write: Write,
    tables: Mapping[str, pd.DataFrame],
    taus: Mapping[str, float],
    planned: frozenset[str] = frozenset(),
    options: ReportOptions = USUAL,
    evidence: Callable[[str], Evidence] | None = None,
) -> Made:
    """Write every figure and LaTeX table that the given tables allow.

    Args:
        write: takes a relative path and its content.
        tables: tables by name, with or without ``comparison_id``.
        taus: the threshold by comparison id; "main" without ids.
        planned: tables that there should be; what needs others is left out without a word where they are not given.
        options: how figures are to look.
        evidence: gives text and activations by comparison id.
    """
    made = Made([], [], {})
    for exhibit in EXHIBITS:
        lacking = [name for name in exhibit.needs if name not in tables]
        if not lacking:
            _each_comparison(made, write, exhibit, tables, taus, options, evidence)
        elif planned.union(tables) >= set(exhibit.needs):
            made.missing.append(f"`{exhibit.name}` (needs {', '.join(lacking)})")
    return made


def _each_comparison(
    made: Made,
    write: Write,
    exhibit: Exhibit,
    tables: Mapping[str, pd.DataFrame],
    taus: Mapping[str, float],
    options: ReportOptions,
    evidence: Callable[[str], Evidence] | None,
) -> None:
    """Make an exhibit for every comparison that has what it needs."""
    split = {name: dict(split_comparisons(tables[name])) for name in exhibit.needs}
    comparisons = list(split[exhibit.needs[0]])
    for comparison in comparisons:
        # One comparison keeps plain names, so that a paper's \input paths stay short.
        several = len(comparisons) > 1
        name = f"{exhibit.name}-{comparison}" if several else exhibit.name
        if any(comparison not in part for part in split.values()):
            made.missing.append(f"`{name}` (tables of this comparison)")
            continue
        chosen = {table: part[comparison] for table, part in split.items()}
        source = evidence(comparison) if evidence else None
        try:
            contents = exhibit.make(chosen, Page(taus.get(comparison), options.columns, source))
        except StoreError as damage:
            made.missing.append(f"`{name}`: {damage}")
            continue
        made.keep_numbers(exhibit.name, contents)
        made.shown.extend(
            write_contents(write, name, comparison if several else "", exhibit.caption, contents, options)
        )


def write_contents(
    write: Write, name: str, comparison: str, caption: str, contents: Contents, options: ReportOptions
) -> list[Shown]:
    """Write the contents of one exhibit.

    Args:
        write: takes a relative path and its content.
        name: relative path without suffix.
        comparison: which comparison it is of, where there are several; else empty.
        caption: what it shows.
        contents: what it is made of.
        options: how figures are to look.

    Returns:
        What of it the page shows.
    """
    from pipelines.report.figures.canvas import to_file

    shown = []
    for suffix, content in contents.items():
        if isinstance(content, pd.DataFrame):
            write(name + suffix, csv_bytes(content))
        elif isinstance(content, Listing):
            frame, columns, label, groups = content
            write(f"{name}.tex", booktabs(frame, columns, caption=caption, label=label, groups=groups))
            shown.append(Shown(name, comparison, caption, markdown_table(frame, columns, groups)))
        elif options.formats:
            figure = content()
            # The page has the picture inside, whatever files were asked for.
            files = {form: to_file(figure, form) for form in {"svg": 0, **dict.fromkeys(options.formats)}}
            for form in options.formats:
                write(f"{name}{suffix}.{form}", files[form])
            shown.append(Shown(name + suffix, comparison, caption, "", files["svg"].decode("utf-8")))
    return shown
