"""Real ``dask scheduler`` and ``dask worker`` processes, and a program that computes on them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.engine import workers
from storage import open_store

ROOT = Path(__file__).resolve().parents[2]
TOYS = ROOT / "tests" / "toys"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(holds: Callable[[], object], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class DaskProcesses:
    """Processes of Dask and of a run on them, all ended at the end.

    Attributes:
        folder: of the store, and of a log ``NAME.log`` for what each kind of process says.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.url = str(folder / "store")
        self.processes: list[subprocess.Popen] = []

    def start(self, name: str, *words: str, before: Sequence[str] = (), **environment: str) -> subprocess.Popen:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TOYS), str(ROOT)]), **environment}
        with open(self.folder / f"{name}.log", "ab") as log:
            command = [*before, sys.executable, *words]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=env)
        self.processes.append(process)
        return process

    def scheduler(self) -> subprocess.Popen:
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        process = self.start("scheduler", "-m", "distributed.cli.dask_scheduler", *place)
        wait_for(lambda: workers._who_answers(self.address) == "")
        return process

    def worker(self, *more: str) -> subprocess.Popen:
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1", *more]
        return self.start("worker", "-m", "distributed.cli.dask_worker", self.address, *options, TOY_PAUSE="0.2")

    def run(self) -> subprocess.Popen:
        """The program that computes many small steps."""
        return self.start("run", str(TOYS / "cluster_program.py"), self.url, self.address)

    def said(self, name: str = "run") -> str:
        return (self.folder / f"{name}.log").read_text()

    def n_done(self) -> int:
        return len(open_store(self.url).keys())

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
