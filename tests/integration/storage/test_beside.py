"""gc, delete, verify and readers beside runs that are being computed, all on one store at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from storage import RunMissing, Store, artifact_key

SHARED = 3
SECONDS, AT_MOST = 4.0, 120.0


def compute(store: Store, name: str, number: int) -> None:
    """A run of some artifacts of its own, and of some that all runs have."""
    nodes = {
        f"n{i}": {"step": "draw", "key": artifact_key("draw", 1, {"seed": i if i < SHARED else number * 100 + i}, {})}
        for i in range(6)
    }
    run = store.create_run(name, recipe_name="r", recipe={"number": number}, nodes=nodes)
    with run.lock():
        run.update(status="running")
        for node, fields in nodes.items():
            if not store.has(fields["key"]):
                params = {"seed": int(node[1:]) if int(node[1:]) < SHARED else number * 100 + int(node[1:])}
                with store.create(fields["key"], step="draw", version=1, params=params, inputs={}) as out:
                    out.array("x", np.full(2000, params["seed"]))
            record = run.record["nodes"]
            record[node]["status"] = "done"
            run.update(nodes=record)
            run.append_event({"event": "done", "node": node})
        run.update(status="done")


def whole(store: Store, name: str) -> None:
    run = store.run(name)
    assert run.observed["status"] == "done", run.observed
    for node in run.record["nodes"]:
        assert run.artifact(node).array("x").size == 2000


def test_gc_delete_verify_and_readers_beside_runs_lose_nothing(tmp_path):
    store = Store(str(tmp_path / "store"))
    compute(store, "kept", 0)
    began, finished, deleted = time.monotonic(), ["kept"], set()
    guard, counts = threading.Lock(), {}

    def goes_on(job: str, n: int) -> bool:
        """Until the time is over and, on a slow disk, until everybody has done something."""
        counts[job] = n
        seconds = time.monotonic() - began
        return seconds < SECONDS or ((len(counts) < 6 or min(counts.values()) == 0) and seconds < AT_MOST)

    def runs(worker: int) -> int:
        own, number = Store(store.url), 0
        while goes_on(f"runs {worker}", number):
            number += 1
            name = f"w{worker}-{number}"
            compute(own, name, worker * 1000 + number)
            with guard:
                finished.append(name)
        return number

    def deletes() -> int:
        own, n = Store(store.url), 0
        while goes_on("deletes", n):
            with guard:
                victims = [name for name in finished if name not in deleted and name != "kept"][:-2]
                deleted.update(victims[:1])
            for name in victims[:1]:
                own.delete_run(name)
                n += 1
        return n

    def sweeps() -> int:
        own, n = Store(store.url), 0
        while goes_on("sweeps", n):
            n += len(own.gc().removed)
        return n

    def verifies() -> int:
        own, n = Store(store.url), 0
        while goes_on("verifies", n):
            assert own.verify() == []
            n += 1
        return n

    def reads() -> int:
        own, n = Store(store.url), 0
        while goes_on("reads", n):
            for run in own.runs():
                try:
                    status = run.observed["status"]
                    assert status in ("planned", "running", "done", "interrupted"), status
                    n += status == "done" and len(list(run.artifacts()))
                except RunMissing:
                    assert run.name in deleted or run.name not in finished
        return n

    with ThreadPoolExecutor(7) as pool:
        jobs = [pool.submit(runs, 1), pool.submit(runs, 2), *map(pool.submit, (deletes, sweeps, verifies, reads))]
        for job in jobs:
            job.result()
    assert len(counts) == 6, counts
    assert min(counts.values()) > 0, counts
    for name in finished:
        if name not in deleted:
            whole(Store(store.url), name)
    assert store.gc().leftovers == ()
