"""Feature: one latent of one model, whatever became of it."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.components.downloads import csv_button
from dashboards.components.feature_detail import show_feature
from dashboards.components.links import view_popover
from dashboards.components.panels import nothing, panel
from dashboards.components.selection import step_buttons
from dashboards.data import View
from dashboards.frame import current_view
from results.feature_lists import find_feature
from results.ids import FEATURE_ID, feature_id

BOX = "go_to"


def go_to() -> None:
    """Write what was typed into the address; a bare number is a latent of the model that is on the screen."""
    typed = str(st.session_state[BOX]).strip()
    shown = FEATURE_ID.match(st.query_params.get("feature", ""))
    if shown and typed.isdecimal():
        typed = feature_id(shown["model"], int(typed))
    if typed:
        st.query_params["feature"] = typed


def go_anywhere(features: pd.DataFrame) -> None:
    """Write a feature that fires, drawn at random, into the address."""
    firing = features.index[(features["status"] != "dead").to_numpy()]
    row = features.loc[np.random.default_rng().choice(firing)]
    st.query_params["feature"] = feature_id(row["model"], row["latent"])


def controls(view: View, features: pd.DataFrame, row: pd.Series | None) -> None:
    """The box to go to a feature, and the buttons."""
    # The box shows where the visitor is; the address alone decides.
    st.session_state[BOX] = st.query_params.get("feature", "")
    left, right = st.columns([2, 5], vertical_alignment="bottom")
    left.text_input("Go to", key=BOX, placeholder="m0:12", icon=":material/search:", on_change=go_to,
                    help="model:latent; a number alone stays in the model on the screen")  # fmt: skip
    with right, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        st.button(
            "Random", key="feature_random", icon=":material/shuffle:", on_click=go_anywhere, args=(features,),
            disabled=not (features["status"] != "dead").any(), help="Any latent that fires, of any model",
        )  # fmt: skip
        if row is not None:
            model, latent = row["model"], row["latent"]
            view_popover(view, feature=feature_id(model, latent))
            csv_button(lambda: row.to_frame().T, f"feature_{model}.{latent}.csv", key="feature_csv")
            latents = features.loc[(features["model"] == model).to_numpy(), "latent"]
            step_buttons([feature_id(model, i) for i in sorted(latents)], param="feature", key="latent")


def main() -> None:
    """Draw the page."""
    view = current_view()
    st.title("Feature", anchor=False)
    with panel(border=False):
        features, feature = view.table("features"), st.query_params.get("feature", "")
        row = find_feature(view, feature)
        controls(view, features, row)
        if row is not None:
            show_feature(view, row)
        elif feature:
            nothing("The address names a feature that this run has not.", _remedy(view, feature))
        else:
            st.caption(":material/touch_app: Name a feature above, or let chance choose one.")


def _remedy(view: View, feature: str) -> str:
    match, models = FEATURE_ID.match(feature), view.table("models")
    roles = {str(m): str(role) for m, role in zip(models["model"], models["role"], strict=True)}
    if match and roles.get(match["model"], "primary") != "primary":
        return "Its dictionary only serves as a control: latents of second SAEs and of untrained models have no page."
    return "Features are named model:latent, for example m0:12."


main()
