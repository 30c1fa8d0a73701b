"""File systems elsewhere that refuse, forget their answers, or do not answer at all."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from storage import StoreUnreachable, open_store
from storage.files import RemoteFiles

BUSY = OSError(errno.EBUSY, "Please reduce your request rate.")
PRECONDITION = OSError(errno.EINVAL, "At least one of the pre-conditions you specified did not hold")


@pytest.fixture
def files(tmp_path):
    return RemoteFiles(f"memory://{tmp_path.name}-unreliable")


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIVERSALITY_CACHE", str(tmp_path / "cache"))
    return open_store(f"memory://{tmp_path.name}-unreliable")


def answers(files, monkeypatch, act, *errors, before=False):
    """The next calls of an act end in these errors, after the act was done, or before; None for none."""
    real, left = getattr(files.fs._fs, act), list(errors)

    def unreliable(*arguments, **options):
        error = left.pop(0) if left else None
        if error is not None and before:
            raise error
        done = real(*arguments, **options)
        if error is not None:
            raise error
        return done

    monkeypatch.setattr(files.fs._fs, act, unreliable)


def create(store, key, inputs=None):
    with store.create(key, step="s", version=1, params={}, inputs=inputs or {}) as out:
        out.array("x", np.arange(3))


@pytest.mark.parametrize("error", [FileExistsError("x"), PRECONDITION, BUSY])
def test_a_creation_whose_answer_is_lost_is_ours(files, monkeypatch, error):
    answers(files, monkeypatch, "pipe_file", error)
    assert files.write_new("a/x", b"ours")
    assert not files.write_new("a/x", b"theirs")
    assert files.read("a/x") == b"ours"


@pytest.mark.parametrize("error", [FileExistsError("x"), PRECONDITION, BUSY])
def test_a_creation_that_comes_second_is_refused_however_it_is_told(files, monkeypatch, error):
    files.write("a/x", b"theirs")
    answers(files, monkeypatch, "pipe_file", error, before=True)
    assert not files.write_new("a/x", b"ours")


def test_a_creation_that_met_another_is_tried_again(files, monkeypatch):
    answers(files, monkeypatch, "pipe_file", BUSY, BUSY, before=True)  # two at once: 409, and nobody wins
    assert files.write_new("a/x", b"ours")
    answers(files, monkeypatch, "pipe_file", BUSY, BUSY, BUSY, before=True)
    with pytest.raises(StoreUnreachable, match=r"must be within reach; got OSError: .*request rate"):
        files.write_new("a/y", b"ours")
    assert not files.exists("a/y")


def test_whoever_does_not_answer_has_not_said_that_nothing_is_there(files, store, monkeypatch):
    create(store, "k")
    answers(files, monkeypatch, "info", BUSY, before=True)
    with pytest.raises(StoreUnreachable):
        store.has("k")
    assert store.has("k")
    assert not store.has("l")


def test_a_full_disk_here_is_not_the_store_that_is_out_of_reach(files, monkeypatch):
    for error in (OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EROFS, "Read-only", "/here/x")):
        answers(files, monkeypatch, "cat_file", error, before=True)
        with pytest.raises(OSError, match=r"No space|Read-only") as told:
            files.read("a")
        assert not isinstance(told.value, StoreUnreachable)


def test_gc_keeps_what_it_cannot_judge(store, monkeypatch):
    create(store, "base")
    create(store, "top", {"x": "base"})
    store.create_run("r", recipe_name="q", recipe={}, nodes={"only": {"step": "s", "key": "top"}})
    later = open_store(store.url)
    real = later.files.read

    def unreliable(path, most=None):
        if path == "artifacts/top/manifest.json" and not told:
            told.append(path)
            raise StoreUnreachable("nobody answers")
        return real(path, most)

    told = []
    monkeypatch.setattr(later.files, "read", unreliable)
    with pytest.raises(StoreUnreachable):
        later.gc()
    assert told
    assert later.gc().removed == ()
    assert store.keys() == ["base", "top"]


def test_a_store_of_before_that_does_not_answer_is_not_taken_for_a_foreign_place(store, monkeypatch):
    create(store, "k")
    store.create_run("r", recipe_name="q", recipe={}, nodes={})
    store.files.remove("universality-store.json")
    for path in ("artifacts/k/manifest.json", "runs/r/run.json"):

        def unreliable(asked, most=None, path=path):
            raise StoreUnreachable("nobody answers") if asked == path else FileNotFoundError(asked)

        later = open_store(store.url)
        monkeypatch.setattr(later.files, "read", unreliable)
        with pytest.raises(StoreUnreachable):
            later.claim()


@pytest.mark.parametrize("cleaned", [True, False])
def test_an_upload_that_fails_leaves_nothing_or_is_left_to_gc(store, monkeypatch, cleaned):
    store.create_run("r", recipe_name="q", recipe={}, nodes={})
    answers(store.files, monkeypatch, "put_file", BUSY)
    if not cleaned:
        answers(store.files, monkeypatch, "rm", *[BUSY] * 20, before=True)
    with pytest.raises(StoreUnreachable, match="request rate"):
        create(store, "k")
    left = store.files.walk("artifacts"), store.files.names("temporary")
    assert [bool(part) for part in left] == [not cleaned, not cleaned], "files without an owner are nobody's to remove"
    monkeypatch.undo()


def test_an_artifact_whose_last_answer_is_lost_for_good_stays_whole(store, monkeypatch):
    """The manifest is there, and the writer is told that it is not."""
    real = store.files.write_new

    def lost(path, data):
        real(path, data)
        raise StoreUnreachable("nobody answers")

    store.claim()
    monkeypatch.setattr(store.files, "write_new", lost)
    with pytest.raises(StoreUnreachable):
        create(store, "k")
    monkeypatch.undo()
    assert store.has("k")
    assert store.verify() == []
