"""A program that is killed at its n-th act on the file system, for n = 0, 1, 2, … until it gets through.

Python tells every open, rename, link, mkdir and remove to an audit hook before it happens; there the
process ends with SIGKILL. Each attempt runs in a fork, on a copy of the same prepared store.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from storage import open_store
from storage.store import Store

ACTS = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.listdir", "os.truncate"}
KEY = "k"


def commit(store: Store) -> None:
    """Replace nothing by a whole artifact, and the checkpoint by nothing."""
    with store.create(KEY, step="s", version=1, params={}, inputs={}) as out:
        out.array("x", np.arange(100))
        out.json("j", {"a": 1})
        with out.stream("rows", np.int32, (2,), shard_rows=2) as stream:
            stream.write(np.ones((3, 2), np.int32))


def save_checkpoint(store: Store) -> None:
    """Replace step 1 by step 2."""
    store.checkpoint(KEY).save({"w": np.full(100, 2)}, {"step": 2})


def update_run(store: Store) -> None:
    """Replace planned by done, with an event."""
    run = store.run("r")
    with run.lock():
        run.update(status="done")
        run.append_event({"event": "second"})


def collect(store: Store) -> None:
    """Remove the artifact that no run wants."""
    store.gc()


def prepare(url: str) -> None:
    """A store with one run, one unwanted artifact, a checkpoint and an event."""
    store = open_store(url)
    with store.create("unwanted", step="s", version=1, params={}, inputs={}) as out:
        out.json("j", 1)
        out.array("x", np.arange(3))
    run = store.create_run("r", recipe_name="q", recipe={}, nodes={"n": {"step": "s", "key": KEY}})
    run.append_event({"event": "first"})
    store.checkpoint(KEY).save({"w": np.full(100, 1)}, {"step": 1})


def killed_at(n: int, url: str, act: Callable[[Store], None]) -> bool:
    """Run the act in a fork that is killed at its n-th touch of the store; False if it got through."""
    child = os.fork()
    if child == 0:
        left = n

        def hook(event: str, arguments: tuple) -> None:
            nonlocal left
            if event in ACTS and str(arguments[0]).startswith(url):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        store = open_store(url)
        sys.addaudithook(hook)
        act(store)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise RuntimeError("the act failed")
    return os.WIFSIGNALED(status)


def main(folder: str, name: str) -> None:
    """Leave one store for each n in ``folder/<n>``; the last is of the act that got through."""
    act = {f.__name__: f for f in (commit, save_checkpoint, update_run, collect)}[name]
    base = Path(folder, "base")
    prepare(str(base))
    n = 0
    while True:
        url = Path(folder, f"{n:04d}")
        shutil.copytree(base, url)
        if not killed_at(n, str(url), act):
            return
        n += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
