from __future__ import annotations

import shlex

import pytest
import yaml

from results.progress import command, fold, recipe_yaml


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
    state = fold(record("running", a="running", b="running", c="done"), EVENTS)
    assert (state.n_nodes, state.n_done) == (3, 1)
    assert state.running.to_dict("records") == [
        {"node": "a", "share": 0.75, "detail": "loss 3.25", "seconds": 3.0},
        {"node": "b", "share": 0.0, "detail": "", "seconds": 0.0},
    ]
    assert state.warnings["message"].tolist() == ["few tokens"]
    assert state.nodes.set_index("node").loc["c", "wall_s"] == 4.0


def test_nothing_runs_in_a_run_that_was_interrupted():
    assert fold(record("interrupted", a="running"), EVENTS).running.empty


def test_a_failure_is_forgotten_when_the_step_is_tried_again():
    failed = [{"event": "failed", "node": "a", "time": 2.0, "error": "out of memory"}]
    assert fold(record("partial", a="failed"), failed).failures["error"].tolist() == ["out of memory"]
    again = [*failed, {"event": "run_started"}, {"event": "started", "node": "a", "time": 3.0}]
    assert fold(record("running", a="running"), again).failures.empty


def test_damaged_events_and_records_are_survived():
    strange = [{}, {"event": "progress", "node": "a"}, {"event": "started", "node": "a", "time": None}]
    strange.append({"event": "progress", "node": "a", "done": "x", "total": 0})
    state = fold({"status": "running"}, strange)
    assert state.n_nodes == 0
    assert state.running["share"].tolist() == [0.0]
    assert fold({}, []).nodes.empty


def test_the_command_can_be_pasted():
    words = shlex.split(command(record("interrupted"), "/a folder/runs"))
    assert words == ["universality", "run", "quickstart", "--name", "a run", "--store", "/a folder/runs"]


def test_the_time_left_follows_the_estimates_of_the_plan():
    todo = {"a": 40.0, "b": 40.0, "c": 20.0}
    events = [{"event": "run_started", "time": 0.0, "todo": todo}, *EVENTS[1:]]
    state = fold(record("running", a="running", b="running", c="done"), events)
    assert state.share == pytest.approx((0.75 * 40 + 20) / 100)
    assert state.seconds_left == pytest.approx(5.0 * 0.5 / 0.5)
    assert fold(record("done", a="done", b="done", c="done"), events).seconds_left is None
    assert fold(record("running", a="running"), EVENTS).share is None


def test_the_recipe_is_given_back_as_it_was():
    recipe = {"recipe": "mine", "corpus": {"sources": [{"kind": "demo", "max": None}]}, "note": "größer: ja"}
    assert yaml.safe_load(recipe_yaml({"recipe": recipe})) == recipe
    assert yaml.safe_load(recipe_yaml({})) == {}
