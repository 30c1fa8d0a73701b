"""What a figure or a table of a report is, before any of them is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipelines.report.evidence import Evidence

Tables = Mapping[str, pd.DataFrame]


class Page(NamedTuple):
    """What a report's figures are made for.

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


#: By suffix, "" for a figure: what is written, a frame as CSV, a figure in each wanted format, drawn only for one.
Contents = dict[str, "str | pd.DataFrame | Callable[[], Figure]"]


class Exhibit(NamedTuple):
    """One figure or table of a report.

    Attributes:
        name: relative path without suffix, for example ``figures/correlation``.
        needs: run tables without which it cannot be made.
        caption: what it shows, for README and LaTeX.
        make: run tables of one comparison and the page -> contents; none where there is nothing to show.
    """

    name: str
    needs: tuple[str, ...]
    caption: str
    make: Callable[[Tables, Page], Contents]
