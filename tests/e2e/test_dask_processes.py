"""A run on real ``dask scheduler`` and ``dask worker`` processes, which are taken away from it."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest
from dask_processes import ROOT, DaskProcesses, free_port, wait_for

from pipelines.engine import workers
from storage import open_store
from universality.errors import InputError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture
def cluster(tmp_path):
    found = DaskProcesses(tmp_path)
    yield found
    found.end()


@pytest.mark.slow
def test_a_run_whose_scheduler_dies_says_so_and_goes_on_with_another(cluster):
    scheduler = cluster.scheduler()
    cluster.worker()
    run = cluster.run()
    wait_for(lambda: cluster.n_done() >= 5)
    scheduler.kill()
    assert run.wait(300) == 1, cluster.said()
    assert "must be there until the run ends; got a connection that was lost" in cluster.said()
    assert "Traceback" not in cluster.said()
    record = open_store(cluster.url).run("toy").observed
    assert record["status"] == "failed"
    assert {node["status"] for node in record["nodes"].values()} <= {"done", "planned"}
    scheduler.wait()
    cluster.scheduler()
    cluster.worker()
    assert cluster.run().wait(300) == 0, cluster.said()
    assert cluster.said().splitlines()[-1].startswith("done ")
    assert cluster.n_done() == 60


@pytest.mark.slow
def test_a_run_that_has_lost_its_workers_says_so_and_waits_for_others(cluster):
    cluster.scheduler()
    workers_ = [cluster.worker(), cluster.worker()]
    run = cluster.run()
    wait_for(lambda: cluster.n_done() >= 5)
    workers_[0].send_signal(signal.SIGSTOP)  # one that stalls is waited for, while the other goes on
    n_before = cluster.n_done()
    wait_for(lambda: cluster.n_done() >= n_before + 5)
    workers_[0].send_signal(signal.SIGCONT)
    for process in workers_:
        process.kill()
    events = open_store(cluster.url).run("toy").events
    wait_for(lambda: [e for e in events() if e["event"] == "warning" and "no worker is left" in e["message"]])
    assert run.poll() is None
    cluster.worker()
    assert run.wait(300) == 0, cluster.said()
    assert cluster.n_done() == 60


def test_a_worker_that_stalls_after_its_answer_holds_nobody_up(cluster):
    cluster.scheduler()
    cluster.worker("--preload", str(ROOT / "tests" / "toys" / "mute_worker.py"))
    cluster.worker()
    run = cluster.run()
    assert run.wait(120) == 0, cluster.said()
    assert cluster.n_done() == 60


@pytest.mark.slow
def test_workers_that_cannot_do_the_work_are_refused_before_any(cluster, tmp_path):
    cluster.scheduler()
    assert cluster.run().wait(300) == 2
    assert "workers of the cluster at tcp://127.0.0.1:" in cluster.said()
    assert "must be at least one; got 0" in cluster.said()
    bare = cluster.start(
        "bare", "-m", "distributed.cli.dask_worker", cluster.address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
        PYTHONPATH="",
    )  # fmt: skip
    wait_for(lambda: "Registered to" in cluster.said("bare"))
    code = cluster.run().wait(300)
    # Where the package is installed and not only found by a path, the worker has all it needs but the toys' steps.
    assert code in (1, 2), cluster.said()
    assert "Traceback" not in cluster.said()
    bare.kill()


class Silent(socket.socket):
    """Takes connections and never says a word."""

    def __init__(self) -> None:
        super().__init__()
        self.bind(("127.0.0.1", 0))
        self.listen()


@pytest.mark.parametrize(
    "address", ["", "foo", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "http://127.0.0.1:80", "nonsense://x:1", "inproc://x"]
)  # fmt: skip
def test_what_is_no_address_is_refused_at_once(address):
    with pytest.raises(
        InputError, match="must be the address of a running Dask scheduler, for example tcp://host:8786"
    ):
        workers.connect(address)


def test_another_program_at_the_address_is_refused(monkeypatch):
    monkeypatch.setattr(workers, "ANSWER", 2)
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as http, Silent() as silent:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        for port in (http.server_port, silent.getsockname()[1], free_port()):
            began = time.monotonic()
            with pytest.raises(InputError, match="must be the address of a running Dask scheduler"):
                workers.connect(f"tcp://127.0.0.1:{port}")
            assert time.monotonic() - began < 15
        http.shutdown()


def test_the_address_of_a_worker_is_refused_as_such():
    started = workers.start_cluster(1, [])
    try:
        client = workers.connect(started)
        (address,) = client.scheduler_info()["workers"]
        assert workers._who_answers(started.scheduler_address) == ""
        with pytest.raises(InputError, match="there is a Worker"):
            workers.connect(address)
        client.close()
    finally:
        started.close(timeout=10)
