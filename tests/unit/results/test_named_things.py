"""Names of features, pairs and clusters: what they stay with, in lists, in the search, and as a table."""

from __future__ import annotations

import shutil

import pytest
from synthetic_run import write_synthetic_run

from results.ids import feature_ids
from results.named_things import features_named, named_things, names_of, notes_table, subject_of
from results.own_notes import keep_note, run_subject
from results.schema import MADE
from results.search import found_by
from results.stored_comparison import StoredComparison
from storage import ArtifactGone, Run, open_run

SIZES = {"n_models": 2, "n_latents": 40, "n_documents": 60, "n_untrained": 0, "replicates": False}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("named") / "store")
    for name in ("older", "synthetic"):  # the same dictionaries under two names
        write_synthetic_run(url, name, **SIZES)
    write_synthetic_run(url, "others", 2, 24, 1, n_documents=40, n_untrained=0, replicates=False)
    return url


@pytest.fixture
def stored(store) -> StoredComparison:
    shutil.rmtree(f"{store}-notes", ignore_errors=True)
    return StoredComparison(open_run("synthetic", store), "main")


def say(stored, kind, thing, **words):
    return keep_note(stored.run.store, subject_of(stored, kind, thing), run=stored.name, comparison="main", **words)


def a_cluster(stored):
    """The number of a cluster of both models, and its members."""
    features = stored.table("features")
    number = int(features["cluster"].value_counts().index[0])
    return str(number), feature_ids(features[(features["cluster"] == number).fillna(False).to_numpy(bool)]).tolist()


def test_names_stay_with_dictionaries_whatever_the_run_is_called(stored, store):
    pair, (number, _) = stored.table("pairs").iloc[0], a_cluster(stored)
    pair = f"{pair['model_a']}:{pair['latent_a']}-{pair['model_b']}:{pair['latent_b']}"
    say(stored, "feature", "m1:3", name="digits")
    say(stored, "pair", pair, note="only a note")
    say(stored, "cluster", number, name="a cluster")
    for run in ("synthetic", "older"):
        named = named_things(StoredComparison(open_run(run, store), "main"))
        assert {kind: list(things) for kind, things in named.items()} == {
            "feature": ["m1:3"], "pair": [pair], "cluster": [number],
        }  # fmt: skip
    others = named_things(StoredComparison(open_run("others", store), "main"))
    assert not any(others.values()), "other dictionaries have latents of the same numbers"


def test_a_cluster_with_other_members_is_another(stored, monkeypatch):
    number, members = a_cluster(stored)
    say(stored, "cluster", number, name="a cluster")
    table = stored.table("features")
    grown = table.assign(cluster=table["cluster"].mask(feature_ids(table) == members[0]))
    fresh = StoredComparison(stored.run, "main")
    monkeypatch.setattr(fresh, "table", lambda name: grown if name == "features" else table)
    assert named_things(fresh)["cluster"] == {}


def test_names_of_features_are_known_while_clusters_cannot_be_read(stored, monkeypatch):
    number, (one, *_) = a_cluster(stored)
    say(stored, "feature", one, name="digits")
    say(stored, "cluster", number, name="a cluster")

    def gone(self, name, columns=None):
        raise ArtifactGone(name)

    monkeypatch.setattr(Run, "table", gone)
    assert notes_table(stored.run)["name"].tolist() == ["digits"]


def test_lists_show_own_names_then_those_of_the_features(stored):
    number, (one, *_) = a_cluster(stored)
    pairs = [f"{a}-{b}" for a, b in zip(*(feature_ids(stored.table("pairs"), side) for side in "ab"), strict=True)]
    pair = next(pair for pair in pairs if one in pair.split("-"))
    assert names_of(stored, "pair", [pair]) == [""]
    say(stored, "feature", one, name="digits")
    assert names_of(stored, "feature", [one, "m0:999"]) == ["digits", ""]
    assert names_of(stored, "pair", [pair, "m0:999-m1:999"]) == ["digits", ""]
    assert names_of(stored, "cluster", [number, "999"]) == ["digits", ""]
    other = next(side for side in pair.split("-") if side != one)
    say(stored, "feature", other, note="a note of more than forty characters, of which the start is shown")
    assert set(names_of(stored, "pair", [pair])[0].split(" ↔ ")) == {
        "digits", "a note of more than forty characters, o…",
    }  # fmt: skip
    say(stored, "pair", pair, name="both")
    say(stored, "cluster", number, name="all")
    assert names_of(stored, "pair", [pair]) + names_of(stored, "cluster", [number]) == ["both", "all"]


def test_the_search_finds_names_and_notes_of_features_pairs_and_clusters(stored):
    (number, members), what = a_cluster(stored), "named or noted so by people"
    pair = stored.table("pairs").iloc[-1]
    sides = [f"{pair[f'model_{s}']}:{pair[f'latent_{s}']}" for s in "ab"]
    say(stored, "feature", "m1:3", name="Zählwörter", note="of numbers <b>")
    say(stored, "pair", "-".join(sides), name="zebra crossing")
    say(stored, "cluster", number, note="all of the herd")
    assert found_by(stored, "zählw")[what] == ["m1:3"]
    assert found_by(stored, "NUMBERS <")[what] == ["m1:3"]
    assert found_by(stored, "zebra")[what] == sides
    assert sorted(found_by(stored, "the herd")[what]) == sorted(members)
    assert what not in found_by(stored, '"zebra"'), "in quotes the text alone"
    assert what not in found_by(stored, "m1:3")
    assert what not in found_by(stored, "")
    assert features_named(stored, "lion") == []
    say(stored, "feature", "m1:3", name="", note="")
    assert what not in found_by(stored, "zählw"), "looked at anew"


def test_the_table_of_a_run(stored):
    run = stored.run
    say(stored, "feature", "m1:3", name="digits", note="two\nlines")
    keep_note(run.store, run_subject(run.record), run=run.name, note="third try")
    table = notes_table(run)
    assert table.drop(columns="written").to_numpy().tolist() == [
        ["", "run", "synthetic", "", "third try"],
        ["main", "feature", "m1:3", "digits", "two\nlines"],
    ]
    assert table["written"].str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").all()
    assert list(table) == ["comparison_id", *MADE["names"].names]
