"""Everything known of one latent of one model, partner or not."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards.components import pair_charts
from dashboards.components.contexts import Side
from dashboards.components.feature_detail import feature_badges, show_verdicts
from dashboards.components.links import cluster_link, feature_link, pair_link
from dashboards.components.markup import Fact, badge, facts, heading, legend, remark
from dashboards.components.panels import explain_older, nothing, panel
from dashboards.components.selection import choosing_table
from dashboards.components.sides import show_contexts_panel, show_profile, show_tokens
from dashboards.data import View
from dashboards.neighbours import neighbours_of
from dashboards.tables import candidates_of, partners_of
from results import words
from results.colours import GREY, LEVEL_COLOURS, model_colours
from results.export import csv_bytes
from results.firing import firing
from results.progress import command

#: Other models beside each other.
ABREAST = 4
#: Domains listed.
DOMAINS = 12


def show_latent(view: View, row: pd.Series) -> None:
    """The whole detail of a latent (a row of the table ``features``)."""
    model, latent, status = str(row["model"]), int(row["latent"]), str(row["status"])
    colour = model_colours(view.models()).get(model, GREY)
    st.html(heading(f"{model}:{latent}", "", [colour, colour], [*feature_badges(row), *_level(row)]))
    if status in words.LATENTS:
        st.caption(f":material/info: {words.LATENTS[status]}")
    st.html(facts(_facts(row)))
    if pd.notna(row["cluster"]):
        cluster_link(view, int(row["cluster"]))
    if status != "dead":
        with panel(border=False):
            side = Side("a", f"{model}:{latent}", model, latent, firing(view.acts(model), latent), colour)
            show_contexts_panel(view, [side], key="latent")
            show_text_statistics(view, side)
    if status == "alive":
        if int(row["n_models"]) < len(view.models()):
            show_verdicts(view, model, latent)
        show_others(view, model, latent)
    if status != "dead":
        show_neighbours(view, model, latent)


def _level(row: pd.Series) -> list[str]:
    if pd.isna(row["level"]):
        return []
    level = str(row["level"])
    return [badge(f"level: {level}", LEVEL_COLOURS.get(level, GREY), hint=words.LEVELS.get(level, ""))]


def _facts(row: pd.Series) -> list[Fact]:
    domain = row.get("top_domain")
    known = [
        Fact("fires on", words.rate(row["firing_rate"]), "of all rows", "Firing rate."),
        Fact("largest activation", words.number(row.get("max_activation")), "on the evaluation text"),
        Fact("strongest in", str(domain) if pd.notna(domain) else "–", "domain of its strongest activations"),
    ]
    if row["status"] == "alive":
        best = Fact("best held-out r", words.number(row["best_r"]), "to any latent of any other model")
        known += [
            best,
            Fact("found in", words.counted(int(row["n_models"]), "model"), "that its cluster reaches"),
        ]
    return known


def show_text_statistics(view: View, side: Side) -> None:
    """Histogram and tokens beside the domains it fires in."""
    left, right = st.columns(2)
    with left, panel():
        histogram = view.of_latent("histograms", side.model, side.latent)
        frame = pair_charts.shares_of_maximum(histogram, view.text.n_rows)
        show_profile(side, frame, pair_charts.common_limits([frame]))
        show_tokens(view, side, {side.letter: view.of_latent("logits", side.model, side.latent)})
    with (
        right,
        panel("Domains", "Share of its whole activation, and how well it tells the domain from the rest."),
    ):
        table = view.of_latent("latent_domains", side.model, side.latent)
        shown = table.sort_values("share", ascending=False, kind="stable").head(DOMAINS)
        if shown.empty:
            nothing("No domains were recorded for this latent.")
            return
        progress = st.column_config.ProgressColumn
        st.dataframe(
            shown[["domain", "share", "auroc"]],
            hide_index=True,
            height="content",
            column_config={
                "share": progress("share of activation", format="percent", min_value=0, max_value=1),
                "auroc": st.column_config.NumberColumn(
                    "AUROC", format="%.3f", help="0.5: no better than chance"
                ),
            },
        )


def show_others(view: View, model: str, latent: int) -> None:
    """Partner and candidates in every other model."""
    note = "The assigned partner, and the best candidates by fit r before the assignment. Select a row to go there."
    others = [other for other in view.models() if other != model]
    with panel("In the other models", note):
        known = partners_of(view.table("pairs"), model, latent)
        partners = {str(row["model"]): row for _, row in known.iterrows()}
        table = view.optional("candidates")
        for first in range(0, len(others), ABREAST):
            part = others[first : first + ABREAST]
            for other, column in zip(part, st.columns(max(len(part), 2))[: len(part)], strict=True):
                with column:
                    near = None if table is None else candidates_of(table, model, latent, other)
                    _other(view, other, partners.get(other), near)
        if table is None:
            explain_older("candidates", command(view.record, view.url))


def _other(view: View, other: str, partner: pd.Series | None, candidates: pd.DataFrame | None) -> None:
    colour = model_colours(view.models())[other]
    st.html(heading(other, "", [colour, colour]))
    if partner is None:
        st.html(legend([remark("no partner was assigned")]))
    else:
        name = f"{other}:{int(partner['latent'])}"
        below = f"level {partner['level']} · q {words.probability(partner['q'])}"
        st.html(
            facts([Fact(f"held-out r to its partner {name}", words.number(partner["r_held_out"]), below)])
        )
        with st.container(horizontal=True, gap="small"):
            feature_link(view, name)
            pair_link(view, str(partner["id"]), "The pair")
    if candidates is not None and len(candidates):
        shown = candidates.assign(id=other + ":" + candidates["latent"].astype(str))
        _going_table(shown, "fit r", key=f"near_{other}")


def show_neighbours(view: View, model: str, latent: int) -> None:
    """The latents of its own dictionary that go with it most."""
    note = "Correlation over all evaluation rows with the latents of the same dictionary. Select a row to go there."
    with panel("Neighbours in its own dictionary", note):
        near = neighbours_of(view, model, latent)
        if near.empty:
            nothing("No other latent of this dictionary correlates with it above 0.")
            return
        features = view.table("features")
        known = features[(features["model"] == model).to_numpy()].set_index("latent")
        known = known.reindex(near["latent"])[["status", "class", "firing_rate"]].reset_index(drop=True)
        shown = near.assign(
            id=model + ":" + near["latent"].astype(str), status=known["status"], kind=known["class"],
            rate=100 * known["firing_rate"],
        )  # fmt: skip
        _going_table(shown, "r", ["status", "kind", "rate"], key="own_neighbours")


def _going_table(shown: pd.DataFrame, r: str, more: list[str] | None = None, *, key: str) -> None:
    """A table of features (columns id, r and more) in which a click leads to the feature."""

    def go(feature: str | None) -> None:
        if feature:
            st.query_params["feature"] = feature

    choosing_table(
        shown[["id", "r", *(more or [])]],
        shown["id"].tolist(),
        None,
        go,
        key=key,
        height="content",
        column_config={
            "id": st.column_config.TextColumn("feature", width="small"),
            "r": st.column_config.ProgressColumn(r, format="%.3f", min_value=0, max_value=1),
            "kind": st.column_config.TextColumn("class", width="small"),
            "rate": st.column_config.NumberColumn("fires %", format="%.3g"),
        },
    )


def download_latent(row: pd.Series) -> None:
    """The feature's numbers as CSV."""
    st.download_button(
        "CSV",
        data=lambda: csv_bytes(row.to_frame().T),
        file_name=f"feature_{row['model']}.{row['latent']}.csv", mime="text/csv", on_click="ignore",
        icon=":material/download:", key="feature_csv",
    )  # fmt: skip
