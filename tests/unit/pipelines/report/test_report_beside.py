"""Several runs in one report, against their own tables."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

from pipelines.cli.outputs import report
from pipelines.report.exhibit_writer import ReportOptions
from pipelines.report.report_writer import write_report
from storage import Run

SMALL = {"n_latents": 60, "n_documents": 96}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Run], Path]:
    folder = tmp_path_factory.mktemp("beside")
    store = str(folder / "store")
    runs = [
        write_synthetic_run(store, name="one", **SMALL),
        write_synthetic_run(store, name="two", root_seed=1, n_models=2, replicates=False, **SMALL),
    ]
    report(folder / "out", "one", store, formats="svg", runs=["two,one", "two"])
    return runs, folder / "out"


def test_each_run_has_its_own_numbers(written: tuple[list[Run], Path]) -> None:
    runs, out = written
    table = pd.read_csv(out / "tables/beside.csv").set_index("side")
    assert list(table.index) == ["one", "two"]
    for run in runs:
        headline = run.table("headline").query("pair == 'overall'").set_index("quantity")["value"]
        row = table.loc[run.name]
        for quantity in ("features", "token_conditional", "neurons", "untrained", "null_p95"):
            assert row[quantity] == pytest.approx(headline[quantity], rel=1e-12)
        features = run.table("features").query("status == 'alive'")
        for kind in ("universal", "shared", "specific"):
            assert row[kind] == pytest.approx(100 * (features["class"] == kind).mean())
        assert row["models"] == run.table("models")["role"].eq("primary").sum()
    assert pd.isna(table.loc["two", "ceiling"])
    dictionary = (out / "DATA_DICTIONARY.md").read_text()
    assert {f"### `figures/beside.{part}.csv`" for part in ("headline", "classes", "curves")} <= set(
        dictionary.splitlines()
    )
    assert "|  |" not in dictionary
    drawn = pd.read_csv(out / "figures/beside.classes.csv").set_index(["side", "class", "level"])["n"]
    medians = pd.read_csv(out / "figures/beside.headline.csv").set_index(["side", "quantity"])["value"]
    for run in runs:
        features = run.table("features").query("status == 'alive'")
        for (kind, level), n in features.groupby(["class", "level"]).size().items():
            assert drawn[run.name, kind, level] == n
        assert drawn[run.name].sum() == len(features)
        assert medians[run.name, "features"] == pytest.approx(table.loc[run.name, "features"], rel=1e-12)
    curves = pd.read_csv(out / "figures/beside.curves.csv").query("`class` == 'universal'")
    for run in runs:
        curve = run.table("tau_curve")
        for tau, mine in curve.groupby("tau"):
            share = mine.loc[mine["class"] == "universal", "n_features"].sum() / mine["n_features"].sum()
            shown = curves[(curves["side"] == run.name) & (curves["tau"] == tau)]["fraction"].item()
            assert shown == pytest.approx(share)


def test_figures_stand_side_by_side_and_settings_that_differ_are_listed(
    written: tuple[list[Run], Path],
) -> None:
    runs, out = written
    markdown = (out / "report.md").read_text(encoding="utf-8")
    for name in ("correlation", "classes", "membership", "r_by_rate", "domains"):
        assert f"![one](beside/one/{name}.svg) ![two](beside/two/{name}.svg)" in markdown
    for path in out.glob("beside/*/*.svg"):
        assert f"({path.relative_to(out)})" in markdown
    settings = pd.read_csv(out / "tables/settings.csv").set_index("setting")
    assert settings.loc["models.model_seeds"].tolist() == ["[0, 1, 2]", "[0, 1]"]
    assert "compare.tau" not in settings.index
    recipes = [run.record["recipe"] for run in runs]
    assert recipes[0]["compare"] == recipes[1]["compare"]


def test_results_hold_both_and_fit_their_schema(written: tuple[list[Run], Path]) -> None:
    runs, out = written
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, json.loads((out / "results.schema.json").read_text(encoding="utf-8")))
    assert [entry["run"] for entry in found["beside"]] == ["one", "two"]
    assert found["beside"][0]["headline"] == found["headline"]
    overall = runs[1].table("headline").query("pair == 'overall'").set_index("quantity")["value"]
    assert found["beside"][1]["headline"]["features"]["overall"] == pytest.approx(overall["features"])
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert "beside/two/classes.svg" in manifest["files"]
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert "`beside/two/classes.svg`" in readme
    assert "`figures/beside.svg`" in readme


def test_a_run_without_results_beside_it_is_told_and_the_rest_is_whole(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    run = write_synthetic_run(store, name="one", **SMALL)
    other = write_synthetic_run(store, name="two", root_seed=1, unfinished=("comparison/",), **SMALL)
    result = write_report(run, tmp_path / "out", ReportOptions(formats=(), runs=(other,)))
    assert result.missing == ("run `two` beside it (it has no finished comparison)",)
    methods = (tmp_path / "out/methods.tex").read_text(encoding="ascii")
    # The run itself is finished, and its text says nothing else; an empty list would stop LaTeX.
    assert "Unfinished" not in methods
    assert r"\begin{itemize}" + "\n" + r"\end{itemize}" not in methods
    assert not (tmp_path / "out/tables/beside.csv").exists()
