"""One feature that has no partner: what each other model has instead, and the text it fires on."""

import pandas as pd
import streamlit as st

from dashboards.components.badges import feature_badges
from dashboards.components.contexts import DrawnFeature, drawn_feature, show_contexts_panel
from dashboards.components.links import feature_link
from dashboards.components.markup import Fact, facts, heading
from dashboards.components.panels import panel
from dashboards.components.profiles import show_profiles
from dashboards.components.verdicts import show_verdicts
from dashboards.data import View
from results import words
from results.colours import SIDE_COLOURS
from results.ids import feature_id

ALONE = "nothing"


def show_specific(view: View, row: pd.Series) -> None:
    """The whole detail of a feature."""
    model, latent = str(row["model"]), int(row["latent"])
    feature = feature_id(model, latent)
    st.html(heading([(feature, SIDE_COLOURS["a"])], feature_badges(row)))
    st.html(facts([
        Fact("best held-out r", words.number(row["best_r"]), "in any other model"),
        Fact("fires on", words.rate(row["firing_rate"]), "of all rows"),
        Fact("largest activation", words.number(row.get("max_activation")), "on the evaluation text"),
    ]))  # fmt: skip
    feature_link(view, feature, "All that is known of this feature")
    show_verdicts(view, model, latent)
    with panel(border=False):
        features = [drawn_feature(view, model, latent, SIDE_COLOURS["a"]), *_companion(view, model, latent)]
        show_contexts_panel(view, features, key="feature")
        with panel(border=False):
            show_profiles(view, features)


def _companion(view: View, model: str, latent: int) -> list[DrawnFeature]:
    """The nearest latent of another model, if the visitor wants it drawn on the same text."""
    table = view.optional("candidates")
    if table is None:
        return []
    best = table[(table["model_a"] == model) & (table["latent_a"] == latent) & (table["rank"] == 1)]
    near = {
        f"{feature_id(other, number)} (fit r {words.number(r)})": (str(other), int(number))
        for other, number, r in zip(best["model_b"], best["latent_b"], best["r"], strict=True)
    }
    if not near:
        return []
    chosen = st.columns([2, 3])[0].selectbox(
        "Draw the nearest miss on the same text", [*near, ALONE], key=f"beside_{model}_{latent}",
        help="The nearest latent of each other model: what the feature would have been matched with.",
    )  # fmt: skip
    return [drawn_feature(view, *near[chosen], SIDE_COLOURS["b"])] if chosen in near else []
