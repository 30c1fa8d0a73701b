"""How far a run is, as its events tell it: the one account behind the live display, ``status`` and the Runs screen."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: Statuses of a step whose artifact is there.
READY = ("done",)
#: Seconds that a step without an estimate counts for, so that it still moves the bar.
LEAST_SECONDS = 0.5
_OWN_FIELDS = frozenset({"event", "node", "time", "done", "total"})


def steps_ready(record: Mapping[str, Any]) -> tuple[int, int]:
    """How many steps of a run have their artifact, and how many there are."""
    nodes = (record.get("nodes") or {}).values()
    return sum(node.get("status") in READY for node in nodes), len(nodes)


@dataclass
class RunningStep:
    """A step that runs now.

    Attributes:
        since: when it started, seconds since 1970.
        done: how much of its work it has reported, in units of its own.
        total: how much there is; 0 until it reports.
        facts: what else it reported last, for example ``{"loss": 2.5}``.
    """

    since: float
    done: float = 0.0
    total: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Share of its work that is done, 0..1."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total > 0 else 0.0

    @property
    def detail(self) -> str:
        """Its facts in one line, ``"loss 2.5, lr 0.001"``."""
        values = ((name, f"{v:.4g}" if isinstance(v, float) else v) for name, v in self.facts.items())
        return ", ".join(f"{name} {value}" for name, value in list(values)[:3])


@dataclass
class RunProgress:
    """The state of a run after its events, in the order in which they were written.

    A call of ``universality run`` begins with ``run_started`` and anew: what came before belongs to an earlier call.
    Unknown events are ignored, so that old programs read newer runs.

    Attributes:
        started: when the call began, seconds since 1970.
        status: ``planned`` before any call, ``running``, or how the call ended. A call that was killed stays
            ``running``: only ``run.status`` knows.
        n_reused: steps whose artifacts were there already.
        todo: estimated seconds of each step that the call has to compute; None before it has said so.
        running: the steps that run now.
        done: the last event of each step that this call or an earlier one finished, with wall_s and peak_memory.
        failed: error of each step that failed.
        skipped: of each step that was not tried, the step whose failure is the cause.
        warnings: (node, message), each once.
    """

    started: float = 0.0
    status: str = "planned"
    n_reused: int = 0
    todo: dict[str, float] | None = None
    running: dict[str, RunningStep] = field(default_factory=dict)
    done: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> RunProgress:
        """The state after these events."""
        progress = cls()
        for event in events:
            progress.apply(event)
        return progress

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take one event in."""
        kind, node, moment = event.get("event"), str(event.get("node", "")), _number(event.get("time"))
        if kind == "run_started":
            self._begin(moment, event)
        elif kind == "started":
            self.running[node] = RunningStep(since=moment)
        elif kind == "progress":
            step = self.running.setdefault(node, RunningStep(since=moment))
            step.done, step.total = _number(event.get("done")), _number(event.get("total"))
            step.facts = {name: value for name, value in event.items() if name not in _OWN_FIELDS}
        elif kind in ("done", "failed", "skipped"):
            self._settle(kind, node, event)
        elif kind == "warning" and (warning := (node, str(event.get("message", "")))) not in self.warnings:
            self.warnings.append(warning)
        elif kind == "run_finished":
            self.status = str(event.get("status"))
            self.running.clear()

    def _begin(self, moment: float, event: Mapping[str, Any]) -> None:
        """A new call: what it computes anew is open again, what it reuses keeps its cost and its warnings."""
        estimates = event.get("todo")
        self.todo = None
        if isinstance(estimates, Mapping):
            self.todo = {str(node): max(_number(seconds), LEAST_SECONDS) for node, seconds in estimates.items()}
        self.started, self.status, self.n_reused = moment, "running", int(_number(event.get("n_reused")))
        self.running, self.failed, self.skipped = {}, {}, {}
        anew = self.todo or {}
        self.done = {node: cost for node, cost in self.done.items() if node not in anew}
        self.warnings = [warning for warning in self.warnings if warning[0] not in anew]

    def _settle(self, kind: str, node: str, event: Mapping[str, Any]) -> None:
        self.running.pop(node, None)
        if kind == "done":
            self.done[node] = event
        elif kind == "failed":
            self.failed[node] = str(event.get("error", ""))
        else:
            self.skipped[node] = str(event.get("because", ""))

    @property
    def settled(self) -> list[str]:
        """Steps of the call that are done, failed or skipped."""
        return [node for node in self.todo or {} if node in {**self.done, **self.failed, **self.skipped}]

    @property
    def share(self) -> float | None:
        """Share of the call's work whose artifacts are there, 0..1, by the plan's estimates of seconds.

        A step that runs counts by its own progress; one that failed or was skipped is not done. 1 where nothing is to
        be computed, None before a call has said what is.
        """
        if self.todo is None:
            return None
        total = sum(self.todo.values())
        return min(self._seconds_behind() / total, 1.0) if total else 1.0

    def _seconds_behind(self) -> float:
        """Estimated seconds of the work that is done."""
        # A copy: the display reads in another thread than the one that takes events in.
        shares = {node: step.share for node, step in list(self.running.items())} | dict.fromkeys(list(self.done), 1.0)
        return sum(seconds * shares.get(node, 0.0) for node, seconds in (self.todo or {}).items())

    def seconds_left(self, now: float) -> float | None:
        """Expected seconds to go at the pace so far, without steps that failed or were skipped.

        None unless the call is running and has a pace: 2 s and 2 % of its work.
        """
        share, elapsed = self.share, now - self.started
        if self.status != "running" or not share or share < 0.02 or elapsed < 2.0:
            return None
        behind = self._seconds_behind()
        if not behind:  # nothing was to be computed
            return None
        given_up = sum((self.todo or {}).get(node, 0.0) for node in (*self.failed, *self.skipped))
        return elapsed * max(sum((self.todo or {}).values()) - behind - given_up, 0.0) / behind


def steps_frame(record: Mapping[str, Any], progress: RunProgress) -> pd.DataFrame:
    """Every step of a run's plan: node, step, status, wall_s, peak_memory (missing unless computed here), key."""
    import pandas as pd

    rows = []
    for node, fields in (record.get("nodes") or {}).items():
        cost = progress.done.get(node, {})
        spent = {name: _number(cost[name]) if name in cost else None for name in ("wall_s", "peak_memory")}
        rows.append({"node": node, **fields, **spent})
    return pd.DataFrame(rows, columns=["node", "step", "status", "wall_s", "peak_memory", "key"])


def _number(value: Any) -> float:
    """A number of an event; 0 where it is none that a clock, a counter or an estimate can show."""
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e15 else 0.0


def gone_steps(record: Mapping[str, Any]) -> list[str]:
    """Steps that had finished and whose artifact is not there any more, of a record as the store bears it out."""
    return [node for node, fields in (record.get("nodes") or {}).items() if fields.get("status") == "gone"]


def gone_sentence(nodes: Sequence[str]) -> str:
    """That artifacts of finished steps are not there any more, and what helps."""
    named = ", ".join(nodes[:6]) + (" …" if len(nodes) > 6 else "")
    return f"Gone from the store since it finished: {named}. Run the recipe again: it computes only these."


def command(record: Mapping[str, Any], store: str) -> str:
    """The command that starts or resumes a run; finished steps are reused."""
    name, recipe = str(record.get("name", "")), str(record.get("recipe_name", ""))
    named = ["--name", name] if name else []
    return shlex.join(["universality", "run", recipe or "RECIPE", *named, "--store", store])


def recipe_yaml(record: Mapping[str, Any]) -> str:
    """The recipe as it was run, ready to be saved and run again."""
    import yaml

    return yaml.safe_dump(dict(record.get("recipe") or {}), sort_keys=False, allow_unicode=True)
