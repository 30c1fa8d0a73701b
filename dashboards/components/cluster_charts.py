"""The chart of one cluster: how well its members agree with each other."""

import altair as alt
import numpy as np
import pandas as pd

from dashboards.components.chart_parts import PADDING, Drawing, cells_of_r, tips, white_where
from results import words


def agreement_frame(names: list[str], r: np.ndarray, assigned: set[frozenset[str]]) -> pd.DataFrame:
    """Held-out r between every two members, in long form.

    Args:
        names: the members ("m0:12"), in the order of the matrix.
        r: (n, n) held-out r.
        assigned: pairs of members that the assignment joined.

    Returns:
        a, b, r, kind ("assigned pair", "not each other's partner", or "itself"), one row per cell.
    """

    def kind(a: str, b: str) -> str:
        if a == b:
            return "itself"
        return "assigned pair" if frozenset((a, b)) in assigned else "not each other's partner"

    rows = [(a, b, float(r[i, j]), kind(a, b)) for i, a in enumerate(names) for j, b in enumerate(names)]
    return pd.DataFrame(rows, columns=["a", "b", "r", "kind"])


def agreement_chart(frame: pd.DataFrame) -> Drawing:
    """Cells of held-out r (columns of :func:`agreement_frame`); those that are no assigned pair are in italics."""
    order = list(dict.fromkeys(frame["a"]))
    drawn = frame[frame["kind"] != "itself"]
    drawn = drawn.assign(text=[words.number(r) for r in drawn["r"]])
    scale = alt.Scale(domain=order)
    top = alt.Axis(orient="top", labelAngle=0)
    base = alt.Chart(drawn).encode(
        x=alt.X("b:N", sort=order, title=None, scale=scale, axis=top),
        y=alt.Y("a:N", sort=order, title=None, scale=scale),
        tooltip=tips(("a:N", "member"), ("b:N", "and"), ("r:Q", "held-out r", ".3f"), ("kind:N", "they are")),
    )
    assigned = alt.FieldEqualPredicate(field="kind", equal="assigned pair")
    texts = [
        base.transform_filter(assigned).mark_text(fontSize=13),
        base.transform_filter(~assigned).mark_text(fontSize=13, fontStyle="italic"),
    ]
    colour = white_where(alt.datum.r > 0.5)
    layers = [cells_of_r(base), *(text.encode(text=alt.Text("text:N"), color=colour) for text in texts)]
    return alt.layer(*layers).properties(width=60 + 84 * len(order), height=40 + 46 * len(order), padding=PADDING)
