"""A store says that it is one, and nobody else's folder is taken for one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from storage import NotAStore, RunCorrupt, open_store
from storage.marker import MARKER

KEY = "0123456789abcdef0123456789abcdef"


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(store, key, **options):
    with store.create(key, step="s", version=1, params={}, inputs={}, **options) as out:
        out.json("x", 1)


def old_store(folder: Path, *, runs: bool = True, artifacts: bool = True):
    """A store as versions of before wrote it: no marker, and no digest in the records of its runs."""
    store = open_store(folder)
    if artifacts:
        put(store, KEY)
        put(store, "unused")
    if runs:
        store.create_run("one", recipe_name="r", recipe={}, nodes={"a": {"step": "s", "key": KEY}})
        path = folder / "runs" / "one" / "run.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps({field: record[field] for field in record if field not in ("format", "digest")}))
    (folder / MARKER).unlink()
    return open_store(folder)


@pytest.fixture
def foreign(tmp_path):
    """A project of somebody who names folders as stores do."""
    for name in (
        "checkpoints/model.safetensors", f"checkpoints/{KEY}.safetensors", "checkpoints/epoch1/w.bin", "notes.txt",
        "temporary/a.json", f"temporary/{KEY}.json", "temporary/_x", "artifacts/mine/manifest.json",
        "artifacts/site/index.html", "runs/1/run.json", "runs/tb/events.jsonl",
    ):  # fmt: skip
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"key": "mine"}')
    return tmp_path / "project"


def test_the_first_write_marks_the_place(tmp_path):
    for number, write in enumerate((
        lambda store: put(store, KEY),
        lambda store: store.create_run("one", recipe_name="r", recipe={}, nodes={}),
        lambda store: store.checkpoint(KEY).save({"w": np.zeros(1)}, {}),
    )):  # fmt: skip
        store = open_store(tmp_path / str(number))
        write(store)
        marker = json.loads((tmp_path / str(number) / MARKER).read_text())
        assert marker == {"kind": "universality-store", "format": 1}
        assert store.gc().removed in ((), (KEY,))


def test_nothing_is_removed_from_a_folder_that_was_never_a_store(foreign, tmp_path):
    before = files_in(foreign)
    for place in (foreign, tmp_path / "nowhere", tmp_path):
        for act in (lambda s: s.gc(), lambda s: s.gc(dry_run=True), lambda s: s.delete_run("1")):
            with pytest.raises(NotAStore, match=r"a folder with universality-store\.json.*Check --store"):
                act(open_store(place))
    assert files_in(foreign) == before
    assert not (tmp_path / "nowhere").exists()


def test_nothing_is_written_into_a_folder_that_was_never_a_store(foreign):
    before = files_in(foreign)
    store = open_store(foreign)
    for act in (
        lambda: put(store, KEY),
        lambda: store.create_run("one", recipe_name="r", recipe={}, nodes={}),
        lambda: store.checkpoint(KEY).save({"w": np.zeros(1)}, {}),
    ):
        with pytest.raises(NotAStore, match="Give another --store"):
            act()
    assert files_in(foreign) == before


def test_other_files_beside_a_store_are_no_obstacle_and_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "runs").mkdir()
    put(open_store(tmp_path), KEY)
    assert open_store(tmp_path).gc().removed == (KEY,)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_gc_removes_only_what_it_can_prove_to_have_written(foreign):
    before = files_in(foreign)
    (foreign / MARKER).write_text(json.dumps({"kind": "universality-store", "format": 1}))
    for path in ("runs/1/run.json",):  # a record that cannot be read stops gc: nobody knows what it needs
        with pytest.raises(RunCorrupt):
            open_store(foreign).gc()
        (foreign / path).unlink()
        del before[path]
    store = open_store(foreign)
    put(store, "unused")
    store.checkpoint("unwanted").save({"w": np.zeros(1)}, {})
    result = store.gc()
    assert result.removed == ("unused",)
    assert result.leftovers == ("checkpoints/unwanted.safetensors",)
    left = files_in(foreign)
    del left[MARKER]
    assert left == before


@pytest.mark.parametrize("parts", [{}, {"runs": False}, {"artifacts": False}])
def test_a_store_of_before_is_recognised_once_and_marked(tmp_path, parts):
    store = old_store(tmp_path, **parts)
    has = {"runs": True, "artifacts": True} | parts
    unused = ("unused",) if has["runs"] else (KEY, "unused")
    assert store.gc(dry_run=True).removed == (unused if has["artifacts"] else ())
    assert not (tmp_path / MARKER).exists()
    if has["runs"]:
        run = store.run("one")
        run.update(status="failed")
        assert "digest" in json.loads((tmp_path / "runs" / "one" / "run.json").read_text())
        assert store.run("one").status == "failed"
    put(store, "new")
    assert json.loads((tmp_path / MARKER).read_text())["format"] == 1
    store.gc()
    assert store.has(KEY) == (has["runs"] and has["artifacts"])


def test_a_store_of_a_newer_format_is_left_alone(tmp_path):
    put(open_store(tmp_path), KEY)
    (tmp_path / MARKER).write_text(json.dumps({"kind": "universality-store", "format": 2}))
    before = files_in(tmp_path)
    for act in (lambda s: s.gc(), lambda s: put(s, "b")):
        with pytest.raises(NotAStore, match="Update universality"):
            act(open_store(tmp_path))
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"kind": "other"}', '{"kind": "universality-store"}', "\x00" * 9]
)
def test_a_damaged_marker_is_written_anew_where_the_rest_is_a_store(tmp_path, text):
    put(open_store(tmp_path), KEY)
    (tmp_path / MARKER).write_text(text)
    put(open_store(tmp_path), "b")
    assert json.loads((tmp_path / MARKER).read_text())["format"] == 1
    assert open_store(tmp_path).gc().removed == (KEY, "b")
