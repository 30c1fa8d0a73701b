"""What a report says of settings and versions is what its artifacts were made with."""

from __future__ import annotations

import pytest
from synthetic_run import write_synthetic_run
from visits import TINY

from pipelines.report.provenance import made_with
from pipelines.report.record_check import differences
from pipelines.report.report_writer import write_report
from results.stored_comparison import StoredComparison
from storage import open_store
from universality.errors import InputError


@pytest.fixture
def run(tmp_path):
    return write_synthetic_run(str(tmp_path / "store"), **TINY)


def test_a_record_of_other_settings_makes_no_report(run, tmp_path):
    run.update(recipe={**run.record["recipe"], "root_seed": 5})
    with pytest.raises(InputError, match=r"transformer/m0\.root_seed 5, made with 0.*universality delete synthetic"):
        write_report(run, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_what_both_name_is_compared_leaf_by_leaf():
    said = {"a": 1, "b": {"c": [1, {"d": 2}]}, "only": 3}
    assert list(differences(said, {"a": 1, "b": {"c": (1, {"d": 2})}, "other": 4}, "n")) == []
    assert sorted(differences(said, {"a": 2, "b": {"c": [1, {"d": 3}]}}, "n")) == [
        "n.a 1, made with 2", "n.b.c.1.d 2, made with 3",
    ]  # fmt: skip
    assert list(differences([1], [1, 2], "n")) == ["n [1], made with [1, 2]"]
    assert list(differences(True, 1.5, "n")) == ["n True, made with 1.5"]


def test_versions_are_those_of_the_artifacts(run):
    packages = {"numpy": "1.0", "torch": "2.0"}
    run.update(environment={"universality": "0.0.1", "python": "3.9", "cpu": "x", "packages": packages})
    assert made_with(run)["packages"] == packages  # artifacts of before name none
    nodes = run.record["nodes"]
    for place, made in enumerate(
        ({"universality": "0.1.0", "numpy": "2.1"}, {"universality": "0.2.0", "numpy": "2.1"})
    ):
        with run.store.create(f"more{place}", step="s", version=1, params={}, inputs={}) as out:
            out.facts(made_with=made)
        nodes[f"more{place}"] = {"step": "s", "key": f"more{place}", "status": "done"}
    run.update(nodes=nodes)
    assert made_with(run) == {
        "universality": "0.1.0, 0.2.0", "python": "3.9", "cpu": "x", "packages": {"numpy": "2.1", "torch": "2.0"},
    }  # fmt: skip


def test_settings_of_a_comparison_are_those_it_was_made_with(run):
    node = run.record["nodes"]["comparison/main"]
    made = run.store.get(node["key"])
    with run.store.create("made", step="comparison", version=1, params={"compare": {"tau": 0.7}}, inputs={}) as out:
        out.json("graph", made.json("graph"))
    run.update(nodes={**run.record["nodes"], "comparison/main": {**node, "key": "made"}})
    stored = StoredComparison(open_store(run.store.url).run(run.name), "main")
    assert (stored.tau, stored.alpha) == (0.7, 0.05)
