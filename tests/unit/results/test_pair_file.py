"""``pairs.json``: what its schema says, the run's own numbers, and the way back."""

from __future__ import annotations

import gzip
import json

import jsonschema
import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

from results.interchange import export_run
from results.pair_file import COLUMNS, pair_frame, pair_schema, read_pairs
from results.stored_comparison import StoredComparison
from universality.errors import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    url = str(tmp_path_factory.mktemp("store"))
    sizes = {"n_models": 3, "n_latents": 60, "n_documents": 30, "n_ctx": 32}
    return write_synthetic_run(url, "it", **sizes, comparisons=("main", "late"))


@pytest.fixture(scope="module")
def files(run, tmp_path_factory):
    return export_run(run, ["main", "late"], tmp_path_factory.mktemp("out"), "pairs")


def test_the_file_is_what_its_schema_says(files):
    assert [file.parent.name for file in files] == ["main", "late"]
    jsonschema.Draft202012Validator.check_schema(pair_schema())
    for file in files:
        document = json.loads(file.read_text("utf-8"))
        jsonschema.validate(document, pair_schema())
        assert len(document["pairs"]) == document["n_pairs"] > 0
        del document["pairs"][0]["level"]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, pair_schema())


def test_every_pair_says_what_the_tables_say(run, files):
    stored = StoredComparison(run, "main")
    table = {name: stored.table(name) for name in ("pairs", "features", "cluster_labels", "labels", "headline")}
    by_feature = {(row["model"], row["latent"]): row for row in table["features"].to_dict("records")}
    labels = {(row["model"], row["latent"]): row for row in table["labels"].to_dict("records")}
    clusters = table["cluster_labels"].set_index("cluster")
    headline = table["headline"].set_index(["quantity", "pair"])["value"]
    rows = json.loads(files[0].read_text("utf-8"))["pairs"]
    for said, pair in zip(rows, table["pairs"].to_dict("records"), strict=True):
        a, b = ((pair[f"model_{side}"], pair[f"latent_{side}"]) for side in "ab")
        assert ((said["source_a"], said["index_a"]), (said["source_b"], said["index_b"])) == (a, b)
        expected = (pair["r_held_out"], pair["r"], pair["q"], pair["level"], pair["edge"])
        assert (said["r"], said["r_fit"], said["q"], said["level"], said["edge"]) == expected
        assert said["chance"] == headline["null_p95", f"{a[0]}-{b[0]}"]
        assert said["floor"] == headline["untrained", "overall"]
        for side, feature in (("a", a), ("b", b)):
            own = labels.get(feature)
            assert said[f"label_{side}"] == (own["label"] if own and own["explained"] else None)
        joined = by_feature[a]["cluster"] == by_feature[b]["cluster"]
        assert said["cluster"] == (by_feature[a]["cluster"] if joined else None)
        assert said["class"] == (by_feature[a]["class"] if joined else None)
        of_cluster = clusters.loc[said["cluster"]] if joined else None
        explained = of_cluster is not None and of_cluster["n_explained"] > 0
        assert said["label"] == (of_cluster["label"] if explained else None)
    assert {bool(said["class"]) for said in rows} == {True, False}
    assert {bool(said["label_a"]) for said in rows} == {True, False}


def test_it_is_read_back_bit_by_bit(run, files, tmp_path):
    written = pair_frame(StoredComparison(run, "main"))
    again = read_pairs(files[0])
    assert list(again.columns) == COLUMNS
    as_objects = [frame.astype(object).where(frame.notna(), None) for frame in (again, written)]
    pd.testing.assert_frame_equal(*as_objects)
    packed = tmp_path / "pairs.json.gz"
    packed.write_bytes(gzip.compress(files[0].read_bytes()))
    pd.testing.assert_frame_equal(read_pairs(packed), again)
    assert (again.attrs["run"], again.attrs["comparison"], again.attrs["tau"]) == ("it", "main", 0.5)
    assert set(again.attrs["sources"]) == {"m0", "m1", "m2"}


def test_equal_runs_give_equal_bytes_and_nothing_is_replaced(run, files, tmp_path):
    (again,) = export_run(run, ["main"], tmp_path, "pairs")
    assert again.read_bytes() == files[0].read_bytes()
    with pytest.raises(InputError, match="without earlier exports"):
        export_run(run, ["late", "main"], tmp_path, "pairs")
    assert [path.name for path in tmp_path.rglob("*.*")] == ["pairs.json"]


def changed(document, **keys):
    return {**document, **keys}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: changed(d, version=2), "later version: update"),
        (lambda d: changed(d, format="others.pairs"), "others.pairs"),
        (lambda d: [d], "None, version None"),
        (lambda d: changed(d, pairs=d["pairs"][1:]), r"must be \d+ of them"),
        (lambda d: changed(d, pairs=[{**d["pairs"][0], "r": 2}, *d["pairs"][1:]]), r"pairs\.0\.r"),
        (lambda d: changed(d, pairs=[{**d["pairs"][0], "index_b": 60}, *d["pairs"][1:]]), "got m1:60"),
        (lambda d: changed(d, pairs=[{**d["pairs"][0], "source_a": "m7"}, *d["pairs"][1:]]), "got m7:"),
        (lambda d: changed(d, rank=1), "rank"),
    ],
)
def test_another_file_is_refused_in_words(files, tmp_path, change, words):
    place = tmp_path / "pairs.json"
    place.write_text(json.dumps(change(json.loads(files[0].read_text("utf-8")))), "utf-8")
    with pytest.raises(InputError, match=words):
        read_pairs(place)


def test_no_file_and_half_a_file_are_refused_in_words(files, tmp_path):
    with pytest.raises(InputError, match="there"):
        read_pairs(tmp_path / "pairs.json")
    for name, content in (("cut.json", files[0].read_bytes()[:-99]), ("cut.gz", gzip.compress(b"{}")[:-3])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="one JSON document"):
            read_pairs(tmp_path / name)
