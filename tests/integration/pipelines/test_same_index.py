"""Latents of equal number, from the recipe to the report."""

import shutil

import pandas as pd
import pytest
from program import universality
from stored_types import assert_files_hold_the_declared_types
from tiny_run import tiny_store
from visits import opened, sentences

from results.pair_lists import PairFilter, listed_pairs
from results.stored_comparison import StoredComparison
from storage import open_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("same-index")
    shutil.copytree(tiny_store(), place / "store")
    asked = ("run", "tiny", "--set", "comparisons.0.same_index=true", "--name", "asked", "--serial", "--store", "store")
    done = universality(*asked, cwd=place)
    assert done.exit_code == 0, done.stderr
    return place


def test_run_show_and_report_say_what_equal_numbers_have_in_common(folder):
    run = open_run("asked", store=str(folder / "store"))
    assert_files_hold_the_declared_types(run, "same_index")
    table = run.table("same_index")
    alive = run.table("features").query("status == 'alive'").groupby("model")["latent"].apply(set)
    for (a, b), part in table.groupby(["model_a", "model_b"]):
        assert set(part["latent"]) == alive.get(a, set()) & alive.get(b, set()) or a == "u0"
    pairs = run.table("pairs").set_index("latent_a")
    partners = table[table["kind"] == "features"].dropna(subset="partner").set_index("latent")
    assert (pairs.loc[partners.index, "latent_b"] == partners["partner"]).all()
    assert partners["r_partner"].tolist() == pairs.loc[partners.index, "r_held_out"].tolist()
    own = partners[partners["partner"] == partners.index]
    assert own["r_held_out"].tolist() == pytest.approx(own["r_partner"].tolist())
    shown = universality("show", "asked", "--store", "store", cwd=folder)
    assert "Latents of equal number in two dictionaries correlate at r = " in " ".join(shown.stdout.split())
    assert "equal number" not in universality("show", "tiny", "--store", "store", cwd=folder).stdout
    done = universality("report", "asked", "--store", "store", "--out", "report", cwd=folder)
    assert done.exit_code == 0, done.stderr
    assert len(pd.read_csv(folder / "report" / "tables" / "same_index.csv")) == len(table)
    assert "Latents of equal number" in (folder / "report" / "report.md").read_text()


def test_pairs_are_narrowed_to_equal_numbers_where_a_comparison_asked_for_them(folder, monkeypatch):
    stored = StoredComparison(open_run("asked", store=str(folder / "store")), "main")
    listed = listed_pairs(stored)
    pairs = listed.copy()
    pairs.loc[pairs.index[:3], "latent_b"] = pairs.loc[pairs.index[:3], "latent_a"]  # this run need not have any
    same = pairs["latent_a"] == pairs["latent_b"]
    assert PairFilter(same_index=True).rows(pairs, stored, 0.05).equals(pairs[same])
    assert PairFilter(same_index=False).rows(pairs, stored, 0.05).equals(pairs[~same])
    other = int((listed["latent_a"] != listed["latent_b"]).sum())
    page = opened(str(folder / "store"), monkeypatch, "pairs", run="asked", numbers="Other index")
    assert f"**{other}** of {len(listed)} pairs" in sentences(page)
    assert "Numbers" in [box.label for box in page.selectbox]
    page = opened(str(folder / "store"), monkeypatch, "pairs", run="tiny")
    assert "Numbers" not in [box.label for box in page.selectbox]
