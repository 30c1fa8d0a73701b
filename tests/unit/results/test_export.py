import io
import json

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from results.export import csv_bytes, graphml, named_graph, quoted, safe_text


def test_a_graph_survives_graphml_with_plain_attributes():
    graph = nx.Graph()
    graph.add_node(("m0", 3), model="m0", latent=3, cluster=np.int64(1), level=None)
    graph.add_node(("m1", 5), model="m1", latent=5, cluster=np.int64(1), level="token")
    graph.add_edge(("m0", 3), ("m1", 5), weight=np.float64(0.75), q=float("nan"))
    named = named_graph(graph)
    back = nx.read_graphml(io.BytesIO(graphml(named)))
    assert dict(back.nodes(data=True)) == {
        "m0/3": {"model": "m0", "latent": 3, "cluster": 1},
        "m1/5": {"model": "m1", "latent": 5, "cluster": 1, "level": "token"},
    }
    assert list(back.edges(data=True)) == [("m0/3", "m1/5", {"weight": 0.75})]


def test_a_graph_read_from_its_stored_json_is_the_same():
    graph = nx.Graph([(("m0", 1), ("m1", 2))])
    for model, latent in graph.nodes:
        graph.nodes[model, latent].update(model=model, latent=latent)
    stored = nx.node_link_data(graph, edges="edges")
    stored["nodes"] = [{**node, "id": list(node["id"])} for node in stored["nodes"]]
    stored["edges"] = [{**e, "source": list(e["source"]), "target": list(e["target"])} for e in stored["edges"]]
    again = named_graph(nx.node_link_graph(stored, edges="edges"))
    assert set(again.nodes) == {"m0/1", "m1/2"}
    assert again.number_of_edges() == 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", " =1", "\t=1", "\r", "a\nb", "\u202ea", "a\u200b"])
def test_risky_text_becomes_a_json_string(text: str) -> None:
    cell = safe_text(text)
    assert isinstance(cell, str)
    assert cell.startswith('"')
    assert json.loads(cell) == text
    assert cell.isprintable()


@pytest.mark.parametrize("value", ["m0-m1", "a,b", 'say "x"', "السلام", "", 3, None])
def test_harmless_cells_stay(value: object) -> None:
    assert safe_text(value) == value


def test_quoted_is_lossless_beyond_the_first_plane() -> None:
    text = 'tag \U000e0041 and "quote" \\ 日'
    assert json.loads(quoted(text)) == text
    assert "\U000e0041" not in quoted(text)


def test_csv_leaves_numbers_and_the_table_alone() -> None:
    table = pd.DataFrame({"r": [-0.1, 1 / 3], "n": pd.array([1, None], dtype="Int64"), "text": ["=x", None]})
    before = table.copy()
    assert csv_bytes(table) == b'r,n,text\n-0.1,1,"""=x"""\n0.3333333333333333,,\n'
    pd.testing.assert_frame_equal(table, before)


def test_no_cell_of_a_csv_file_is_a_formula():
    frame = pd.DataFrame({"domain": ["=HYPERLINK(1)", "@x", "plain", None], "r": [-0.5, 0.1, 0.2, float("nan")]})
    lines = csv_bytes(frame).decode().splitlines()
    assert lines[0] == "domain,r"
    assert lines[1] == '"""=HYPERLINK(1)""",-0.5'
    assert lines[2].startswith('"""@x"""')
    assert lines[3:] == ["plain,0.2", ","]
    assert frame["domain"][0] == "=HYPERLINK(1)"
