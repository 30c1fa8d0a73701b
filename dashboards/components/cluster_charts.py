"""The chart of one cluster: how well its members agree with each other."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from dashboards.components.overview_charts import PADDING, RAMP, Drawing
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
    rows = [
        (a, b, float(r[i, j]), "itself" if i == j else _kind(frozenset((a, b)), assigned))
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    ]
    return pd.DataFrame(rows, columns=["a", "b", "r", "kind"])


def _kind(pair: frozenset[str], assigned: set[frozenset[str]]) -> str:
    return "assigned pair" if pair in assigned else "not each other's partner"


def agreement_chart(frame: pd.DataFrame) -> Drawing:
    """Cells of held-out r (columns of :func:`agreement_frame`); those that are no assigned pair are in italics."""
    order = list(dict.fromkeys(frame["a"]))
    drawn = frame[frame["kind"] != "itself"]
    drawn = drawn.assign(text=[words.number(r) for r in drawn["r"]])
    base = alt.Chart(drawn).encode(
        x=alt.X(
            "b:N",
            sort=order,
            title=None,
            scale=alt.Scale(domain=order),
            axis=alt.Axis(orient="top", labelAngle=0),
        ),
        y=alt.Y("a:N", sort=order, title=None, scale=alt.Scale(domain=order)),
        tooltip=[
            alt.Tooltip("a:N", title="member"),
            alt.Tooltip("b:N", title="and"),
            alt.Tooltip("r:Q", title="held-out r", format=".3f"),
            alt.Tooltip("kind:N", title="they are"),
        ],
    )
    scale = alt.Scale(domain=[0, 1], range=list(RAMP), clamp=True)
    cells = base.mark_rect(stroke="#ffffff", strokeWidth=1).encode(
        color=alt.Color("r:Q", scale=scale, legend=None)
    )
    colour = alt.condition(alt.datum.r > 0.5, alt.value("#ffffff"), alt.value("#1f2d3a"))
    of_pairs = alt.FieldEqualPredicate(field="kind", equal="assigned pair")
    texts = [
        base.transform_filter(of_pairs).mark_text(fontSize=13),
        base.transform_filter(~of_pairs).mark_text(fontSize=13, fontStyle="italic"),
    ]
    layers = [cells, *(text.encode(text=alt.Text("text:N"), color=colour) for text in texts)]
    return alt.layer(*layers).properties(
        width=60 + 84 * len(order), height=40 + 46 * len(order), padding=PADDING
    )
