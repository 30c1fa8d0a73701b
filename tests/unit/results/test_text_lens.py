"""What the text lens computes from firings: shares, agreement, and what lies in no cluster."""

from __future__ import annotations

from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest

from dashboards.components.lens_strip import LABELLED, labels, marks, strip
from results.text_lens import agreement, clusters_at_token, mean_correlation, unshared_firings

#: cluster 4 reaches m0, m1 and m2, cluster 7 reaches m0 and m1; m2:9 is alone.
MEMBERS = pd.DataFrame(
    [(7, "m0", 5, 2.0), (4, "m0", 1, 1.0), (4, "m1", 2, 4.0), (4, "m2", 3, 1.0), (7, "m1", 6, 1.0), (8, "m0", 7, 1.0)],
    columns=["cluster", "model", "latent", "maximum"],
).assign(**{"class": "shared", "level": "context"})  # fmt: skip
FIRINGS = pd.DataFrame(
    [
        (0, "m0", 1, 0.5), (0, "m1", 2, 2.0), (2, "m0", 1, 3.0), (2, "m1", 2, 4.0), (2, "m2", 3, 0.2),
        (1, "m0", 5, 0.4), (1, "m2", 9, 0.3), (2, "m2", 5, 0.6),
    ],
    columns=["position", "model", "latent", "activation"],
)  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return agreement(FIRINGS, MEMBERS, 4)


def test_clusters_that_fire_come_by_strength(found):
    assert found.clusters["cluster"].tolist() == [4, 7]
    assert found.clusters["n_models"].tolist() == [3, 2]
    assert found.clusters["n_tokens"].tolist() == [2, 1]
    # Three of three, two of three; activations beyond the maximum count as the maximum.
    assert found.strength[0].tolist() == pytest.approx([(0.5 + 0.5) / 3, 0, (1 + 1 + 0.2) / 3, 0])
    assert found.firing[0].tolist() == pytest.approx([2 / 3, 0, 1, 0])
    assert found.clusters["firing"].tolist() == pytest.approx([5 / 6, 1 / 2])


def test_r_is_over_members_that_vary(found):
    rows = np.array([[0.5, 0, 3.0, 0], [0.5, 0, 1.0, 0], [0, 0, 0.2, 0]])
    expected = np.corrcoef(rows)[np.triu_indices(3, 1)].mean()
    assert found.clusters["r"][0] == pytest.approx(expected)
    assert np.isnan(found.clusters["r"][1])  # m1's member is silent
    assert np.isnan(mean_correlation(np.zeros((0, 4))))


def test_a_token_tells_silent_members_from_missing_ones(found):
    rows = clusters_at_token(found, 2)
    assert rows["cluster"].tolist() == [4]
    assert rows[["m0", "m1", "m2"]].iloc[0].tolist() == pytest.approx([3.0, 1.0, 0.2])
    only = clusters_at_token(found, 1).iloc[0]
    assert (only["m0"], only["m1"]) == (0.2, 0.0)
    assert np.isnan(only["m2"])
    assert clusters_at_token(found, 3).empty


def test_what_is_in_no_cluster_is_told_apart():
    features = pd.DataFrame(
        {"model": "m2", "latent": [3, 5, 9], "status": ["alive", "dead", "alive"], "verdict": "weak",
         "max_activation": [1.0, 0.0, 0.6]}
    )  # fmt: skip
    rows = unshared_firings(FIRINGS, MEMBERS, features)
    assert rows[["position", "latent"]].to_numpy().tolist() == [[1, 9], [2, 5]]
    assert rows["share"][0] == pytest.approx(0.5)
    assert np.isnan(rows["share"][1])  # never fired on the evaluation text


def test_nothing_fires():
    empty = agreement(FIRINGS.head(0), MEMBERS, 2)
    assert empty.clusters.empty
    assert clusters_at_token(empty, 1).empty
    assert [mark.strength for mark in marks(empty, labels(empty), 2)] == [0, 0]


def test_a_strip_escapes_tokens_and_names_the_strongest_cluster(found):
    tokens = ["<b>", '"x', "&amp;", "</div>"]
    named = labels(found)
    assert [letter for letter, _ in named.values()] == ["A", "B"]
    drawn = strip(tokens, marks(found, named, 4), 1)
    assert "&lt;b&gt;" in drawn
    assert "&lt;/div&gt;" in drawn
    assert "&amp;amp;" in drawn
    assert "<b>" not in drawn
    assert drawn.count("</div>") == 2
    assert [drawn.count(quote(f">{letter}</text>")) for letter in "AB"] == [2, 1]
    assert drawn.count("uv-framed") == 1
    assert "fires in 2 of 3 models" in drawn


def test_letters_end_before_colours_go_round_a_third_time():
    n = LABELLED + 3
    members = pd.DataFrame(
        {"cluster": np.repeat(np.arange(n), 2), "model": ["m0", "m1"] * n, "latent": np.repeat(np.arange(n), 2),
         "maximum": 1.0, "class": "shared", "level": "token"}
    )  # fmt: skip
    firings = pd.DataFrame({"position": range(n), "model": "m0", "latent": range(n), "activation": 0.5})
    found = agreement(firings, members, n)
    drawn = marks(found, labels(found), n)
    assert sum(bool(mark.label) for mark in drawn) == LABELLED
    assert all(mark.strength > 0 for mark in drawn)
