"""What the terminal says of a run while it computes."""

from pipelines.cli.progress import running_line, settled_line
from results.progress import RunProgress

STARTED = {
    "event": "run_started",
    "todo": {"a": 10.0, "b": 30.0, "c": 0.0},
    "n_reused": 2,
    "executor": "dask",
}


def progress_of(*events):
    return RunProgress.of({"time": float(place), **event} for place, event in enumerate(events))


def test_lines_left_behind():
    progress = progress_of(STARTED)
    assert settled_line(progress, STARTED, False) == "3 steps to compute, 2 already in the store"
    done = {"event": "done", "node": "a", "wall_s": 3.21, "peak_memory": 2_000_000}
    progress.apply(done)
    assert settled_line(progress, done, False) == "[1/3] a  3.2 s"
    assert settled_line(progress, done, True) == "[1/3] a  3.2 s, 2.0 MB"
    failed = {"event": "failed", "node": "b", "error": "bad [x]", "traceback": "Traceback\n"}
    assert settled_line(progress, failed, False) == "failed: b: bad [x]"
    assert settled_line(progress, failed, True).endswith("\nTraceback")
    progress.apply(failed)
    assert settled_line(progress, failed, False) == "failed: b: bad [x]"
    same, other = {**failed, "node": "c"}, {**failed, "node": "c", "error": "worse"}
    assert settled_line(progress, same, False) is None, "one slip is one line, in however many steps"
    assert settled_line(progress, same, True).startswith("failed: c: bad [x]")
    assert settled_line(progress, other, False) == "failed: c: worse"
    assert settled_line(progress, {"event": "progress", "node": "a"}, False) is None


def test_running_line_names_every_running_step():
    started = {"event": "started", "node": "a"}
    progress = progress_of(STARTED)
    assert running_line(progress, now=11.0) == "  0 % | between steps"
    progress.apply({"time": 1.0, **started})
    progress.apply({"time": 2.0, "event": "progress", "node": "a", "done": 1, "total": 4, "loss": 1.23456})
    assert running_line(progress, now=11.0) == "  6 %, about 3 min left | a: 25 %, loss 1.235, 10 s"
