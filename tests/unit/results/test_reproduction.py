"""Papers' numbers beside a run's: the data itself, what is read of a run, and the verdicts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

from pipelines.recipe import load_recipe, shipped_recipes
from results import reproduction
from results.reproduction import PAPERS, SCALES, TABLES, paper_of, reproduced
from universality.errors import InputError

QUANTITIES = [(name, quantity) for name, paper in PAPERS.items() for quantity in paper["quantities"]]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """Those of a synthetic run with the two comparisons of recipe sae-seeds; every value is known."""
    store = str(tmp_path_factory.mktemp("store"))
    run = write_synthetic_run(store, n_latents=60, n_documents=60, comparisons=("narrow", "wide"))
    return {name: run.table(name) for name in TABLES}


# --- the data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "quantity"), QUANTITIES)
def test_every_number_has_its_source_and_every_tolerance_its_reason(name: str, quantity: dict[str, Any]) -> None:
    assert len(quantity["source"]) >= len("abstract"), quantity
    assert quantity["quantity"], quantity
    assert quantity["on"], quantity
    assert ("value" in quantity) != ("claim" in quantity)
    for scale in SCALES:
        at = quantity[scale]
        assert set(at) <= {"within", "why", "comparison", "minus_comparison"}
        assert len(at["why"]) > 20
        if "within" in at:
            low, high = at["within"]
            assert low < high
            assert low <= quantity.get("value", low) <= high, "what the paper has must pass"


@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_says_its_place_its_scale_and_a_recipe_of_every_scale(name: str) -> None:
    paper = PAPERS[name]
    assert paper["url"].startswith("https://")
    assert set(paper["recipe"]) == set(paper["ours"]) == set(SCALES)
    assert set(paper["recipe"].values()) <= set(shipped_recipes())
    assert name in paper_of(name)["recipe"].values() or name == "bricken2023"
    for scale, recipe in paper["recipe"].items():
        ids = {comparison.id for comparison in load_recipe(recipe).comparisons}
        for quantity in paper["quantities"]:
            named = {quantity[scale].get(key) for key in ("comparison", "minus_comparison")} - {None}
            assert named <= ids, quantity["quantity"]


def test_an_unknown_paper_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match="bricken2023, gurnee2024, paulo2025, song2025; got bricken"):
        paper_of("bricken")


# --- what is read of a run ------------------------------------------------------------------------------------


def _ours(name: str, tables: dict[str, pd.DataFrame], scale: str = "laptop") -> dict[str, reproduction.Reproduced]:
    return {row.quantity: row for row in reproduced(name, scale, tables)}


def test_a_mean_over_pairs_stands_with_its_range_chance_and_floor(tables: dict[str, pd.DataFrame]) -> None:
    moved = {**tables, "indices": tables["indices"].copy()}
    is_median = (moved["indices"]["name"] == "bricken_median") & (moved["indices"]["kind"] == "features")
    first = moved["indices"].index[is_median][0]
    moved["indices"].loc[first, "value"] = 0.1
    row = _ours("bricken2023", moved)["median over features of the highest r in the other model"]
    n = is_median.sum()
    assert row.ours == pytest.approx((0.1 + 0.7 * (n - 1)) / n)
    assert (row.low, row.high, row.chance, row.floor) == pytest.approx((0.1, 0.7, 0.07, 0.4))


def test_a_difference_is_of_the_same_pairs_and_has_a_floor_of_its_own(tables: dict[str, pd.DataFrame]) -> None:
    row = _ours("bricken2023", tables)["features minus neurons"]
    assert (row.ours, row.chance, row.floor) == pytest.approx((0.25, 0.025, 0.1))
    assert (row.verdict, row.floor_passes) == ("pass", True)
    assert not _ours("bricken2023", tables)["median over features of the highest r in the other model"].floor_passes


def test_a_value_over_all_models_keeps_its_own_interval(tables: dict[str, pd.DataFrame]) -> None:
    main = {**tables, "indices": tables["indices"].query("comparison_id == 'narrow'").copy()}
    main["indices"].loc[main["indices"]["pair"] == "overall", ["low", "high"]] = 0.01, 0.04
    of_pairs = main["indices"].query("name == 'mppc'").assign(name="neuron_universal_fraction", value=0.9)
    main["indices"] = pd.concat([main["indices"], of_pairs], ignore_index=True)
    row = _ours("gurnee2024", main)["share of neurons with an excess correlation above 0.5, any model"]
    assert (row.ours, row.low, row.high, row.floor) == (0.03, 0.01, 0.04, 0.0)


def test_comparisons_are_told_apart_and_subtracted_pair_by_pair(tables: dict[str, pd.DataFrame]) -> None:
    moved = {**tables, "indices": tables["indices"].copy()}
    wide = (moved["indices"]["name"] == "paulo_shared_fraction") & (moved["indices"]["comparison_id"] == "wide")
    moved["indices"].loc[wide & (moved["indices"]["kind"] == "features"), "value"] = [0.5, 0.3, 0.1]
    share, larger = reproduced("paulo2025", "laptop", moved)
    assert share.ours == pytest.approx(0.3)
    assert (larger.ours, larger.low, larger.high) == pytest.approx((-0.1, -0.3, 0.1))


def test_the_floor_of_weights_is_two_dictionaries_of_one_untrained_model(tables: dict[str, pd.DataFrame]) -> None:
    indices = tables["indices"]
    share = (indices["name"] == "paulo_shared_fraction") & (indices["kind"] == "untrained")
    ours = indices[~share]
    pair = indices[share].assign(kind="untrained_ceiling", pair="u0-u0r")
    floor = np.where(pair["comparison_id"] == "wide", 0.2, 0.41)
    both = _ours("paulo2025", {**tables, "indices": pd.concat([ours, pair.assign(value=floor)])})
    assert [row.floor for row in both.values()] == pytest.approx([0.2, -0.21])
    assert math.isnan(next(iter(_ours("paulo2025", {**tables, "indices": ours}).values())).floor)


def test_a_domain_s_value_is_the_median_over_models(tables: dict[str, pd.DataFrame]) -> None:
    arabic = tables["domains"].query("comparison_id == 'wide' and domain == 'arabic'").assign(r=[0.2, 0.9, 0.5])
    row = _ours("bricken2023", {**tables, "domains": arabic})["Arabic feature, r with its partner"]
    assert (row.ours, row.low, row.high) == (0.5, 0.2, 0.9)
    assert row.floor == pytest.approx(arabic["untrained_r"].median(), nan_ok=True)


# --- verdicts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", PAPERS)
def test_verdicts_follow_the_range(
    name: str, scale: str, tables: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the file allows: a range around ours passes, one beside it fails, none compares nothing."""
    for row, quantity in zip(reproduced(name, scale, tables), PAPERS[name]["quantities"], strict=True):
        if math.isnan(row.ours):  # the synthetic text has other domains, and narrow and wide are of sae-seeds alone
            assert row.verdict == "not comparable"
            continue
        ranges = {"pass": [row.ours - 0.01, row.ours + 0.01], "fail": [row.ours + 0.01, row.ours + 0.02]}
        ranges |= {"not comparable": None}
        for verdict, within in ranges.items():
            at = {key: value for key, value in quantity[scale].items() if key != "within"}
            moved = {**quantity, scale: at if within is None else {**at, "within": within}}
            monkeypatch.setitem(PAPERS, "moved", {"quantities": [moved]})
            (judged,) = reproduced("moved", scale, tables)
            assert (judged.verdict, judged.why) == (verdict, quantity[scale]["why"])
            assert judged.within == (None if within is None else tuple(within))


def test_verdicts_of_the_synthetic_run_are_those_of_its_values(tables: dict[str, pd.DataFrame]) -> None:
    verdicts = {name: [row.verdict for row in reproduced(name, "laptop", tables)] for name in PAPERS}
    assert verdicts["bricken2023"][:3] == ["pass"] * 3  # 0.7, 0.45 and 0.25
    assert verdicts["gurnee2024"] == ["not comparable", "pass"]  # 3 %
    assert verdicts["paulo2025"] == ["not comparable", "pass"]  # 0.4, and no difference
    assert verdicts["song2025"] == ["not comparable"]
    gpu = {name: [row.verdict for row in reproduced(name, "gpu", tables)] for name in PAPERS}
    assert gpu["bricken2023"] == ["pass"] * 3 + ["not comparable"] * 6
    assert gpu["gurnee2024"] == ["pass", "pass"]
    assert gpu["paulo2025"] == ["pass", "not comparable"]
    assert gpu["song2025"] == ["fail"]  # drawn between 0.3 and 0.7


def test_what_a_run_does_not_have_is_not_comparable_and_says_so() -> None:
    for name in PAPERS:
        for row in reproduced(name, "laptop", {}):
            assert np.isnan([row.ours, row.low, row.high, row.chance, row.floor]).all()
            assert row.verdict == "not comparable"
            assert row.within is None or row.why.startswith("the run has no such measure")
