"""The published schema of results.json: real results fit it, and nothing else does."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from synthetic_run import write_synthetic_run
from typer.testing import CliRunner

from pipelines.cli.main import app
from pipelines.report.report_writer import ReportOptions, ReportResult, write_report
from pipelines.report.results_schema import Results, results_schema
from storage import Run

#: A report without pictures, which take long to draw.
TEXT = ReportOptions(formats=())

SMALL = {"n_latents": 60, "n_documents": 96}


def _results(folder: Path, **options: Any) -> dict[str, Any]:
    write_report(write_synthetic_run(str(folder / "store"), **SMALL, **options), folder / "report", TEXT)
    shipped = json.loads((folder / "report" / "results.schema.json").read_text())
    assert shipped == results_schema()
    return json.loads((folder / "report" / "results.json").read_text())


@pytest.fixture
def found(small_report: Path) -> dict[str, Any]:
    return json.loads((small_report / "results.json").read_text())


def test_results_of_a_run_fit_the_schema_and_survive_the_models(found: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(results_schema())
    jsonschema.validate(found, results_schema())
    assert found["schema_version"] == 2
    assert found["limitations"]
    again = Results.model_validate_json(json.dumps(found)).model_dump(by_alias=True, exclude_unset=True)
    assert again == found


def test_results_of_an_unfinished_run_fit_too(tmp_path: Path) -> None:
    found = _results(tmp_path, unfinished=("comparison/",))
    jsonschema.validate(found, results_schema())
    assert "headline" not in found


def test_results_of_several_comparisons_fit_too(two_comparisons: tuple[Run, Path, ReportResult]) -> None:
    found = json.loads((two_comparisons[1] / "results.json").read_text())
    jsonschema.validate(found, results_schema())
    assert set(found["comparisons"]) == {"layer0", "layer1"}


@pytest.mark.parametrize("path", [(), ("counts",), ("seeds",), ("corpus",), ("warnings", 0), ("limitations", 0)])
def test_a_key_too_many_or_too_few_is_refused(found: dict[str, Any], path: tuple[Any, ...]) -> None:
    more, less = copy.deepcopy(found), copy.deepcopy(found)
    _at(more, path)["foreign"] = 1
    del _at(less, path)[next(iter(_at(less, path)))]  # the first key of each is a required one
    for changed in (more, less):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed, results_schema())


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def test_another_version_is_refused(found: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**found, "schema_version": 1}, results_schema())


def test_the_schema_is_printed() -> None:
    runner = CliRunner()
    printed = runner.invoke(app, ["schema", "--kind", "results"])
    assert json.loads(printed.stdout) == results_schema()
    assert "compare" in json.loads(runner.invoke(app, ["schema"]).stdout)["properties"]
    assert runner.invoke(app, ["schema", "--kind", "other"]).exit_code == 2


def test_every_key_is_described() -> None:
    schema = results_schema()
    for model in [schema, *schema["$defs"].values()]:
        assert all("description" in field for field in model["properties"].values()), model["title"]
