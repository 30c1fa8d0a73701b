"""Whose lock it is, when it is stale, and that it is taken over once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta

import pytest

from storage import RunLocked
from storage.files import LocalFiles, RemoteFiles
from storage.liveness import is_alive, me, process_start
from storage.locks import RunLock, read_holder


@pytest.fixture(params=["folder", "memory"])
def files(request, tmp_path):
    return LocalFiles(tmp_path) if request.param == "folder" else RemoteFiles(f"memory://{tmp_path.name}-locks")


def leave(files, age: float = 0.0, **changes) -> None:
    """A lock of somebody else, of which the store says that it was written so many seconds ago."""
    files.write("run/lock", json.dumps({**me(), "token": "theirs", **changes}).encode())
    if age and files.is_local:
        written = files.modified("run/lock") - age
        os.utime(files.path("run/lock"), (written, written))
    elif age:
        files.fs.store[files.path("run/lock")].modified -= timedelta(seconds=age)


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def take(files) -> RunLock:
    return RunLock(files, "run/lock", "r")


def test_this_process_is_alive():
    assert is_alive(me())
    assert process_start(os.getpid()) > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"process_start": 1},  # the pid was given to another process
        {"machine": "elsewhere", "age": 200},
        {"machine": "elsewhere", "age": 200, "heartbeat": 4e9},  # a clock that is years ahead
        {"machine": "elsewhere", "heartbeat": None},
    ],
)
def test_stale_locks_are_taken_over(files, changes):
    leave(files, **changes)
    assert not read_holder(files, "run/lock").alive
    with take(files):
        assert read_holder(files, "run/lock").pid == os.getpid()
    assert read_holder(files, "run/lock") is None


def test_the_lock_of_a_dead_process_is_stale_however_fresh(files):
    leave(files, pid=dead_pid(), heartbeat=time.time())
    with take(files):
        pass


@pytest.mark.parametrize("garbage", [b"", b"[]", b"{", b"\xff"])
def test_a_lock_that_is_none_is_stale(files, garbage):
    files.write("run/lock", garbage)
    with take(files):
        pass


@pytest.mark.parametrize(
    "changes",
    [
        {"heartbeat": 0},  # this machine: the process lives, though suspended
        {"machine": "elsewhere", "host": "other"},
        {"machine": "elsewhere", "host": "other", "heartbeat": 1.0},  # a clock that is years behind
    ],
)
def test_live_locks_are_respected(files, changes):
    leave(files, **changes)
    with pytest.raises(RunLocked, match=changes.get("host", str(os.getpid()))), take(files):
        pass
    assert json.loads(files.read("run/lock"))["token"] == "theirs"


@pytest.mark.parametrize("minutes", [-30, -3, 3, 30])
def test_a_clock_that_is_off_neither_kills_a_living_lock_nor_keeps_a_dead_one(files, monkeypatch, minutes):
    """This machine's clock and the other's are apart; what counts is the store's."""
    true = time.time
    monkeypatch.setattr("storage.locks.time.time", lambda: true() + 60 * minutes)
    leave(files, machine="elsewhere", host="other", heartbeat=true() - 60 * minutes)
    with pytest.raises(RunLocked, match="other"), take(files):
        pass
    assert read_holder(files, "run/lock", files.now()).alive
    leave(files, machine="elsewhere", host="other", heartbeat=true() + 60 * minutes, age=200)
    assert not read_holder(files, "run/lock", files.now()).alive
    with take(files):
        pass


def test_a_killed_holder_is_replaced(tmp_path):
    code = (
        "import sys, time; from storage.files import LocalFiles; from storage.locks import RunLock\n"
        "with RunLock(LocalFiles(__import__('pathlib').Path(sys.argv[1])), 'run/lock', 'r'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    files = LocalFiles(tmp_path)
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(RunLocked, match=str(process.pid)), take(files):
            pass
        process.kill()
        process.wait()
    assert not read_holder(files, "run/lock").alive
    with take(files):
        pass


def test_a_stale_lock_is_taken_over_once(files, monkeypatch):
    """The slow one has found the lock stale when the quick one comes: one of them must be refused."""
    leave(files, process_start=1)
    found_stale, quick_holds, let_go = threading.Event(), threading.Event(), threading.Event()
    holders = []

    def hold(name: str) -> None:
        try:
            with take(files):
                holders.append(name)
                quick_holds.set()
                let_go.wait(10)
        except RunLocked:
            pass

    def slowly(record: dict, age: float | None = None) -> bool:
        if threading.current_thread() is slow and not found_stale.is_set():
            found_stale.set()
            quick_holds.wait(0.5)
        return is_alive(record, age=age)

    monkeypatch.setattr("storage.locks.is_alive", slowly)
    slow, quick = (threading.Thread(target=hold, args=(name,)) for name in ("slow", "quick"))
    slow.start()
    found_stale.wait(10)
    quick.start()
    quick.join(2)
    let_go.set()
    slow.join()
    quick.join()
    assert len(holders) == 1


def test_the_heart_beats_and_a_lost_lock_is_noticed(files, monkeypatch):
    monkeypatch.setattr("storage.locks.BEAT", 0.01)
    with take(files) as lock:
        first = read_holder(files, "run/lock").heartbeat
        deadline = time.monotonic() + 10
        while read_holder(files, "run/lock").heartbeat == first:
            assert time.monotonic() < deadline
        assert not lock.lost
        leave(files)  # taken over by another
        while not lock.lost:
            assert time.monotonic() < deadline
    assert json.loads(files.read("run/lock"))["token"] == "theirs"


def test_who_dies_while_taking_a_lock_over_blocks_nobody(files, monkeypatch):
    leave(files, process_start=1)
    with monkeypatch.context() as patched:
        patched.setattr(files, "write", lambda *arguments, **options: 1 / 0)
        patched.setattr(RemoteFiles, "now", lambda self: time.time())
        patched.setattr(files, "remove", lambda path: None)
        with pytest.raises(ZeroDivisionError), take(files):
            pass
    (left,) = [name for name in files.names("run") if name not in ("lock", "lock.guard")]
    with pytest.raises(RunLocked), take(files):  # it may still be at it
        pass
    record = json.loads(files.read(f"run/{left}"))
    files.write(f"run/{left}", json.dumps({**record, "process_start": 1}).encode())
    with take(files):
        assert json.loads(files.read("run/lock"))["process_start"] != 1
        assert [name for name in files.names("run") if name != "lock.guard"] == ["lock"]
    with take(files):
        assert [name for name in files.names("run") if name != "lock.guard"] == ["lock"]


@pytest.mark.parametrize("dead", [True, False])
def test_a_removal_that_arrives_twice_takes_nobodys_lock_away(tmp_path, monkeypatch, dead):
    """The network lost the first answer, so it is sent again; meanwhile another has come."""
    files = RemoteFiles(f"memory://{tmp_path.name}-twice")
    tried, holding, real = [], [], type(files.fs._fs).rm

    def twice(fs, path, **options):
        real(fs, path, **options)
        if path.startswith(files.path("run/lock")) and not tried:
            tried.append(take(files))
            with suppress(RunLocked):
                holding.append(tried[0].__enter__())
        with suppress(FileNotFoundError):
            real(fs, path, **options)

    if dead:
        leave(files, process_start=1)
    monkeypatch.setattr(type(files.fs._fs), "rm", twice)
    with take(files):
        assert holding == []
        with pytest.raises(RunLocked), take(files):
            pass
    holding = holding or [take(files).__enter__()]
    with pytest.raises(RunLocked), take(files):
        pass
    holding[0].__exit__(None, None, None)


def test_one_lock_is_held_several_times_by_turns(files):
    lock = take(files)
    for _ in range(3):
        with lock, pytest.raises(RunLocked), take(files):
            pass
        with take(files), pytest.raises(RunLocked), lock:
            pass
    assert read_holder(files, "run/lock") is None
