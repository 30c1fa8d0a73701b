"""Charts of the overview: tidy frames of ``results.frames`` in, Altair charts out.

Legends are drawn as HTML beside the charts (they wrap, and are never cut), so charts have none of their own.
"""

from __future__ import annotations

from typing import TypeAlias

import altair as alt
import pandas as pd
from altair.utils.schemapi import disable_debug_mode

from dashboards.components.markup import legend, remark, swatch
from results import words
from results.colours import CLASS_COLOURS, KIND_COLOURS, LEVEL_INK, model_colours
from results.words import CLASSES, LEVELS

# Altair checks every piece of a chart against its schema as it is put together, which takes longer than all else on
# a page. The whole chart is still checked once, when it is turned into JSON. For the same reason channels are objects
# (``alt.X2("right:Q")``): each one that is given as a bare string has the whole schema hashed.
disable_debug_mode()

#: One ramp for both themes: the cells bring their own background, so text on them needs no theme.
RAMP = ("#eef4f9", "#c0daec", "#74aed4", "#2a7cb5", "#054a82")
HEIGHT = 290
#: Stands for ink of any colour in legends; reads on both themes.
INK = "#6B7780"
#: Streamlit leaves 20 px under every chart; legends should be nearer than that.
PADDING = {"left": 0, "right": 8, "top": 4, "bottom": 0}

Drawing: TypeAlias = alt.Chart | alt.LayerChart | alt.FacetChart

_CLASS_SCALE = alt.Scale(domain=list(CLASSES), range=[CLASS_COLOURS[c] for c in CLASSES])
_LOG = alt.Scale(type="log", nice=False)
#: Features without a partner have no level; they are inked all alike.
_SPECIFIC_INK = 0.75


def _inked(frame: pd.DataFrame) -> pd.DataFrame:
    """With the place of each class and level in a stack, and how strongly it is inked."""
    rank = frame["class"].map({c: 10 * i for i, c in enumerate(CLASSES)})
    rank += frame["level"].map({level: i for i, level in enumerate(LEVELS)})
    ink = frame["level"].map(LEVEL_INK).where(frame["class"] != "specific", _SPECIFIC_INK)
    return frame.assign(rank=rank, ink=ink, level=frame["level"].where(frame["class"] != "specific", "–"))


def _class_encodings() -> tuple[alt.Color, alt.Opacity, alt.Order]:
    return (
        alt.Color("class:N", scale=_CLASS_SCALE, legend=None),
        alt.Opacity("ink:Q", scale=None),
        alt.Order("rank:Q"),
    )


def class_legend(frame: pd.DataFrame) -> str:
    """The legend of both class charts, with the levels that occur."""
    matched = frame[(frame["n"] > 0) & (frame["class"] != "specific")]
    present = [level for level in LEVELS if (matched["level"] == level).any()]
    classes = [swatch(CLASS_COLOURS[c], c, ink=_SPECIFIC_INK if c == "specific" else 1.0) for c in CLASSES]
    levels = [swatch(INK, level, ink=LEVEL_INK[level]) for level in present]
    return legend(classes) + legend([remark("level:"), *levels])


def class_bars_chart(frame: pd.DataFrame) -> Drawing:
    """Share of each model's alive features by class, inked by level (columns of ``class_bars``)."""
    drawn = _inked(frame[frame["n"] > 0])
    colour, opacity, order = _class_encodings()
    return (
        alt.Chart(drawn)
        .mark_bar(cornerRadius=1)
        .encode(
            y=alt.Y("model:N", sort=list(dict.fromkeys(frame["model"])), title=None),
            x=alt.X("fraction:Q", title="share of alive features", axis=alt.Axis(format="%"), stack="zero"),
            color=colour,
            opacity=opacity,
            order=order,
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("class:N"),
                alt.Tooltip("level:N"),
                alt.Tooltip("n:Q", title="features", format=","),
                alt.Tooltip("fraction:Q", title="share", format=".1%"),
            ],
        )
        .properties(height=HEIGHT, padding=PADDING)
    )


def class_curve_chart(frame: pd.DataFrame, tau: float | None) -> Drawing:
    """Share of features by class and level over the threshold (columns of ``class_curve``), with the run's own tau."""
    colour, opacity, order = _class_encodings()
    areas = (
        alt.Chart(_inked(frame))
        .mark_area(line=False)
        .encode(
            x=alt.X("tau:Q", title="threshold on held-out r", scale=alt.Scale(nice=False)),
            y=alt.Y("fraction:Q", title="share of features", axis=alt.Axis(format="%"), stack="zero"),
            color=colour,
            opacity=opacity,
            order=order,
            detail=["class:N", "level:N"],
            tooltip=[
                alt.Tooltip("tau:Q", format=".2f"),
                alt.Tooltip("class:N"),
                alt.Tooltip("level:N"),
                alt.Tooltip("fraction:Q", title="share", format=".1%"),
            ],
        )
    )
    if tau is None:
        return areas.properties(height=HEIGHT, padding=PADDING)
    rule = alt.Chart(pd.DataFrame({"tau": [tau]})).mark_rule(strokeDash=[4, 3], color="#777777", size=1.5)
    rule = rule.encode(x=alt.X("tau:Q"), tooltip=alt.Tooltip("tau:Q", title="threshold of this run"))
    return alt.layer(areas, rule).properties(height=HEIGHT, padding=PADDING)


def model_legend(rates: pd.DataFrame) -> str:
    """The models' colours, and the share of each one's latents that never fire (columns of ``firing_rates``)."""
    never = rates[rates["right"] == 0]
    shares = dict(zip(never["model"].astype(str), never["fraction"], strict=True))
    colours = model_colours(list(shares))
    return legend(
        [swatch(colours[model], f"{model}: {share:.1%} never fire") for model, share in shares.items()]
    )


def firing_rate_chart(rates: pd.DataFrame) -> Drawing:
    """Share of each model's latents over their firing rate, as steps on a logarithmic axis."""
    firing = rates[rates["left"] > 0]
    models = list(dict.fromkeys(rates["model"]))
    # A step needs the end of its last bin too.
    ends = firing.groupby("model", sort=False).tail(1).assign(left=lambda last: last["right"])
    drawn = pd.concat([firing, ends], ignore_index=True)
    return (
        alt.Chart(drawn)
        .mark_line(interpolate="step-after", size=1.8)
        .encode(
            x=alt.X("left:Q", title="firing rate (share of tokens)", scale=_LOG, axis=alt.Axis(grid=False)),
            y=alt.Y("fraction:Q", title="share of latents", axis=alt.Axis(format="%")),
            color=alt.Color(
                "model:N",
                scale=alt.Scale(domain=models, range=list(model_colours(models).values())),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("left:Q", title="from", format=".2~e"),
                alt.Tooltip("right:Q", title="to", format=".2~e"),
                alt.Tooltip("n:Q", title="latents", format=","),
            ],
        )
        .properties(height=HEIGHT // 2 + 40, padding=PADDING)
    )


def lowest_shown(frame: pd.DataFrame) -> float:
    """Where the axis of r begins: below it lies less than half a percent of every kind (``r_histogram``)."""
    drawn = frame[frame["kind"] != "chance"]
    below = drawn.groupby(["kind", "measure"], sort=False)["fraction"].cumsum()
    return float(drawn.loc[below >= 0.005, "left"].min()) if len(drawn) else 0.0


def histogram_chart(frame: pd.DataFrame, measure: str, chance: float | None, low: float) -> Drawing:
    """Held-out r of assigned pairs by kind, as steps; chance as a dashed line.

    Heights follow a square root: one kind often stands in a single narrow peak, and the others must stay readable.

    Args:
        frame: columns of ``r_histogram``.
        measure: ``r_held_out`` or ``r_token``.
        chance: the line's place, or None.
        low: lower end of the horizontal axis, so that two histograms share it.
    """
    rows = frame[
        (frame["measure"] == measure) & frame["kind"].isin(list(words.KINDS)) & (frame["left"] >= low)
    ]
    last = rows[rows["right"] == rows["right"].max()].assign(left=rows["right"].max())  # closes the last step
    kinds = [kind for kind in words.KINDS if (rows["kind"] == kind).any()]
    scale = alt.Scale(domain=kinds, range=[KIND_COLOURS[kind] for kind in kinds])
    encoded = alt.Chart(pd.concat([rows, last])).encode(
        x=alt.X("left:Q", title="held-out r", scale=alt.Scale(domain=[low, 1], nice=False)),
        y=alt.Y(
            "fraction:Q",
            title="share of pairs",
            scale=alt.Scale(type="sqrt"),
            axis=alt.Axis(format="~%", tickCount=6),
        ),
        color=alt.Color("kind:N", scale=scale, legend=None),
    )
    features = alt.FieldEqualPredicate(field="kind", equal="features")
    layers = [
        encoded.transform_filter(features).mark_area(interpolate="step-after", opacity=0.16),
        encoded.mark_line(interpolate="step-after", strokeWidth=1.8).encode(
            tooltip=[
                alt.Tooltip("kind:N"),
                alt.Tooltip("left:Q", title="from r", format=".2f"),
                alt.Tooltip("right:Q", title="to r", format=".2f"),
                alt.Tooltip("fraction:Q", title="share", format=".1%"),
            ]
        ),
    ]
    if chance is not None:
        place = alt.Chart(pd.DataFrame({"r": [chance], "text": ["chance, 95 %"]})).encode(x=alt.X("r:Q"))
        layers.append(place.mark_rule(strokeDash=[4, 3], color=KIND_COLOURS["chance"], size=1.5))
        text = place.mark_text(
            align="left", baseline="top", dx=4, dy=2, color=KIND_COLOURS["chance"], fontSize=12
        )
        layers.append(text.encode(text=alt.Text("text:N"), y=alt.value(0)))
    return alt.layer(*layers).properties(height=HEIGHT, padding=PADDING)


def histogram_legend(medians: pd.DataFrame, measure: str) -> str:
    """Kinds with their medians (columns of ``medians``)."""
    rows = medians[medians["measure"] == measure].set_index("kind")["median"]
    entries = [
        swatch(KIND_COLOURS[kind], f"{name}, median {words.number(rows[kind])}", underline=True)
        for kind, name in words.KINDS.items()
        if kind in rows.index
    ]
    return legend(entries)


def matrix_chart(frame: pd.DataFrame) -> Drawing:
    """Median held-out r between every two models, the ceiling on the diagonal (columns of ``model_matrix``)."""
    order = list(dict.fromkeys(frame["model_a"]))
    drawn = frame.assign(text=[words.number(r) for r in frame["r"]])
    base = alt.Chart(drawn).encode(
        x=alt.X("model_b:N", sort=order, title=None, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("model_a:N", sort=order, title=None),
        tooltip=[
            alt.Tooltip("model_a:N", title="model"),
            alt.Tooltip("model_b:N", title="and"),
            alt.Tooltip("r:Q", title="median held-out r", format=".3f"),
            alt.Tooltip("n:Q", title="pairs", format=","),
        ],
    )
    scale = alt.Scale(domain=[0, 1], range=list(RAMP), clamp=True)
    cells = base.mark_rect(stroke="#ffffff", strokeWidth=1).encode(
        color=alt.Color("r:Q", scale=scale, legend=None)
    )
    dark = alt.expr.isValid(alt.datum.r) & (alt.datum.r > 0.5)
    texts = base.mark_text(fontSize=13).encode(
        text=alt.Text("text:N"), color=alt.condition(dark, alt.value("#ffffff"), alt.value("#1f2d3a"))
    )
    return (cells + texts).properties(height=HEIGHT, padding=PADDING)


def k_of_m_chart(frame: pd.DataFrame) -> Drawing:
    """Share of features by how many models their cluster reaches (columns of ``k_of_m_frame``)."""
    base = alt.Chart(frame.assign(text=[f"{100 * f:.1f} %" for f in frame["fraction"]])).encode(
        x=alt.X("k:O", title="models that a feature's cluster reaches", axis=alt.Axis(labelAngle=0)),
        y=alt.Y(
            "fraction:Q",
            title="share of features",
            axis=alt.Axis(format="%"),
            scale=alt.Scale(domain=[0, 1.12 * float(frame["fraction"].max() or 1)], nice=False),
        ),
        tooltip=[
            alt.Tooltip("k:O", title="models"),
            alt.Tooltip("n_clusters:Q", title="clusters", format=","),
            alt.Tooltip("n_features:Q", title="features", format=","),
            alt.Tooltip("fraction:Q", title="share", format=".1%"),
            alt.Tooltip("at_least:Q", title="so many models or more", format=".1%"),
        ],
    )
    bars = base.mark_bar(color=KIND_COLOURS["features"], cornerRadiusEnd=2, size=48)
    return (
        bars + base.mark_text(dy=-8, color="#808080", fontSize=12).encode(text=alt.Text("text:N"))
    ).properties(height=HEIGHT)


_DOMAIN_POINTS = {
    "r": ("features", "Features"),
    "r_token": ("token_conditional", "Beyond the token"),
    "neuron_r": ("neurons", "Nearest neuron"),
    "untrained_r": ("untrained", "Untrained floor"),
}


def domain_chart(frame: pd.DataFrame) -> Drawing:
    """Each domain's best features across models as dots, the range over models as a bar (``domain_frame``)."""
    order = list(frame["domain"])
    long = frame.melt(
        id_vars=["domain"], value_vars=list(_DOMAIN_POINTS), var_name="what", value_name="value"
    )
    long = long.dropna(subset=["value"]).assign(
        name=lambda f: f["what"].map({k: v[1] for k, v in _DOMAIN_POINTS.items()})
    )
    scale = alt.Scale(
        domain=[name for _, name in _DOMAIN_POINTS.values()],
        range=[KIND_COLOURS[kind] for kind, _ in _DOMAIN_POINTS.values()],
    )
    y = alt.Y("domain:N", sort=order, title=None, axis=alt.Axis(grid=True, labelLimit=140, labelFlush=False))
    ranges = (
        alt.Chart(frame.dropna(subset=["r"]))
        .mark_rule(color=KIND_COLOURS["features"], opacity=0.35, size=5)
        .encode(y=y, x=alt.X("r_low:Q", title="median r over models"), x2=alt.X2("r_high:Q"))
    )
    dots = (
        alt.Chart(long)
        .mark_point(filled=True, size=70, opacity=0.95)
        .encode(
            y=y,
            x=alt.X("value:Q", title="median r over models"),
            color=alt.Color("name:N", scale=scale, legend=None),
            shape=alt.Shape("name:N", legend=None),
            tooltip=[
                alt.Tooltip("domain:N"),
                alt.Tooltip("name:N", title="what"),
                alt.Tooltip("value:Q", title="r", format=".2f"),
            ],
        )
    )
    return (ranges + dots).properties(height=30 * len(order) + 60, padding=PADDING)


def domain_legend() -> str:
    """What the dots stand for."""
    return legend(swatch(KIND_COLOURS[kind], name) for kind, name in _DOMAIN_POINTS.values())
