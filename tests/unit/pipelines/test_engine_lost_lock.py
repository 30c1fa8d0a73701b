"""A run that another process took over, while this one slept or was cut off, stops and touches nothing any more."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from pipelines.engine import run_plan
from storage import RunLocked, open_store
from storage.liveness import me

TOYS = str(Path(__file__).resolve().parents[2] / "toys")
if TOYS not in sys.path:
    sys.path.insert(0, TOYS)
import engine_toys as toys


def test_a_run_that_was_taken_over_stops(tmp_path, monkeypatch):
    monkeypatch.setattr("storage.locks.BEAT", 0.01)
    store, plan = open_store(tmp_path), toys.wide_plan()
    run = toys.make_run(store, plan)
    theirs = json.dumps({**me(), "token": "theirs"}).encode()
    seen = []

    def slept(event):
        if event["event"] == "done" and not seen:
            seen.append(run.record)
            store.files.write("runs/toy/lock", theirs)
            run.update(wall_s=5.0)
            time.sleep(0.5)

    with pytest.raises(RunLocked, match=r"'toy' must be held by .*; got another process that took it over"):
        run_plan(plan, store, run, progress=slept)
    assert len(store.keys()) == 1
    assert run.record == {**seen[0], "wall_s": 5.0}
    assert run.events()[-1]["event"] == "done"
    assert store.files.read("runs/toy/lock") == theirs
