"""What charts have in common: sizes, colours by value, tooltips, steps, cells of r, and the scales of class and r.

Legends are drawn as HTML beside the charts (they wrap, and are never cut), so charts have none of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import altair as alt
import pandas as pd
from altair.utils.schemapi import disable_debug_mode

# Altair checks every piece of a chart against its schema as it is put together, which takes longer than all else on
# a page. The whole chart is still checked once, when it is turned into JSON. For the same reason channels are objects
# (``alt.X2("right:Q")``): each one that is given as a bare string has the whole schema hashed.
disable_debug_mode()

HEIGHT = 290
#: Streamlit leaves 20 px under every chart; legends should be nearer than that.
PADDING = {"left": 0, "right": 8, "top": 4, "bottom": 0}
#: One ramp for both themes: the cells bring their own background, so text on them needs no theme.
RAMP = ("#eef4f9", "#c0daec", "#74aed4", "#2a7cb5", "#054a82")

Drawing: TypeAlias = alt.Chart | alt.LayerChart | alt.FacetChart

SHARE_AXIS = alt.Axis(format="%")


def tips(*fields: str | Sequence[Any]) -> list[alt.Tooltip]:
    """What is said where the pointer rests.

    Args:
        fields: of the data with their types (``n:Q``), alone or with a title (None: the field's name) and a format.
    """
    made = []
    for field in fields:
        name, *rest = [field] if isinstance(field, str) else field
        said: dict[str, Any] = dict(zip(("title", "format"), rest, strict=False))
        made.append(alt.Tooltip(name, **{key: value for key, value in said.items() if value is not None}))
    return made


def coloured(field: str, colours: Mapping[str, str]) -> alt.Color:
    """A colour for each value of a field, in the order given."""
    return alt.Color(field, scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)


def closed_steps(bins: pd.DataFrame) -> pd.DataFrame:
    """Bins of a histogram (columns left and right), with a row more where the last step ends."""
    last = bins[bins["right"] == bins["right"].max()]
    return pd.concat([bins, last.assign(left=bins["right"].max())])


def r_axes(low: float) -> dict[str, Any]:
    """Held-out r from ``low`` to 1, and the share of pairs.

    Heights follow a square root: one kind often stands in a single narrow peak, and the others must stay readable.
    """
    root = alt.Scale(type="sqrt")
    return {
        "x": alt.X("left:Q", title="held-out r", scale=alt.Scale(domain=[low, 1], nice=False)),
        "y": alt.Y("fraction:Q", title="share of pairs", scale=root, axis=alt.Axis(format="~%", tickCount=6)),
    }


#: What is said of a bin of held-out r.
R_TIPS = (("left:Q", "from r", ".2f"), ("right:Q", "to r", ".2f"), ("fraction:Q", "share", ".1%"))


def cells_of_r(base: alt.Chart, field: str = "r", top: float = 1.0) -> alt.Chart:
    """A cell for each r (or what else the field holds), the darker the nearer to ``top``."""
    scale = alt.Scale(domain=[0, top], range=list(RAMP), clamp=True)
    colour = alt.Color(f"{field}:Q", scale=scale, legend=None)
    return base.mark_rect(stroke="#ffffff", strokeWidth=1).encode(color=colour)


def white_where(dark: Any) -> Any:
    """White text on dark cells, dark text on the others."""
    return alt.condition(dark, alt.value("#ffffff"), alt.value("#1f2d3a"))
