"""The graph of features in the formats of other programs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import networkx as nx


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
