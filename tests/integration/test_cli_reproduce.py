"""``universality reproduce`` on runs that are there: its table, JSON and exit codes, and that nothing is computed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from program import universality
from synthetic_run import write_synthetic_run
from tiny_run import tiny_store

from pipelines.cli import execute
from results.public import ahead
from results.reproduction import PAPERS


@pytest.fixture
def on_synthetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Let any recipe be the synthetic run: a computation of ``status`` that is there already."""
    store = str(tmp_path / "store")
    run = write_synthetic_run(store, n_latents=60, n_documents=60, comparisons=("narrow", "wide"))

    def use(status: str = "done", code: int = 0) -> None:
        outcome = SimpleNamespace(status=status, exit_code=code, n_computed=0, errors={})
        monkeypatch.setattr(execute, "compute", lambda *asked, **options: (run, outcome))

    use()
    return use


@pytest.mark.parametrize(
    ("name", "scale", "code"),
    [
        ("bricken2023", "gpu", 0), ("bricken2023", "laptop", 4), ("gurnee2024", "laptop", 0), ("gurnee2024", "gpu", 0),
        ("paulo2025", "laptop", 0), ("paulo2025", "gpu", 0), ("song2025", "laptop", 0), ("song2025", "gpu", 4),
    ],
)  # fmt: skip
def test_the_exit_code_says_whether_all_that_is_comparable_passes(
    on_synthetic, name: str, scale: str, code: int
) -> None:
    done = universality("reproduce", name, "--scale", scale, "--json")
    document = json.loads(done.stdout)
    verdicts = [row["verdict"] for row in document["quantities"]]
    assert done.exit_code == code == 4 * ("fail" in verdicts)
    assert document["recipe"] == PAPERS[name]["recipe"][scale]
    for row, quantity in zip(document["quantities"], PAPERS[name]["quantities"], strict=True):
        assert (row["quantity"], row["source"]) == (quantity["quantity"], quantity["source"])
        assert (row["paper"], row["claim"]) == (quantity.get("value"), quantity.get("claim"))
        assert row["within"] == quantity[scale].get("within")
        assert isinstance(row["floor_passes"], bool)


def test_the_table_has_the_paper_s_value_ours_the_tolerance_the_verdict_and_the_scales(on_synthetic) -> None:
    done = universality("reproduce", "gurnee2024", "--set", "root_seed=3")
    assert done.exit_code == 0
    text = " ".join(done.stdout.split())
    for words in ("0.042", "0.030 to 0.030", "1 to 5 %", "0.01 to 0.05", "pass", "not comparable", "abstract"):
        assert words in text, words
    assert f"The paper: {PAPERS['gurnee2024']['scale']}." in text
    assert "changed here: root_seed=3" in text
    assert text.endswith("1 pass, 0 fail, 1 not comparable.")


def test_what_untrained_models_pass_as_well_is_said(on_synthetic) -> None:
    text = " ".join(universality("reproduce", "bricken2023").stdout.split())
    assert text.count("Untrained models pass as well") == 1


def test_a_run_that_did_not_end_keeps_its_exit_code(on_synthetic) -> None:
    on_synthetic("failed", 1)
    done = universality("reproduce", "song2025", "--scale", "gpu")
    assert (done.exit_code, done.stdout) == (1, "")
    on_synthetic("partial", 3)
    assert universality("reproduce", "song2025", "--scale", "gpu").exit_code == 3


def test_unknown_papers_and_scales_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    done = universality("reproduce", "bricken2024", "--store", str(tmp_path / "store"))
    assert done.exit_code == 2
    assert "bricken2023, gurnee2024, paulo2025, song2025; got bricken2024" in done.stderr
    assert universality("reproduce", "song2025", "--scale", "cluster").exit_code == 2
    assert ", ".join(PAPERS).replace(", song", " or song") in " ".join(universality("reproduce", "-h").stdout.split())
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", PAPERS)
def test_every_scale_of_every_paper_is_planned(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A hub that does not answer, as here: no reason not to plan.
    monkeypatch.setattr(ahead, "_on_hub", lambda *_: False)
    for scale, recipe in PAPERS[name]["recipe"].items():
        words = ("--scale", scale, "--plan", "--json", "--store", str(tmp_path / "store"))
        done = universality("reproduce", name, *words)
        assert done.exit_code == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["recipe"] == recipe
        assert document["totals"]["to_do"] == document["totals"]["nodes"] > 20


def test_a_finished_run_is_read_and_nothing_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = shutil.copytree(tiny_store(), tmp_path / "store")
    monkeypatch.setitem(PAPERS["bricken2023"]["recipe"], "laptop", "tiny")
    words = ("--store", str(store), "--name", "tiny", "--serial", "--device", "cpu", "--json")
    document = json.loads(universality("reproduce", "bricken2023", *words).stdout)
    assert (document["run"], document["status"], document["n_computed"]) == ("tiny", "done", 0)
    measured = {row["quantity"]: row["ours"] for row in document["quantities"]}
    assert sum(value is not None for value in measured.values()) == 5  # tiny has no base64 and no Hebrew
    features, neurons, difference = list(measured.values())[:3]
    assert difference == pytest.approx(features - neurons)
