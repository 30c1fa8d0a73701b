"""Parts of computing a node: threads, throttled reports, failures in words."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pipelines.engine import Estimate, Node, Plan, step, task
from pipelines.engine.runner import _signals_as_interrupt
from storage import open_store
from universality.errors import InputError


class Clock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


def test_reports_thin_out_but_first_and_last_always_pass(monkeypatch):
    clock, events = Clock(), []
    monkeypatch.setattr(task, "time", clock)
    report = task._Throttle("n", events.append)
    total = 200_000
    for done in range(1, total + 1):
        clock.now += 0.05  # ten thousand seconds in all
        report(done, total, {"loss": np.float32(0.5)})
    assert events[0]["done"] == 1
    assert events[-1]["done"] == total
    assert 200 < len(events) < 1000
    assert type(events[0]["loss"]) is float


def test_facts_cannot_overwrite_the_event():
    events = []
    task._Throttle("n", events.append)(1, 2, {"event": "done", "node": "other", "done": 7})
    assert events == [{"event": "progress", "node": "n", "done": 1, "total": 2}]


def test_failures_are_worded():
    assert (
        task._failure(InputError("k of sae must be at most 4; got 5."))["error"] == "k of sae must be at most 4; got 5."
    )
    assert task._failure(KeyError("x"))["error"] == "KeyError: 'x'"
    assert task._failure(RuntimeError())["error"] == "RuntimeError: no message"
    assert "fewer workers" in task._failure(MemoryError("2 GB"))["error"]


@step("task-test-prints", version=1, cost=lambda sizes, params: Estimate())
def _prints(ctx):
    sys.stdout.write("Moving model to device: cpu\n\r 10 %\r 20 %")
    sys.stdout.write(100 * ("x" * 1000 + "\n") + "not ended")
    if ctx.params["fails"]:
        raise ValueError("no")


@pytest.mark.parametrize("fails", [False, True])
def test_what_libraries_print_in_a_step_is_no_output_of_the_program(tmp_path, capsys, fails):
    node, events = Node("n", "task-test-prints", {"fails": fails}), []
    open_store(tmp_path).claim()
    outcome = task.execute(task.describe_task(str(tmp_path), node, {"n": "k"}), events.append)
    assert outcome["status"] == ("failed" if fails else "done")
    assert capsys.readouterr().out == ""
    (printed,) = [event for event in events if event["event"] == "printed"]
    assert len(printed["lines"]) == task.PRINTED_LINES
    assert max(map(len, printed["lines"])) == task.PRINTED_LENGTH
    assert printed["lines"][-1] == "not ended"


@step("task-test-writes", version=1, cost=lambda sizes, params: Estimate(), tables=["rows"])
def _writes(ctx):
    ctx.out.table(ctx.params["table"], pd.DataFrame({"a": [1]}))


@pytest.mark.parametrize(("table", "status"), [("rows", "done"), ("features", "failed")])
def test_a_step_writes_only_tables_of_its_own(tmp_path, table, status):
    node = Node("n", "task-test-writes", {"table": table})
    open_store(tmp_path).claim()
    outcome = task.execute(task.describe_task(str(tmp_path), node, Plan([node]).keys()), lambda event: None)
    assert outcome["status"] == status
    said = "table of step 'task-test-writes' must be one that it declares (rows); got 'features'"
    assert (said in outcome.get("error", "")) == (status == "failed")


def test_a_worker_that_reaches_another_place_under_the_address_writes_nothing_there(tmp_path):
    node = Node("n", "task-test-writes", {"table": "rows"})
    outcome = task.execute(task.describe_task(str(tmp_path), node, {"n": "k"}), lambda event: None)
    assert outcome["status"] == "failed"
    assert "must be a folder with universality-store.json" in outcome["error"]
    assert list(tmp_path.iterdir()) == []


def test_peak_memory_follows_what_a_step_holds():
    task._reset_peak_memory()
    before = task._peak_memory()
    block = np.ones(30_000_000)
    assert block.sum() > 0
    held = task._peak_memory()
    del block
    assert held >= before + 150e6
    if os.access("/proc/self/clear_refs", os.W_OK):
        task._reset_peak_memory()
        assert task._peak_memory() < held


def test_threads_reach_libraries_loaded_before_and_after():
    """In a process of its own: thread pools cannot be unloaded."""
    code = """
import numpy, threadpoolctl
from pipelines.engine.threads import limit_threads
for n in (2, 1):
    limit_threads(n)
    import scipy.linalg, torch, numba
    pools = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
    print(n, torch.get_num_threads(), min(numba.get_num_threads(), n), max(pools))
"""
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")},
    ).stdout.splitlines()
    assert told[-1] == "1 1 1 1"
    assert told[0].split()[:2] == ["2", "2"]


def test_signals_are_given_back():
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), _signals_as_interrupt():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


class Panic(BaseException):
    """As pyo3 raises where Rust panics."""


@step("task-test-panics", version=1, cost=lambda sizes, params: Estimate())
def _panics(ctx):
    raise Panic("index out of bounds")


def test_a_step_that_panics_has_failed_and_the_run_goes_on(tmp_path):
    open_store(tmp_path).claim()
    node = Node("n", "task-test-panics", {})
    outcome = task.execute(task.describe_task(str(tmp_path), node, {"n": "k"}), lambda event: None)
    assert (outcome["status"], outcome["error"]) == ("failed", "Panic: index out of bounds")
