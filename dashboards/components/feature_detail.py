"""One feature that has no partner: what each other model has instead, and the text it fires on."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import words
from dashboards.components.contexts import Side
from dashboards.components.markup import Fact, badge, facts, heading
from dashboards.components.pair_detail import candidates_of, show_contexts_panel, show_profiles, side_of
from dashboards.components.panels import nothing, panel
from dashboards.data import View
from universality.exhibits.colours import CLASS_COLOURS, SIDE_COLOURS, VERDICT_COLOURS

ALONE = "nothing"


def show_feature(view: View, row: pd.Series) -> None:
    """The whole detail of a feature."""
    model, latent = str(row["model"]), int(row["latent"])
    st.html(heading(f"{model}:{latent}", "", list(SIDE_COLOURS.values()), _badges(row)))
    with panel(
        "In the other models",
        "One row per model that has no partner for it: the first reason that holds, and its number.",
    ):
        verdicts = verdict_table(view, model, latent)
        if verdicts.empty:
            nothing("No verdict was recorded for this feature.")
        else:
            st.dataframe(
                verdicts, hide_index=True, height="content",
                column_config={
                    "other_model": "other model",
                    "statistic": st.column_config.NumberColumn("statistic", format="%.3f"),
                    "measured": st.column_config.TextColumn("what the statistic is", width="medium"),
                    "nearest_r": st.column_config.NumberColumn("its fit r", format="%.3f"),
                    "meaning": st.column_config.TextColumn("in words", width="large"),
                },
            )  # fmt: skip
    with panel(border=False):
        side = side_of(view, "a", model, latent)
        st.html(facts([
            Fact("best held-out r", words.number(row["best_r"]), "in any other model"),
            Fact("fires on", words.rate(side.firing.rate), f"{len(side.firing.rows):,} rows"),
            Fact("largest activation", words.number(side.firing.maximum)),
        ]))  # fmt: skip
        sides = [side, *_companion(view, model, latent)]
        show_contexts_panel(view, sides, key="feature")
        show_profiles(view, sides)


def _badges(row: pd.Series) -> list[str]:
    made = []
    if pd.notna(row["class"]):
        name = str(row["class"])
        made.append(badge(name, CLASS_COLOURS.get(name, "#8C8C8C"), hint=words.CLASSES.get(name, "")))
    if pd.notna(row["verdict"]):
        verdict = str(row["verdict"])
        made.append(
            badge(
                verdict.replace("_", " "),
                VERDICT_COLOURS.get(verdict, "#8C8C8C"),
                hint=words.VERDICTS.get(verdict, ""),
            )
        )
    made.append(badge(str(row["status"]), "#8C8C8C"))
    made += [
        badge(flag.replace("_", " "), "#8C8C8C")
        for flag in str(row["flags"] if pd.notna(row["flags"]) else "").split(";")
        if flag
    ]
    return made


def verdict_table(view: View, model: str, latent: int) -> pd.DataFrame:
    """Verdict per other model with its number, the nearest latent there, and words."""
    table = view.table("verdicts")
    mine = table[(table["model"] == model) & (table["latent"] == latent)]
    candidates = view.optional("candidates")
    nearest: list[tuple[str | None, float | None]] = []
    for other in mine["other_model"].astype(str):
        best = candidates_of(candidates, model, latent, other) if candidates is not None else pd.DataFrame()
        nearest.append(
            (f"{other}:{best['latent'].iloc[0]}", float(best["r"].iloc[0])) if len(best) else (None, None)
        )
    return pd.DataFrame(
        {
            "other_model": mine["other_model"].to_numpy(),
            "verdict": mine["verdict"].to_numpy(),
            "statistic": mine["statistic"].to_numpy(),
            "measured": [words.STATISTICS.get(str(v), "") for v in mine["verdict"]],
            "nearest": [name for name, _ in nearest],
            "nearest_r": [r for _, r in nearest],
            "meaning": [words.VERDICTS.get(str(v), "") for v in mine["verdict"]],
        }
    )


def _companion(view: View, model: str, latent: int) -> list[Side]:
    """The nearest latent of another model, if the visitor wants it drawn on the same text."""
    table = view.optional("candidates")
    if table is None:
        return []
    mine = table[
        (table["model_a"] == model) & (table["latent_a"] == latent) & (table["rank"] == table["rank"].min())
    ]
    if mine.empty:
        return []
    near = {
        f"{b}:{n} (fit r {words.number(r)})": (str(b), int(n))
        for b, n, r in zip(mine["model_b"], mine["latent_b"], mine["r"], strict=True)
    }
    chosen = st.selectbox(
        "Draw beside it, on the same text", [ALONE, *near], key=f"beside_{model}_{latent}", index=1,
        help="The nearest latent of each other model: what the feature would have been matched with",
    )  # fmt: skip
    return [side_of(view, "b", *near[chosen])] if chosen in near else []
