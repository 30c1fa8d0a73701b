"""Write every figure and table of a report that the given tables allow, and keep what its page shows."""

import logging
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd

from pipelines.report.evidence import Evidence
from pipelines.report.exhibit import Contents, Exhibit, ExhibitContext, Listing, Shown, caption
from pipelines.report.figure_exhibits import FIGURES
from pipelines.report.figures.canvas import FORMATS, to_file, to_pages
from pipelines.report.latex import booktabs
from pipelines.report.markdown import markdown_table
from pipelines.report.table_exhibits import READING_TABLES
from results.answers import Answer
from results.explained import Explanation
from results.export import csv_bytes
from results.headline import split_comparisons
from results.pins import Pins
from storage import Run, StoreError
from universality.errors import InputError

#: Everything that a report shows, in the order of its README.
EXHIBITS: tuple[Exhibit, ...] = (*READING_TABLES, *FIGURES)

Write = Callable[[str, "bytes | str"], None]
log = logging.getLogger(__name__)


class ReportOptions(NamedTuple):
    """How a report is to look.

    Attributes:
        formats: of figures, some of :data:`pipelines.report.figures.canvas.FORMATS`; none leaves the numbers behind
            them.
        columns: of the page that every figure is to span, 1 or 2; None leaves each its own width.
        pins: pairs to show one by one.
        answers: what people answered in the dashboard's games about the run.
        runs: other runs to set beside it.
        explanations: words of language models for features of the run.
    """

    formats: tuple[str, ...] = FORMATS
    columns: int | None = None
    pins: Pins | None = None
    answers: tuple[Answer, ...] = ()
    runs: tuple[Run, ...] = ()
    explanations: tuple[Explanation, ...] = ()


USUAL = ReportOptions()


class ExhibitWriter:
    """Writes figures and tables, and remembers what of them the report shows.

    Attributes:
        shown: figures and tables in the order of the report.
        missing: what could not be made, and why, in words.
        numbers: the frames behind figures by key of :data:`results.schema_figures.FIGURES`, of one comparison each.
    """

    def __init__(self, write: Write, options: ReportOptions = USUAL) -> None:
        """Start with nothing written.

        Args:
            write: takes a relative path and its content.
            options: how figures are to look.
        """
        self.shown: list[Shown] = []
        self.missing: list[str] = []
        self.numbers: dict[str, pd.DataFrame] = {}
        self._write, self._options = write, options

    def write_all(
        self,
        tables: Mapping[str, pd.DataFrame],
        taus: Mapping[str, float],
        planned: frozenset[str] = frozenset(),
        evidence: Callable[[str], Evidence] | None = None,
    ) -> None:
        """Write every figure and table that the given tables allow.

        Args:
            tables: tables by name, with or without ``comparison_id``.
            taus: the threshold by comparison id; "main" without ids.
            planned: tables that there should be; what needs others is left out without a word where they are not
                given.
            evidence: gives text and activations by comparison id.
        """
        for exhibit in EXHIBITS:
            lacking = [name for name in exhibit.needs if name not in tables]
            if not lacking:
                self._each_comparison(exhibit, tables, taus, evidence)
            elif planned.union(tables) >= set(exhibit.needs):
                self.missing.append(f"`{exhibit.name}` (needs {', '.join(lacking)})")

    def _each_comparison(
        self,
        exhibit: Exhibit,
        tables: Mapping[str, pd.DataFrame],
        taus: Mapping[str, float],
        evidence: Callable[[str], Evidence] | None,
    ) -> None:
        """Write an exhibit for every comparison that has what it needs."""
        split = {name: dict(split_comparisons(tables[name])) for name in exhibit.needs}
        comparisons = list(split[exhibit.needs[0]])
        for comparison in comparisons:
            # One comparison keeps plain names, so that a paper's \input paths stay short.
            label = comparison if len(comparisons) > 1 else ""
            name = f"{exhibit.name}-{label}" if label else exhibit.name
            if any(comparison not in part for part in split.values()):
                self.missing.append(f"`{name}` (tables of this comparison)")
                continue
            own = {table: part[comparison] for table, part in split.items()}
            context = ExhibitContext(
                taus.get(comparison), self._options.columns, evidence(comparison) if evidence else None
            )
            try:
                contents = exhibit.make(own, context)
                self.keep_numbers(exhibit.name, contents)
                self.write_contents(exhibit.name, contents, name, label)
            except StoreError as damage:
                self.missing.append(f"`{name}`: {damage}")
            except (OSError, InputError):
                raise
            except Exception as error:  # one picture must not take the others and the numbers with it
                log.info("%s could not be made", name, exc_info=True)
                self.missing.append(f"`{name}` (could not be made: {type(error).__name__}: {error})")

    def keep_numbers(self, exhibit: str, contents: Contents) -> None:
        """Remember what stands behind a figure."""
        if exhibit.startswith("figures/"):
            for suffix, content in contents.items():
                if isinstance(content, pd.DataFrame):
                    part = re.sub(r"^-page\d+", "", suffix).removesuffix(".csv")
                    self.numbers.setdefault(exhibit.removeprefix("figures/") + part, content)

    def write_contents(self, exhibit: str, contents: Contents, name: str = "", label: str = "") -> None:
        """Write the contents of one exhibit.

        Args:
            exhibit: its name, which tells its caption.
            contents: what it is made of.
            name: relative path without suffix, where that is not the exhibit's name.
            label: which comparison it is of, where there are several; else empty.
        """
        name, words, formats = name or exhibit, caption(exhibit), self._options.formats
        for suffix, content in contents.items():
            if isinstance(content, pd.DataFrame):
                self._write(name + suffix, csv_bytes(content))
            elif isinstance(content, Listing):
                frame, columns, groups, drawn = content
                pictures = None
                if drawn is not None and "pdf" in formats:
                    pictures = f"{name}.pdf"
                    self._write(pictures, to_pages(drawn()))
                tex_label = exhibit.replace("tables/", "tab:")
                tex = booktabs(frame, columns, caption=words, label=tex_label, groups=groups, pictures=pictures)
                self._write(f"{name}.tex", tex)
                self.shown.append(Shown(name, label, words, markdown_table(frame, columns, groups)))
            elif formats:
                figure = content()
                # The page has the picture inside, whatever files were asked for.
                files = {form: to_file(figure, form) for form in {"svg": 0, **dict.fromkeys(formats)}}
                for form in formats:
                    self._write(f"{name}{suffix}.{form}", files[form])
                self.shown.append(Shown(name + suffix, label, words, "", files["svg"].decode("utf-8")))
