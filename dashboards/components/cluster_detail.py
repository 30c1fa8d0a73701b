"""Everything known of one cluster, on one screen: do these models have the same feature?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.components import markup
from dashboards.components.badges import cluster_badges
from dashboards.components.cluster_charts import agreement_chart, agreement_frame
from dashboards.components.contexts import LIMIT, LOOK, MORE, DrawnFeature, distinct_contexts, drawn_feature
from dashboards.components.downloads import download
from dashboards.components.labels import show_cluster_label
from dashboards.components.links import feature_link, pair_link, steer_link
from dashboards.components.mark_legend import mark_legend
from dashboards.components.markup import Fact, escape, facts, heading, legend, remark, swatch
from dashboards.components.panels import abreast, nothing, panel
from dashboards.components.pin_panel import pin_button
from dashboards.components.profiles import show_profiles
from dashboards.components.stored_steering import show_stored
from dashboards.components.verdicts import show_reason
from dashboards.data import View
from results import words
from results.cluster_lists import cluster_members
from results.colours import GREY, model_colours
from results.effect_lists import effects_within
from results.evaluation_text import EvaluationText
from results.firing import consensus_rows, correlations
from results.ids import feature_ids, pair_ids
from results.token_strip import Channel, token_strip
from results.verdict_evidence import reasons_of

#: Columns beside each other; more models stand in further rows.
ABREAST = 5


class Lane(NamedTuple):
    """A row of colour under the text: a member's, or the empty one of a model that has none."""

    name: str
    colour: str
    feature: DrawnFeature | None


def lanes_of(colours: dict[str, str], features: Sequence[DrawnFeature]) -> list[Lane]:
    """A lane per member, in the models' order; a model without one keeps its place.

    Args:
        colours: of all compared models, in the run's order.
        features: the members.
    """
    lanes = []
    for model, colour in colours.items():
        members = [Lane(feature.name, colour, feature) for feature in features if feature.model == model]
        lanes += members or [Lane(f"{model} absent", colour, None)]
    return lanes


def show_cluster(view: View, row: pd.Series) -> None:
    """The whole detail of a cluster (a row of ``clusters_of``)."""
    number, colours = int(row["cluster"]), model_colours(view.models())
    members = cluster_members(view, number)
    st.html(heading([(f"Cluster {number}", GREY)], cluster_badges(view, row)))
    show_cluster_label(view, number)
    steer_link(view, str(number))
    features: list[DrawnFeature] = []  # stays empty where the activations cannot be read
    with panel(border=False):
        drawn = [
            drawn_feature(view, str(model), latent, colours[str(model)])
            for model, latent in zip(members["model"], members["latent"], strict=True)
        ]
        r = correlations([feature.firing for feature in drawn], view.score_rows)
        same = effects_within(view, members)
        st.html(facts([*_facts(row, len(members), len(colours), r), *_effect_facts(same)]))
        features = drawn
    show_models(view, members, colours)
    show_stored(view, number)
    if not features:
        return
    with panel(border=False):
        show_consensus(view, number, lanes_of(colours, features))
        top = {"top": "raises most (● in another member's list too)"}
        show_profiles(view, features, top, most=ABREAST)
    if len(features) > 1:
        show_agreement(view, members, features, r)


def _facts(row: pd.Series, n_members: int, n_models: int, r: np.ndarray) -> list[Fact]:
    inside = r[np.triu_indices(len(r), 1)]
    lowest = float(inside.min()) if len(inside) else None
    low, high = words.rate(row["rate_low"]), words.rate(row["rate_high"])
    return [
        Fact("models", f"{int(row['n_models'])} of {n_models}", words.counted(n_members, "member")),
        Fact("cohesion", words.number(row["cohesion"]), "mean held-out r inside",
             "Mean held-out r over all pairs of members, whether the assignment joined them or not."),
        Fact("weakest link", words.number(lowest), "lowest held-out r inside",
             "The pair of members that agrees least."),
        Fact("completeness", words.share(row["completeness"]), "of its pairs are matched",
             "Assigned pairs beyond chance and above the threshold, over all pairs of members."),
        Fact("fires on", low if low == high else f"{low} to {high}", "of all rows", "Lowest and highest firing rate."),
        Fact("domain", str(row["domain"]) if pd.notna(row["domain"]) else "–", "most members are strongest there"),
    ]  # fmt: skip


def _effect_facts(same: pd.Series) -> list[Fact]:
    """Whether its members do the same, where that was measured."""
    if same.empty:
        return []
    pairs = words.counted(len(same), "matched pair")
    return [
        Fact("what they do", words.number(same.mean()), f"mean r of effects, {pairs}",
             "Correlation of the changes in the loss that ablating either of two members makes, where both fire."),
    ]  # fmt: skip


def show_models(view: View, members: pd.DataFrame, colours: dict[str, str]) -> None:
    """One column per model, in the run's order: its members, or why it has none."""
    present = set(members["model"])
    reasons = [
        reason
        for model, latent in zip(members["model"], members["latent"], strict=True)
        for reason in reasons_of(view, str(model), int(latent))
    ]
    for model, column in abreast(list(colours), ABREAST):
        with column, panel():
            st.html(heading([(model, colours[model])]))
            if model in present:
                _present(view, members[members["model"] == model])
            for reason in reasons:
                if reason.model == model:
                    st.html(legend([remark(f"no partner for {reason.feature}")]))
                    show_reason(view, reason)


def _present(view: View, members: pd.DataFrame) -> None:
    for _, member in members.iterrows():
        feature_link(view, str(member["id"]))
        flags = ", ".join(map(words.called, words.flags(member["flags"])))
        said = f"fires on {words.rate(member['firing_rate'])}" + (f" · {flags}" if flags else "")
        st.html(legend([remark(said)]))


@st.fragment
def show_consensus(view: View, number: int, lanes: Sequence[Lane]) -> None:
    """The contexts in which all members are strongest together; a fragment, so that *More* redraws nothing else."""
    note = (
        "Where the mean of the members' activations, each as a share of its maximum, is highest. "
        "Each text stands once; every model has a row under it."
    )
    with panel("Consensus contexts", note):
        with st.container(horizontal=True, vertical_alignment="center"):
            more = st.toggle("More", key="cluster_more", help=f"Up to {MORE} contexts")
            broken = st.toggle("Line breaks", key="cluster_broken", help="Begin a new line where the text does")
            mark_legend("cluster_legend")
        features = [lane.feature for lane in lanes if lane.feature]
        rows = consensus_contexts(view.text, features, MORE if more else LIMIT)
        if not rows:
            nothing("No member of this cluster fires on the evaluation text.")
            return
        named = models_legend(lanes)
        drawn = markup.context_rows((_context(view.text, lanes, *row) for row in rows), flowing=not broken)
        st.html(named)
        st.html(drawn)
        download(
            "Figure (HTML)", lambda: markup.page_of(f"Cluster {number}", named + drawn),
            f"cluster_{number}.html", key="cluster_figure", quiet=True,
        )  # fmt: skip


def consensus_contexts(text: EvaluationText, features: Sequence[DrawnFeature], limit: int) -> list[tuple[int, float]]:
    """Evaluation rows and the members' mean share of maximum there, highest first, no two with one context."""
    rows, means = consensus_rows([feature.firing for feature in features])
    mean_of = dict(zip(rows[:LOOK].tolist(), means[:LOOK].tolist(), strict=True))
    return [(row, mean_of[row]) for row in distinct_contexts(text, rows, limit)]


def _context(text: EvaluationText, lanes: Sequence[Lane], row: int, mean: float) -> tuple[str, str]:
    window = text.wide_window(row)
    channels = [
        lane.feature.channel(window.rows)
        if lane.feature
        else Channel(lane.name, [0.0] * len(window.rows), 1.0, lane.colour)
        for lane in lanes
    ]
    strip = token_strip(window.tokens, channels, peak=window.peak, background=False)
    meta = f"<div><b>{words.share(mean)}</b> <span>mean</span></div><div><span>{escape(text.domain(row))}</span></div>"
    return meta, strip


def models_legend(lanes: Sequence[Lane]) -> str:
    """Which row is whose, from the top."""
    entries = [swatch(lane.colour, lane.name, underline=True, ink=1.0 if lane.feature else 0.5) for lane in lanes]
    return legend([*entries, remark("rows under the text, from the top")])


def show_agreement(view: View, members: pd.DataFrame, features: Sequence[DrawnFeature], r: np.ndarray) -> None:
    """Held-out r (n, n) between all members, and links to those that are assigned pairs."""
    note = "Held-out r of every two members. In italics: they are not each other's assigned partner."
    with panel("Agreement inside", note):
        names = [feature.name for feature in features]
        linked = inside_pairs(view.table("pairs"), members)
        assigned = {frozenset(pair) for pair in zip(linked["a"], linked["b"], strict=True)}
        left, right = st.columns([3, 2], vertical_alignment="center")
        left.altair_chart(agreement_chart(agreement_frame(names, r, assigned)), width="content")
        with right:
            for pair, value in zip(linked["id"], linked["r_held_out"], strict=True):
                pair_link(view, str(pair), f"{pair}, r {words.number(value)}")
            if len(linked):
                pin_button(view, linked["id"].tolist(), key="cluster_pin")
            rest = len(names) * (len(names) - 1) // 2 - len(linked)
            if rest:
                st.caption(f"{words.counted(rest, 'pair')} inside without an assignment")


def inside_pairs(pairs: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """The assigned pairs whose both sides are members, strongest first, with ``a``, ``b`` and ``id``."""
    # Numbers first: comparing texts is slower by far.
    near = pairs[np.logical_and(*(pairs[f"latent_{s}"].isin(members["latent"]).to_numpy() for s in "ab"))]
    near = near.assign(a=feature_ids(near, "a"), b=feature_ids(near, "b"), id=pair_ids(near))
    inside = near[near["a"].isin(members["id"]) & near["b"].isin(members["id"])]
    return inside.sort_values("r_held_out", ascending=False, ignore_index=True)
