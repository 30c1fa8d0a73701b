"""Charts of classes and levels: stacked shares, coloured by one of the two, with names and shares on them."""

import altair as alt
import pandas as pd

from dashboards.components import chart_parts as parts
from dashboards.components.chart_parts import HEIGHT, PADDING, Drawing, coloured, tips
from dashboards.components.markup import legend, swatch
from results.colours import CLASS_COLOURS, LEVEL_COLOURS, NO_PARTNER_COLOUR, rgb
from results.map_points import NO_PARTNER
from results.words import called

#: What can be coloured -> the colours of its values, from the bottom of a stack. A feature without a partner has no
#: match whose level could be tested.
COLOURS = {
    "Class": CLASS_COLOURS,
    "Level": {called(level): colour for level, colour in LEVEL_COLOURS.items()} | {NO_PARTNER: NO_PARTNER_COLOUR},
}
#: Shares below this have no words on them: they would not fit.
_ROOM = 0.07


def stacked(frame: pd.DataFrame, over: str, by: str) -> pd.DataFrame:
    """Shares of classes or levels on top of each other.

    Args:
        frame: columns of ``class_bars`` or ``class_curve``.
        over: what has a stack for each of its values, model or tau.
        by: Class or Level.

    Returns:
        ``over``, kind, n, fraction, low and high (ends within the stack, 0..1), middle, and ink, the colour of words on
        it; kinds with a feature anywhere, in the order of :data:`COLOURS`.
    """
    colours = COLOURS[by]
    kind = (
        frame["class"] if by == "Class" else frame["level"].map(called).where(frame["class"] != "specific", NO_PARTNER)
    )
    named = frame.rename(columns={"n_features": "n"}).assign(kind=kind)
    sums = named.groupby([over, "kind"], sort=False)[["n", "fraction"]].sum().reset_index()
    sums = sums[sums["kind"].isin(sums.loc[sums["n"] > 0, "kind"])]
    order = sums["kind"].map({name: place for place, name in enumerate(colours)})
    sums = sums.iloc[order.argsort(kind="stable")]
    high = sums.groupby(over)["fraction"].cumsum()
    ink = sums["kind"].map({name: "#ffffff" if _is_dark(colour) else "#1f2d3a" for name, colour in colours.items()})
    return sums.assign(low=high - sums["fraction"], high=high, middle=high - sums["fraction"] / 2, ink=ink)


def _is_dark(colour: str) -> bool:
    red, green, blue = rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue < 130


def class_legend(frame: pd.DataFrame, by: str) -> str:
    """The colours of what occurs in a frame of :func:`stacked`."""
    return legend(swatch(COLOURS[by][kind], kind) for kind in dict.fromkeys(frame["kind"]))


def class_bars_chart(frame: pd.DataFrame, by: str) -> Drawing:
    """Share of each model's alive features by class or level (:func:`stacked` over models), written on them."""
    filled = frame[frame["n"] > 0]
    base = alt.Chart(filled).encode(y=alt.Y("model:N", sort=list(dict.fromkeys(frame["model"])), title=None))
    bars = base.mark_bar(cornerRadius=1).encode(
        x=alt.X("low:Q", title="share of alive features", axis=parts.SHARE_AXIS, scale=alt.Scale(domain=[0, 1])),
        x2=alt.X2("high:Q"),
        color=coloured("kind:N", COLOURS[by]),
        tooltip=tips("model:N", ("kind:N", by.lower()), ("n:Q", "features", ","), ("fraction:Q", "share", ".1%")),
    )
    written = base.transform_filter(f"datum.fraction >= {_ROOM}").mark_text(fontSize=12).encode(
        x=alt.X("middle:Q"), text=alt.Text("fraction:Q", format=".0%"), color=alt.Color("ink:N", scale=None)
    )  # fmt: skip
    return alt.layer(bars, written).properties(height=HEIGHT, padding=PADDING)


def class_curve_chart(frame: pd.DataFrame, by: str, tau: float | None) -> Drawing:
    """Share of features by class or level over the threshold (:func:`stacked` over tau), with the run's own tau.

    Each area has its name where it is widest.
    """
    areas = alt.Chart(frame).mark_area(line=False).encode(
        x=alt.X("tau:Q", title="threshold on held-out r", scale=alt.Scale(nice=False)),
        y=alt.Y("low:Q", title="share of features", axis=parts.SHARE_AXIS, scale=alt.Scale(domain=[0, 1])),
        y2=alt.Y2("high:Q"),
        color=coloured("kind:N", COLOURS[by]),
        tooltip=tips(("tau:Q", None, ".2f"), ("kind:N", by.lower()), ("fraction:Q", "share", ".1%")),
    )  # fmt: skip
    # At the ends a name would not fit.
    inner = frame[frame["tau"].between(frame["tau"].min(), frame["tau"].max(), inclusive="neither")]
    widest = inner.sort_values("fraction", ascending=False).drop_duplicates("kind")
    names = alt.Chart(widest[widest["fraction"] >= _ROOM]).mark_text(fontSize=12).encode(
        x=alt.X("tau:Q"), y=alt.Y("middle:Q"), text=alt.Text("kind:N"), color=alt.Color("ink:N", scale=None)
    )  # fmt: skip
    layers = [areas, names]
    if tau is not None:
        rule = alt.Chart(pd.DataFrame({"tau": [tau]})).mark_rule(strokeDash=[4, 3], color="#777777", size=1.5)
        layers.append(rule.encode(x=alt.X("tau:Q"), tooltip=tips(("tau:Q", "threshold of this run"))[0]))
    return alt.layer(*layers).properties(height=HEIGHT, padding=PADDING)
