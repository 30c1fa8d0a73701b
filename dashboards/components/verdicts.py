"""Why features have no partner: how many for which reason, and the reasons of one of them."""

import altair as alt
import pandas as pd
import streamlit as st

from dashboards.components.badges import badge_of
from dashboards.components.chart_parts import PADDING, Drawing, coloured, tips
from dashboards.components.links import cluster_link, feature_link
from dashboards.components.markup import heading, legend, remark, swatch
from dashboards.components.panels import abreast, nothing, panel
from dashboards.data import View
from results import words
from results.colours import VERDICT_COLOURS, model_colours
from results.feature_lists import find_feature
from results.verdict_evidence import Reason, reasons_of

#: Models beside each other.
ABREAST = 4
#: Black is invisible on the dark page; a dark grey reads on both.
_COLOURS = {verdict: "#5F6B73" if c == "#000000" else c for verdict, c in VERDICT_COLOURS.items()}


def verdict_chart(counts: pd.DataFrame) -> Drawing:
    """Number of specific features by verdict and model (columns model, verdict, n)."""
    present = {verdict: c for verdict, c in _COLOURS.items() if (counts["verdict"] == verdict).any()}
    rank = {verdict: i for i, verdict in enumerate(present)}
    no_margin = alt.Scale(nice=False)
    return (
        alt.Chart(counts.assign(rank=counts["verdict"].map(rank)))
        .mark_bar(cornerRadius=1)
        .encode(
            y=alt.Y("model:N", title=None, sort=list(dict.fromkeys(counts["model"]))),
            x=alt.X("n:Q", title="features without a partner", stack="zero", scale=no_margin),
            color=coloured("verdict:N", present),
            order=alt.Order("rank:Q"),
            tooltip=tips("model:N", "verdict:N", ("n:Q", "features", ",")),
        )
        .properties(height=70 + 36 * counts["model"].nunique(), padding=PADDING)
    )


def verdict_legend(counts: pd.DataFrame) -> str:
    """The verdicts that occur, with how many features have each."""
    totals = counts.groupby("verdict", observed=True)["n"].sum()
    return legend(
        swatch(colour, f"{words.called(verdict)} {int(totals[verdict]):,}")
        for verdict, colour in _COLOURS.items()
        if verdict in totals.index
    )


def show_verdicts(view: View, model: str, latent: int) -> None:
    """The tested reason for every model that has no partner for a feature, with links to the latents it is about."""
    note = "For each model that has no partner for it: the first reason that holds, and the latents that it is about."
    with panel("Why not in the other models", note):
        reasons = reasons_of(view, model, latent)
        if not reasons:
            nothing("No verdict was recorded for this feature.")
        for reason, column in abreast(reasons, ABREAST, least=2):
            with column:
                st.html(heading([(reason.model, model_colours(view.models())[reason.model])]))
                show_reason(view, reason)


def show_reason(view: View, reason: Reason) -> None:
    """A verdict, what it rests on, and the way to the latents that it is about."""
    st.html(legend([badge_of("verdict", reason.verdict), remark(words.VERDICTS[reason.verdict])]))
    st.html(legend([remark(reason.sentence)]))
    with st.container(horizontal=True, gap="small"):
        for feature in reason.features:
            if find_feature(view, feature) is not None:  # latents of replicates have no page
                feature_link(view, feature)
        if reason.cluster is not None:
            cluster_link(view, reason.cluster)
