"""Everything known of one latent of one model, partner or not."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboards.components.badges import feature_badges, level_badge
from dashboards.components.columns import bar, number, text
from dashboards.components.contexts import DrawnEffect, DrawnFeature, drawn_feature, show_contexts_panel
from dashboards.components.labels import show_label
from dashboards.components.links import cluster_link, feature_link, pair_link, steer_link
from dashboards.components.markup import Fact, facts, heading, legend, remark
from dashboards.components.pair_charts import common_limits, shares_of_maximum
from dashboards.components.panels import abreast, explain_older, nothing, panel
from dashboards.components.profiles import show_profile, show_tokens
from dashboards.components.selection import choosing_table
from dashboards.components.verdicts import show_verdicts
from dashboards.data import View
from results import words
from results.colours import GREY, OKABE_ITO, model_colours
from results.effect_lists import ablated, loss_without
from results.feature_lists import candidates_of, partners_of
from results.feature_neighbours import neighbours
from results.ids import feature_id, feature_ids
from results.progress import command
from results.tokenizers import own_text

#: Other models beside each other.
ABREAST = 4
#: Domains listed.
DOMAINS = 12


def show_feature(view: View, row: pd.Series) -> None:
    """The whole detail of a latent (a row of the table ``features``)."""
    model, latent, status = str(row["model"]), int(row["latent"]), str(row["status"])
    colour = model_colours(view.models()).get(model, GREY)
    level = [] if pd.isna(row["level"]) else [level_badge(view, row)]
    st.html(heading([(feature_id(model, latent), colour)], [*feature_badges(row), *level]))
    if status in words.LATENTS:
        st.caption(f":material/info: {words.LATENTS[status]}")
    show_label(view, model, latent)
    st.html(facts([*_facts(row), *_effect_facts(ablated(view, model, latent))]))
    if pd.notna(row["cluster"]):
        cluster_link(view, int(row["cluster"]))
    if status != "dead":
        steer_link(view, feature_id(model, latent))
        with panel(border=False):
            feature = drawn_feature(view, model, latent, colour)
            rises = loss_without(view, model, latent)
            beneath = [] if rises is None else [DrawnEffect(model, latent, rises, OKABE_ITO["vermillion"])]
            show_contexts_panel(view, [feature], key="latent", beneath=beneath)
            show_text_statistics(view, feature)
    if status == "alive":
        if int(row["n_models"]) < len(view.models()):
            show_verdicts(view, model, latent)
        show_others(view, model, latent)
    if status != "dead":
        show_neighbours(view, model, latent)


def _facts(row: pd.Series) -> list[Fact]:
    domain = row.get("top_domain")
    numbers = [
        Fact("fires on", words.rate(row["firing_rate"]), "of all rows", "Firing rate."),
        Fact("largest activation", words.number(row.get("max_activation")), "on the evaluation text"),
        Fact("strongest in", str(domain) if pd.notna(domain) else "–", "domain of its strongest activations"),
    ]
    if row["status"] != "alive":
        return numbers
    reached = words.counted(int(row["n_models"]), "model")
    best = Fact("best held-out r", words.number(row["best_r"]), "to any latent of any other model")
    sure = Fact(
        "P(group)", words.share(row.get("group_probability")), str(row.get("group")),
        "In how many other halves of the sources it is in the same group; partners are chosen anew in each.",
    )  # fmt: skip
    return [*numbers, best, Fact("found in", reached, "that its cluster reaches"), sure]


def _effect_facts(effect: pd.Series | None) -> list[Fact]:
    """What predictions lose without it."""
    if effect is not None and not effect["measured"]:
        why = "Its model must run again for every ablation, and the budget of the run (effects.latents) went to others."
        return [Fact("ablating it costs", words.number(None), "not measured", why)]
    if effect is None or not effect["n_rows"]:
        return []
    return [
        Fact("ablating it costs", f"{words.number(effect['loss_change'], 3)} nats", "per row on which it fires",
             "Mean change of the log-loss of the next token with the latent at its mean, everything else as it is."),
        Fact("it helps on", words.share(effect["helps"]), f"of {words.counted(int(effect['n_rows']), 'score row')}",
             "Share of the rows on which it fires where the loss rises without it."),
    ]  # fmt: skip


def show_text_statistics(view: View, feature: DrawnFeature) -> None:
    """Histogram and tokens beside the domains it fires in."""
    left, right = st.columns(2)
    of_latent = feature.model, feature.latent
    with left, panel():
        frame = shares_of_maximum(view.of_latent("histograms", *of_latent), view.text.n_rows)
        show_profile(feature, frame, common_limits([frame]))
        show_tokens(
            {feature.name: own_text(view, feature.model)}, feature, {feature.name: view.of_latent("logits", *of_latent)}
        )
    note = "Share of its whole activation, and how well it tells the domain from the rest."
    with right, panel("Domains", note):
        table = view.of_latent("latent_domains", *of_latent)
        shown = table.sort_values("share", ascending=False, kind="stable").head(DOMAINS)
        if shown.empty:
            nothing("No domains were recorded for this latent.")
            return
        st.dataframe(
            shown[["domain", "share", "auroc"]], hide_index=True, height="content",
            column_config={
                "share": bar("share of activation", format="percent"),
                "auroc": number("AUROC", format="%.3f", help="0.5: no better than chance"),
            },
        )  # fmt: skip


def show_others(view: View, model: str, latent: int) -> None:
    """Partner and candidates in every other model."""
    note = "The assigned partner, and the best candidates by fit r before the assignment. Select a row to go there."
    with panel("In the other models", note):
        assigned = partners_of(view.table("pairs"), model, latent)
        partners = {str(row["model"]): row for _, row in assigned.iterrows()}
        table = view.optional("candidates")
        others = [other for other in view.models() if other != model]
        for other, column in abreast(others, ABREAST, least=2):
            with column:
                near = None if table is None else candidates_of(table, model, latent, other)
                _other(view, other, partners.get(other), near)
        if table is None:
            explain_older("candidates", command(view.record, view.url))


def _other(view: View, other: str, partner: pd.Series | None, candidates: pd.DataFrame | None) -> None:
    st.html(heading([(other, model_colours(view.models())[other])]))
    if partner is None:
        st.html(legend([remark("no partner was assigned")]))
    else:
        name = feature_id(other, partner["latent"])
        below = f"level {partner['level']} · q {words.probability(partner['q'])}"
        r = Fact(f"held-out r to its partner {name}", words.number(partner["r_held_out"]), below)
        st.html(facts([r]))
        with st.container(horizontal=True, gap="small"):
            feature_link(view, name)
            pair_link(view, str(partner["id"]), "The pair")
    if candidates is not None and len(candidates):
        shown = candidates.assign(id=feature_ids(candidates))
        _going_table(shown, "fit r", key=f"near_{other}")


def show_neighbours(view: View, model: str, latent: int) -> None:
    """The latents of its own dictionary that go with it most."""
    note = "Correlation over all evaluation rows with the latents of the same dictionary. Select a row to go there."
    with panel("Neighbours in its own dictionary", note):
        near = neighbours(view, model, latent)
        if near.empty:
            nothing("No other latent of this dictionary correlates with it above 0.")
            return
        features = view.table("features")
        own = features[(features["model"] == model).to_numpy()].set_index("latent")
        shown = near.join(own[["status", "class", "firing_rate"]], on="latent")
        shown = shown.assign(
            id=[feature_id(model, latent) for latent in near["latent"]],
            kind=shown["class"],
            rate=100 * shown["firing_rate"],
        )
        _going_table(shown, "r", ["status", "kind", "rate"], key="own_neighbours")


def _going_table(shown: pd.DataFrame, r: str, more: Sequence[str] = (), *, key: str) -> None:
    """A table of features (columns id, r and more) in which a click leads to the feature."""

    def go(feature: str | None) -> None:
        if feature:
            st.query_params["feature"] = feature

    choosing_table(
        shown[["id", "r", *more]], shown["id"].tolist(), None, go, key=key, height="content",
        column_config={
            "id": text("feature", width="small"),
            "r": bar(r, format="%.3f", width=90),
            "kind": text("class", width="small"),
            "rate": number("fires %", format="%.3g"),
        },
    )  # fmt: skip
