"""Feature: one latent of one model, whatever became of it, and the search for it."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.components.columns import Column, chosen_columns, number, percent, text
from dashboards.components.downloads import csv_button
from dashboards.components.feature_detail import show_feature
from dashboards.components.filters import SEARCH_HELP, SEARCHED, found_in_words
from dashboards.components.links import literal, quoted, view_popover
from dashboards.components.own_words import names_column, show_words
from dashboards.components.panels import nothing, panel
from dashboards.components.selection import choosing_table, named_in_address, step_buttons
from dashboards.data import View
from dashboards.frame import current_view
from results.feature_lists import find_feature
from results.ids import FEATURE_ID, feature_id, feature_ids, plain_id
from results.search import features_matching

BOX = "go_to"
#: What was typed that names no feature, in the address.
SOUGHT = "sought"
#: Features listed that a search finds.
MOST = 200


def go_to(first_model: str) -> None:
    """Write what was typed into the address; a number alone is a latent of the model on the screen, else the first."""
    typed = plain_id(str(st.session_state[BOX]).strip())
    if typed.isdecimal() and len(typed) < 10:
        shown = FEATURE_ID.match(st.query_params.get("feature", ""))
        typed = feature_id(shown["model"] if shown else first_model, int(typed))
    if typed:
        show("feature" if FEATURE_ID.match(typed) else SOUGHT, typed)


def show(param: str, value: str) -> None:
    """Write a feature, or what is sought, into the address in place of either: one step back undoes it."""
    others = {name: given for name, given in st.query_params.to_dict().items() if name not in ("feature", SOUGHT)}
    st.query_params.from_dict({**others, param: value})


def show_found(view: View, features: pd.DataFrame, sought: str) -> None:
    """The features that a search finds; a click leads to one of them."""
    st.caption(literal(found_in_words(view, sought)))
    names = features_matching(view, sought)
    shown = features[feature_ids(features).isin(names).to_numpy()].assign(id=feature_ids)
    if len(shown) > MOST:
        st.caption(f"The first {MOST} are listed.")
    shown = shown.head(MOST)

    def go(feature: str | None) -> None:
        if feature:
            show("feature", feature)

    frame, config = chosen_columns(shown, [
        *names_column(view, "feature", shown["id"]),
        Column("id", "id", text("feature", width="small")),
        Column("status", "status", text("status", width="small")),
        Column("class", "class", text("class", width="small")),
        Column("level", "level", text("level", width="small")),
        Column("domain", "top_domain", text("domain", help="of its strongest activations")),
        Column("rate", percent("firing_rate"), number("fires %", format="%.3g")),
    ])  # fmt: skip
    if len(shown):
        choosing_table(frame, shown["id"].tolist(), None, go, key="sought_features", column_config=config)


def go_anywhere(features: pd.DataFrame) -> None:
    """Write a feature that fires, drawn at random, into the address."""
    firing = features.index[(features["status"] != "dead").to_numpy()]
    row = features.loc[np.random.default_rng().choice(firing)]
    st.query_params["feature"] = feature_id(row["model"], row["latent"])


def controls(view: View, features: pd.DataFrame, row: pd.Series | None) -> None:
    """The box to go to a feature, and the buttons."""
    # The box shows where the visitor is; the address alone decides.
    st.session_state[BOX] = st.query_params.get("feature", st.query_params.get(SOUGHT, ""))
    left, right = st.columns([2, 5], vertical_alignment="bottom")
    left.text_input(
        "Go to", key=BOX, placeholder=SEARCHED, icon=":material/search:", on_change=go_to, args=(view.models()[0],),
        help=f"A number alone stays in the model on the screen. {SEARCH_HELP}",
    )  # fmt: skip
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
        features, feature = view.table("features"), named_in_address("feature")
        row = find_feature(view, feature)
        controls(view, features, row)
        if row is not None:
            show_words(view, "feature", feature)
            show_feature(view, row)
        elif feature:
            nothing(f"There is no feature {quoted(feature)} in this run.", _remedy(view, feature))
        elif sought := st.query_params.get(SOUGHT, ""):
            show_found(view, features, sought)
        else:
            st.caption(":material/touch_app: Name or describe a feature above, or let chance choose one.")


def _remedy(view: View, feature: str) -> str:
    match, models = FEATURE_ID.match(feature), view.table("models")
    roles = {str(m): str(role) for m, role in zip(models["model"], models["role"], strict=True)}
    if match and roles.get(match["model"], "primary") != "primary":
        return "Its dictionary only serves as a control: latents of second SAEs and of untrained models have no page."
    return "Features are named model:latent, for example m0:12."


main()
