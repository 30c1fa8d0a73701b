import numpy as np
import pandas as pd
import pytest

from results.colours import CLASS_COLOURS, OKABE_ITO
from results.map_points import COLOURINGS, NO_PARTNER, colour_groups, islands, point_words, sampled


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
    groups = colour_groups(frame, by, ["m0", "m1", "m2"], frame)
    assert (np.sum([g.members for g in groups], axis=0) == 1).all()
    assert all(g.members.any() for g in groups)
    assert len({(g.colour, g.shape) for g in groups}) == len({g.name for g in groups}) == len(groups) > 1


def test_colours_mean_what_they_mean_elsewhere():
    frame = features()
    (universal, *_) = colour_groups(frame, "Class", [], frame)
    assert (universal.name, universal.colour) == ("universal", CLASS_COLOURS["universal"])
    assert (universal.members == (frame["class"] == "universal")).all()
    by_model = {
        g.name: g.colour for g in colour_groups(frame[frame["model"] != "m0"], "Model", ["m0", "m1", "m2"], frame)
    }
    assert by_model == {"m1": OKABE_ITO["vermillion"], "m2": OKABE_ITO["green"]}, "a model keeps its colour"
    alone = next(g for g in colour_groups(frame, "Level", [], frame) if g.name == NO_PARTNER)
    assert (alone.members == (frame["class"] == "specific")).all()


def test_domains_beyond_the_palette_have_other_shapes_and_a_filter_changes_none_of_them():
    frame = features()
    groups = {g.name: g for g in colour_groups(frame, "Domain", [], frame)}
    assert len(groups) == 12
    assert groups["all other domains"].members.tolist() == [True, *[False] * 59], "a feature without a domain"
    assert sorted(g.shape for g in groups.values()) == ["circle"] * 8 + ["triangle"] * 4
    # The fourth domain and the eleventh have one colour, until few enough are left for colours of their own.
    some = frame[frame["domain"] != "d1"]
    assert {g.name: (g.colour, g.shape) for g in colour_groups(some, "Domain", [], frame)} == {
        name: (g.colour, g.shape) for name, g in groups.items() if name != "d1"
    }
    of_colour = [name for name, g in groups.items() if g.colour == groups["d1"].colour]
    assert len(of_colour) == 2
    first, second = colour_groups(frame[frame["domain"].isin(of_colour)], "Domain", [], frame)
    assert (first.colour, first.shape) == (groups[first.name].colour, "circle")
    assert first.colour != second.colour


def test_parts_of_the_plane_are_named_by_what_lies_together_there():
    middles = {"greek": (0, 0), "thai": (50, 50), "hex": (0, 50)}
    rng = np.random.default_rng(0)
    frame = pd.concat(
        pd.DataFrame(rng.normal(middle, 0.5, (40, 2)), columns=["x", "y"]).assign(domain=name, label=f"of {name}")
        for name, middle in middles.items()
    )
    frame = pd.concat([frame, frame[:10].assign(x=99.0), frame[40:42].assign(y=99.0)], ignore_index=True)
    found = islands(frame)
    assert [(island.name, island.n) for island in found] == [("greek", 40), ("hex", 40), ("thai", 40), ("greek", 10)]
    assert [(round(island.x), round(island.y)) for island in found[:3]] == [(0, 0), (0, 50), (50, 50)]
    assert [island.name for island in islands(frame.assign(domain="english"))][:2] == ["of greek", "of hex"]
    assert islands(frame.assign(domain=None).drop(columns="label")) == []
    assert islands(frame[:0]) == []


def test_firing_rates_are_cut_into_fifths_of_the_run():
    frame = features()
    groups = colour_groups(frame, "Firing rate", [], frame)
    assert [int(g.members.sum()) for g in groups] == [12] * 5
    equal = frame.assign(firing_rate=0.01)
    assert [g.name for g in colour_groups(equal, "Firing rate", [], equal)] == ["1 %"]
    rare = colour_groups(frame[:12], "Firing rate", [], frame)
    assert [g.colour for g in rare] == [groups[0].colour]


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
