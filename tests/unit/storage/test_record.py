"""``run.json``: no changed value of it is believed."""

from __future__ import annotations

import contextlib
import json

import pytest

from storage import ArtifactGone, RunCorrupt, TableMissing, open_store
from storage.record import decode_record, encode_record

RECORD = {
    "name": "one", "status": "done", "recipe_name": "r", "recipe": {"compare": {"tau": 0.5}, "root_seed": 7},
    "created": 1.5, "finished": None, "wall_s": 2.0, "environment": {"packages": {"numpy": "2.1"}},
    "nodes": {"a": {"step": "s", "key": "ka", "status": "done"}, "b": {"step": "s", "key": "kb", "status": "done"}},
}  # fmt: skip


def test_a_record_comes_back_as_it_was_and_fresh():
    data = encode_record(RECORD)
    assert decode_record(data, "one") == RECORD
    decode_record(data, "one")["nodes"].clear()
    assert decode_record(data, "one") == RECORD


def test_no_flipped_bit_is_believed():
    data = encode_record(RECORD)
    believed = 0
    for place in range(len(data)):
        for bit in range(8):
            flipped = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            with contextlib.suppress(RunCorrupt):
                assert decode_record(flipped, "one") == RECORD
                believed += 1
    assert believed < 0.02 * 8 * len(data)  # white space alone


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.pop("digest"), lambda r: r.pop("format"), lambda r: r.update(format=3), lambda r: r.pop("created"),
        lambda r: r["nodes"].pop("a"), lambda r: r["recipe"]["compare"].update(tau=0.6), lambda r: r.update(more=1),
    ],
)  # fmt: skip
def test_no_changed_value_is_believed(change):
    record = json.loads(encode_record(RECORD))
    change(record)
    with pytest.raises(RunCorrupt, match="as it was written"):
        decode_record(json.dumps(record).encode(), "one")


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.pop("created"), lambda r: r.update(created="x"), lambda r: r.pop("nodes"),
        lambda r: r.update(nodes=[]), lambda r: r["nodes"].update(a=1), lambda r: r["nodes"]["a"].pop("key"),
        lambda r: r.update(status="dine"),
        lambda r: r["nodes"]["a"].update(status=None), lambda r: r.pop("recipe"), lambda r: r.pop("recipe_name"),
    ],
)  # fmt: skip
def test_a_record_of_before_is_believed_if_it_has_the_form_of_one(change):
    record = json.loads(json.dumps(RECORD))
    assert decode_record(json.dumps(record).encode(), "one") == RECORD
    change(record)
    with pytest.raises(RunCorrupt, match="no legal"):
        decode_record(json.dumps(record).encode(), "one")


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"created": ' + b"9" * 9999 + b"}", b"NaN"])
def test_what_is_no_record_is_refused(data):
    with pytest.raises(RunCorrupt):
        decode_record(data, "one")


@pytest.fixture
def finished(tmp_path):
    """A store with a done run: two artifacts of one step have rows of table t, one of another step has table u."""
    import pandas as pd

    store = open_store(tmp_path)
    steps = {"a": ("s", "t"), "b": ("s", "t"), "c": ("other", "u")}
    for key, (step, table) in steps.items():
        with store.create(key, step=step, version=1, params={}, inputs={}) as out:
            out.table(table, pd.DataFrame({"of": [key]}))
    nodes = {key: {"step": step, "key": key, "status": "done"} for key, (step, _) in steps.items()}
    store.create_run("one", recipe_name="r", recipe={}, nodes=nodes).update(status="done")
    return store


def test_a_finished_run_says_what_of_it_is_gone(finished):
    run = finished.run("one")
    assert (run.status, run.missing()) == ("done", [])
    assert run.table("t")["of"].tolist() == ["a", "b"]
    finished.files.remove("artifacts/b/manifest.json")
    assert (run.status, run.missing()) == ("partial", ["b"])
    assert run.observed["nodes"]["b"]["status"] == "gone"
    assert run.record["status"] == "done"
    for act in (lambda: run.table("t"), lambda: run.sql("select * from t"), lambda: run.artifact("b")):
        with pytest.raises(ArtifactGone, match="none of b"):
            act()
    assert run.table("u")["of"].tolist() == ["c"]  # no row of it was there
    finished.files.remove("artifacts/c")
    with pytest.raises(TableMissing, match="Artifacts are gone: b, c"):
        run.table("u")


def test_one_damaged_record_hides_no_other_run(finished):
    finished.create_run("two", recipe_name="r", recipe={}, nodes={})
    finished.files.write("runs/two/run.json", b"{")
    damaged = {}
    assert [run.name for run in finished.runs(damaged)] == ["one"]
    assert list(damaged) == ["two"]
    with pytest.raises(RunCorrupt, match="run 'two'"):
        finished.runs()
    assert finished.run("one").status == "done"
