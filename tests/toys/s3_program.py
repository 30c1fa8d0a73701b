"""Acts on a store of an object store, each as a program of its own: ``s3_program.py ACT STORE …``. Prints JSON."""

import json
import random
import sys
import time

import engine_toys
import numpy as np
import typer

from pipelines.cli.terminal import errors_as_sentences
from pipelines.engine import Node, Plan, run_plan
from storage import RunExists, RunLocked, open_store
from storage.errors import StoreUnreachable
from storage.liveness import me

PLAN = Plan(
    [Node(f"draw/{seed}", "toy-draw", {"seed": seed, "n": 3000}) for seed in range(3)]
    + [Node("train", "toy-train", {"steps": 12}, {"start": "draw/0"})]
    + [Node("sum", "toy-sum", {}, {"a": "draw/1", "b": "draw/2"})]
)


def bucket(url):
    """Make the bucket of an address."""
    import fsspec

    fs, path = fsspec.url_to_fs(url)
    fs.mkdir(path.split("/")[0])


def compute(url):
    """Run the plan, from where it is."""
    store = open_store(url)
    try:
        run = engine_toys.make_run(store, PLAN)
    except RunExists:
        run = store.run("toy")
    outcome = run_plan(PLAN, store, run)
    for error in outcome.errors.values():
        sys.stderr.write(error["error"] + "\n")
    sys.exit(outcome.exit_code)


def put(url):
    """Write one artifact; say whether it is ours, and whether it is whole."""
    store = open_store(url)
    with store.create("k", step="s", version=1, params={}, inputs={}) as out:
        out.array("x", np.arange(100))
        out.json("pid", random.random())
    return {"committed": out.committed, "whole": store.verify() == [], "there": store.has("k")}


def files(url):
    """Paths of all files of the store."""
    return sorted(open_store(url).files.walk(""))


def leave_stale_lock(url):
    """The lock of a process of this machine that has died."""
    open_store(url).files.write("runs/mine/lock", json.dumps({**me(), "token": "theirs", "process_start": -1}).encode())


def claim(url):
    """Create a run."""
    open_store(url).create_run("mine", recipe_name="q", recipe={}, nodes={})


def hold(url, seconds):
    """Try to hold the lock of the run for so long; when it was held."""
    held, run, end = [], None, time.time() + float(seconds)
    while time.time() < end:
        try:
            run = run or open_store(url).run("mine")
            with run.lock() as lock:
                began = time.time()
                time.sleep(random.uniform(0.0, 0.2))
                assert not lock.lost
                held.append((began, time.time()))
        # Faults may outlast the patience with which a store asks again; that too is said, and nothing is held.
        except (RunLocked, StoreUnreachable):
            time.sleep(random.uniform(0.0, 0.05))
    return held


def collect(url):
    """Remove what no run needs."""
    return list(open_store(url).gc().removed)


def look(url):
    """Digests of the plan's artifacts, what is damaged, and files of artifacts that no manifest names."""
    store = open_store(url)
    keys = store.keys()
    manifests = {key: store.get(key).manifest for key in keys}
    named = {f"{key}/{of['payload']}/{path}" for key, of in manifests.items() for path in of["files"]}
    named |= {f"{key}/manifest.json" for key in keys}
    found = {f"{node}:{path}": digest for (node, path), digest in engine_toys.digests(store, PLAN).items()}
    problems = [f"{p.key}/{p.file}: {p.reason}" for p in store.verify()]
    left = sorted(set(store.files.walk("artifacts")) - named) + store.files.names("temporary")
    return {"digests": found, "problems": problems, "left": left, "status": store.run("toy").status}


if __name__ == "__main__":
    try:
        with errors_as_sentences():
            json.dump(globals()[sys.argv[1]](*sys.argv[2:]), sys.stdout)
    except typer.Exit as end:
        sys.exit(end.exit_code)
