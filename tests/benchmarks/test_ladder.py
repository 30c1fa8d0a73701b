"""The ladder runs, and what it compares is the same thing: no time is asserted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import cases
import ladder

SMALL = {"d": 60, "rows": 700, "threads": 1}


@pytest.fixture(scope="module")
def rung(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("pair"))
    made = cases.prepare(folder, SMALL["d"], SMALL["rows"])
    timed = {name: cases.CASES[name](folder, **SMALL) for name in ("correlate", "maxima", "dense_product")}  # pyright: ignore
    timed["scaling"] = cases.scaling(folder, SMALL["d"], SMALL["rows"])
    plain = cases.scipy_dense(folder, **SMALL)
    return {**SMALL, **made, **timed, **cases.assign(folder, **SMALL), "scipy": plain}  # pyright: ignore


def test_both_solvers_find_the_same_optimum(rung):
    assert rung["exact"]["objective"] == pytest.approx(rung["scipy"]["objective"], abs=1e-9)
    gap = rung["scipy"]["objective"] - rung["candidates"]["objective"]
    assert -1e-9 <= gap <= rung["candidates"]["certificate"] + 1e-9


def test_every_figure_reaches_the_tables(rung):
    rungs = [rung, {**rung, "d": 120, "scipy": None}]
    del rungs[1]["scipy"]
    steps = [{"d_in": 512, "d_sae": 4096, "k": 32, "step": 20.0, "dense": 10.0, "encoder": 40.0}]
    text = ladder.tables({"threads": 1, "took": 1.0, "rungs": rungs, "sae": steps, "start_up": {"help": 0.2}})
    for words in (
        "| 120 | 700 |",
        "| correlate | latents |",
        "| 512 | 4,096 | 32 | 20 | 10 | 2.0 | 40 | 0.50 |",
    ):
        assert words in text
    assert "nan" not in text


def test_the_rival_is_named_where_it_ran_and_where_it_did_not(rung):
    given = {"threads": 1, "took": 1.0, "sae": [], "start_up": {}}
    without = ladder.tables({**given, "rungs": [rung]})
    assert "sparse_dot_topn is not installed" in without
    beside = {**rung, "beside": {"correlate": 2.0, "rival": 5.0}}
    with_it = ladder.tables({**given, "rungs": [beside]})
    assert "not installed" not in with_it
    assert "| 60 | 700 | 2.00 | 5.00 | 2.5 |" in with_it


def test_the_exponent_of_a_power_is_its_power():
    assert ladder.exponent([(x, 3.0 * x**1.5) for x in (10, 100, 1000)]) == pytest.approx(1.5)
