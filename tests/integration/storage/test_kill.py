"""SIGKILL at any moment: what is visible is whole, and the next process goes on from there."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from storage import Store, open_store

PROGRAM = Path(__file__).with_name("killpoints.py")

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals and fork")


def stores_after(act: str, folder: Path) -> list[Store]:
    subprocess.run([sys.executable, str(PROGRAM), str(folder), act], check=True, timeout=120)
    return [open_store(path) for path in sorted(folder.iterdir()) if path.name != "base"]


def tried_again(store: Store, value: int) -> None:
    with store.create("k", step="s", version=1, params={}, inputs={}) as out:
        out.json("again", value)


def test_no_kill_while_committing_leaves_half_an_artifact(tmp_path):
    stores = stores_after("commit", tmp_path)
    assert len(stores) > 20
    seen = [store.has("k") for store in stores]
    assert seen == sorted(seen)  # nothing, nothing, …, and from one act on all of it
    assert not seen[0]
    assert seen[-1]
    for store, visible in zip(stores, seen, strict=True):
        assert store.verify() == []
        assert store.keys() == (["k", "unwanted"] if visible else ["unwanted"])
        if visible:
            np.testing.assert_array_equal(np.asarray(store.get("k").array("rows")), np.ones((3, 2)))
        else:
            assert store.checkpoint("k").load() is not None  # only a commit clears it
            tried_again(store, 1)
            assert store.get("k").json("again") == 1
        result = store.gc()
        assert result.kept == ("k",)
        assert store.files.names("checkpoints") == []
        assert store.files.names("temporary") == []


def test_no_kill_while_saving_harms_a_checkpoint(tmp_path):
    steps = []
    for store in stores_after("save_checkpoint", tmp_path):
        arrays, meta = store.checkpoint("k").load()
        np.testing.assert_array_equal(arrays["w"], np.full(100, meta["step"]))
        steps.append(meta["step"])
    assert steps[0] == 1
    assert steps[-1] == 2
    assert steps == sorted(steps)


def test_no_kill_harms_a_run(tmp_path):
    statuses = []
    for store in stores_after("update_run", tmp_path):
        run = store.run("r")
        statuses.append(run.record["status"])
        assert run.holder() is None
        assert run.events()[0]["event"] == "first"
        with run.lock():
            run.append_event({"event": "later"})
        assert [event["event"] for event in run.events()][-1] == "later"
    assert statuses == sorted(statuses, reverse=True)
    assert {statuses[0], statuses[-1]} == {"planned", "done"}


def test_no_kill_while_removing_leaves_half_an_artifact(tmp_path):
    seen = []
    for store in stores_after("collect", tmp_path):
        assert store.verify() == []
        seen.append(store.has("unwanted"))
        assert store.gc().kept == ()
        assert store.checkpoint("k").load() is not None
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {True, False}


WRITER = """
import sys, numpy as np
from storage import open_store
store = open_store(sys.argv[1])
with store.create("k", step="s", version=1, params={}, inputs={}) as out:
    out.array("first", np.arange(10))
    with out.stream("rows", np.float32, (256,), shard_rows=64) as stream:
        for _ in range(10**6):
            stream.write(np.ones((16, 256), np.float32))
            print("wrote", flush=True)
"""


def test_a_writer_killed_in_the_middle_of_a_stream(tmp_path):
    store = open_store(tmp_path)
    for attempt, pause in enumerate((0.0, 0.01, 0.03)):
        with subprocess.Popen([sys.executable, "-c", WRITER, store.url], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in itertools.islice(process.stdout, 6):
                assert line == b"wrote\n"
            names = store.files.names("temporary")
            assert len(names) == 2, attempt  # the dead attempts before were cleared by this one
            assert store.gc().leftovers == ()
            time.sleep(pause)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert store.keys() == []
        assert store.verify() == []
    dry = store.gc(dry_run=True)
    assert dry.bytes > 64 * 1024
    assert store.gc() == dry
    assert store.files.walk("temporary") == {}


COMMITTER = """
import json, sys, numpy as np
from storage import open_store
store = open_store(sys.argv[1])
with store.create("k", step="s", version=1, params={}, inputs={}) as out:
    out.array("a", np.full(5000, int(sys.argv[2])))
    out.array("b", np.full(5000, int(sys.argv[2])))
    print("ready", flush=True)
    sys.stdin.readline()
print(out.committed)
"""


def test_of_many_processes_one_commits(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", COMMITTER, str(tmp_path), str(n)], **pipes) for n in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate()[0].strip() for process in processes]
    assert sorted(told) == ["False", "False", "False", "True"]
    store = open_store(tmp_path)
    artifact = store.get("k", verify=True)
    winner = told.index("True")
    assert set(artifact.array("a")) == set(artifact.array("b")) == {winner}
    assert store.files.names("temporary") == []


GUARDED = """
import sys
from storage import RunLocked, open_store
run = open_store(sys.argv[1]).run("r")
try:
    with run.lock():
        print("held", flush=True)
        sys.stdin.readline()
except RunLocked:
    print("locked", flush=True)
"""


def test_of_many_processes_one_holds_a_run_left_by_a_dead_one(tmp_path):
    store = open_store(tmp_path)
    run = store.create_run("r", recipe_name="q", recipe={}, nodes={})
    with run.lock():
        record = json.loads(store.files.read("runs/r/lock"))
    store.files.write("runs/r/lock", json.dumps({**record, "process_start": 1}).encode())
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", GUARDED, str(tmp_path)], **pipes) for _ in range(4)]
    told = sorted(process.stdout.readline() for process in processes)
    assert told == ["held\n", "locked\n", "locked\n", "locked\n"]
    for process in processes:
        process.communicate("\n")
    assert run.holder() is None
