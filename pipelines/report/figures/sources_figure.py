"""How much text stands behind each domain: documents and the sources that they come from, by part of the text."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from pipelines.report.figures.canvas import DASHES, FAINT, MUTED, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import as_rows, heading, key_rows, key_words, name_width, shortened
from results.cautions import FEW_DOMAIN_SOURCES
from results.colours import GREY, OKABE_ITO
from results.words import called

#: Parts of the text: words, mark, colour.
PARTS = {
    "training": ("training", "s", GREY),
    "fit": ("fit: partners are chosen", "o", OKABE_ITO["sky"]),
    "score": ("score: all that is reported", "D", OKABE_ITO["blue"]),
}
_COLUMNS = {"n_documents": "documents", "n_sources": "sources"}


@styled
def sources_figure(counts: pd.DataFrame, *, columns: int = 1) -> Figure:
    """A row per domain, those of fewest score sources last; a mark per part of the text, on logarithmic axes.

    Args:
        counts: as :func:`results.figure_frames.domain_sources` makes it.
        columns: of the page that it spans.

    Returns:
        Left documents, right sources with a dashed line where there are too few for a domain's figures to be more
        than examples.
    """
    domains = list(dict.fromkeys(counts["domain"]))
    names = [shortened(called(str(name)), 16) for name in domains]
    row, bottom, head = 0.165, 0.32, 0.24
    key = 0.14 * len(PARTS) + 0.04
    left, width = 0.16 + name_width(names, 0.058, usual=8), WIDTHS[columns]
    height = max(len(domains), 1) * row + 0.1
    figure = new_figure(width, bottom + height + head + key)
    pitch = (width - left - 0.12) / len(_COLUMNS)
    for place, (column, words) in enumerate(_COLUMNS.items()):
        axes = axes_at(figure, left + place * pitch, bottom, pitch - 0.24, height)
        heading(axes, words)
        _panel(axes, counts, domains, column)
        axes.set_yticks(range(len(domains)), names if place == 0 else [""] * len(domains))
    _key(axes_at(figure, left, bottom + height + head, width - left - 0.12, key))
    return figure


def _panel(axes: Axes, counts: pd.DataFrame, domains: list[str], column: str) -> None:
    axes.set_xscale("log")
    axes.set_ylim(max(len(domains), 1) - 0.2, -0.8)
    as_rows(axes)
    axes.hlines(range(len(domains)), 0, 1, color=FAINT, lw=0.5, transform=axes.get_yaxis_transform(), zorder=0)
    rows = {domain: row for row, domain in enumerate(domains)}
    for part, (_, marker, colour) in PARTS.items():
        of = counts[(counts["part"] == part) & (counts[column] > 0)]
        axes.plot(of[column], of["domain"].map(rows), marker, ms=3.4, mfc=colour, mec=colour, ls="none", zorder=3)
    if column == "n_sources":
        axes.axvline(FEW_DOMAIN_SOURCES, color=MUTED, lw=0.8, ls=DASHES, zorder=1)
    top = 1.6 * max(float(counts[column].max()) if len(counts) else 10.0, 10.0)
    axes.set_xlim(0.8, top)
    decades = [10**power for power in range(len(f"{int(top)}"))]
    axes.set_xticks(decades, [f"{n // 1000}k" if n >= 1000 else str(n) for n in decades])
    axes.xaxis.set_minor_formatter(NullFormatter())


def _key(axes: Axes) -> None:
    key_rows(axes, len(PARTS), 0.7)
    for row, (words, marker, colour) in enumerate(PARTS.values()):
        axes.plot([0.03], [row], marker, ms=3.4, mfc=colour, mec=colour)
        key_words(axes, 0.08, row, words)
