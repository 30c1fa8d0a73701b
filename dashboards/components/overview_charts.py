"""Charts of the overview: tidy frames of ``results.frames`` in, Altair charts out."""

import altair as alt
import pandas as pd

from dashboards.components import chart_parts as parts
from dashboards.components.chart_parts import HEIGHT, PADDING, Drawing, coloured, tips
from dashboards.components.markup import legend, swatch
from results import words
from results.colours import KIND_COLOURS, PART_COLOURS, model_colours
from results.figure_frames import domain_labels

#: Stands for ink of any colour in legends; reads on both themes.
INK = "#6B7780"


def parts_legend() -> str:
    """What the parts of a bar are."""
    return legend(swatch(PART_COLOURS[part], text) for part, text in words.PARTS.items())


def parts_chart(frame: pd.DataFrame) -> Drawing:
    """Shares of the summed r of edges by what makes them (columns of ``agreement_parts``)."""
    frame = frame.assign(
        drawn=frame["share"].clip(lower=0),
        name=frame["kind"].map(words.KINDS),
        what=frame["part"].map(words.PARTS),
        rank=frame["part"].map({part: place for place, part in enumerate(words.PARTS)}),
    )
    return (
        alt.Chart(frame)
        .mark_bar(cornerRadius=1)
        .encode(
            y=alt.Y("name:N", sort=list(dict.fromkeys(frame["name"])), title=None),
            x=alt.X(
                "drawn:Q",
                title="share of the summed r of matched pairs",
                axis=parts.SHARE_AXIS,
                stack="zero",
                scale=alt.Scale(domain=[0, 1], clamp=True),
            ),
            color=coloured("part:N", PART_COLOURS),
            order=alt.Order("rank:Q"),
            tooltip=tips("name:N", "what:N", ("share:Q", "share", ".1%"), ("n_edges:Q", "pairs", ",")),
        )
        .properties(height=HEIGHT * 0.6, padding=PADDING)
    )


#: Column of the table ``spaces`` -> name, colour and shape.
_SPACE_POINTS = {
    "value": ("These coordinates", KIND_COLOURS["features"], "circle"),
    "haar": ("As many random directions", INK, "diamond"),
    "floor": ("Untrained models", KIND_COLOURS["untrained"], "cross"),
}


def space_legend() -> str:
    """What the points of a kind of coordinates are."""
    return legend(swatch(colour, name) for name, colour, _ in _SPACE_POINTS.values())


def space_chart(frame: pd.DataFrame, low: float, high: float) -> Drawing:
    """Mean r of every kind of coordinates beside random directions and untrained models, from ``low`` to ``high``.

    Args:
        frame: rows of one measure of the table ``spaces``.
        low, high: ends of the axis, so that two charts share it.
    """
    names = [f"{words.SPACES[space]}, {n:,}" for space, n in zip(frame["space"], frame["n"], strict=True)]
    frame = frame.assign(name=names)
    points = frame.melt(id_vars=["name"], value_vars=list(_SPACE_POINTS), var_name="column", value_name="r").dropna()
    points = points.assign(what=points["column"].map({column: name for column, (name, *_) in _SPACE_POINTS.items()}))
    y = alt.Y("name:N", sort=names, title=None, axis=alt.Axis(grid=True, labelLimit=200, labelFlush=False))
    colours, shapes = ({name: of[place] for name, *of in _SPACE_POINTS.values()} for place in (0, 1))
    scale = alt.Scale(domain=list(shapes), range=list(shapes.values()))
    between = alt.Scale(domain=[low, high], nice=False)
    ranges = alt.Chart(frame).mark_rule(color=KIND_COLOURS["features"], opacity=0.35, size=5)
    dots = alt.Chart(points).mark_point(filled=True, size=75, opacity=0.95)
    return (
        ranges.encode(y=y, x=alt.X("low:Q", title="mean held-out r", scale=between), x2=alt.X2("high:Q"))
        + dots.encode(
            y=y,
            x=alt.X("r:Q", title="mean held-out r", scale=between),
            color=coloured("what:N", colours),
            shape=alt.Shape("what:N", legend=None, scale=scale),
            tooltip=tips("name:N", "what:N", ("r:Q", "mean r", ".3f")),
        )
    ).properties(height=26 * len(frame) + 50, padding=PADDING)


def model_legend(rates: pd.DataFrame) -> str:
    """The models' colours, and the share of each one's latents that never fire (columns of ``firing_rates``)."""
    never = rates[rates["right"] == 0]
    shares = dict(zip(never["model"].astype(str), never["fraction"], strict=True))
    colours = model_colours(list(shares))
    return legend(swatch(colours[model], f"{model}: {share:.1%} never fire") for model, share in shares.items())


def firing_rate_chart(rates: pd.DataFrame) -> Drawing:
    """Share of each model's latents over their firing rate, as steps on a logarithmic axis."""
    firing = rates[rates["left"] > 0]
    # A step needs the end of its last bin too.
    ends = firing.groupby("model", sort=False).tail(1).assign(left=lambda last: last["right"])
    log = alt.Scale(type="log", nice=False)
    return (
        alt.Chart(pd.concat([firing, ends], ignore_index=True))
        .mark_line(interpolate="step-after", size=1.8)
        .encode(
            x=alt.X("left:Q", title="firing rate (share of tokens)", scale=log, axis=alt.Axis(grid=False)),
            y=alt.Y("fraction:Q", title="share of latents", axis=parts.SHARE_AXIS),
            color=coloured("model:N", model_colours(list(dict.fromkeys(rates["model"])))),
            tooltip=tips("model:N", ("left:Q", "from", ".2~e"), ("right:Q", "to", ".2~e"), ("n:Q", "latents", ",")),
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

    Args:
        frame: columns of ``r_histogram``.
        measure: ``r_held_out`` or ``r_token``.
        chance: the line's place, or None.
        low: lower end of the horizontal axis, so that two histograms share it.
    """
    rows = frame[(frame["measure"] == measure) & frame["kind"].isin(list(words.KINDS)) & (frame["left"] >= low)]
    kinds = {kind: KIND_COLOURS[kind] for kind in words.KINDS if (rows["kind"] == kind).any()}
    steps = alt.Chart(parts.closed_steps(rows)).encode(**parts.r_axes(low), color=coloured("kind:N", kinds))
    features = alt.FieldEqualPredicate(field="kind", equal="features")
    layers = [
        steps.transform_filter(features).mark_area(interpolate="step-after", opacity=0.16),
        steps.mark_line(interpolate="step-after", strokeWidth=1.8).encode(tooltip=tips("kind:N", *parts.R_TIPS)),
    ]
    if chance is not None:
        grey = KIND_COLOURS["chance"]
        place = alt.Chart(pd.DataFrame({"r": [chance], "text": ["chance, 95 %"]})).encode(x=alt.X("r:Q"))
        layers.append(place.mark_rule(strokeDash=[4, 3], color=grey, size=1.5))
        text = place.mark_text(align="left", baseline="top", dx=4, dy=2, color=grey, fontSize=12)
        layers.append(text.encode(text=alt.Text("text:N"), y=alt.value(0)))
    return alt.layer(*layers).properties(height=HEIGHT, padding=PADDING)


def histogram_legend(medians: pd.DataFrame, measure: str) -> str:
    """Kinds with their medians (columns of ``medians``)."""
    rows = medians[medians["measure"] == measure].set_index("kind")["median"]
    return legend(
        swatch(KIND_COLOURS[kind], f"{name}, median {words.number(rows[kind])}", underline=True)
        for kind, name in words.KINDS.items()
        if kind in rows.index
    )


def matrix_chart(frame: pd.DataFrame) -> Drawing:
    """Median held-out r between every two models, the ceiling on the diagonal (columns of ``model_matrix``)."""
    order = list(dict.fromkeys(frame["model_a"]))
    base = alt.Chart(frame.assign(text=[words.number(r) for r in frame["r"]])).encode(
        x=alt.X("model_b:N", sort=order, title=None, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("model_a:N", sort=order, title=None),
        tooltip=tips(
            ("model_a:N", "model"),
            ("model_b:N", "and"),
            ("r:Q", "median held-out r", ".3f"),
            ("n:Q", "pairs", ","),
        ),
    )
    dark = alt.expr.isValid(alt.datum.r) & (alt.datum.r > 0.5)
    texts = base.mark_text(fontSize=13).encode(text=alt.Text("text:N"), color=parts.white_where(dark))
    return (parts.cells_of_r(base) + texts).properties(height=HEIGHT, padding=PADDING)


def k_of_m_chart(frame: pd.DataFrame) -> Drawing:
    """Share of features by how many models their cluster reaches (columns of ``k_of_m_frame``)."""
    highest = frame[["fraction", "untrained", "homogeneous", "identical_high"]].max().max()
    heights = alt.Scale(domain=[0, 1.12 * float(highest or 1)], nice=False)
    base = alt.Chart(frame.assign(text=[f"{100 * f:.1f} %" for f in frame["fraction"]])).encode(
        x=alt.X("k:O", title="models that a feature's cluster reaches", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("fraction:Q", title="share of features", axis=parts.SHARE_AXIS, scale=heights),
        tooltip=tips(
            ("k:O", "models"),
            ("n_clusters:Q", "clusters", ","),
            ("n_features:Q", "features", ","),
            ("fraction:Q", "share", ".1%"),
            ("fraction_low:Q", "in other halves of the sources, from", ".1%"),
            ("fraction_high:Q", "to", ".1%"),
            ("at_least:Q", "so many models or more", ".1%"),
            ("untrained:Q", "of untrained models", ".1%"),
            ("homogeneous:Q", "if shared alike", ".1%"),
            ("identical_low:Q", "identical models, at least", ".1%"),
            ("identical_high:Q", "identical models, at most", ".1%"),
        ),
    )
    bars = base.mark_bar(color=KIND_COLOURS["features"], cornerRadiusEnd=2, size=48)
    texts = base.mark_text(dy=-8, color="#808080", fontSize=12).encode(text=alt.Text("text:N"))
    alike = base.mark_tick(color=INK, thickness=2, size=60).encode(y=alt.Y("homogeneous:Q", scale=heights))
    identical = base.mark_rule(color=KIND_COLOURS["ceiling"], size=3).encode(
        y=alt.Y("identical_low:Q", scale=heights), y2="identical_high:Q"
    )
    # Beside the middle, where the share and the bounds are.
    floor = base.mark_point(
        shape="cross", color=KIND_COLOURS["untrained"], filled=True, opacity=1, size=90, xOffset=-34
    ).encode(y=alt.Y("untrained:Q", scale=heights))  # fmt: skip
    return (bars + identical + alike + floor + texts).properties(height=HEIGHT)


#: Column of ``domain_frame`` -> what it measures, by its colour and by its name.
_DOMAIN_POINTS = {
    "r": ("features", "Features"),
    "r_token": ("token_conditional", "Beyond the token"),
    "neuron_r": ("neurons", "Nearest neuron"),
    "untrained_r": ("untrained", "Untrained floor"),
}
_DOMAIN_COLOURS = {name: KIND_COLOURS[kind] for kind, name in _DOMAIN_POINTS.values()}


def domain_chart(frame: pd.DataFrame) -> Drawing:
    """Each domain's best features across models as dots, the range over models as a bar (``domain_frame``)."""
    frame = frame.assign(label=domain_labels(frame))
    order = list(frame["label"])
    points = frame.melt(
        id_vars=["domain", "label", "n_sources"],
        value_vars=list(_DOMAIN_POINTS),
        var_name="what",
        value_name="value",
    ).dropna(subset=["value"])
    points["name"] = points["what"].map({column: name for column, (_, name) in _DOMAIN_POINTS.items()})
    y = alt.Y("label:N", sort=order, title=None, axis=alt.Axis(grid=True, labelLimit=140, labelFlush=False))
    title = "median r over models"
    ranges = (
        alt.Chart(frame.dropna(subset=["r"]))
        .mark_rule(color=KIND_COLOURS["features"], opacity=0.35, size=5)
        .encode(y=y, x=alt.X("r_low:Q", title=title), x2=alt.X2("r_high:Q"))
    )
    dots = (
        alt.Chart(points)
        .mark_point(filled=True, size=70, opacity=0.95)
        .encode(
            y=y,
            x=alt.X("value:Q", title=title),
            color=coloured("name:N", _DOMAIN_COLOURS),
            shape=alt.Shape("name:N", legend=None),
            tooltip=tips("domain:N", ("name:N", "what"), ("value:Q", "r", ".2f"), ("n_sources:Q", "sources", "d")),
        )
    )
    return (ranges + dots).properties(height=30 * len(order) + 60, padding=PADDING)


def domain_legend() -> str:
    """What the dots stand for."""
    return legend(swatch(colour, name) for name, colour in _DOMAIN_COLOURS.items())
