"""How far a run is, folded from its record and its events."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd
import yaml

#: Statuses of a step whose artifact is there.
READY = ("done",)


class Progress(NamedTuple):
    """How far a run is.

    Attributes:
        n_nodes: steps of the plan.
        n_done: steps whose artifact is there.
        share: share of the work of this call that is done, by the plan's own estimates, 0..1; None if unknown.
        seconds_left: how long the rest will take at the speed so far; None before anything can be said.
        running: one row per step that runs now: node, share (0..1), detail, seconds since it started.
        nodes: one row per step: node, step, status, wall_s, peak_memory, key.
        warnings: one row per warning: node, message.
        failures: one row per failed step: node, error.
    """

    n_nodes: int
    n_done: int
    share: float | None
    seconds_left: float | None
    running: pd.DataFrame
    nodes: pd.DataFrame
    warnings: pd.DataFrame
    failures: pd.DataFrame


def fold(record: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> Progress:
    """The state of a run after all its events, the last word of each step winning."""
    nodes: Mapping[str, Mapping[str, Any]] = record.get("nodes") or {}
    live: dict[str, dict[str, Any]] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    warnings: list[dict[str, Any]] = []
    call: Mapping[str, Any] = {}
    latest = 0.0
    failures: dict[str, str] = {}
    for event in events:
        kind, node = event.get("event"), str(event.get("node", ""))
        latest = max(latest, _float(event.get("time")))
        if kind == "run_started":
            call = event
            live.clear()
        elif kind == "started":
            live[node] = {"started": event.get("time"), "latest": event.get("time")}
            failures.pop(node, None)
        elif kind == "progress" and node in live:
            live[node] |= {"event": event, "latest": event.get("time")}
        elif kind in ("done", "failed"):
            live.pop(node, None)
            facts[node] = event
            if kind == "failed":
                failures[node] = str(event.get("error", ""))
        elif kind == "warning":
            warnings.append({"node": node, "message": str(event.get("message", ""))})
    is_running = record.get("status") == "running"
    listed = [
        {
            "node": node,
            "step": fields.get("step"),
            "status": fields.get("status"),
            "wall_s": facts.get(node, {}).get("wall_s"),
            "peak_memory": facts.get(node, {}).get("peak_memory"),
            "key": fields.get("key"),
        }
        for node, fields in nodes.items()
    ]
    running = [_running(node, state) for node, state in live.items()] if is_running else []
    share = _share_of_work(call.get("todo"), nodes, {row["node"]: row["share"] for row in running})
    elapsed = max(latest - _float(call.get("time")), 0.0)
    return Progress(
        n_nodes=len(nodes),
        n_done=sum(fields.get("status") in READY for fields in nodes.values()),
        share=share,
        seconds_left=elapsed * (1 - share) / share if is_running and share and share > 0.03 else None,
        running=pd.DataFrame(running, columns=["node", "share", "detail", "seconds"]),
        nodes=pd.DataFrame(listed, columns=["node", "step", "status", "wall_s", "peak_memory", "key"]),
        warnings=pd.DataFrame(warnings, columns=["node", "message"]).drop_duplicates(ignore_index=True),
        failures=pd.DataFrame(list(failures.items()), columns=["node", "error"]),
    )


def _share_of_work(
    todo: Any, nodes: Mapping[str, Mapping[str, Any]], running: Mapping[str, float]
) -> float | None:
    """Estimated seconds done over estimated seconds to do, steps that run counted by their own progress."""
    if not isinstance(todo, Mapping) or not todo:
        return None
    estimates = {node: _float(seconds) for node, seconds in todo.items()}
    done = sum(
        seconds * (1.0 if nodes.get(node, {}).get("status") in READY else running.get(node, 0.0))
        for node, seconds in estimates.items()
    )
    whole = sum(estimates.values())
    return done / whole if whole > 0 else None


def _running(node: str, state: Mapping[str, Any]) -> dict[str, Any]:
    event = state.get("event") or {}
    done, total = _float(event.get("done")), _float(event.get("total"))
    told = {k: v for k, v in event.items() if k not in ("event", "node", "done", "total", "time")}
    return {
        "node": node,
        "share": min(max(done / total, 0.0), 1.0) if total > 0 else 0.0,
        "detail": ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in told.items()),
        "seconds": max(_float(state.get("latest")) - _float(state.get("started")), 0.0),
    }


def _float(value: Any) -> float:
    """A number of an event; 0 where it is none."""
    return float(value) if isinstance(value, (int, float)) else 0.0


def command(record: Mapping[str, Any], store: str) -> str:
    """The command that starts or resumes a run; finished steps are reused."""
    name, recipe = str(record.get("name", "")), str(record.get("recipe_name", ""))
    named = ["--name", name] if name else []
    return shlex.join(["universality", "run", recipe or "RECIPE", *named, "--store", store])


def recipe_yaml(record: Mapping[str, Any]) -> str:
    """The recipe as it was run, ready to be saved and run again."""
    return yaml.safe_dump(dict(record.get("recipe") or {}), sort_keys=False, allow_unicode=True)
