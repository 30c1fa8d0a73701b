"""Sentences of a comparison: what they lead with, and that no share stands without its floor."""

import numpy as np
import pandas as pd
import pytest

from results.conclusions import conclusions
from results.words import PARTS
from universality.table_schemas import AGREEMENT, INDICES, SPACES, TABLES

FEATURES = pd.DataFrame({"model": ["m0", "m1"] * 20, "group": ["partnered", "missing", "partnered", None] * 10})


def _indices(**shares: tuple[float, float, float]) -> pd.DataFrame:
    """Of name: (trained, untrained, reproduced), over all pairs; a share of 0 has no row for untrained models."""
    rows = []

    def add(name: str, kind: str, value: float, half: float, n: int) -> None:
        pair = {"features": "overall", "untrained": "untrained", "ceiling": "m0-m0r"}[kind]
        ends = value - half, value + half
        models = (value - 2 * half, value + 2 * half) if kind == "features" else (np.nan, np.nan)
        rows.append((name, kind, pair, value, 0.01, *ends, *models, n))

    for level, (trained, untrained, reproduced) in shares.items():
        suffix = "" if level == "all" else f"_{level}"
        add(f"shared_fraction{suffix}", "features", trained, 0.02, 50)
        add(f"shared_fraction{suffix}", "ceiling", trained + 0.3, 0.02, 50)
        if untrained:
            add(f"shared_fraction{suffix}", "untrained", untrained, 0.0, 50)
        add(f"reproduced{suffix}", "features", reproduced, 0.05, 20)
    return pd.DataFrame(rows, columns=INDICES.names)


def _agreement(*kinds: str) -> pd.DataFrame:
    r = {"features": 0.5, "ceiling": 0.6, "untrained": 0.3}
    joint = {"features": 0.21, "ceiling": 0.38, "untrained": 0.02}
    rows = [
        dict.fromkeys(AGREEMENT.names, 0.0)
        | {"kind": kind, "pair": "overall", "mean_r": r[kind], "mean_r_joint": joint[kind]}
        | {f"from_{part}": 1 / len(PARTS) for part in PARTS}
        for kind in kinds
    ]
    return pd.DataFrame(rows, columns=AGREEMENT.names)


def _said(indices: pd.DataFrame, *kinds: str) -> list[str]:
    return conclusions({"features": FEATURES, "agreement": _agreement(*kinds), "indices": indices})


EVERY = ("features", "ceiling", "untrained")


def test_the_first_sentence_is_of_the_finest_level_that_beats_its_floor() -> None:
    of_levels = {"all": (0.5, 0.4, 0.6), "context": (0.2, 0.0, 0.7), "token": (0.3, 0.4, 0.5)}
    first, *others = _said(_indices(**of_levels), *EVERY)
    assert "level context" in first
    assert "another model has 70 % (interval over sources 65 % to 75 %, over models 60 % to 80 %)" in first
    assert "That is 20 % of all features; beside it stand 50 % in a second dictionary of the same model" in first
    assert first.endswith("0 % between untrained models and 1 % by chance.")
    assert "r = 0.21" in others[0]
    assert "two dictionaries of one model 0.38; untrained models 0.02" in others[0]
    assert "67 % have a partner in some other model at some level (in one other model 50 %" in others[-1]
    assert "between untrained models 40 %" in others[-1]


def _of_few(name: str, kind: str, pairs: dict[str, tuple[int, int]]) -> list[tuple]:
    """Rows of an index by pair (hits, features), and of all pairs together."""
    together = {"features": "overall", "untrained": "untrained"}[kind]
    mean = float(np.mean([hits / n for hits, n in pairs.values()]))
    every = {**{pair: (hits / n, n) for pair, (hits, n) in pairs.items()}, together: (mean, 0)}
    return [(name, kind, pair, value, 0.01, 0.1, 1.0, np.nan, np.nan, n) for pair, (value, n) in every.items()]


def _lead_of(*rows: tuple) -> str:
    few = pd.DataFrame(rows, columns=INDICES.names)
    indices = _indices(all=(0.5, 0.4, 0.6), context=(0.2, 0.0, 0.7))
    replaced = indices["name"].isin(few["name"]) & indices["kind"].isin(few["kind"])
    return _said(pd.concat([indices[~replaced], few], ignore_index=True), *EVERY)[0]


def test_a_share_of_few_features_is_said_as_a_count() -> None:
    said = _lead_of(*_of_few("reproduced_context", "features", {"m0-m1": (1, 2), "m1-m0": (2, 2)}))
    assert "another model has 3 of 4 features (interval over sources 10 % to 100 %)" in said
    three = {"m0-m1": (1, 2), "m0-m2": (2, 2), "m1-m0": (0, 1), "m1-m2": (1, 1)}
    said = _lead_of(*_of_few("reproduced_context", "features", three))
    assert "another model has 4 of 6 features, each counted for every other model (interval" in said
    said = _lead_of(*_of_few("reproduced_context", "features", {"m0-m1": (5, 10), "m1-m0": (8, 10)}))
    assert "another model has 65 % (interval" in said, "twenty are no longer few"
    said = _lead_of(*_of_few("shared_fraction_context", "features", {"m0-m1": (3, 12)}))
    assert "That is 3 of 12 features; beside it stand 50 % in a second dictionary of the same model" in said
    untrained = _of_few("reproduced", "untrained", {"u0-u1": (1, 30)})
    said = _lead_of(*untrained, *_of_few("reproduced_context", "untrained", {"u0-u1": (1, 3)}))
    assert "; of untrained models 1 of 3 features)" in said


def test_few_features_are_counted_by_group() -> None:
    tables = {"agreement": _agreement(*EVERY), "indices": _indices(all=(0.5, 0.4, 0.6))}
    said = conclusions({**tables, "features": FEATURES.iloc[:4]})[-1]
    assert said.startswith("Of 3 features 2 have a partner in some other model at some level (")
    assert said.endswith("1 is stable and in no other model.")


def test_untrained_models_with_second_dictionaries_are_the_floor_of_what_is_reproduced() -> None:
    indices = _indices(all=(0.5, 0.4, 0.6), context=(0.2, 0.0, 0.7))
    floor = pd.DataFrame([("reproduced", "untrained", "untrained", 0.9, *[0.0] * 5, 90)], columns=INDICES.names)
    together = pd.concat([indices, floor], ignore_index=True)
    assert "; of untrained models none has such a feature)" in _said(together, *EVERY)[0]
    at_level = floor.assign(name="reproduced_context", value=0.03)
    assert "; of untrained models 3 %)" in _said(pd.concat([together, at_level]), *EVERY)[0]


def test_how_many_have_a_partner_is_said_for_other_halves_of_the_text_too() -> None:
    k_of_m = pd.DataFrame({"k": [1, 2], "fraction_low": [0.30, 0.6], "fraction_high": [0.36, 0.7]})
    tables = {"features": FEATURES, "agreement": _agreement(*EVERY), "indices": _indices(all=(0.5, 0.4, 0.6))}
    said = "interval 64 % to 70 %, partners chosen anew; in one other model 50 %"
    assert said in conclusions({**tables, "k_of_m": k_of_m})[-1]
    assert "chosen anew" not in conclusions({**tables, "k_of_m": k_of_m.drop(columns=["fraction_low"])})[-1]


def test_a_level_whose_interval_reaches_its_floor_is_not_led_with() -> None:
    of_levels = {"all": (0.5, 0.4, 0.6), "context": (0.05, 0.04, 0.7), "domain": (0.3, 0.1, 0.5)}
    assert "level of domains" in _said(_indices(**of_levels), *EVERY)[0]
    of_levels = {"all": (0.5, 0.4, 0.6), "token": (0.3, 0.4, 0.5)}
    assert _said(_indices(**of_levels), *EVERY)[0].startswith("At no level do more features match")


def test_without_untrained_models_the_floor_is_said_to_be_unknown() -> None:
    first, *others = _said(_indices(all=(0.5, 0.0, 0.6), context=(0.2, 0.0, 0.7)), "features")
    assert "the floor is not known" in first
    assert not any("untrained" in sentence for sentence in others)


def test_where_no_level_was_tested_nothing_is_said_of_levels() -> None:
    first, *_ = _said(_indices(all=(0.5, 0.4, 0.6)), *EVERY)
    assert first.startswith("No level could be tested")


def _spaces(features: tuple[float, float, float], floor: tuple[float, float] | None, *measures: str) -> pd.DataFrame:
    """Features with a difference to random directions and its interval, r 0.5 and 0.3; floor and that of the others."""
    above, low, high = features
    beside = dict(zip(("floor", "haar_floor"), floor or (float("nan"),) * 2, strict=True))
    rows = [
        {"space": space, "measure": measure, "n": 64, "value": 0.3 + more, "haar": 0.3, "above_haar": more}
        | {"above_haar_low": low, "above_haar_high": high, **beside}
        for measure in measures
        for space, more in (("features", above), ("features_subset", 0.9), ("ica", 0.15), ("haar", 0.0), ("pca", -0.2))
    ]
    return pd.DataFrame(rows).reindex(columns=SPACES.names)


BOTH = ("r_held_out", "r_joint")


def _of_space(spaces: pd.DataFrame) -> str:
    tables = {"features": FEATURES, "agreement": _agreement(*EVERY), "indices": _indices(all=(0.5, 0.4, 0.6))}
    return next((s for s in conclusions({**tables, "spaces": spaces}) if "its space" in s), "")


def test_a_dictionary_beats_its_space_beyond_tokens_by_more_than_untrained_ones_do() -> None:
    said = _of_space(_spaces((0.2, 0.1, 0.3), (0.06, 0.02), *BOTH))
    assert said.startswith("The SAE beats its space: beyond domain, document, token and position")
    assert "r = 0.50, as many random directions of the same activations at r = 0.30" in said
    assert "(difference 0.20, interval 0.10 to 0.30; between untrained models 0.04)" in said
    assert "64 independent components gain most (0.45, as many random directions 0.30)" in said
    assert said.endswith("As it is, the difference of r is 0.20, and between untrained models 0.04.")


@pytest.mark.parametrize(("features", "floor"), [((0.2, -0.01, 0.3), (0.06, 0.02)), ((0.2, 0.1, 0.3), (0.5, 0.2))])
def test_it_does_not_where_the_interval_reaches_0_or_untrained_ones_gain_more(
    features: tuple[float, float, float], floor: tuple[float, float]
) -> None:
    assert _of_space(_spaces(features, floor, *BOTH)).startswith("The SAE does not beat its space")


def test_what_was_not_measured_of_the_space_is_said_or_left_out() -> None:
    assert "the floor is not known" in _of_space(_spaces((0.2, 0.1, 0.3), None, *BOTH))
    assert "features of two models correlate" in _of_space(_spaces((0.2, 0.1, 0.3), (0.06, 0.02), "r_held_out"))
    assert "beyond" not in _of_space(_spaces((0.2, 0.1, 0.3), (0.06, 0.02), "r_held_out"))
    spaces = _spaces((0.2, 0.1, 0.3), (0.06, 0.02), *BOTH)
    assert _of_space(spaces.iloc[:0]) == ""
    assert _of_space(spaces.assign(haar=float("nan"))) == ""
    others = spaces.assign(above_haar=spaces["above_haar"].where(spaces["space"] == "features", -0.1))
    assert "No other coordinates agree better than as many random directions." in _of_space(others)


@pytest.mark.parametrize("lacking", ["agreement", "indices", "features"])
def test_runs_of_before_have_no_sentences(lacking: str) -> None:
    tables = {"features": FEATURES, "agreement": _agreement(*EVERY), "indices": _indices(all=(0.5, 0.4, 0.6))}
    assert conclusions(tables)
    assert conclusions({name: table for name, table in tables.items() if name != lacking}) == []


def _effects(**r: float) -> pd.DataFrame:
    """Rows of all edges of all pairs, by kind; matched pairs also by level and by pair of models."""
    names = TABLES["effect_agreement"].names
    rows = [
        dict.fromkeys(names, np.nan)
        | {"kind": kind, "pair": "overall", "level": "edges", "n": 40, "n_all": 40, "r_effect": value,
           "r_effect_low": value - 0.02, "r_effect_high": value + 0.02, "same_effect": max(value, 0.0),
           "other_effect": 0.1}
        for kind, value in r.items()
    ]  # fmt: skip
    elsewhere = [rows[0] | {"pair": "m0-m1", "r_effect": 0.9}, rows[0] | {"level": "context", "r_effect": 0.9}]
    return pd.DataFrame([*rows, *elsewhere], columns=names)


def test_what_features_do_stands_beside_every_control() -> None:
    tables = {"features": FEATURES, "agreement": _agreement(*EVERY), "indices": _indices(all=(0.5, 0.4, 0.6))}
    others = {"runner_up": 0.23, "hard_exchange": 0.06, "random_direction": -0.001, "ceiling": 0.45, "floor": 0.0}
    effects = _effects(matched=0.33, **others)

    def what_they_do(given: pd.DataFrame) -> str:
        every = conclusions({**tables, "effect_agreement": given})
        return next(sentence for sentence in every if sentence.startswith("What matched features do"))

    said = what_they_do(effects)
    assert "at r = 0.33 (0.31 to 0.35; two dictionaries of one model 0.45; with the next best candidate 0.23" in said
    assert "with a random direction in its place 0.00; untrained models 0.00)." in said
    assert "33 % of 40 matched pairs do the same (two dictionaries of one model 45 %;" in said
    assert said.endswith("untrained models 0 %) and 10 % do something else.")
    assert "3 of 10 matched pairs do the same" in what_they_do(effects.assign(n=10, n_all=10))
    unmeasured = (None, effects.iloc[:0], effects[effects["kind"] != "matched"])
    for other in unmeasured:
        given = tables if other is None else {**tables, "effect_agreement": other}
        assert not [s for s in conclusions(given) if "What matched features do" in s]
