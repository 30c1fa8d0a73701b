"""What a figure or a table of a report is, before any of them is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import yaml

from pipelines.report.latex import Column
from pipelines.report.prose.template import filled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipelines.report.evidence import Evidence

Tables = Mapping[str, pd.DataFrame]


class ExhibitContext(NamedTuple):
    """What the figures and tables of one comparison are made from beside its tables.

    Attributes:
        tau: the threshold of the comparison; None where it is not known.
        columns: columns of the page that every figure spans, 1 or 2; None leaves each its own width.
        evidence: text and activations of the run; None for a comparison without a run.
    """

    tau: float | None = None
    columns: int | None = None
    evidence: Evidence | None = None

    def spans(self, usual: int) -> int:
        """Columns of a figure that usually spans so many."""
        return usual if self.columns is None else self.columns


class Listing(NamedTuple):
    """A table for readers: as LaTeX in a file of its own, as Markdown in the report's page.

    Attributes:
        frame: its rows.
        columns: which columns, in which form.
        groups: words on a line of their own before the row of that position.
        pictures: text of each row as a picture, which stands in LaTeX in place of the columns of tokens: pages of a PDF
            beside the table.
    """

    frame: pd.DataFrame
    columns: Sequence[Column]
    groups: Mapping[int, str] | None = None
    pictures: Callable[[], list[Figure]] | None = None


class Shown(NamedTuple):
    """A figure or table that was made, for the report's page.

    Attributes:
        name: relative path without suffix.
        comparison: id of the comparison, where the run has several; else empty.
        caption: what it shows.
        markdown: the table, or the link to the picture.
        svg: the picture; empty for a table.
    """

    name: str
    comparison: str
    caption: str
    markdown: str
    svg: str = ""


#: By suffix, "" or "-page2" for the exhibit itself: a table for readers, or a figure, drawn only where a format is
#: wanted; a frame of numbers is written as CSV.
Contents = dict[str, "Listing | pd.DataFrame | Callable[[], Figure]"]


class Exhibit(NamedTuple):
    """One figure or table of a report.

    Attributes:
        name: relative path without suffix, for example ``figures/correlation``.
        needs: run tables without which it cannot be made.
        make: run tables of one comparison and their context -> contents; none where there is nothing to show.
    """

    name: str
    needs: tuple[str, ...]
    make: Callable[[Tables, ExhibitContext], Contents]

    @property
    def caption(self) -> str:
        """What it shows, for README and LaTeX."""
        return caption(self.name)


def caption(name: str) -> str:
    """What a figure or table shows, as ``templates/exhibits.yaml.j2`` says it."""
    return _words()[name]["caption"]


def columns(name: str) -> list[Column]:
    """The columns of a table for readers, as ``templates/exhibits.yaml.j2`` lists them."""
    listed = []
    for column, header, form in ([*row, None][:3] for row in _words()[name]["columns"]):
        digits = form if isinstance(form, int) else None
        token, tail = form in ("token", "tail"), form == "tail"
        share = form["share"] if isinstance(form, dict) else None
        listed.append(Column(column, header, digits, token=token, code=form == "code", tail=tail, share=share))
    return listed


@cache
def _words() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(filled("exhibits.yaml"))
