"""Charts of a study: what each factor takes away, what is left at which level, and curves over what varies."""

from itertools import cycle, islice

import altair as alt
import pandas as pd

from dashboards.components.chart_parts import HEIGHT, PADDING, SHARE_AXIS, Drawing, coloured, tips
from dashboards.components.markup import legend, swatch
from dashboards.components.sweep_chart import COLOURS
from results.colours import GREY, KIND_COLOURS, LEVEL_COLOURS, OKABE_ITO
from results.study_frames import FACTOR, ITSELF, OBSERVED, axis_words
from universality.studies.design import UNTRAINED

#: Kind of a bar -> its colour.
BARS = {
    ITSELF: GREY,
    FACTOR: OKABE_ITO["vermillion"],
    OBSERVED: OKABE_ITO["blue"],
    UNTRAINED: KIND_COLOURS["untrained"],
}
_WORDS = {ITSELF: "the same dictionary", FACTOR: "taken away", OBSERVED: "observed", UNTRAINED: "untrained models"}
_ROW = 34


def waterfall_chart(bars: pd.DataFrame, measure: str) -> Drawing:
    """Bars that hang from each other, with their intervals (columns of figure "study")."""
    # The interval of what is taken away hangs from where its bar begins.
    hangs = bars["kind"] == FACTOR
    ends = {name: bars[name].where(~hangs, bars["start"] - bars[name]) for name in ("low", "high")}
    frame = bars.assign(ends_at=ends["low"], ends_to=ends["high"])
    title = "share of latents with a partner" if measure == "shared" else "mean held-out r"
    axis = SHARE_AXIS if measure == "shared" else alt.Axis()
    y = alt.Y("label:N", sort=list(frame["label"]), title=None, axis=alt.Axis(labelLimit=220))
    tooltip = tips("label:N", ("value:Q", None, ".3f"), ("low:Q", "from", ".3f"), ("high:Q", "to", ".3f"))
    rects = alt.Chart(frame).mark_bar(height=18)
    rules = alt.Chart(frame.dropna(subset=["low"])).mark_rule(size=2, color="#222222")
    return (
        rects.encode(
            y=y, x=alt.X("start:Q", title=title, axis=axis), x2=alt.X2("end:Q"), color=coloured("kind:N", BARS),
            tooltip=tooltip,
        )
        + rules.encode(y=y, x=alt.X("ends_at:Q"), x2=alt.X2("ends_to:Q"), tooltip=tooltip)
    ).properties(height=_ROW * len(frame) + 40, padding=PADDING)  # fmt: skip


def waterfall_legend(bars: pd.DataFrame) -> str:
    """What the colours are."""
    return legend(swatch(BARS[kind], _WORDS[kind]) for kind in dict.fromkeys(bars["kind"]))


def levels_chart(levels: pd.DataFrame) -> Drawing:
    """Shares of every relation stacked by level, the finest first (columns of figure "study.levels")."""
    order = {name: number for number, name in enumerate(LEVEL_COLOURS)}
    frame = levels.assign(place=levels["level"].map(order))
    bars = alt.Chart(frame).mark_bar(height=18)
    return bars.encode(
        y=alt.Y("label:N", sort=list(dict.fromkeys(frame["label"])), title=None, axis=alt.Axis(labelLimit=260)),
        x=alt.X("value:Q", stack="zero", title="share of latents with a partner", axis=SHARE_AXIS),
        color=coloured("level:N", LEVEL_COLOURS),
        order=alt.Order("place:Q"),
        tooltip=tips(("label:N", "these differ"), "level:N", ("value:Q", "share", ".1%")),
    ).properties(height=_ROW * frame["label"].nunique() + 40, padding=PADDING)


def training_chart(rows: pd.DataFrame) -> Drawing:
    """Shares of two models by level at every checkpoint, stacked (columns of figure "study_training")."""
    order = {name: number for number, name in enumerate(LEVEL_COLOURS)}
    frame = rows.assign(place=rows["level"].map(order), tokens=[f"{x:,.0f}" for x in rows["x"]])
    return (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("tokens:N", sort=list(dict.fromkeys(frame["tokens"])), title="training tokens",
                    axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", stack="zero", title="share of latents with a partner", axis=SHARE_AXIS),
            color=coloured("level:N", LEVEL_COLOURS),
            order=alt.Order("place:Q"),
            tooltip=tips(("tokens:N", "training tokens"), "level:N", ("value:Q", "share", ".1%")),
        )
        .properties(height=HEIGHT, padding=PADDING)
    )  # fmt: skip


def curve_chart(rows: pd.DataFrame, measure: str) -> Drawing:
    """Agreement over what varies: a line and a band for each relation (columns of figure "study_curve")."""
    names = list(dict.fromkeys(rows["series"]))
    colours = list(islice(cycle(COLOURS), len(names)))
    values = sorted(rows["x"].unique())
    wide, how = values[-1] >= 4 * max(values[0], 1e-300), {"nice": False, "padding": 20}
    scale = alt.Scale(type="log" if wide else "linear", **how)
    if values[0] == 0:  # as wide as what follows, on a scale that is linear up to there
        scale = alt.Scale(type="symlog", constant=values[1], **how)
    whole = all(value == int(value) for value in values)
    axis = alt.Axis(values=values, format=",d" if whole else ",")
    x = alt.X("x:Q", title=axis_words(str(rows["factor"].iloc[0])), scale=scale, axis=axis)
    title = "share of latents with a partner" if measure == "shared" else "mean held-out r"
    y = alt.Y("value:Q", title=title, axis=SHARE_AXIS if measure == "shared" else alt.Axis())
    colour = alt.Color(
        "series:N", title=None, scale=alt.Scale(domain=names, range=colours),
        legend=alt.Legend(orient="top", columns=2, labelLimit=320),
    )  # fmt: skip
    tooltip = tips(("series:N", "these differ"), ("x:Q", None, ","), ("value:Q", None, ".3f"), ("low:Q", "from", ".3f"),
                   ("high:Q", "to", ".3f"))  # fmt: skip
    base = alt.Chart(rows)
    bands = base.mark_area(opacity=0.15).encode(x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q"), color=colour)
    lines = base.mark_line(point=True).encode(x=x, y=y, color=colour, tooltip=tooltip)
    return (bands + lines).properties(height=HEIGHT)
