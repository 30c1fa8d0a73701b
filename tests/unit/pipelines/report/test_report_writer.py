"""The report folder of a synthetic run: complete, deterministic, safe to open, honest about what is missing."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from synthetic_run import compute_synthetic_run, write_synthetic_run

from pipelines.report.report_writer import ReportOptions, ReportResult, write_report
from storage import Run, TableMissing
from universality.errors import InputError

SMALL: dict[str, Any] = {"n_latents": 60, "n_documents": 96}


@pytest.fixture(scope="module")
def run(small_run: Run) -> Run:
    return small_run


@pytest.fixture(scope="module")
def report(small_written: tuple[Path, ReportResult]) -> tuple[Path, ReportResult]:
    return small_written


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_manifest_vouches_for_every_file(report: tuple[Path, ReportResult]) -> None:
    out, result = report
    files = _files(out)
    assert set(files) == set(result.files)
    assert result.missing == ()
    manifest = json.loads(files["manifest.json"])
    assert manifest["complete"]
    assert set(manifest["files"]) == set(files) - {"manifest.json"}
    for name, entry in manifest["files"].items():
        expected = None if name == "timestamps.json" else hashlib.sha256(files[name]).hexdigest()
        assert entry["sha256"] == expected


def test_the_figure_draws_the_chance_level_that_the_headline_names(run: Run, report: tuple[Path, ReportResult]) -> None:
    lines = pd.read_csv(report[0] / "figures/correlation.lines.csv").set_index(["kind", "measure"])["value"]
    headline = run.table("headline").set_index(["quantity", "pair"])["value"]
    assert lines["chance", "r_held_out"] == headline["null_p95", "overall"]
    # What the medians of the figure say must be the headline's, too.
    for kind in ("features", "neurons", "ceiling", "untrained"):
        assert lines[kind, "r_held_out"] == headline[kind, "overall"]


def test_another_computation_of_the_run_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    again = compute_synthetic_run(str(tmp_path / "store"), **SMALL)
    for name, one in {"first": run, "second": again}.items():
        write_report(one, tmp_path / name, ReportOptions(formats=("svg",)))
    first, second = _files(tmp_path / "first"), _files(tmp_path / "second")
    assert [name for name in first if first[name] != second[name]] == ["timestamps.json"]
    assert set(first) == set(second)


def test_tables_keep_every_number(run: Run, report: tuple[Path, ReportResult]) -> None:
    out, _ = report
    for name in ("pairs", "features", "headline", "null_quantiles"):
        table = run.table(name)
        pd.testing.assert_frame_equal(pd.read_parquet(out / "tables" / f"{name}.parquet"), table)
        with (out / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == list(table.columns)
        for column in table.select_dtypes("float"):
            read = [float(row[column] or "nan") for row in rows]
            pd.testing.assert_series_equal(pd.Series(read, name=column), table[column], check_exact=True)


def test_no_cell_is_a_formula_or_hides_anything(report: tuple[Path, ReportResult]) -> None:
    out, _ = report
    for path in sorted(out.rglob("*.csv")):
        text = path.read_text(encoding="utf-8")
        assert not any(c in text for c in "\u202e\u2066\u200b\ufeff\x00\x1b"), path.name
        for row in csv.reader(io.StringIO(text)):
            for cell in row:
                if cell.lstrip().startswith(("=", "+", "-", "@")):
                    float(cell)


def test_tokens_survive_the_csv_file(run: Run, report: tuple[Path, ReportResult]) -> None:
    out, _ = report
    with (out / "tables" / "vocabulary.csv").open(encoding="utf-8", newline="") as file:
        texts = [json.loads(row["text"]) for row in csv.DictReader(file)]
    assert texts == run.table("vocabulary")["text"].tolist()
    assert any("=HYPERLINK" in text for text in texts)
    logits = pd.read_parquet(out / "tables" / "logits.parquet")
    assert logits["token_text"].tolist() == [texts[token] for token in logits["token"]]


def test_results_say_where_every_number_comes_from(run: Run, report: tuple[Path, ReportResult]) -> None:
    found = json.loads((report[0] / "results.json").read_text(encoding="utf-8"))
    record = run.record
    assert found["recipe"] == record["recipe"]
    assert found["environment"] == record["environment"]
    assert {n: a["key"] for n, a in found["artifacts"].items()} == {n: f["key"] for n, f in record["nodes"].items()}
    assert found["seeds"]["root_seed"] == 0
    models = run.table("models")
    assert [m["sae_seed"] for m in found["seeds"]["models"]] == models["sae_seed"].tolist()
    headline = run.table("headline").set_index(["quantity", "pair"])["value"]
    assert found["headline"]["features"]["overall"] == headline["features", "overall"]
    features = run.table("features")
    assert found["counts"]["class"]["universal"] == int((features["class"] == "universal").sum())
    assert found["warnings"] == [{"node": "corpus", "warning": "domain hostile: one source only"}]
    assert found["corpus"]["documents"] == 96
    assert found["corpus"]["digest"].startswith("sha256:")
    assert "wall_s" not in json.dumps(found["artifacts"])


def test_time_stamps_hold_the_times(run: Run, report: tuple[Path, ReportResult]) -> None:
    times = json.loads((report[0] / "timestamps.json").read_text(encoding="utf-8"))
    assert times["run"]["wall_s"] == run.record["wall_s"]
    assert times["artifacts"]["comparison/main"]["wall_s"] == 0.5
    assert times["report_written"] > 0


def test_readme_names_every_file(report: tuple[Path, ReportResult]) -> None:
    out, result = report
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert [name for name in result.files if name != "README.md" and f"`{name}`" not in readme] == []
    assert "| SAE features | 0." in readme
    assert "## Missing" not in readme


def test_latex_tables_are_ascii(report: tuple[Path, ReportResult]) -> None:
    for name in ("headline", "domains"):
        source = (report[0] / "tables" / f"{name}.tex").read_bytes().decode("ascii")
        assert source.count(r"\toprule") == source.count(r"\bottomrule") == 1
    assert r"\emph{SAE features, by pair of models}" in (report[0] / "tables" / "headline.tex").read_text()


def test_a_run_without_effects_is_complete_and_reports_none(tmp_path: Path) -> None:
    run = write_synthetic_run(str(tmp_path / "store"), **SMALL)
    made = run.record["nodes"]
    left_out = ("effect", "fingerprint", "steering")
    nodes = {name: node for name, node in made.items() if not any(part in name for part in left_out)}
    plain = run.store.create_run("plain", recipe_name="plain", recipe=run.record["recipe"], nodes=nodes)
    plain.update(status="done", nodes=nodes)
    result = write_report(plain, tmp_path / "report", ReportOptions(formats=("svg",)))
    assert result.missing == ()
    assert not [name for name in result.files if "effect" in name or "steering" in name]
    assert "turned up" not in (tmp_path / "report" / "methods.md").read_text(encoding="utf-8")


def test_unfinished_run_gives_a_partial_report_that_says_so(tmp_path: Path) -> None:
    run = write_synthetic_run(
        str(tmp_path / "store"), unfinished=("comparison/", "effect", "steering", "evidence/main/m1"), **SMALL
    )
    result = write_report(run, tmp_path / "report")
    with pytest.raises(TableMissing):
        run.table("pairs")
    assert {"tables/vocabulary.csv", "tables/logits.parquet", "README.md", "results.json"} <= set(result.files)
    assert {name.split(".")[0] for name in result.files if name.startswith("figures/")} == {"figures/sources"}
    words = " ".join(result.missing)
    for expected in (
        "step `comparison/main` (planned)",
        "step `evidence/main/m1` (planned)",
        "table `pairs`",
    ):
        assert expected in result.missing
    assert "`figures/correlation` (needs baselines, null_quantiles, headline)" in words
    readme = (tmp_path / "report" / "README.md").read_text(encoding="utf-8")
    assert "## Missing" in readme
    assert "step `comparison/main` (planned)" in readme
    found = json.loads((tmp_path / "report" / "results.json").read_text(encoding="utf-8"))
    assert found["status"] == "partial"
    assert found["missing"] == list(result.missing)
    assert not found["artifacts"]["comparison/main"]["finished"]


def test_run_without_any_result_gives_a_report_too(tmp_path: Path) -> None:
    run = write_synthetic_run(str(tmp_path / "store"), unfinished=("",), **SMALL)
    result = write_report(run, tmp_path / "report")
    assert {"README.md", "results.json", "methods.md", "timestamps.json", "manifest.json"} <= set(result.files)
    assert not [name for name in result.files if name.startswith(("tables/", "figures/"))]
    assert "`methods.tex`" in (tmp_path / "report" / "README.md").read_text()


def test_every_comparison_gets_its_exhibits(two_comparisons: tuple[Run, Path, ReportResult]) -> None:
    _, folder, result = two_comparisons
    for comparison in ("layer0", "layer1"):
        for name in ("figures/classes-{}.svg", "figures/correlation-{}.lines.csv", "tables/headline-{}.tex"):
            assert name.format(comparison) in result.files
    assert result.missing == ()
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "Comparison `layer1`:" in readme
    found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert set(found["comparisons"]) == {"layer0", "layer1"}


def test_folder_with_other_files_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match="must be new, empty, or an earlier report"):
        write_report(run, tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    with pytest.raises(InputError, match="must be a folder; got a file"):
        write_report(run, tmp_path / "README.md")
