"""The look of the report's figures, and how they become files.

Figures are built as objects, never through pyplot, so that nothing global is touched. They are made for print: vector,
embedded TrueType, one or two columns wide, and readable without colour.
"""

import io
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

#: Widths of one and of two columns, inches.
ONE_COLUMN, TWO_COLUMNS = 3.25, 6.75
WIDTHS = {1: ONE_COLUMN, 2: TWO_COLUMNS}
#: File formats of a figure: two of vectors, one of pixels.
FORMATS = ("pdf", "svg", "png")
#: Pixels per inch of the last.
DPI = 300
#: Colours of lines and words: not quite black, so that data stand out.
INK, MUTED, FAINT = "#222222", "#6B6B6B", "#E4E4E4"
#: Dashes of thresholds and chance levels.
DASHES = (0, (3, 2))

STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",  # the same shapes where the font is missing
    "svg.hashsalt": "universality",
    "text.parse_math": False,  # names may hold dollar signs
    "text.usetex": False,
}

#: Decorator of functions that draw: the report's style holds while they do, and nothing global is left changed.
styled = mpl.rc_context(STYLE)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches, bound to no window."""
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the lower left corner."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def to_file(figure: Figure, form: str) -> bytes:
    """A figure as a file, byte for byte the same for equal figures: no time stamp, no program's version.

    Args:
        figure: a figure that was not written in this format before: names inside a second SVG would count on.
        form: one of :data:`FORMATS`.
    """
    buffer = io.BytesIO()
    dates: Any = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
    with mpl.rc_context(STYLE), no_word_on_weights():
        figure.savefig(buffer, format=form, metadata=dates[form], dpi=DPI)
    return buffer.getvalue()


def to_pages(figures: Iterable[Figure]) -> bytes:
    """Figures as pages of one PDF, byte for byte the same for equal figures."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE), no_word_on_weights(), PdfPages(buffer, metadata={"CreationDate": None}) as pages:
        for figure in figures:
            pages.savefig(figure)
    return buffer.getvalue()


@contextmanager
def no_word_on_weights() -> Iterator[None]:
    """Without the log line that a script's only font is not called "normal"."""
    log = logging.getLogger("matplotlib.font_manager")

    def keep(record: logging.LogRecord) -> bool:
        return "font weight" not in record.getMessage()

    log.addFilter(keep)
    try:
        yield
    finally:
        log.removeFilter(keep)
