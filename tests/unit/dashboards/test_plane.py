import numpy as np
import pandas as pd

from dashboards.components.plane import graph_spec, points_spec
from results.colours import CLASS_COLOURS
from results.map_points import ColourGroup, Island, point_words


def features(n: int = 60) -> pd.DataFrame:
    place = np.arange(n)
    return pd.DataFrame(
        {
            "id": [f"m{i % 3}:{i}" for i in place],
            "x": place * 1.0,
            "y": -place * 1.0,
            "model": [f"m{i % 3}" for i in place],
            "class": np.array(["universal", "shared", "specific"])[place % 3],
            "level": np.array(["context", "token"])[place % 2],
            "domain": [None if i == 0 else f"d{i % 11}" for i in place],
            "firing_rate": (place + 1) / 1e4,
            "best_r": 0.5,
        }
    )


def test_the_ring_is_around_the_chosen_point_and_small_groups_lie_above():
    frame = features()
    groups = [
        ColourGroup("few", "#000000", (frame.index < 5)),
        ColourGroup("many", "#111111", (frame.index >= 5)),
    ]
    spec = points_spec(frame, point_words(frame), groups, "m1:7", frame)
    few, many, _pale, _names, ring = spec["series"]
    assert few["z"] > many["z"]
    assert ring["data"] == [[7.0, -7.0]]
    assert spec["dataset"][1]["source"]["id"].tolist() == frame["id"].tolist()[5:]
    assert points_spec(frame, point_words(frame), groups, "", frame)["series"][-1]["data"] == []
    assert spec["xAxis"]["min"] < 0
    assert spec["xAxis"]["max"] > 59


def test_what_fails_a_filter_is_pale_and_neither_moves_nor_clickable():
    whole = features()
    some = whole[whole["model"] == "m1"].reset_index(drop=True)
    groups = [ColourGroup("all", "#000000", np.ones(len(some), dtype=bool), "diamond")]
    spec = points_spec(some, point_words(some), groups, "m0:0", whole, [Island("greek", 1.0, 2.0, 9)])
    shown, pale, names, ring = spec["series"]
    every = points_spec(whole, point_words(whole), [], "", whole)
    assert [spec[axis] for axis in ("xAxis", "yAxis")] == [every[axis] for axis in ("xAxis", "yAxis")]
    assert shown["symbol"] == "diamond"
    assert pale["silent"]
    assert pale["data"] == whole.loc[whole["model"] != "m1", ["x", "y"]].to_numpy().tolist()
    assert (names["data"], names["silent"]) == ([{"name": "greek", "value": [1.0, 2.0]}], True)
    assert ring["data"] == [[0.0, 0.0]], "what the address names has its ring, though it is pale"


def test_links_join_the_nodes_that_they_name():
    clusters = pd.DataFrame(
        {"cluster": [9, 4, 7], "class": ["universal", "shared", "shared"], "x": [0.0, 1, 2], "y": [0.0, 1, 2]}
    )
    links = pd.DataFrame({"cluster_a": [4], "cluster_b": [9], "r": [0.5]})
    spec = graph_spec(clusters, ["a", "b", "c"], np.array([5.0, 6, 7]), links, 7, clusters)
    graph, _names, ring = spec["series"]
    assert [(edge["source"], edge["target"]) for edge in graph["links"]] == [(1, 0)]
    assert [node["symbolSize"] for node in graph["data"]] == [5, 6, 7]
    assert graph["data"][0]["itemStyle"]["color"] == CLASS_COLOURS["universal"]
    assert ring["data"] == [[2.0, 2.0]]
    few = graph_spec(clusters[:2], ["a", "b"], np.array([5.0, 6]), links[:0], None, clusters)
    assert few["xAxis"] == spec["xAxis"]
