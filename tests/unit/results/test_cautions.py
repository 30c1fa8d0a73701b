from __future__ import annotations

import pandas as pd

from results.cautions import cautions


def models(**changed) -> pd.DataFrame:
    good = {
        "model": ["m0", "m1", "m0r"],
        "role": ["primary", "primary", "replicate"],
        "sae_seed": [1, 2, 3],
        "dead_fraction": [0.01, 0.02, 0.9],
        "ce_recovered": [0.9, 0.9, 0.1],
        "fvu": [0.2, 0.2, 0.9],
        "n_alive": [100, 100, 1],
        "n_rare": [5, 5, 99],
    }
    return pd.DataFrame({**good, **changed})


def titles(*tables) -> list[str]:
    return [caution.title for caution in cautions(*tables)]


def test_a_good_run_needs_no_caution_and_replicates_are_not_judged():
    assert titles(models(), None, None) == []


def test_each_weakness_is_named_with_its_models():
    assert titles(models(sae_seed=[1, 1, 3]), None, None) == ["SAEs share an initialisation"]
    assert titles(models(ce_recovered=[0.9, 0.3, 0.9]), None, None) == ["SAEs reconstruct poorly"]
    assert titles(models(n_rare=[5, 80, 0]), None, None) == ["Little evaluation text"]
    dead = cautions(models(dead_fraction=[0.6, 0.1, 0.0]), None, None)
    assert "60 % of the latents of m0 never fire" in dead[0].sentence


def test_pairs_of_one_start_are_named():
    indices = pd.DataFrame({"name": ["shared_init"] * 2, "pair": ["m0-m1", "m0-m2"], "value": [1.0, 0.0]})
    found = cautions(models(), None, None, indices)
    assert [caution.severe for caution in found] == [True]
    assert "In m0-m1, both dictionaries" in found[0].sentence


def test_severe_ones_come_first():
    found = cautions(models(dead_fraction=[0.6, 0.1, 0.0], sae_seed=[1, 1, 3]), None, None)
    assert [caution.severe for caution in found] == [True, False]


def test_untested_levels_and_missing_baselines_are_told():
    pairs = pd.DataFrame({"level": ["untested", "untested"]})
    headline = pd.DataFrame(
        {"quantity": ["features", "ceiling", "untrained"], "value": [0.4, 0.6, float("nan")]}
    )
    assert titles(models(), pairs, headline) == ["No level was tested", "No untrained floor in this run"]
    assert titles(models(), pairs.assign(level=["token", "untested"]), None) == []


def test_missing_seeds_do_not_count_as_equal():
    assert titles(models(sae_seed=[None, None, None]), None, None) == []
