"""One feature that has no partner: what each other model has instead, and the text it fires on."""

import pandas as pd
import streamlit as st

from dashboards.components.badges import feature_badges
from dashboards.components.contexts import DrawnFeature, drawn_feature, show_contexts_panel
from dashboards.components.labels import show_label
from dashboards.components.links import feature_link
from dashboards.components.markup import Fact, facts, heading
from dashboards.components.panels import panel
from dashboards.components.profiles import show_profiles
from dashboards.components.verdicts import show_verdicts
from dashboards.data import View
from results import words
from results.colours import SIDE_COLOURS
from results.ids import FEATURE_ID, feature_id
from results.verdict_evidence import Reason, reasons_of

ALONE = "nothing"


def show_specific(view: View, row: pd.Series) -> None:
    """The whole detail of a feature."""
    model, latent = str(row["model"]), int(row["latent"])
    feature = feature_id(model, latent)
    st.html(heading([(feature, SIDE_COLOURS["a"])], feature_badges(row)))
    show_label(view, model, latent)
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
            show_profiles(view, [drawn for drawn in features if drawn.model in view.models()])


def _companion(view: View, model: str, latent: int) -> list[DrawnFeature]:
    """A latent that the verdicts are about, those in the model that the list is narrowed to first, or none."""
    order, asked = list(words.VERDICTS), st.query_params.get("missing")
    reasons = sorted(
        reasons_of(view, model, latent), key=lambda reason: (reason.model != asked, order.index(reason.verdict))
    )
    beside = {
        f"{feature} ({_role(reason, feature)})": feature for reason in reasons for feature in reason.features
    }  # fmt: skip
    if not beside:
        return []
    chosen = st.columns([2, 3])[0].selectbox(
        "Draw beside it, on the same text", [*beside, ALONE], key=f"beside_{model}_{latent}",
        help="The latents that the verdicts are about, and the feature that has a contested one.",
    )  # fmt: skip
    match = FEATURE_ID.match(beside.get(chosen, ""))
    return [drawn_feature(view, match["model"], int(match["latent"]), SIDE_COLOURS["b"])] if match else []


def _role(reason: Reason, feature: str) -> str:
    """What a latent is to a verdict."""
    if feature not in reason.about:
        return f"has {reason.about[0]}"
    if reason.fit_r is not None:
        return f"nearest in {reason.model} by fit r"
    if reason.verdict == "unstable":
        return "nearest in a second dictionary"
    return f"{words.called(reason.verdict)} in {reason.model}"
