from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd

from universality.graph import (
    CrossSimilarity,
    Edges,
    build_graph,
    cluster_table,
    constrained_clusters,
    cycle_consistency,
    is_constrained_partition,
    is_m_partite,
)


def _similarity(matrix: np.ndarray) -> CrossSimilarity:
    return CrossSimilarity(lambda u, v: matrix[u, v])


def _edges(matrix: np.ndarray, pairs: list[tuple[int, int]]) -> Edges:
    u, v = np.array(pairs, int).reshape(-1, 2).T
    return Edges(u, v, matrix[u, v])


def _symmetric(n: int, values: dict[tuple[int, int], float]) -> np.ndarray:
    matrix = np.zeros((n, n))
    for (i, j), r in values.items():
        matrix[i, j] = matrix[j, i] = r
    return matrix


def test_a_triangle_is_one_cluster() -> None:
    r = _symmetric(3, {(0, 1): 0.9, (1, 2): 0.8, (0, 2): 0.7})
    label = constrained_clusters(np.arange(3), _edges(r, [(0, 1), (1, 2), (0, 2)]), _similarity(r), 0.5)
    assert label.tolist() == [0, 0, 0]


def test_a_chain_whose_ends_differ_is_not_one_cluster() -> None:
    r = _symmetric(3, {(0, 1): 0.9, (1, 2): 0.8, (0, 2): 0.0})
    label = constrained_clusters(np.arange(3), _edges(r, [(0, 1), (1, 2)]), _similarity(r), 0.5)
    assert label.tolist() == [0, 0, 2]
    # The mean over both cross pairs decides, not the edge alone.
    assert constrained_clusters(np.arange(3), _edges(r, [(0, 1), (1, 2)]), _similarity(r), 0.39).tolist() == [
        0,
        0,
        0,
    ]


def test_no_model_is_twice_in_a_cluster() -> None:
    models = np.array([0, 0, 1, 2])
    r = _symmetric(4, {(0, 2): 0.9, (2, 3): 0.85, (1, 3): 0.8, (0, 3): 0.7, (1, 2): 0.7})
    label = constrained_clusters(models, _edges(r, [(0, 2), (2, 3), (1, 3)]), _similarity(r), 0.5)
    assert is_constrained_partition(label, models)
    assert label.tolist() == [0, 1, 0, 0]


def _random_world(seed: int) -> tuple[np.ndarray, np.ndarray, Edges]:
    rng = np.random.default_rng(seed)
    n, n_models = 12, 4
    models = np.repeat(np.arange(n_models), n)
    r = rng.uniform(0, 1, (models.size, models.size))
    r = (r + r.T) / 2
    pairs = []
    for a in range(n_models):
        for b in range(a + 1, n_models):
            partner = rng.permutation(n)
            pairs += [(a * n + i, b * n + int(partner[i])) for i in range(n)]
    kept = [(i, j) for i, j in pairs if r[i, j] >= 0.4]
    return models, r, _edges(r, kept)


def test_clusters_of_random_graphs_keep_every_promise() -> None:
    for seed in range(20):
        models, r, edges = _random_world(seed)
        similarity = _similarity(r)
        label = constrained_clusters(models, edges, similarity, 0.4)
        assert is_constrained_partition(label, models)
        names = [str(i) for i in range(models.size)]
        table = cluster_table(label, edges, similarity, names, 4)
        for row in table.itertuples():
            members = [int(name) for name in row.members.split(";")]
            values = [r[i, j] for k, i in enumerate(members) for j in members[k + 1 :]]
            np.testing.assert_allclose(row.cohesion, np.mean(values) if values else 1.0)
            assert row.cohesion >= 0.4
        assert table["n_models"].sum() == models.size


def test_clusters_do_not_depend_on_the_order_of_edges() -> None:
    models, r, edges = _random_world(3)
    order = np.random.default_rng(0).permutation(edges.u.size)
    shuffled = Edges(edges.u[order], edges.v[order], edges.weight[order])
    one = constrained_clusters(models, edges, _similarity(r), 0.4)
    assert np.array_equal(one, constrained_clusters(models, shuffled, _similarity(r), 0.4))


def test_cluster_table_names_class_and_completeness() -> None:
    r = _symmetric(5, {(0, 1): 0.9, (1, 2): 0.8, (0, 2): 0.45, (3, 4): 0.6})
    models = np.array([0, 1, 2, 0, 1])
    edges = _edges(r, [(0, 1), (1, 2), (3, 4)])
    similarity = _similarity(r)
    label = constrained_clusters(models, edges, similarity, 0.5)
    table = cluster_table(label, edges, similarity, ["m0:0", "m1:0", "m2:0", "m0:1", "m1:1"], 3)
    first, second = table.iloc[0], table.iloc[1]
    assert (first["class"], first["members"]) == ("universal", "m0:0;m1:0;m2:0")
    assert first["completeness"] == 2 / 3
    np.testing.assert_allclose(first["cohesion"], (0.9 + 0.8 + 0.45) / 3)
    assert (second["class"], second["n_models"]) == ("shared", 2)


def test_cycles_of_a_consistent_world_close_and_of_a_random_one_do_not() -> None:
    n, models = 40, np.repeat(np.arange(3), 40)
    same = [(a * n + i, b * n + i) for a in range(3) for b in range(a + 1, 3) for i in range(n)]
    ones = np.ones((3 * n, 3 * n))
    found = cycle_consistency(models, _edges(ones, same), np.random.default_rng(0))
    assert found.value == 1.0
    assert found.n_paths == 3 * n
    assert found.chance < 0.1
    rng = np.random.default_rng(1)
    order = [rng.permutation(n) for _ in range(3)]
    wild = [(a * n + i, b * n + int(order[a + b - 1][i])) for a in range(3) for b in range(a + 1, 3) for i in range(n)]
    found = cycle_consistency(models, _edges(ones, wild), np.random.default_rng(0))
    assert found.low <= found.value <= found.high


def test_cycles_of_nothing_are_zero() -> None:
    empty = _edges(np.zeros((3, 3)), [])
    found = cycle_consistency(np.arange(3), empty, np.random.default_rng(0))
    assert (found.value, found.chance, found.n_paths) == (0.0, 0.0, 0)


def test_the_graph_holds_alive_features_and_is_m_partite() -> None:
    features = pd.DataFrame(
        {
            "model": ["m0", "m0", "m1"],
            "latent": [0, 1, 5],
            "status": ["alive", "dead", "alive"],
            "cluster": pd.array([0, None, 0], dtype="Int64"),
            "class": ["universal", None, "universal"],
            "level": ["context", None, "context"],
        }
    )
    columns = {"model_a": ["m0"], "latent_a": [0], "model_b": ["m1"], "latent_b": [5], "r_held_out": [0.9]}
    pairs = pd.DataFrame(columns | {"q": [0.001], "level": ["context"]})
    graph = build_graph(features, pairs)
    assert set(graph.nodes) == {("m0", 0), ("m1", 5)}
    assert graph.edges[("m0", 0), ("m1", 5)]["weight"] == 0.9
    assert is_m_partite(graph)
    assert not is_m_partite(nx.Graph([(("m0", 0), ("m0", 1))]))
