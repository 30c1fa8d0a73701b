from __future__ import annotations

import shlex

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from results.progress import RunProgress, command, recipe_yaml, steps_frame


def record(status: str, **nodes: str) -> dict:
    listed = {node: {"step": "sae", "key": "0" * 32, "status": state} for node, state in nodes.items()}
    return {"name": "a run", "status": status, "recipe_name": "quickstart", "nodes": listed}


EVENTS = [
    {"event": "run_started", "time": 0.0, "n_todo": 3},
    {"event": "started", "node": "a", "time": 1.0},
    {"event": "progress", "node": "a", "time": 4.0, "done": 3, "total": 4, "loss": 3.25},
    {"event": "started", "node": "b", "time": 2.0},
    {"event": "warning", "node": "b", "time": 2.0, "message": "few tokens"},
    {"event": "warning", "node": "b", "time": 3.0, "message": "few tokens"},
    {"event": "done", "node": "c", "time": 5.0, "wall_s": 4.0, "peak_memory": 10},
]


def test_a_running_run_shows_what_runs_now():
    progress = RunProgress.of(EVENTS)
    assert {node: (step.share, step.detail, step.since) for node, step in progress.running.items()} == {
        "a": (0.75, "loss 3.25", 1.0),
        "b": (0.0, "", 2.0),
    }
    assert progress.warnings == [("b", "few tokens")]
    frame = steps_frame(record("running", a="running", b="running", c="done"), progress).set_index("node")
    assert frame.loc["c", "wall_s"] == 4.0
    assert frame["status"].tolist() == ["running", "running", "done"]


def test_a_failure_is_forgotten_when_the_run_is_called_again():
    failed = [{"event": "failed", "node": "a", "time": 2.0, "error": "out of memory"}]
    assert RunProgress.of(failed).failed == {"a": "out of memory"}
    assert not RunProgress.of([*failed, {"event": "run_started"}]).failed


def test_damaged_events_and_records_are_survived():
    strange = [
        {},
        {"event": "progress", "node": "a"},
        {"event": "started", "node": "a", "time": None},
        {"event": "news"},
    ]
    strange.append({"event": "progress", "node": "a", "done": "x", "total": 0})
    progress = RunProgress.of(strange)
    assert progress.running["a"].share == 0.0
    assert progress.share is None
    assert steps_frame({}, progress).empty
    assert RunProgress.of([{"event": "progress", "node": "x", "done": 1, "total": 2}]).running["x"].share == 0.5


STARTED = {"event": "run_started", "time": 0.0, "todo": {"a": 10.0, "b": 30.0, "c": 0.0}, "n_reused": 2}


def test_the_share_counts_estimated_seconds_of_what_is_there():
    progress = RunProgress.of([STARTED])
    assert (progress.share, progress.n_reused, progress.status) == (0.0, 2, "running")
    progress.apply({"time": 1, "event": "done", "node": "a", "wall_s": 3.0})
    assert progress.share == pytest.approx(10 / 40.5)
    progress.apply({"time": 2, "event": "started", "node": "b"})
    progress.apply({"time": 3, "event": "progress", "node": "b", "done": 5, "total": 10, "loss": 2.5})
    assert progress.share == pytest.approx(25 / 40.5)
    progress.apply({"time": 4, "event": "failed", "node": "b", "error": "no"})
    progress.apply({"time": 4, "event": "skipped", "node": "c", "because": "b"})
    assert progress.share == pytest.approx(10 / 40.5), "what failed or was skipped is not there"
    assert progress.settled == ["a", "b", "c"]
    assert not progress.running
    assert RunProgress.of([{"event": "run_started", "todo": {}}]).share == 1.0


def test_the_time_left_follows_the_pace_and_leaves_out_what_is_given_up():
    progress = RunProgress.of([STARTED, {"event": "done", "node": "a", "time": 1.0}])
    assert progress.seconds_left(now=0.1) is None, "no pace yet"
    assert progress.seconds_left(now=10.0) == pytest.approx(10.0 * 30.5 / 10)
    progress.apply({"time": 2, "event": "failed", "node": "b", "error": "no"})
    assert progress.seconds_left(now=10.0) == pytest.approx(10.0 * 0.5 / 10)
    progress.apply({"time": 11, "event": "run_finished", "status": "partial"})
    assert progress.seconds_left(now=12.0) is None


def test_a_second_call_of_the_run_begins_anew_with_what_it_computes():
    events = [
        STARTED,
        {"event": "done", "node": "c", "wall_s": 2.0},
        {"event": "failed", "node": "a", "error": "x"},
        {"event": "warning", "node": "a", "message": "computed again"},
        {"event": "warning", "node": "c", "message": "reused"},
        {**STARTED, "time": 50.0, "todo": {"a": 1.0}},
    ]
    progress = RunProgress.of(events)
    assert (progress.failed, progress.todo, progress.started) == ({}, {"a": 1.0}, 50.0)
    assert progress.warnings == [("c", "reused")]
    assert (progress.share, progress.settled) == (0.0, [])
    assert progress.done["c"]["wall_s"] == 2.0


def test_the_command_can_be_pasted():
    words = shlex.split(command(record("interrupted"), "/a folder/runs"))
    assert words == ["universality", "run", "quickstart", "--name", "a run", "--store", "/a folder/runs"]


def test_the_recipe_is_given_back_as_it_was():
    recipe = {"recipe": "mine", "corpus": {"sources": [{"kind": "demo", "max": None}]}, "note": "größer: ja"}
    assert yaml.safe_load(recipe_yaml({"recipe": recipe})) == recipe
    assert yaml.safe_load(recipe_yaml({})) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KINDS = ("run_started", "started", "progress", "done", "failed", "skipped", "warning", "run_finished", "printed", "new")
FIELDS = ["time", "node", "done", "total", "todo", "n_reused", "wall_s", "peak_memory"]
FIELDS += ["error", "because", "message", "status", "loss"]
EVENTS_OF_ANY_KIND = st.fixed_dictionaries(
    {"event": st.sampled_from(KINDS) | JSON}, optional=dict.fromkeys(FIELDS, JSON)
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(events=st.lists(EVENTS_OF_ANY_KIND, max_size=8))
def test_a_diary_of_whatever_values_is_read_without_a_crash(events):
    """Damage, other versions and other programs write such events; a run must be looked at all the same."""
    progress = RunProgress.of(events)
    assert progress.share is None or 0.0 <= progress.share <= 1.0
    assert progress.seconds_left(1e9) is None or progress.seconds_left(1e9) >= 0.0
    record = {"nodes": {"a": {"step": "s", "key": "k", "status": "done"}}}
    assert len(steps_frame(record, progress)) == 1
    for node, step in progress.running.items():
        assert isinstance(f"{node} {step.share:.2f} {step.detail}", str)
