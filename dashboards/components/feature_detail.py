"""One feature that has no partner: what each other model has instead, and the text it fires on."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards.components.contexts import Side
from dashboards.components.links import feature_link
from dashboards.components.markup import Fact, badge, facts, heading
from dashboards.components.panels import nothing, panel
from dashboards.components.sides import show_contexts_panel, show_profiles, side_of
from dashboards.data import View
from dashboards.tables import candidates_of
from results import words
from results.colours import CLASS_COLOURS, GREY, SIDE_COLOURS, VERDICT_COLOURS

ALONE = "nothing"


def show_feature(view: View, row: pd.Series) -> None:
    """The whole detail of a feature."""
    model, latent = str(row["model"]), int(row["latent"])
    st.html(heading(f"{model}:{latent}", "", list(SIDE_COLOURS.values()), feature_badges(row)))
    known = [
        Fact("best held-out r", words.number(row["best_r"]), "in any other model"),
        Fact("fires on", words.rate(row["firing_rate"]), "of all rows"),
        Fact("largest activation", words.number(row.get("max_activation")), "on the evaluation text"),
    ]
    st.html(facts(known))
    feature_link(view, f"{model}:{latent}", "All that is known of this feature")
    show_verdicts(view, model, latent)
    with panel(border=False):
        sides = [side_of(view, "a", model, latent), *_companion(view, model, latent)]
        show_contexts_panel(view, sides, key="feature")
        show_profiles(view, sides)


def feature_badges(row: pd.Series) -> list[str]:
    """Class, verdict, status and flags of a row of the table ``features`` as small labels."""
    made = []
    if pd.notna(row["class"]):
        name = str(row["class"])
        made.append(badge(name, CLASS_COLOURS.get(name, GREY), hint=words.CLASSES.get(name, "")))
    if pd.notna(row["verdict"]):
        verdict = str(row["verdict"])
        colour = VERDICT_COLOURS.get(verdict, GREY)
        made.append(badge(verdict.replace("_", " "), colour, hint=words.VERDICTS.get(verdict, "")))
    made.append(badge(str(row["status"]), GREY))
    made += [badge(f.replace("_", " "), GREY, hint=words.FLAGS.get(f, "")) for f in words.flags(row["flags"])]
    return made


def show_verdicts(view: View, model: str, latent: int) -> None:
    """The tested reason for every other model."""
    note = "One row per model that has no partner for it: the first reason that holds, and its number."
    with panel("Why not in the other models", note):
        verdicts = verdict_table(view, model, latent)
        if verdicts.empty:
            nothing("No verdict was recorded for this feature.")
            return
        number, text = st.column_config.NumberColumn, st.column_config.TextColumn
        st.dataframe(
            verdicts,
            hide_index=True,
            height="content",
            column_config={
                "other_model": text("in", width="small"),
                "verdict": text("verdict", width="small"),
                "meaning": text("in words", width="large"),
                "statistic": number("statistic", format="%.3f", width="small"),
                "measured": text("what the statistic is", width="medium"),
                "nearest": text("nearest there", width="small"),
                "nearest_r": number("its fit r", format="%.3f", width="small"),
            },
        )


def verdict_table(view: View, model: str, latent: int) -> pd.DataFrame:
    """Verdict per other model in words, with its number and the nearest latent there."""
    table = view.table("verdicts")
    mine = table[(table["model"] == model) & (table["latent"] == latent)]
    candidates = view.optional("candidates")
    near = [_nearest(candidates, model, latent, str(other)) for other in mine["other_model"]]
    verdicts = mine["verdict"].astype(str)
    return pd.DataFrame(
        {
            "other_model": mine["other_model"].to_numpy(),
            "verdict": verdicts.str.replace("_", " ").to_numpy(),
            "meaning": [words.VERDICTS.get(v, "") for v in verdicts],
            "statistic": mine["statistic"].to_numpy(),
            "measured": [words.STATISTICS.get(v, "") for v in verdicts],
            "nearest": [name for name, _ in near],
            "nearest_r": [r for _, r in near],
        }
    )


def _nearest(
    table: pd.DataFrame | None, model: str, latent: int, other: str
) -> tuple[str | None, float | None]:
    best = candidates_of(table, model, latent, other) if table is not None else pd.DataFrame()
    return (f"{other}:{best['latent'].iloc[0]}", float(best["r"].iloc[0])) if len(best) else (None, None)


def _companion(view: View, model: str, latent: int) -> list[Side]:
    """The nearest latent of another model, if the visitor wants it drawn on the same text."""
    table = view.optional("candidates")
    if table is None:
        return []
    mine = table[(table["model_a"] == model) & (table["latent_a"] == latent) & (table["rank"] == 1)]
    near = {
        f"{other}:{number} (fit r {words.number(r)})": (str(other), int(number))
        for other, number, r in zip(mine["model_b"], mine["latent_b"], mine["r"], strict=True)
    }
    if not near:
        return []
    with st.columns([2, 3])[0]:
        chosen = st.selectbox(
            "Draw the nearest miss on the same text",
            [*near, ALONE],
            key=f"beside_{model}_{latent}",
            help="The nearest latent of each other model: what the feature would have been matched with.",
        )
    return [side_of(view, "b", *near[chosen])] if chosen in near else []
