import numpy as np
import pandas as pd
import pytest

from results.colours import CLASS_COLOURS, OKABE_ITO
from results.map_points import COLOURINGS, NO_PARTNER, colour_groups, point_words, sampled


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


@pytest.mark.parametrize("by", list(COLOURINGS))
def test_every_point_has_one_colour_and_no_colour_is_empty(by):
    frame = features()
    groups = colour_groups(frame, by, ["m0", "m1", "m2"])
    assert (np.sum([g.members for g in groups], axis=0) == 1).all()
    assert all(g.members.any() for g in groups)
    assert len({g.colour for g in groups}) == len({g.name for g in groups}) == len(groups) > 1


def test_colours_mean_what_they_mean_elsewhere():
    frame = features()
    (universal, *_) = colour_groups(frame, "Class", [])
    assert (universal.name, universal.colour) == ("universal", CLASS_COLOURS["universal"])
    assert (universal.members == (frame["class"] == "universal")).all()
    by_model = {g.name: g.colour for g in colour_groups(frame[frame["model"] != "m0"], "Model", ["m0", "m1", "m2"])}
    assert by_model == {"m1": OKABE_ITO["vermillion"], "m2": OKABE_ITO["green"]}, "a model keeps its colour"
    alone = next(g for g in colour_groups(frame, "Level", []) if g.name == NO_PARTNER)
    assert (alone.members == (frame["class"] == "specific")).all()


def test_domains_beyond_the_palette_share_one_colour():
    groups = colour_groups(features(), "Domain", [])
    assert len(groups) == 8
    assert groups[-1].name == "all other domains"
    assert groups[-1].members[0], "a feature without a domain"


def test_firing_rates_are_cut_into_fifths():
    groups = colour_groups(features(), "Firing rate", [])
    assert [int(g.members.sum()) for g in groups] == [12] * 5
    equal = features().assign(firing_rate=0.01)
    assert [g.name for g in colour_groups(equal, "Firing rate", [])] == ["1 %"]


def test_a_sample_is_the_same_every_time_and_in_order():
    frame = features()
    few = sampled(frame, 10)
    assert len(few) == 10
    assert few.equals(sampled(frame, 10))
    assert few.index.is_monotonic_increasing
    assert sampled(frame, 60) is frame


def test_a_point_tells_its_class_and_numbers():
    told = point_words(features(3))
    assert told[0] == "universal · level context · best r 0.50 · fires on 1 in 10,000"
    assert told[2] == "specific · best r 0.50 · fires on 1 in 3,333 · d2"
