"""Two dictionaries of a study beside each other: their assigned features, and one pair of these with its contexts."""

import pandas as pd
import streamlit as st

from dashboards.components.badges import badge_of
from dashboards.components.columns import bar, number, text
from dashboards.components.contexts import drawn_feature, show_contexts_panel
from dashboards.components.downloads import csv_button
from dashboards.components.markup import heading
from dashboards.components.panels import nothing
from dashboards.components.selection import choosing_table, fitting
from dashboards.data import MAX_ROWS, View
from results.colours import SIDE_COLOURS
from results.ids import feature_ids, pair_ids
from results.study_frames import study_partners


def show_study_pair(view: View, study: str, pairs: pd.DataFrame) -> None:
    """The assigned features of a chosen pair of dictionaries, and the contexts of a chosen pair of features.

    Args:
        view: the run.
        study: id of the study.
        pairs: cell_a, cell_b of the pairs that can be chosen.
    """
    st.markdown("**Features of two dictionaries**")
    names = list(dict.fromkeys(zip(pairs["cell_a"], pairs["cell_b"], strict=True)))
    # Not by its place: other pairs may stand there when another relation is chosen.
    chosen = st.selectbox("Dictionaries", names, format_func=" and ".join, key=f"study_pair_{study}") or names[0]
    partners = study_partners(view, study, chosen)
    if partners is None:
        nothing("This run is of a version that kept no pairs of features.", "Run the recipe again to see them.")
        return
    shown = partners.head(MAX_ROWS)
    ids, key = pair_ids(shown).tolist(), f"study_feature_{study}"

    def choose(pair: str | None) -> None:
        st.session_state[f"{key}_chosen"] = pair

    table = shown[["r_held_out", "r_joint", "level", "edge"]]
    choosing_table(
        table.assign(a=feature_ids(shown, "a"), b=feature_ids(shown, "b"))[["a", "b", *table]], ids,
        st.session_state.get(f"{key}_chosen"), choose, key=key, height=fitting(table, 12),
        column_config={
            "a": text(chosen[0]), "b": text(chosen[1]), "r_held_out": bar("held-out r"),
            "r_joint": number("beyond domain, document and token", format="%.2f"),
            "edge": st.column_config.CheckboxColumn("counts as shared"),
        },
    )  # fmt: skip
    file = f"study-{study}-{chosen[0]}-{chosen[1]}.csv"
    csv_button(lambda: partners, file, key=f"{key}_csv", label="Every pair of features (CSV)", quiet=True)
    if (pair := st.session_state.get(f"{key}_chosen")) not in ids:
        st.caption(":material/touch_app: Select a row to see the text that both fire on.")
        return
    row = shown.iloc[ids.index(pair)]
    of_study = View(view.url, view.run, study, view.record)
    features = [
        drawn_feature(of_study, str(row[f"model_{side}"]), int(row[f"latent_{side}"]), colour)
        for side, colour in SIDE_COLOURS.items()
    ]
    st.html(heading([(feature.name, feature.colour) for feature in features], [badge_of("level", row["level"])]))
    show_contexts_panel(of_study, features, key=f"study_contexts_{study}", stored=False)
