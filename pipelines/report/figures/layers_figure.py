"""Agreement at every two hook points: matrices beside their ceiling and floor."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import FAINT, INK, WIDTHS, axes_at, new_figure, styled
from pipelines.report.figures.parts import BLUES, name_width, note, shortened
from results.words import number

#: Inches: of a cell at most, above and below a matrix, between two.
_CELL, _TOP, _BELOW, _GAP = 0.62, 0.2, 0.14, 0.14
#: Inches of a cell from which it has a name, its number, its interval too.
_ROOM, _NUMBER, _INTERVAL = 0.15, 0.24, 0.52
#: Characters of a hook point's name, and inches of each.
_LABEL, _CHARACTER = 14, 0.056
_MEASURES = {"shared": "latents with a partner", "r_joint": "mean r beyond domain, document, token and place"}


@styled
def layers_figure(rows: pd.DataFrame, axis: str, *, columns: int = 2) -> Figure:
    """Matrices of hook points, one measure below the other, each with one scale for all its matrices.

    Args:
        rows: as :func:`results.layer_frames.layer_rows` makes them, with the column ``measure``.
        axis: what the hook points' names are names of, for example "layer (hook_resid_post)".
        columns: of the page; up to three matrices stand side by side in two, two in one.
    """
    panels, total = list(dict.fromkeys(rows["panel"])), WIDTHS[columns]
    across = min(max(len(panels), 1), 3 if columns == 2 else 2)
    down = -(-max(len(panels), 1) // across)
    names = [shortened(str(name), _LABEL) for name in dict.fromkeys([*rows["a"], *rows["b"]])]
    left, turned = 0.3 + name_width(names, _CHARACTER, 1), max(map(len, names), default=1) > 3
    below = _BELOW + (name_width(names, _CHARACTER, 1) if turned else 0.0)
    width = (total - 0.1 - across * left - (across - 1) * _GAP) / across
    width = min(width, _CELL * max(rows["b"].nunique(), 3))
    height = width * rows["a"].nunique() / max(rows["b"].nunique(), 1)
    each = _TOP + height + below
    part = 0.2 + down * each
    figure = new_figure(total, len(_MEASURES) * part + 0.18)
    note(figure, left, 0.05, f"{axis} of both dictionaries", fontsize=6.5)
    for row, (measure, words) in enumerate(_MEASURES.items()):
        top = (len(_MEASURES) - row) * part + 0.18
        note(figure, 0.06, top - 0.14, words, fontweight="bold")
        of_measure = rows[rows["measure"] == measure]
        scale = Normalize(0, max(float(of_measure["value"].max()), 0.05) if len(of_measure) else 1.0)
        for position, panel in enumerate(panels):
            line, place = divmod(position, across)
            axes = axes_at(
                figure, left + place * (width + left + _GAP), top - 0.2 - (line + 1) * each + below, width, height
            )
            _matrix(axes, of_measure[of_measure["panel"] == panel], scale, turned=turned)
            room = width + (0.3 if place < across - 1 else 0.06)
            axes.set_title(shortened(panel, int(room / 0.058)), loc="left", pad=3, fontsize=6.5)
    return figure


def _matrix(axes: Axes, cells: pd.DataFrame, scale: Normalize, *, turned: bool) -> None:
    down, across = (list(dict.fromkeys(cells[side])) for side in ("a", "b"))
    each = axes.bbox.width / axes.figure.dpi / max(len(across), 1)
    values = cells.set_index(["a", "b"])["value"].unstack("b").reindex(index=down, columns=across).to_numpy(float)
    axes.pcolormesh(
        np.ma.masked_invalid(values), cmap=BLUES, norm=scale, edgecolors="white", lw=0.8 if each >= _NUMBER else 0.3
    )
    axes.invert_yaxis()
    for axis, places in ((axes.xaxis, across), (axes.yaxis, down)):
        named = range(0, len(places), -(-int(_ROOM * 100) // max(int(each * 100), 1)))  # as many as have room
        axis.set_ticks([place + 0.5 for place in named], [shortened(places[place], _LABEL) for place in named])
    axes.tick_params(length=0, pad=2)
    if turned:
        axes.tick_params(axis="x", labelrotation=90)
    axes.spines[:].set(visible=True, color=FAINT, lw=0.6)
    if each < _NUMBER:
        return
    for cell in cells.to_dict("records"):
        colour = "white" if cell["value"] > 0.55 * float(scale.vmax or 1.0) else INK
        style: Any = {"ha": "center", "va": "center", "color": colour}
        x, y = across.index(cell["b"]) + 0.5, down.index(cell["a"]) + 0.5
        axes.text(x, y - 0.08, number(cell["value"]), fontweight="bold", fontsize=6.5, **style)
        if each >= _INTERVAL:
            ends = f"{number(cell['low'])}–{number(cell['high'])}"
            axes.text(x, y + 0.22, ends, fontsize=5.5, **style)
