"""What a run stored of its features turned up: shares over strengths, and directions of other models."""

import altair as alt
import pandas as pd
import streamlit as st

from dashboards.components.chart_parts import PADDING, SHARE_AXIS, Drawing, coloured, tips
from dashboards.components.downloads import csv_button
from dashboards.components.links import literal
from dashboards.components.markup import legend, remark, swatch
from dashboards.components.panels import abreast, panel
from dashboards.data import View
from results import words
from results.colours import GREY, model_colours
from results.steering_frames import dose_rows, transfer_rows
from results.words import NOT_STEERED, STEERED_BY

_KINDS = {"own": "the feature", "random": "a random direction", "other": "a latent of another domain"}
#: Charts beside each other; pixels of the two.
_ABREAST, _HEIGHT, _LOWER = 3, 200, 130


def show_stored(view: View, cluster: int | None = None) -> None:
    """What is stored of a cluster, or of all that were steered; nothing where the run has none."""
    clusters, doses = view.optional("steering_clusters"), view.optional("steering_doses")
    moved = view.optional("steering_transfer")
    if clusters is None or doses is None or moved is None:
        return
    steered = clusters[clusters["left_out"].isna()]
    steered = steered if cluster is None else steered[steered["cluster"] == cluster]
    if steered.empty:
        return
    note = "Chosen by what they fire on, before any model was steered; computed with the run, no model is opened."
    with panel("Measured with this run", note):
        colours = model_colours(view.models())
        for row, column in abreast(steered.to_dict("records"), _ABREAST, 2):
            with column:
                _of_cluster(row, doses, moved, colours)
        st.html(_legend(colours))
        if cluster is None:
            _left_out(clusters)
        of = doses[doses["cluster"].isin(steered["cluster"])]
        csv_button(lambda: of, "steering_doses.csv", key="steering_doses_csv")


def _of_cluster(row: dict, doses: pd.DataFrame, moved: pd.DataFrame, colours: dict[str, str]) -> None:
    of, to = (table[table["cluster"] == row["cluster"]] for table in (doses, moved))
    st.markdown(f"**{literal(str(row['domain']))}**, cluster {row['cluster']}")
    measured, across = dose_rows(of), transfer_rows(to)
    if len(measured):
        st.altair_chart(dose_chart(measured, colours), width="stretch")
    if len(across):
        st.altair_chart(transfer_chart(across, colours), width="stretch")
    for _, lost in of[of["problem"].notna()].iterrows():
        st.caption(f":material/warning: {literal(lost['model'])}: {literal(str(lost['problem']))}")


def dose_chart(rows: pd.DataFrame, colours: dict[str, str]) -> Drawing:
    """Share of the domain over strengths, with standard errors (columns of figure "steering")."""
    frame = rows.assign(
        low=(rows["share"] - rows["share_se"]).clip(0), high=(rows["share"] + rows["share_se"]).clip(upper=1),
        what=rows["kind"].map(_KINDS), line=rows["model"] + rows["kind"] + rows["draw"].astype(str),
        strength=rows["strength"].map("{:g}".format), colour=rows["model"].where(rows["kind"] == "own", "control"),
    )  # fmt: skip
    order = [f"{value:g}" for value in sorted(rows["strength"].unique())]
    x = alt.X("strength:O", sort=order, title="strength", axis=alt.Axis(labelAngle=0))
    y = alt.Y("share:Q", title="tokens of the domain", axis=SHARE_AXIS, scale=alt.Scale(domain=[0, 1]))
    colour = coloured("colour:N", {**colours, "control": GREY})
    dash = alt.StrokeDash("kind:N", legend=None, scale=alt.Scale(domain=list(_KINDS), range=[[1, 0], [1, 0], [2, 2]]))
    tooltip = tips("model:N", "what:N", "strength:O", ("share:Q", None, ".1%"), ("share_se:Q", "standard error", ".1%"),
                   ("norm_ratio:Q", "norm of the residual stream, over the usual", ".2f"))  # fmt: skip
    own = frame[frame["kind"] == "own"]
    lines = alt.Chart(frame).mark_line(strokeWidth=1.5)
    errors = alt.Chart(own).mark_rule(opacity=0.6)
    dots = alt.Chart(frame).mark_circle(size=32)
    return (
        lines.encode(x=x, y=y, color=colour, detail=alt.Detail("line:N"), strokeDash=dash)
        + errors.encode(x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q"), color=colour)
        + dots.encode(x=x, y=y, color=colour, tooltip=tooltip)
    ).properties(height=_HEIGHT, padding=PADDING)


def transfer_chart(rows: pd.DataFrame, colours: dict[str, str]) -> Drawing:
    """T of every direction from elsewhere (columns of figure "steering.transfer")."""
    frame = rows.assign(
        what=rows["arm"].map(STEERED_BY),
        source=rows["other_model"].fillna("–") + rows["other_latent"].map(lambda n: "" if pd.isna(n) else f":{n}"),
    )
    names = [name for arm, name in STEERED_BY.items() if arm in set(rows["arm"])]
    points = alt.Chart(frame).mark_circle(size=50, opacity=0.85)
    tooltip = tips(("model:N", "into"), ("source:N", "from"), "what:N", ("cosine:Q", "T", ".2f"),
                   ("ratio:Q", "ratio at equal divergence", ".2f"), ("r2:Q", "R² of the map", ".2f"))  # fmt: skip
    return points.encode(
        x=alt.X(
            "cosine:Q", title="T: cosine of the shifts of the logits", scale=alt.Scale(domain=[-0.5, 1], clamp=True)
        ),
        y=alt.Y("what:N", sort=names, title=None, axis=alt.Axis(grid=True, labelLimit=130, labelOverlap=False)),
        color=coloured("model:N", colours),
        tooltip=tooltip,
    ).properties(height=_LOWER, padding=PADDING)


def _legend(colours: dict[str, str]) -> str:
    entries = [swatch(colour, model) for model, colour in colours.items()]
    said = "grey: random directions of equal norm; dotted: a latent of another domain · below: the directions of others"
    return legend([*entries, remark(said)])


def _left_out(clusters: pd.DataFrame) -> None:
    rest = clusters[clusters["left_out"].notna()]
    if rest.empty:
        return
    with st.expander(f"Not steered: {words.counted(len(rest), 'domain')}"):
        for reason, rows in rest.groupby("left_out", sort=False):
            st.markdown(f"{NOT_STEERED[str(reason)]}: {literal(', '.join(rows['domain']))}")
