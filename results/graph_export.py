"""The graph of features in the formats of other programs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import networkx as nx

#: Columns of ``features`` and ``pairs`` that :func:`assigned_graph` keeps.
NODE_ATTRIBUTES = ("class", "level", "cluster", "firing_rate", "best_r")
EDGE_ATTRIBUTES = ("r_held_out", "q", "level", "assigned", "kept")


def named_graph(graph: nx.Graph) -> nx.Graph:
    """The same graph with text node ids ``model/latent`` and plain attributes, which every format can hold.

    Args:
        graph: nodes ``(model, latent)``, as of :func:`universality.graph.build_graph`. Attributes that are absent
            (None, NaN) are left out, since GraphML has no null.
    """
    import networkx as nx

    named = nx.Graph()
    for (model, latent), values in graph.nodes(data=True):
        named.add_node(f"{model}/{latent}", model=str(model), latent=int(latent), **_plain(values))
    for (model_a, a), (model_b, b), values in graph.edges(data=True):
        named.add_edge(f"{model_a}/{a}", f"{model_b}/{b}", **_plain(values))
    return named


def graphml(graph: nx.Graph) -> bytes:
    """A graph of :func:`named_graph` as GraphML."""
    import networkx as nx

    buffer = io.BytesIO()
    nx.write_graphml(graph, buffer)
    return buffer.getvalue()


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    scalars = {name: getattr(value, "item", lambda value=value: value)() for name, value in values.items()}
    return {
        name: value
        for name, value in scalars.items()
        if isinstance(value, (str, int, float, bool))
        and not pd.isna(value)
        and name not in ("model", "latent")
    }


def assigned_graph(features: pd.DataFrame, pairs: pd.DataFrame, *, tau: float, alpha: float) -> nx.Graph:
    """All assigned pairs of a comparison as a graph, with what its tables say of nodes and edges.

    Args:
        features: table ``features``; alive ones become nodes, in the table's order.
        pairs: table ``pairs``; every row becomes an edge.
        tau: threshold of held-out r. alpha: false-discovery rate.

    Returns:
        Nodes ``model/latent`` with model, latent, class, level, cluster, firing_rate, best_r; edges with r_held_out, q,
        level, ``assigned`` (whether partners are one to one) and ``kept`` (``q < alpha`` and ``r_held_out >= tau``:
        clusters are made of these). What a table lacks for a node or edge is no attribute of it.
    """
    import networkx as nx

    graph = nx.Graph()
    nodes = features.loc[features["status"] == "alive", ["model", "latent", *NODE_ATTRIBUTES]]
    for row in nodes.to_dict("records"):
        graph.add_node((row.pop("model"), row.pop("latent")), **{str(k): v for k, v in row.items()})
    edges = pairs.assign(
        assigned=pairs["method"] == "assignment", kept=(pairs["q"] < alpha) & (pairs["r_held_out"] >= tau)
    )
    for row in edges[["model_a", "latent_a", "model_b", "latent_b", *EDGE_ATTRIBUTES]].to_dict("records"):
        a, b = ((row.pop(f"model_{side}"), row.pop(f"latent_{side}")) for side in "ab")
        graph.add_edge(a, b, **{str(k): v for k, v in row.items()})
    return named_graph(graph)
