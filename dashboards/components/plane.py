"""Drawings in the plane: points and clusters at stored positions, and the click that names one of them.

Texts of the corpus reach the browser as values of a data set or as names of nodes, which ECharts writes as text.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.components.panels import nothing
from dashboards.data import View
from results.colours import CLASS_COLOURS, GREY
from results.map_points import ColourGroup, Island
from results.progress import command

HEIGHT = 640
#: The ring around what the address names; it reads on light and on dark.
_RING = "#D55E00"
#: A click selects one item. The ring marks it; ECharts' own mark would stay on what was clicked before.
_CLICKABLE = {"selectedMode": "single", "select": {"itemStyle": {"borderWidth": 0}, "label": {"show": False}}}


def explain_no_positions(view: View) -> None:
    """Say that a run of an earlier version, or an unfinished one, has no positions, and what computes them."""
    nothing(
        "This run has no positions: it was computed before there were any, or the step that makes them has not "
        "finished.",
        "The command below computes only what is missing; then reload this page.",
    )
    st.code(command(view.record, view.url), language="bash", wrap_lines=True)


def points_spec(
    frame: pd.DataFrame,
    summaries: Sequence[str],
    groups: Sequence[ColourGroup],
    chosen: str,
    whole: pd.DataFrame,
    named: Sequence[Island] = (),
) -> dict[str, Any]:
    """The map: one series per colour, zoomed by the wheel and moved by dragging.

    Args:
        frame: id, x, y of every point drawn.
        summaries: a line per point for the tooltip.
        groups: the points by colour.
        chosen: id of the point with a ring, or empty.
        whole: id, x, y of all points: whatever passes the filters, axes stay, and the others are drawn pale.
        named: what parts of the plane are about, the most important first.
    """
    size = 9 if len(whole) < 1_000 else 7 if len(whole) < 5_000 else 4.5
    others = whole.loc[~whole["id"].isin(frame["id"]).to_numpy(), ["x", "y"]]
    points = frame[["x", "y", "id"]].assign(summary=list(summaries))
    # The fewer, the higher: a small group is never hidden by a large one.
    heights = np.argsort(np.argsort([-group.members.sum() for group in groups], kind="stable"))
    common = {"type": "scatter", "encode": {"x": "x", "y": "y"}, "symbolSize": size, **_CLICKABLE}
    series = [
        {
            **common,
            "datasetIndex": i,
            "symbol": group.shape,
            "itemStyle": {"color": group.colour, "opacity": 0.8},
            "z": 2 + int(heights[i]),
        }
        for i, group in enumerate(groups)
    ]
    pale = {"type": "scatter", "silent": True, "symbolSize": 0.7 * size, "z": 1, "tooltip": {"show": False}}
    pale |= {"data": others.round(3).to_numpy(float).tolist(), "itemStyle": {"color": GREY, "opacity": 0.2}}
    return {
        **_plane(whole),
        "tooltip": {"trigger": "item", "confine": True, "formatter": "<b>{@id}</b><br>{@summary}"},
        "dataset": [{"source": points[group.members]} for group in groups],
        "series": [*series, pale, _names(named), _ring(whole[whole["id"] == chosen], size + 12)],
    }


def _names(named: Sequence[Island]) -> dict[str, Any]:
    """A series of names where the islands lie; of those that would cover each other some move, or wait for a zoom."""
    words = {
        "show": True, "formatter": "{b}", "fontSize": 12, "color": "#1f2d3a", "padding": [1, 4], "borderRadius": 3,
        "backgroundColor": "rgba(255,255,255,0.82)",
    }  # fmt: skip
    return {
        "type": "scatter",
        "data": [{"name": island.name, "value": [island.x, island.y]} for island in named],
        "symbolSize": 0.1,
        "silent": True,
        "z": 98,
        "tooltip": {"show": False},
        "label": words,
        "labelLayout": {"moveOverlap": "shiftY", "hideOverlap": True},
    }


def _plane(frame: pd.DataFrame) -> dict[str, Any]:
    """Axes around x and y that are not drawn, zoomed by the wheel and moved by dragging; no animation."""

    def axis(values: pd.Series) -> dict[str, Any]:
        low, high = float(values.min()), float(values.max())
        edge = 0.03 * (high - low) or 1.0
        return {"type": "value", "show": False, "min": low - edge, "max": high + edge}

    return {
        "animation": False,
        "aria": {"enabled": False},
        "legend": {"show": False},
        "grid": {"left": 4, "right": 4, "top": 4, "bottom": 4, "containLabel": False},
        "xAxis": axis(frame["x"]),
        "yAxis": axis(frame["y"]),
        # Nothing is dropped at the edges: a link may end outside.
        "dataZoom": [{"type": "inside", which: 0, "filterMode": "none"} for which in ("xAxisIndex", "yAxisIndex")],
    }


def graph_spec(
    frame: pd.DataFrame,
    names: Sequence[str],
    sizes: np.ndarray,
    links: pd.DataFrame,
    chosen: int | None,
    whole: pd.DataFrame,
    named: Sequence[Island] = (),
) -> dict[str, Any]:
    """The graph of clusters at their stored positions.

    Args:
        frame: cluster, class, x, y of every node drawn.
        names: what each node says, no two alike.
        sizes: (n,) diameters in pixels.
        links: cluster_a, cluster_b, r between clusters of the frame.
        chosen: the cluster with a ring, or None.
        whole: x and y of all clusters: whatever passes the filters, axes stay.
        named: what parts of the plane are about, the most important first.
    """
    place = {int(cluster): i for i, cluster in enumerate(frame["cluster"])}
    nodes = [
        {
            "name": name,
            "value": [round(float(x), 4), round(float(y), 4)],
            "symbolSize": round(float(size), 1),
            "itemStyle": {"color": CLASS_COLOURS.get(str(kind), GREY)},
        }
        for name, kind, x, y, size in zip(names, frame["class"], frame["x"], frame["y"], sizes, strict=True)
    ]
    edges = [
        {
            "source": place[int(a)],
            "target": place[int(b)],
            "lineStyle": {"width": round(0.6 + 2.4 * float(r), 2)},
            "tooltip": {"show": False},
        }
        for a, b, r in links[["cluster_a", "cluster_b", "r"]].itertuples(index=False, name=None)
    ]
    series = {
        "type": "graph",
        # On axes, zooming moves nodes and leaves them round and of their size.
        "coordinateSystem": "cartesian2d",
        "label": {"show": False},
        "itemStyle": {"opacity": 0.95},
        "lineStyle": {"color": GREY, "opacity": 0.45, "curveness": 0},
        "emphasis": {"disabled": len(nodes) > 2_000, "focus": "adjacency", "label": {"show": False}},
        **_CLICKABLE,
        "data": nodes,
        "links": edges,
    }
    here = (frame["cluster"] == chosen).to_numpy()
    ring = _ring(frame[here], float(sizes[here].max(initial=0)) + 12)
    every = [series, _names(named), ring]
    return {**_plane(whole), "tooltip": {"confine": True, "formatter": "{b}"}, "series": every}


def _ring(chosen: pd.DataFrame, size: float) -> dict[str, Any]:
    """A series with a ring around what the address names; it takes no clicks."""
    style = {"color": "transparent", "borderColor": _RING, "borderWidth": 3}
    places = chosen[["x", "y"]].to_numpy(float).tolist()
    shape = {"type": "scatter", "data": places, "symbolSize": size, "silent": True, "z": 99}
    return {**shape, "itemStyle": style, "tooltip": {"show": False}}


def clickable_chart(spec: dict[str, Any], ids: Sequence[Sequence[str]], *, param: str, key: str, alt: str) -> None:
    """Draw a chart in which a click on an item puts its id into the address.

    Args:
        spec: the chart.
        ids: for each series that can be clicked, the ids of its items in their order.
        param: name of the query parameter that holds the chosen id.
        key: prefix of the chart's key. A chart of other items is another chart, so that a selection never points at
            what stands in its place now.
        alt: the chart in words, for those who do not see it.
    """
    digest = hashlib.blake2b(repr([list(part) for part in ids]).encode(), digest_size=6).hexdigest()
    place = f"{key}_{digest}"

    def clicked() -> None:
        for part in st.session_state[place]["selection"]["selected"]:
            series, items = part["series_index"], part["data_indices"]
            if part["data_type"] != "edge" and items and series < len(ids) and items[-1] < len(ids[series]):
                st.query_params[param] = str(ids[series][items[-1]])

    st.echarts_chart(spec, height=HEIGHT, key=place, on_select=clicked, alt=alt)
