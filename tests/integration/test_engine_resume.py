"""Stopped at any moment, by any signal: the next call goes on and ends with the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage import RunMissing, open_store

TOYS = Path(__file__).resolve().parents[1] / "toys"
ROOT = TOYS.parents[1]
if str(TOYS) not in sys.path:
    sys.path.insert(0, str(TOYS))
import engine_toys as toys


def begin(store, executor, pause=0.0):
    """Start the wide plan as a program of its own."""
    path = os.pathsep.join([str(ROOT), str(TOYS)])
    command = [sys.executable, str(TOYS / "engine_program.py"), str(store), executor]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "TOY_PAUSE": str(pause)},
        start_new_session=True,
    )


def until(condition, process, patience=60.0):
    """Wait for something the process does; fail with its stderr if it ends before."""
    deadline = time.monotonic() + patience
    while not condition():
        if process.poll() is not None:
            pytest.fail(f"ended before: {process.communicate()[1]}")
        assert time.monotonic() < deadline
        time.sleep(0.02)


def n_done(url):
    try:
        nodes = open_store(str(url)).run("toy").record["nodes"]
    except RunMissing:
        return 0
    return sum(node["status"] == "done" for node in nodes.values())


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    url = tmp_path_factory.mktemp("whole")
    process = begin(url, "serial")
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (0, "done 10 0\n"), err
    return toys.digests(open_store(str(url)), toys.wide_plan())


def check_whole(url, reference):
    store = open_store(str(url))
    plan = toys.wide_plan()
    assert toys.digests(store, plan) == reference
    assert store.verify() == []
    record = store.run("toy").record
    assert record["status"] == "done"
    assert {node["status"] for node in record["nodes"].values()} == {"done"}


@pytest.mark.parametrize("executor", ["serial", "dask"])
def test_killed_at_random_moments_then_completed(tmp_path, reference, executor):
    url, moments = tmp_path / "store", random.Random(executor)
    started = Path(url) / "runs" / "toy" / "events.jsonl"
    for _ in range(2):
        length = started.stat().st_size if started.exists() else 0
        process = begin(url, executor, 0.03)
        until(lambda length=length: started.exists() and started.stat().st_size > length, process)
        time.sleep(moments.uniform(0.0, 0.5 if executor == "serial" else 3.0))
        process.send_signal(signal.SIGKILL)  # the program alone: its workers must notice by themselves
        process.communicate()
    process = begin(url, executor)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.startswith("done ")
    check_whole(url, reference)
    for pid in {event["pid"] for event in open_store(str(url)).run("toy").events() if event["event"] == "started"}:
        deadline = time.monotonic() + 120
        while is_running(pid):
            assert time.monotonic() < deadline, f"process {pid} outlived its run"
            time.sleep(0.1)

    again = begin(url, executor)
    assert again.communicate(timeout=300)[0] == "done 0 11\n"


def is_running(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_a_killed_training_step_goes_on_from_its_checkpoint(tmp_path, reference):
    url = tmp_path / "store"
    process = begin(url, "serial", 0.05)
    checkpoints = Path(url) / "checkpoints"
    until(lambda: checkpoints.is_dir() and any(checkpoints.iterdir()), process)
    process.kill()
    process.communicate()
    _, err = (process := begin(url, "serial")).communicate(timeout=300)
    assert process.returncode == 0, err
    store, keys = open_store(str(url)), toys.wide_plan().keys()
    resumed = [store.get(keys[f"train/{n}"]).manifest["facts"]["resumed_at"] for n in range(4)]
    assert max(resumed) >= 5
    check_whole(url, reference)
    assert not any(checkpoints.iterdir())


@pytest.mark.parametrize(
    ("executor", "number"),
    [("serial", signal.SIGTERM), ("dask", signal.SIGINT)],
)
def test_interrupted_in_order(tmp_path, reference, executor, number):
    url = tmp_path / "store"
    process = begin(url, executor, 0.1)
    until(lambda: n_done(url) >= 2, process)
    # Ctrl-C reaches every process of the terminal's group, workers included.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert err == "", "Dask or a worker wrote to the terminal"
    store = open_store(str(url))
    record = store.run("toy").record
    assert record["status"] == "interrupted"
    assert "running" not in {node["status"] for node in record["nodes"].values()}
    assert store.run("toy").events()[-1]["event"] == "run_finished"
    done = n_done(url)
    assert done >= 2

    process = begin(url, "serial")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert int(out.split()[2]) >= done, "what was finished is reused"
    check_whole(url, reference)


def test_two_programs_do_not_compute_one_run(tmp_path):
    url = tmp_path / "store"
    first = begin(url, "serial", 0.1)
    until(lambda: n_done(url) >= 1, first)
    second = begin(url, "serial", 0.1)
    _, err = second.communicate(timeout=300)
    assert second.returncode == 1
    assert "RunLocked" in err
    assert str(first.pid) in err
    first.kill()
    first.communicate()
