"""Why features have no partner: how many for which reason, and the reasons of one of them."""

import altair as alt
import pandas as pd
import streamlit as st

from dashboards.components.chart_parts import PADDING, Drawing, coloured, tips
from dashboards.components.columns import Column, chosen_columns, number, text
from dashboards.components.markup import legend, swatch
from dashboards.components.panels import nothing, panel
from dashboards.data import View
from results import words
from results.colours import VERDICT_COLOURS
from results.feature_lists import candidates_of
from results.ids import feature_id

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
        swatch(colour, f"{verdict.replace('_', ' ')} {int(totals[verdict]):,}")
        for verdict, colour in _COLOURS.items()
        if verdict in totals.index
    )


_COLUMNS = [
    Column("other_model", "other_model", text("in", width="small")),
    Column(
        "verdict",
        lambda rows: rows["verdict"].astype(str).str.replace("_", " "),
        text("verdict", width="small"),
    ),
    Column("meaning", lambda rows: _said(rows, words.VERDICTS), text("in words", width="large")),
    Column("statistic", "statistic", number("statistic", format="%.3f", width="small")),
    Column("measured", lambda rows: _said(rows, words.STATISTICS), text("what the statistic is", width="medium")),
    Column("nearest", "nearest", text("nearest there", width="small")),
    Column("nearest_r", "nearest_r", number("its fit r", format="%.3f", width="small")),
]


def _said(rows: pd.DataFrame, meanings: dict[str, str]) -> list[str]:
    return [meanings.get(verdict, "") for verdict in rows["verdict"]]


def show_verdicts(view: View, model: str, latent: int) -> None:
    """The tested reason for every model that has no partner for a feature, and the nearest latent there."""
    note = "One row per model that has no partner for it: the first reason that holds, and its number."
    with panel("Why not in the other models", note):
        table = view.table("verdicts")
        rows = table[(table["model"] == model) & (table["latent"] == latent)].reset_index(drop=True)
        if rows.empty:
            nothing("No verdict was recorded for this feature.")
            return
        candidates = view.optional("candidates")
        near = [_nearest(candidates, model, latent, str(other)) for other in rows["other_model"]]
        rows[["nearest", "nearest_r"]] = pd.DataFrame(near, columns=["nearest", "nearest_r"])
        frame, config = chosen_columns(rows, _COLUMNS)
        st.dataframe(frame, hide_index=True, height="content", column_config=config)


def _nearest(candidates: pd.DataFrame | None, model: str, latent: int, other: str) -> tuple[str | None, float | None]:
    """Name and fit r of a feature's best candidate in another model."""
    best = pd.DataFrame() if candidates is None else candidates_of(candidates, model, latent, other)
    return (feature_id(other, best["latent"].iloc[0]), float(best["r"].iloc[0])) if len(best) else (None, None)
