"""What is exported means the same to whoever opens it, and runs nowhere."""

from __future__ import annotations

import csv
import io
import json

import networkx as nx
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from results.export import csv_bytes, graphml, named_graph, parquet_bytes

BLANK = st.text(st.sampled_from(" \t\r\n\u00a0\u200b\u200e\ufeff\u2060\u3000"), max_size=4)
FORMULA = st.builds(lambda blank, sign, rest: blank + sign + rest, BLANK, st.sampled_from("=+-@"), st.text(max_size=5))
CELLS = st.lists(st.one_of(st.text(min_size=1, max_size=8), FORMULA), min_size=1, max_size=6)


def cells_of(content: bytes) -> list[str]:
    return [row[0] for row in csv.reader(io.StringIO(content.decode("utf-8"), newline=""))][1:]


@given(CELLS)
def test_no_cell_can_be_taken_for_a_formula_and_none_is_lost(texts):
    for cell, text in zip(cells_of(csv_bytes(pd.DataFrame({"domain": texts}))), texts, strict=True):
        visible = cell.lstrip(" \t\r\n\u00a0\u200b\u200e\ufeff\u2060\u3000")
        assert not visible.startswith(("=", "+", "-", "@"))
        assert cell == text or json.loads(cell) == text


@given(CELLS, st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=6, max_size=6))
def test_parquet_and_csv_keep_every_number(texts, numbers):
    table = pd.DataFrame({"text": texts, "r": numbers[: len(texts)]})
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(parquet_bytes(table))), table, check_dtype=False)
    rows = list(csv.DictReader(io.StringIO(csv_bytes(table).decode("utf-8"), newline="")))
    assert [float(row["r"]) for row in rows] == table["r"].tolist()
    assert [json.loads(row["text"]) for row in rows] == texts, "text of tokens is always quoted"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.floats(-1, 1)), max_size=8))
def test_graphml_reads_back_as_the_same_graph(edges):
    graph = nx.Graph()
    for a, b, r in edges:
        graph.add_edge(("m0", a), ("m1", b), r_held_out=r, level=None)
    read = nx.read_graphml(io.BytesIO(graphml(named_graph(graph))))
    assert set(read.nodes) == {f"{model}/{latent}" for model, latent in graph.nodes}
    named = {frozenset((f"m0/{a}", f"m1/{b}")): graph.edges[("m0", a), ("m1", b)]["r_held_out"] for a, b, _ in edges}
    assert {frozenset(edge): read.edges[edge]["r_held_out"] for edge in read.edges} == named
