"""Scheduler and worker in network namespaces of their own; the cable between them is pulled in the middle of a run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid

import pytest
from dask_processes import ROOT, TOYS, DaskProcesses, wait_for

from storage import open_store

#: Seconds after which a silent connection counts as lost; Dask takes no fewer than 11.
PATIENCE = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s", "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"}


def ip(*words: str) -> str:
    """What ``ip`` says; raises where it fails."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


class Namespaces:
    """Two namespaces with a cable between them, 10.99.0.1 and 10.99.0.2."""

    def __init__(self) -> None:
        tag = uuid.uuid4().hex[:6]
        self.names, self.ends = (f"near-{tag}", f"far-{tag}"), (f"vn{tag}", f"vf{tag}")
        for name in self.names:
            ip("netns", "add", name)
        far = (self.ends[1], "netns", self.names[1])
        ip("link", "add", self.ends[0], "netns", self.names[0], "type", "veth", "peer", *far)
        for name, end, address in zip(self.names, self.ends, ("10.99.0.1/24", "10.99.0.2/24"), strict=True):
            ip("-n", name, "address", "add", address, "dev", end)
            for device in ("lo", end):
                ip("-n", name, "link", "set", device, "up")

    def cable(self, state: str) -> None:
        """Pull it (``down``) or put it back (``up``)."""
        ip("-n", self.names[0], "link", "set", self.ends[0], state)

    def remove(self) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def why_not() -> str:
    """Why namespaces cannot be made here; empty if they can."""
    if sys.platform != "linux" or not shutil.which("ip"):
        return "needs Linux and ip"
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        Namespaces().remove()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces cannot be made here: {getattr(error, 'stderr', None) or error}"
    return ""


class TwoHosts(DaskProcesses):
    """A scheduler on the near host; workers and runs on either. They share the folder of the store."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.hosts = Namespaces()
        self.address = f"tcp://10.99.0.1:{self.port}"

    def on(self, host: int, name: str, *words: str, **environment: str) -> subprocess.Popen:
        before = ("ip", "netns", "exec", self.hosts.names[host])
        return self.start(name, *words, before=before, **PATIENCE, **environment)

    def scheduler(self) -> subprocess.Popen:
        place = ["--host", "10.99.0.1", "--port", str(self.port), "--no-dashboard"]
        process = self.on(0, "scheduler", "-m", "distributed.cli.dask_scheduler", *place)
        wait_for(lambda: "Scheduler at" in self.said("scheduler"))
        return process

    def worker_on(self, host: int) -> subprocess.Popen:
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", f"10.99.0.{host + 1}"]
        log = self.folder / f"worker-{host}.log"
        n_before = log.read_text().count("Registered to") if log.exists() else 0
        process = self.on(host, log.stem, "-m", "distributed.cli.dask_worker", self.address, *options, TOY_PAUSE="0.2")
        wait_for(lambda: log.read_text().count("Registered to") > n_before)
        return process

    def run_on(self, host: int) -> subprocess.Popen:
        return self.on(host, "run", str(TOYS / "cluster_program.py"), self.url, self.address)

    def warned(self, words: str) -> bool:
        return any(words in event.get("message", "") for event in open_store(self.url).run("toy").events())


@pytest.fixture
def hosts(tmp_path):
    if reason := why_not():
        pytest.skip(reason)
    found = TwoHosts(tmp_path)
    yield found
    found.end()
    found.hosts.remove()


def ends(process: subprocess.Popen, seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def digests(url: str) -> dict[str, str]:
    store = open_store(url)
    keys = store.keys()
    assert store.verify() == []
    return {key: str(store.get(key).manifest["files"]) for key in keys}


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, str]:
    """Bytes of an undisturbed run in one process."""
    url = str(tmp_path_factory.mktemp("whole") / "store")
    code = (
        "import sys; from cluster_program import PLAN, engine_toys, open_store, run_plan;"
        "store = open_store(sys.argv[1]); run_plan(PLAN, store, engine_toys.make_run(store, PLAN))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TOYS, ROOT)))}
    subprocess.run([sys.executable, "-c", code, url], check=True, env=env)
    return digests(url)


pytestmark = pytest.mark.slow


def test_a_worker_that_is_cut_off_is_replaced_by_the_others(hosts, expected):
    hosts.scheduler()
    hosts.worker_on(0)
    hosts.worker_on(1)
    run = hosts.run_on(0)
    wait_for(lambda: hosts.n_done() >= 5)
    hosts.hosts.cable("down")
    assert run.wait(300) == 0, hosts.said()
    hosts.hosts.cable("up")
    assert "Traceback" not in hosts.said()
    assert digests(hosts.url) == expected


def test_a_run_whose_only_worker_is_cut_off_says_so_and_goes_on_with_it(hosts, expected):
    hosts.scheduler()
    worker = hosts.worker_on(1)
    run = hosts.run_on(0)
    wait_for(lambda: hosts.n_done() >= 5)
    hosts.hosts.cable("down")
    wait_for(lambda: hosts.warned("no worker is left"))
    assert run.poll() is None
    hosts.hosts.cable("up")
    if not ends(worker, 20):  # without a nanny it has ended, as it lost its scheduler
        worker.kill()
    hosts.worker_on(1)
    assert run.wait(300) == 0, hosts.said()
    assert "Traceback" not in hosts.said()
    assert digests(hosts.url) == expected


def test_a_run_that_is_cut_off_from_its_scheduler_says_so_and_resumes(hosts, expected):
    hosts.scheduler()
    hosts.worker_on(0)
    run = hosts.run_on(1)
    wait_for(lambda: hosts.n_done() >= 5)
    hosts.hosts.cable("down")
    assert run.wait(300) == 1, hosts.said()
    assert "must be there until the run ends; got a connection that was lost" in hosts.said()
    hosts.hosts.cable("up")
    assert hosts.run_on(1).wait(300) == 0, hosts.said()
    assert "Traceback" not in hosts.said()
    assert digests(hosts.url) == expected
