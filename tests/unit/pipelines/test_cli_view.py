"""The run as its events tell it."""

import itertools

import pytest

from pipelines.cli.progress import running_line, settled_line
from pipelines.cli.view import RunView, duration, size


def told(*events):
    return RunView.of({"time": float(place), **event} for place, event in enumerate(events))


STARTED = {
    "event": "run_started",
    "todo": {"a": 10.0, "b": 30.0, "c": 0.0},
    "n_reused": 2,
    "executor": "dask",
}


def test_fraction_counts_estimated_seconds():
    view = told(STARTED)
    assert (view.fraction, view.n_reused, view.status) == (0.0, 2, "running")
    view.apply({"time": 1, "event": "done", "node": "a", "wall_s": 3.0})
    assert view.fraction == pytest.approx(10 / 40.5)
    view.apply({"time": 2, "event": "started", "node": "b"})
    view.apply({"time": 3, "event": "progress", "node": "b", "done": 5, "total": 10, "loss": 2.5})
    assert view.fraction == pytest.approx(25 / 40.5)
    assert view.running["b"].facts == {"loss": 2.5}
    view.apply({"time": 4, "event": "failed", "node": "b", "error": "no"})
    view.apply({"time": 4, "event": "skipped", "node": "c", "because": "b"})
    assert view.fraction == 1.0
    assert view.settled == ["a", "b", "c"]
    assert not view.running


def test_remaining_follows_the_pace():
    view = told(STARTED, {"event": "done", "node": "a"})
    assert view.remaining(now=0.1) is None, "no pace yet"
    assert view.remaining(now=10.0) == pytest.approx(10.0 * 30.5 / 10)
    view.apply({"time": 11, "event": "run_finished", "status": "done"})
    assert view.remaining(now=12.0) is None


def test_a_second_call_of_the_run_begins_anew():
    view = told(
        STARTED,
        {"event": "failed", "node": "a", "error": "x"},
        {"event": "warning", "node": "b", "message": "w"},
    )
    view.apply({"time": 50, **STARTED, "todo": {"a": 1.0}})
    assert (view.failed, view.warnings, view.todo, view.started) == ({}, [], {"a": 1.0}, 50)


def test_events_in_odd_order_or_of_unknown_kind_are_taken():
    view = told(
        {"event": "progress", "node": "x", "done": 1, "total": 2},
        {"event": "news"},
        {"event": "done", "node": "y"},
    )
    assert view.running["x"].fraction == 0.5
    assert view.fraction == 1.0


def test_lines_left_behind():
    view = told(STARTED)
    assert settled_line(view, STARTED, False) == "3 steps to compute, 2 already in the store"
    done = {"event": "done", "node": "a", "wall_s": 3.21, "peak_memory": 2_000_000}
    view.apply(done)
    assert settled_line(view, done, False) == "[1/3] a  3.2 s"
    assert settled_line(view, done, True) == "[1/3] a  3.2 s, 2.0 MB"
    failed = {"event": "failed", "node": "b", "error": "bad [x]", "traceback": "Traceback\n"}
    assert settled_line(view, failed, False) == "failed: b: bad [x]"
    assert settled_line(view, failed, True).endswith("\nTraceback")
    assert settled_line(view, {"event": "progress", "node": "a"}, False) is None


def test_running_line_names_every_running_step():
    view = told(
        STARTED,
        {"event": "started", "node": "a"},
        {"event": "progress", "node": "a", "done": 1, "total": 4, "loss": 1.23456},
    )
    assert running_line(view, now=11.0) == "  6 %, about 2 min 47 s left | a: 25 %, loss 1.235, 10 s"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.9, "1 h 00 min"),
        (7620, "2 h 07 min"),
    ],
)
def test_duration(seconds, words):
    assert duration(seconds) == words


def test_size_keeps_two_digits_and_grows():
    assert [size(n) for n in (0, 999, 1_500, 12_000, 3_400_000_000)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "12 kB",
        "3.4 GB",
    ]
    assert all(" " in size(10.0**power) for power in range(14))
    assert len({size(10**power) for power in itertools.takewhile(lambda p: p < 14, range(14))}) == 14
