"""Which clusters are steered: planted firings, counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from universality.effects.domain_judge import DomainJudge
from universality.effects.subjects import choose_subjects

N = 400
DOMAINS = np.repeat([0, 1, 2, 3, -1], N // 5)
FIT = np.arange(N) % 2 == 0


def judge(hit=(1.0, 0.9, 0.95, 0.9), false_alarm=(0.0, 0.01, 0.0, 0.02)):
    return DomainJudge(["a", "b", "c", "d"], np.zeros((4, 2)), np.array(hit), np.array(false_alarm))


def firing(domain, share, elsewhere=0.0, score=None):
    """Fires on the first rows of a domain, and on some of all others; on score rows where that is said."""
    acts = np.zeros(N)
    for of in (FIT, ~FIT):
        inside, outside = np.flatnonzero(of & (domain == DOMAINS)), np.flatnonzero(of & (domain != DOMAINS))
        part = share if score is None or of[0] else score
        acts[inside[: round(part * len(inside))]] = 1.5
        acts[outside[: round(elsewhere * len(outside))]] = 1.5
    return acts


def matthews(acts, domain):
    rows = FIT & (DOMAINS >= 0)
    return np.corrcoef(acts[rows] > 0, DOMAINS[rows] == domain)[0, 1]


@pytest.fixture
def world():
    # Columns: clusters 7 (a, weak), 3 (a, strong), 5 (b), a second member of 5, 9 (c, but shared only), 2 (d).
    columns = {
        "m0": [firing(0, 0.4), firing(0, 0.9), firing(1, 0.7), firing(1, 0.2), firing(2, 1.0), firing(3, 0.8)],
        "m1": [firing(0, 0.5), firing(0, 0.8), firing(1, 0.2), firing(1, 0.6, 0.1), firing(2, 1.0), firing(3, 0.7)],
    }
    clusters = [7, 3, 5, 5, 9, 2]
    features = pd.concat(
        [
            pd.DataFrame(
                {"model": model, "latent": range(6), "cluster": pd.array(clusters, "Int64"),
                 "class": ["shared" if c == 9 else "universal" for c in clusters]}
            )
            for model in columns
        ]
    )  # fmt: skip
    latents = {model: sparse.csc_matrix(np.stack(own, axis=1)) for model, own in columns.items()}
    return columns, latents, features


def chosen(world, most=9, **options):
    _, latents, features = world
    return choose_subjects(latents, features, DOMAINS, FIT, judge(**options), most).set_index("domain")


def test_each_domain_has_its_most_selective_universal_cluster(world):
    columns, found = world[0], chosen(world)
    assert list(found.index) == ["a", "d", "b", "c"]
    assert found.loc[["a", "b", "d"], "cluster"].tolist() == [3, 5, 2]
    assert found.loc["a", "mcc"] == pytest.approx(np.mean([matthews(columns[m][1], 0) for m in columns]))
    # Of two members of a model the more selective one is steered.
    assert found.loc["b", "members"] == "m0:2;m1:3"
    assert found.loc["b", "mcc"] == pytest.approx((matthews(columns["m0"][2], 1) + matthews(columns["m1"][3], 1)) / 2)
    assert found["left_out"].dropna().to_dict() == {"c": "no_cluster"}


def test_what_is_left_out_says_why(world):
    found = chosen(world, most=1, hit=(1.0, 0.9, 1.0, 0.79))
    assert found["left_out"].dropna().to_dict() == {"b": "beyond", "c": "no_cluster", "d": "not_told"}
    assert found.loc["d", "cluster"] == 2
    assert chosen(world, false_alarm=(0.06, 0, 0, 0)).loc["a", "left_out"] == "not_told"
    assert chosen(world, hit=(np.nan, 1, 1, 1)).loc["a", "left_out"] == "not_told"


def test_held_out_rows_choose_nothing(world):
    columns, _, features = world
    other = {"m0": [*columns["m0"]], "m1": [*columns["m1"]]}
    for own in other.values():
        own[0], own[1] = firing(0, 0.4, score=1.0), firing(0, 0.9, score=0.0)
    latents = {model: sparse.csc_matrix(np.stack(own, axis=1)) for model, own in other.items()}
    found = choose_subjects(latents, features, DOMAINS, FIT, judge(), 9).set_index("domain")
    assert found.loc["a", "cluster"] == 3


def test_without_universal_clusters_every_domain_says_so(world):
    _, latents, features = world
    found = choose_subjects(latents, features.assign(**{"class": "shared"}), DOMAINS, FIT, judge(), 3)
    assert (found["left_out"] == "no_cluster").all()
    assert len(found) == 4
