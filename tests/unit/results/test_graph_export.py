import io

import networkx as nx
import numpy as np

from results.graph_export import graphml, named_graph


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
    stored["edges"] = [
        {**e, "source": list(e["source"]), "target": list(e["target"])} for e in stored["edges"]
    ]
    again = named_graph(nx.node_link_graph(stored, edges="edges"))
    assert set(again.nodes) == {"m0/1", "m1/2"}
    assert again.number_of_edges() == 1
