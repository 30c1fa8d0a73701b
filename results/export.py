"""A run's tables and graph as files of other programs: Parquet without loss, CSV that no spreadsheet runs, GraphML."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from results.token_text import is_invisible
from universality.schema import Column
from universality.table_schemas import FEATURES, PAIRS

if TYPE_CHECKING:
    import networkx as nx

#: Columns that hold corpus text; JSON-quoted in every CSV file.
TOKEN_COLUMNS = frozenset({"text", "token_text"})
#: What nodes and edges of :func:`assigned_graph` say.
NODES = FEATURES.pick("model latent class level cluster firing_rate best_r")
EDGES = (
    *PAIRS.pick("r_held_out q level"),
    Column("assigned", "bool", "yes or no", "true, false", "whether partners were chosen one to one"),
    Column("kept", "bool", "yes or no", "true, false",
           "whether q is below alpha and r_held_out at least tau: clusters are made of these"),
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@")


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """A table as Parquet (zstd)."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def csv_bytes(table: pd.DataFrame) -> bytes:
    """A table as CSV (UTF-8, LF, RFC 4180 quoting).

    Numbers are written so that they read back bit by bit. Text that a spreadsheet could take for a formula, that holds
    anything invisible, or that is a token is written as a JSON string, so its cell starts with a quotation mark.
    """
    safe = {
        column: _each(table[column], quoted if column in TOKEN_COLUMNS else safe_text)
        for column in table.columns
        if not pd.api.types.is_numeric_dtype(table[column])
    }
    return table.assign(**safe).to_csv(index=False, lineterminator="\n").encode("utf-8")


def _each(column: pd.Series, change: Callable[[str], object]) -> pd.Series:
    """Every text changed; each distinct one once, for columns repeat a few words over many rows."""
    texts = {value: change(value) for value in column.dropna().unique() if isinstance(value, str)}
    return column.astype(object).map(lambda value: texts[value] if isinstance(value, str) else value)


def safe_text(cell: object) -> object:
    """Text as it is, or JSON-quoted where a spreadsheet could run it or a reader be misled; other values unchanged."""
    if not isinstance(cell, str):
        return cell
    risky = cell.lstrip().startswith(_FORMULA) or any(is_invisible(character) for character in cell)
    return quoted(cell) if risky else cell


def quoted(text: str) -> str:
    """Text as a JSON string in which every invisible character is escaped."""
    return "".join(
        json.dumps(character)[1:-1] if is_invisible(character) else character
        for character in json.dumps(text, ensure_ascii=False)
    )


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
        if isinstance(value, (str, int, float, bool)) and not pd.isna(value) and name not in ("model", "latent")
    }


def assigned_graph(features: pd.DataFrame, pairs: pd.DataFrame, *, tau: float, alpha: float) -> nx.Graph:
    """All assigned pairs of a comparison as a graph, with what its tables say of nodes and edges.

    Args:
        features: table ``features``; alive ones become nodes, in the table's order.
        pairs: table ``pairs``; every row becomes an edge.
        tau: threshold of held-out r. alpha: false-discovery rate.

    Returns:
        Nodes ``model/latent`` with :data:`NODES`, edges with :data:`EDGES`; what a table lacks for one is no attribute
        of it.
    """
    import networkx as nx

    graph = nx.Graph()
    nodes = features.loc[features["status"] == "alive", [of.name for of in NODES]]
    for row in nodes.to_dict("records"):
        graph.add_node((row.pop("model"), row.pop("latent")), **{str(k): v for k, v in row.items()})
    edges = pairs.assign(
        assigned=pairs["method"] == "assignment", kept=(pairs["q"] < alpha) & (pairs["r_held_out"] >= tau)
    )
    for row in edges[[*PAIRS.key, *(of.name for of in EDGES)]].to_dict("records"):
        a, b = ((row.pop(f"model_{side}"), row.pop(f"latent_{side}")) for side in "ab")
        graph.add_edge(a, b, **{str(k): v for k, v in row.items()})
    return named_graph(graph)
