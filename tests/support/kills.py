"""A run whose processes are killed and stopped at random moments, and started again until it ends."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
from dask_processes import DaskProcesses, wait_for

from storage import Run, open_run, open_store

#: What may be hit, by the way in which a life of the run computes: ``--serial``, ``--workers 2``, or ``--scheduler``.
VICTIMS = {
    "serial": ("coordinator",),
    "local": ("coordinator", "local worker"),
    "cluster": ("coordinator", "worker", "scheduler"),
}
#: Why a life may end with another exit code than 0, where something was taken from it.
REASONS = (
    "a connection that was lost", "the worker process died again", "must be the address of a running Dask",
    "workers of this machine must be able to start", "must be there while the run begins",
    "must be at least one; got 0",
)  # fmt: skip


def digests(run: Run) -> dict[str, dict[str, str]]:
    """Digest of every file of a run's artifacts, tables among them, by node and path."""
    files = {node: run.artifact(node).manifest["files"] for node in run.nodes()}
    return {node: {path: file["digest"] for path, file in held.items()} for node, held in files.items()}


class KilledRun(DaskProcesses):
    """The command line on one recipe, in one way of computing after another, under fire.

    Args:
        folder: a new one, for the store and the logs.
        recipe: its file.
        expected: :func:`digests` of an undisturbed run.
        seed: of everything random here; how far a run is when it is hit is up to the machine.

    Attributes:
        hits: how often which process was killed or stopped, by victim and name of the signal.
        n_lives: times that the command line was started.
        n_completed: stores that were completed, each with the expected bytes.
    """

    def __init__(self, folder: Path, recipe: Path, expected: dict[str, dict[str, str]], seed: str) -> None:
        super().__init__(folder)
        self.recipe, self.expected, self.rng = recipe, expected, random.Random(seed)
        self.hits: Counter[tuple[str, str]] = Counter()
        self.n_lives = self.n_completed = 0
        self._parts: dict[str, list[subprocess.Popen]] = {"worker": [], "scheduler": []}

    def n_kills(self) -> int:
        """Processes killed so far."""
        return sum(n for (_, name), n in self.hits.items() if name == "SIGKILL")

    def survive(self, kills: int, seconds: float) -> None:
        """Hit until so many processes were killed; each store must end in the expected bytes.

        Args:
            kills: SIGKILLs at least; a process is stopped for a while once for every four of them.
            seconds: the longest time between two hits.
        """
        while self.n_kills() < kills or not self.n_completed:
            mode = self.rng.choice(list(VICTIMS))
            code = self._live(mode, kills, seconds)
            store = open_store(self.url)
            if Path(self.url, "runs").exists():
                assert store.verify() == []
            if code == 0:
                self._compare()
                shutil.rmtree(self.url)
                self.n_completed += 1

    def _live(self, mode: str, kills: int, seconds: float) -> int:
        """One life of the run; answers with its exit code."""
        options = {"serial": ["--serial"], "local": ["--workers", "2"], "cluster": ["--scheduler", self.address]}[mode]
        if mode == "cluster":
            self._have_cluster()
        words = ["run", str(self.recipe), "--store", self.url, "--name", "killed", *options]
        name = f"life-{self.n_lives:03d}-{mode}"
        process = self.start(name, "-m", "pipelines.cli.main", *words)
        self.n_lives += 1
        taken = set()
        while process.poll() is None:
            if self.n_kills() >= kills:
                process.wait(900)
                break
            try:
                process.wait(self.rng.uniform(0, seconds))
            except subprocess.TimeoutExpired:
                if self.rng.random() < 0.3:
                    open_store(self.url).gc() if Path(self.url, "universality-store.json").exists() else None
                taken.add(self._hit(self.rng.choice(VICTIMS[mode]), process))
                if mode == "cluster" and "scheduler" not in taken:
                    self._have_cluster()
        said = self.said(name)
        assert "Traceback" not in said, said
        if process.returncode != 0 and "coordinator" not in taken:
            assert taken, said
            assert any(reason in said for reason in REASONS), said
        assert process.returncode in (0, 1, 2, 3, -signal.SIGKILL), said
        return process.returncode

    def _have_cluster(self) -> None:
        """A scheduler and two workers, those that live among them."""
        living = {part: [one for one in found if one.poll() is None] for part, found in self._parts.items()}
        if not living["scheduler"]:
            for worker in living["worker"]:  # of the scheduler that died
                worker.kill()
                worker.wait()
            living = {"scheduler": [self.scheduler()], "worker": []}
        while len(living["worker"]) < 2:
            n_before = self.said("worker").count("Registered to") if (self.folder / "worker.log").exists() else 0
            living["worker"].append(self.worker())
            wait_for(lambda n=n_before: self.said("worker").count("Registered to") > n)
        self._parts = living

    def _hit(self, victim: str, coordinator: subprocess.Popen) -> str:
        """Kill a process, or stop it for a while; answers with the victim."""
        one: psutil.Process | subprocess.Popen | None = coordinator
        if victim == "local worker":
            one = self._a_local_worker(coordinator)
        elif victim != "coordinator":
            one = self.rng.choice(self._parts[victim])
        number = signal.SIGSTOP if self.rng.random() < 0.2 else signal.SIGKILL
        if one is None or (isinstance(one, subprocess.Popen) and one.poll() is not None):
            return ""  # not there yet, or not any more
        try:
            one.send_signal(number)
            if number == signal.SIGSTOP:
                time.sleep(self.rng.uniform(0.2, 2.0))
                one.send_signal(signal.SIGCONT)
            else:
                one.wait(20)
        except psutil.NoSuchProcess:
            return ""
        self.hits[victim, signal.Signals(number).name] += 1
        return victim

    def _a_local_worker(self, coordinator: subprocess.Popen) -> psutil.Process | None:
        """A worker process that the run itself started."""
        found = []
        try:
            for child in psutil.Process(coordinator.pid).children(recursive=True):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            pass
        return self.rng.choice(found) if found else None

    def _compare(self) -> None:
        run = open_run("killed", self.url)
        assert run.record["status"] == "done"
        found = digests(run)
        assert found.keys() == self.expected.keys()
        changed = {node for node in found if found[node] != self.expected[node]}
        assert not changed, f"{changed} after {dict(self.hits)}"
