"""Everything known of one cluster, on one screen: do these models have the same feature?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.clusters import Absence, absences, members_of
from dashboards.components import pair_charts
from dashboards.components.cluster_charts import agreement_chart, agreement_frame
from dashboards.components.contexts import LIMIT, LOOK, MORE, Side
from dashboards.components.links import cluster_link, feature_link, pair_link
from dashboards.components.markup import (
    Fact,
    badge,
    context_rows,
    escape,
    facts,
    heading,
    legend,
    remark,
    swatch,
)
from dashboards.components.markup import token_list as token_rows
from dashboards.components.panels import nothing, panel
from dashboards.components.pin_panel import pin_button
from dashboards.components.sides import listed_tokens, show_profile
from dashboards.data import View
from dashboards.tables import feature_keys
from results import words
from results.colours import CLASS_COLOURS, GREY, LEVEL_COLOURS, model_colours
from results.evaluation_text import EvaluationText
from results.export import csv_bytes
from results.firing import consensus_rows, correlations, distinct, firing
from results.token_text import Channel, token_strip

#: Columns beside each other; more models stand in further rows.
ABREAST = 5


@dataclass(frozen=True)
class Found:
    """A cluster's members and what is missing.

    Attributes:
        row: of ``clusters_of``.
        members: of ``members_of``.
        missing: models that have no member.
        models: all compared models, in the run's order.
        tau: threshold on held-out r.
    """

    row: pd.Series
    members: pd.DataFrame
    missing: list[Absence]
    models: list[str]
    tau: float

    @property
    def colours(self) -> dict[str, str]:
        """Colour by model."""
        return model_colours(self.models)


def find_cluster(view: View, row: pd.Series) -> Found:
    """The members of a cluster, and the models that lack one."""
    members = members_of(view, int(row["cluster"]))
    tau = float(view.settings.get("tau", 0.5))
    return Found(row, members, absences(view, members), view.models(), tau)


def show_cluster(view: View, found: Found) -> None:
    """The whole detail of a cluster."""
    row = found.row
    st.html(heading(f"Cluster {int(row['cluster'])}", "", [GREY, GREY], _badges(row)))
    sides: list[Side] = []
    with panel(border=False):
        read = [_side(view, found, name) for name in found.members["id"]]
        r = correlations([side.firing for side in read], view.score_rows)
        st.html(facts(_facts(found, r)))
        sides = read
    show_models(view, found)
    if not sides:
        return
    with panel(border=False):
        show_consensus(view, found, sides)
        show_profiles(view, sides)
    if len(sides) > 1:
        show_agreement(view, found, sides)


def _side(view: View, found: Found, name: str) -> Side:
    model, _, latent = name.rpartition(":")
    return Side(name, name, model, int(latent), firing(view.acts(model), int(latent)), found.colours[model])


def _badges(row: pd.Series) -> list[str]:
    kind, level = str(row["class"]), str(row["level"])
    return [
        badge(kind, CLASS_COLOURS.get(kind, GREY), hint=words.CLASSES.get(kind, "")),
        badge(f"level: {level}", LEVEL_COLOURS.get(level, GREY), hint=words.LEVELS.get(level, "")),
    ]


def _facts(found: Found, r: np.ndarray) -> list[Fact]:
    row, inside = found.row, r[np.triu_indices(len(r), 1)]
    lowest = float(inside.min()) if len(inside) else None
    low, high = words.rate(row["rate_low"]), words.rate(row["rate_high"])
    return [
        Fact("models", f"{int(row['n_models'])} of {len(found.models)}", words.counted(len(found.members), "member")),
        Fact("cohesion", words.number(row["cohesion"]), "mean held-out r inside",
             "Mean held-out r over all pairs of members, whether the assignment joined them or not."),
        Fact("weakest link", words.number(lowest), "lowest held-out r inside",
             "The pair of members that agrees least."),
        Fact("completeness", words.share(row["completeness"]), "of its pairs are matched",
             "Assigned pairs beyond chance and above the threshold, over all pairs of members."),
        Fact("fires on", low if low == high else f"{low} to {high}", "of all rows", "Lowest and highest firing rate."),
        Fact("domain", str(row["domain"]) if pd.notna(row["domain"]) else "–", "most members are strongest there"),
    ]  # fmt: skip


def show_models(view: View, found: Found) -> None:
    """One column per model, in the run's order: its members, or what comes nearest."""
    missing = {absence.model: absence for absence in found.missing}
    for first in range(0, len(found.models), ABREAST):
        models = found.models[first : first + ABREAST]
        columns = st.columns(min(len(found.models), ABREAST))[: len(models)]
        for model, column in zip(models, columns, strict=True):
            with column, panel():
                st.html(heading(model, "", [found.colours[model]] * 2))
                if model in missing:
                    _absent(view, missing[model], found.tau)
                else:
                    _present(view, found.members[found.members["model"] == model])


def _present(view: View, members: pd.DataFrame) -> None:
    for _, member in members.iterrows():
        feature_link(view, str(member["id"]))
        flags = ", ".join(flag.replace("_", " ") for flag in words.flags(member["flags"]))
        st.html(
            legend(
                [remark(f"fires on {words.rate(member['firing_rate'])}" + (f" · {flags}" if flags else ""))]
            )
        )


def _absent(view: View, absence: Absence, tau: float) -> None:
    st.html(legend([remark(absence.sentence(tau))]))
    if absence.candidate is None:
        return
    feature_link(view, absence.candidate)
    st.html(
        legend([remark(f"nearest to {absence.member}" + ("; in no cluster" if absence.home is None else ""))])
    )
    if absence.home is not None:
        cluster_link(view, absence.home)


@st.fragment
def show_consensus(view: View, found: Found, sides: list[Side]) -> None:
    """The contexts in which all members are strongest together; a fragment, so that *More* redraws nothing else."""
    note = (
        "Where the mean of the members' activations, each as a share of its maximum, is highest. "
        "Each text stands once; every model has a row under it."
    )
    with panel("Consensus contexts", note):
        more = st.toggle("More", key="cluster_more", help=f"Up to {MORE} contexts")
        rows = consensus_contexts(view.text, sides, MORE if more else LIMIT)
        if not rows:
            nothing("No member of this cluster fires on the evaluation text.")
            return
        st.html(models_legend(found, sides))
        drawn = context_rows([_context(view.text, found, sides, *row) for row in rows])
        st.html(drawn)
        st.download_button(
            "Figure (HTML)",
            data=lambda: figure_page(f"Cluster {int(found.row['cluster'])}", models_legend(found, sides) + drawn),
            file_name=f"cluster_{int(found.row['cluster'])}.html", mime="text/html", on_click="ignore",
            icon=":material/download:", type="tertiary", key="cluster_figure",
        )  # fmt: skip


def consensus_contexts(text: EvaluationText, sides: list[Side], limit: int) -> list[tuple[int, float]]:
    """Evaluation rows and the members' mean share of maximum there, highest first, no two with one context."""
    rows, means = consensus_rows([side.firing for side in sides])
    rows, means = rows[:LOOK], means[:LOOK]
    mean_of = dict(zip(rows.tolist(), means.tolist(), strict=True))
    texts = distinct(rows, lambda r: text.contexts[text.row_context[r]].tobytes(), 4 * limit)
    kept = distinct(texts, lambda r: "".join(text.window(r).tokens).encode(), limit)
    return [(row, mean_of[row]) for row in kept]


def channels_of(found: Found, sides: list[Side], rows: np.ndarray) -> list[Channel]:
    """A row of colour per member, in the models' order; a model without one keeps its place empty."""
    channels = []
    for model in found.models:
        mine = [side for side in sides if side.model == model]
        channels += [
            Channel(side.name, side.firing.at(rows).tolist(), side.firing.maximum or None, side.colour)
            for side in mine
        ] or [Channel(f"{model} absent", [0.0] * len(rows), 1.0, found.colours[model])]
    return channels


def _context(text: EvaluationText, found: Found, sides: list[Side], row: int, mean: float) -> tuple[str, str]:
    window = text.window(row)
    strip = token_strip(
        window.tokens, channels_of(found, sides, window.rows), peak=window.peak, background=False
    )
    meta = f"<div><b>{words.share(mean)}</b> <span>mean</span></div><div><span>{escape(text.domain(row))}</span></div>"
    return meta, strip


def models_legend(found: Found, sides: list[Side]) -> str:
    """Which row is whose, from the top."""
    entries = []
    for model in found.models:
        mine = [side for side in sides if side.model == model]
        entries += [swatch(side.colour, side.name, underline=True) for side in mine]
        entries += [] if mine else [swatch(found.colours[model], f"{model} absent", underline=True, ink=0.5)]
    return legend(
        [
            *entries,
            remark("rows under the text, from the top · framed: the strongest token · hover: raw values"),
        ]
    )


def figure_page(title: str, body: str) -> bytes:
    """A page of its own that needs no other file and runs no script.

    Args:
        title: our own words; escaped.
        body: markup in which every text has been escaped.
    """
    style = (
        "body{font:14px system-ui,sans-serif;max-width:60rem;margin:2rem auto}"
        ".uv-legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin-bottom:1rem}"
        ".uv-line{display:inline-block;width:1.1rem;height:3px;margin-right:.4rem;vertical-align:middle}"
        ".uv-context{display:grid;grid-template-columns:9rem 1fr;gap:0 1rem;padding:.5rem 0;border-top:1px solid #ddd}"
        ".uv-meta{font-size:.78rem}"
    )
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    head = f'<meta charset="utf-8">{policy}<title>{escape(title)}</title><style>{style}</style>'
    return (
        f"<!doctype html><html><head>{head}</head><body><h1>{escape(title)}</h1>{body}</body></html>".encode()
    )


def show_profiles(view: View, sides: list[Side]) -> None:
    """Histograms on the same axes and the tokens each member raises most; shared tokens are marked."""
    frames = [
        pair_charts.shares_of_maximum(view.of_latent("histograms", s.model, s.latent), view.text.n_rows)
        for s in sides
    ]
    limits = pair_charts.common_limits(frames)
    tokens = {side.name: view.of_latent("logits", side.model, side.latent) for side in sides}
    for first in range(0, len(sides), ABREAST):
        part = range(first, min(first + ABREAST, len(sides)))
        width = max(min(len(sides), ABREAST), 2)
        for i, column in zip(part, st.columns(width)[: len(part)], strict=True):
            with column, panel():
                show_profile(sides[i], frames[i], limits)
                listed = listed_tokens(view.text, sides[i].name, tokens, "top")
                if listed:
                    st.html(
                        token_rows(
                            listed, sides[i].colour, caption="raises most (● in another member's list too)"
                        )
                    )


def show_agreement(view: View, found: Found, sides: list[Side]) -> None:
    """Held-out r between all members, and links to those that are assigned pairs."""
    note = "Held-out r of every two members. In italics: they are not each other's assigned partner."
    with panel("Agreement inside", note):
        names = [side.name for side in sides]
        r = correlations([side.firing for side in sides], view.score_rows)
        linked = inside_pairs(view.table("pairs"), found.members)
        assigned = {frozenset(pair) for pair in zip(linked["a"], linked["b"], strict=True)}
        frame = agreement_frame(names, r, assigned)
        left, right = st.columns([3, 2], vertical_alignment="center")
        with left:
            st.altair_chart(agreement_chart(frame), width="content")
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
    near = pairs[np.logical_and(*(pairs[f"latent_{s}"].isin(members["latent"]).to_numpy() for s in "ab"))]
    a, b = (feature_keys(near, side) for side in "ab")
    found = near.assign(a=a, b=b, id=a + "-" + b)
    found = found[found["a"].isin(members["id"]) & found["b"].isin(members["id"])]
    return found.sort_values("r_held_out", ascending=False, ignore_index=True)


def download_members(found: Found) -> None:
    """The members' numbers as CSV."""
    number = int(found.row["cluster"])
    st.download_button(
        "CSV",
        data=lambda: csv_bytes(found.members.drop(columns="rank")),
        file_name=f"cluster_{number}.csv", mime="text/csv", on_click="ignore", icon=":material/download:",
        key="cluster_csv",
    )  # fmt: skip
