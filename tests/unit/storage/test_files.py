"""Writes are all or nothing, creation is for one, removal is at once; on a folder and on a remote store."""

from __future__ import annotations

import os
import threading

import pytest

from storage.files import LocalFiles, RemoteFiles, cache_folder


@pytest.fixture(params=["folder", "memory"])
def files(request, tmp_path):
    return LocalFiles(tmp_path) if request.param == "folder" else RemoteFiles(f"memory://{tmp_path.name}-files")


def test_one_who_reads_while_it_is_replaced_reads_the_old_bytes(tmp_path):
    files = LocalFiles(tmp_path)
    files.write("a/x", b"old" * 1000)
    with open(files.path("a/x"), "rb") as reader:
        files.write("a/x", b"new")
        assert reader.read() == b"old" * 1000
    assert files.read("a/x") == b"new"
    assert files.names("temporary") == []


def test_a_failing_write_leaves_the_old_bytes(tmp_path, monkeypatch):
    files = LocalFiles(tmp_path)
    files.write("x", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        files.write("x", b"new")
    assert files.read("x") == b"old"
    assert files.names("temporary") == []


def test_creation_is_for_one(files):
    gate, told = threading.Barrier(6), []

    def create(number: int) -> None:
        gate.wait()
        told.append((files.write_new("a/x", b"%d" % number), number))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [number for won, number in told if won]
    assert files.read("a/x") == b"%d" % winner


def test_creation_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    files = LocalFiles(tmp_path)
    assert files.write_new("x", b"1")
    assert not files.write_new("x", b"2")
    assert files.read("x") == b"1"


def test_folders(files):
    assert files.names("a") == []
    assert files.walk("a") == {}
    assert files.modified("a/x") == 0.0
    files.write("a/x", b"1")
    files.write("a/b/y", b"22")
    assert files.names("a") == ["b", "x"]
    assert files.walk("a") == {"x": 1, "b/y": 2}
    assert files.modified("a/x") > 1.7e9
    assert (files.exists("a/x"), files.exists("a/b"), files.exists("a/z")) == (True, False, False)
    files.remove("a/x")
    files.remove("a/x")
    assert files.walk("a") == {"b/y": 2}
    files.remove("a")
    assert files.walk("a") == {}
    with pytest.raises(FileNotFoundError):
        files.read("a/b/y")


def test_cache_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("UNIVERSALITY_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "universality"
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    assert cache_folder().name == "universality"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "universality"
    monkeypatch.setenv("UNIVERSALITY_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
