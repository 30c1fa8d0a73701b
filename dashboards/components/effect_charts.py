"""Charts of what features do: partners beside each other, and matched pairs one by one."""

import altair as alt
import pandas as pd

from dashboards.components.chart_parts import HEIGHT, PADDING, Drawing, coloured, tips
from dashboards.components.markup import legend, swatch
from results import words
from results.colours import EFFECT_CLASS_COLOURS, EFFECT_COLOURS
from results.words import EFFECT_PARTNERS

#: Legible on a light page and on a dark one.
INK = "#6B7780"
#: Column -> what a point of it says, and its shape.
_POINTS = {
    "r_effect": ("over all rows", "circle"),
    "r_effect_both": ("where both fire", "diamond"),
}


def partners_chart(rows: pd.DataFrame) -> Drawing:
    """Mean r of effects by kind of partner, with its interval (columns of figure "effects")."""
    frame = rows.assign(name=rows["kind"].map(EFFECT_PARTNERS), same=rows["same_effect"].map(words.share))
    said = {column: what for column, (what, _) in _POINTS.items()}
    points = frame.melt(["name", "kind", "n", "same"], list(_POINTS), var_name="column", value_name="r").dropna(
        subset="r"
    )
    points = points.assign(what=points["column"].map(said))
    shapes = dict(_POINTS.values())
    y = alt.Y("name:N", sort=list(frame["name"]), title=None, axis=alt.Axis(grid=True, labelLimit=200))
    kinds = {kind: EFFECT_COLOURS[kind] for kind in rows["kind"]}
    ranges = alt.Chart(frame).mark_rule(opacity=0.4, size=5)
    dots = alt.Chart(points).mark_point(filled=True, size=75)
    tooltip = tips("name:N", "what:N", ("r:Q", "mean r", ".3f"), ("n:Q", "pairs", ","), ("same:N", "do the same"))
    return (
        ranges.encode(
            y=y,
            x=alt.X("r_effect_low:Q", title="mean r of effects"),
            x2=alt.X2("r_effect_high:Q"),
            color=coloured("kind:N", kinds),
        )
        + dots.encode(
            y=y,
            x=alt.X("r:Q", title="mean r of effects"),
            color=coloured("kind:N", kinds),
            shape=alt.Shape("what:N", legend=None, scale=alt.Scale(domain=list(shapes), range=list(shapes.values()))),
            tooltip=tooltip,
        )
    ).properties(height=HEIGHT, padding=PADDING)


def partners_legend() -> str:
    """What the two points of a row are."""
    return legend([swatch(INK, "●: over all rows"), swatch(INK, "◆: where both fire")])


def quadrant_chart(pairs: pd.DataFrame, tau: float) -> Drawing:
    """When two matched features fire beside what they do (columns of figure "effects.pairs")."""
    frame = pairs.assign(
        pair=pairs["model_a"] + ":" + pairs["latent_a"].astype(str) + "-" + pairs["model_b"] + ":"
        + pairs["latent_b"].astype(str),
        what=pairs["effect_class"].map(words.EFFECT_CLASSES),
    )  # fmt: skip
    x = alt.X("r_held_out:Q", title="r of activations: when they fire", scale=alt.Scale(zero=False))
    points = alt.Chart(frame).mark_circle(size=28, opacity=0.7)
    line = alt.Chart(pd.DataFrame({"y": [tau / 2]})).mark_rule(strokeDash=[4, 3], color=INK)
    return (
        points.encode(
            x=x,
            y=alt.Y("r_effect_both:Q", title="r of effects: what they do"),
            color=coloured("effect_class:N", EFFECT_CLASS_COLOURS),
            tooltip=tips(
                "pair:N", "level:N", ("r_held_out:Q", "r of activations", ".2f"),
                ("r_effect_both:Q", "r of effects", ".2f"), "what:N",
            ),
        )
        + line.encode(y=alt.Y("y:Q"))
    ).properties(height=HEIGHT, padding=PADDING)  # fmt: skip


def quadrant_legend(pairs: pd.DataFrame) -> str:
    """The classes with their shares."""
    shares = pairs["effect_class"].value_counts(normalize=True)
    return legend(
        swatch(colour, f"{words.called(name)}, {words.share(shares.get(name, 0.0))}")
        for name, colour in EFFECT_CLASS_COLOURS.items()
    )
