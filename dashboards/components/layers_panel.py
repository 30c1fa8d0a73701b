"""Layer by layer: what dictionaries at every two hook points of a study share, beside ceiling and floor."""

import altair as alt
import pandas as pd
import streamlit as st

from dashboards.components.chart_parts import PADDING, Drawing, cells_of_r, tips, white_where
from dashboards.components.downloads import csv_button
from dashboards.components.links import literal
from results.layer_frames import layer_rows, layer_sentence, place_labels
from results.words import LEVELS, called, number

_ALL = "all levels"
_MOST_ACROSS, _CELL, _MOST_NUMBERS = 3, 46, 12


def show_layers(study: str, layers: pd.DataFrame, measure: str) -> None:
    """A sentence, the matrices of one measure (of shares at any level), and every number as CSV.

    Args:
        study: id of the study.
        layers: its table ``study_layers``.
        measure: ``shared``, ``r`` or ``r_joint``.
    """
    st.markdown("**Layer by layer**")
    if sentence := layer_sentence(layers):
        st.markdown(literal(sentence))
    if measure == "shared":
        words = {_ALL: _ALL} | {level: called(level) for level in LEVELS}
        level = st.selectbox("Shared at", list(words), format_func=words.__getitem__, key=f"layers_level_{study}")
        measure = measure if level in (None, _ALL) else f"shared_{level}"
    rows = layer_rows(layers, measure)
    _, axis = place_labels([*layers["hook_point_a"], *layers["hook_point_b"]])
    top, panels = max(float(rows["value"].max()), 0.05), list(dict.fromkeys(rows["panel"]))
    for start in range(0, len(panels), _MOST_ACROSS):
        for column, panel in zip(st.columns(_MOST_ACROSS), panels[start : start + _MOST_ACROSS], strict=False):
            with column:
                st.caption(panel)
                st.altair_chart(matrix_chart(rows[rows["panel"] == panel], axis, top))
    csv_button(lambda: layers, f"study-{study}-layers.csv", key=f"layers_csv_{study}", label="Every cell (CSV)")


def matrix_chart(rows: pd.DataFrame, axis: str, top: float) -> Drawing:
    """One matrix (columns of figure "study_layers"), the darker the nearer to ``top``."""
    down, across = (list(dict.fromkeys(rows[side])) for side in ("a", "b"))
    base = alt.Chart(rows.assign(text=[number(value) for value in rows["value"]])).encode(
        x=alt.X("b:N", sort=across, title=axis, axis=alt.Axis(labelAngle=0 if max(map(len, across)) < 4 else -90)),
        y=alt.Y("a:N", sort=down, title=None),
        tooltip=tips(
            ("a:N", axis), ("b:N", "and"), ("value:Q", None, ".3f"), ("low:Q", "from", ".3f"), ("high:Q", "to", ".3f"),
            ("one_model:Q", "one model, another SAE seed", ".3f"), ("untrained:Q", "untrained models", ".3f"),
            ("n_pairs:Q", "pairs", ","), ("n_models:Q", "models", ","),
        ),
    )  # fmt: skip
    cells = cells_of_r(base, "value", top)
    texts = base.mark_text(fontSize=13).encode(text=alt.Text("text:N"), color=white_where(alt.datum.value > 0.55 * top))
    layers = [cells, texts] if max(len(down), len(across)) <= _MOST_NUMBERS else [cells]
    return alt.layer(*layers).properties(height=_CELL * len(down) + 50, padding=PADDING)
