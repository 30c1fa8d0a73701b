"""What a run looks like from its events: the one model behind the live display and ``status``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: A step without an estimate still moves the bar.
LEAST_SECONDS = 0.5


@dataclass
class RunningStep:
    """A step that runs now. ``total`` is 0 until it reports."""

    since: float
    done: float = 0.0
    total: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        """Share done, in [0, 1]."""
        return min(1.0, self.done / self.total) if self.total else 0.0


@dataclass
class RunView:
    """Folds events, in the order in which they were written.

    A new ``run_started`` begins anew: what came before belongs to an earlier call of the same run.
    """

    started: float = 0.0
    last: float = 0.0
    status: str = "planned"
    executor: str = ""
    n_reused: int = 0
    todo: dict[str, float] = field(default_factory=dict)
    running: dict[str, RunningStep] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> RunView:
        """The view after these events."""
        view = cls()
        for event in events:
            view.apply(event)
        return view

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take one event in; unknown kinds are ignored, so that old programs read newer runs."""
        kind, node, moment = event.get("event"), str(event.get("node", "")), float(event.get("time", 0.0))
        if kind == "run_started":
            fresh = RunView(started=moment, status="running", executor=str(event.get("executor", "")))
            fresh.todo = {name: max(float(cost), LEAST_SECONDS) for name, cost in event["todo"].items()}
            fresh.n_reused = int(event["n_reused"])
            self.__dict__.update(fresh.__dict__)
        elif kind == "started":
            self.running[node] = RunningStep(since=moment)
        elif kind == "progress":
            step = self.running.setdefault(node, RunningStep(since=moment))
            step.done, step.total = float(event["done"]), float(event["total"])
            step.facts = {name: value for name, value in event.items() if name not in _OWN_FIELDS}
        elif kind in ("done", "failed", "skipped"):
            self._settle(kind, node, event)
        elif kind == "warning":
            self.warnings.append((node, str(event.get("message", ""))))
        elif kind == "run_finished":
            self.status = str(event["status"])
            self.running.clear()
            if self.status == "done":  # what failed in an earlier call is there now
                self.failed.clear()
                self.skipped.clear()
        self.last = max(self.last, moment)

    def _settle(self, kind: str, node: str, event: Mapping[str, Any]) -> None:
        self.running.pop(node, None)
        if kind == "done":
            self.done[node] = float(event.get("wall_s", 0.0))
        elif kind == "failed":
            self.failed[node] = str(event.get("error", ""))
        else:
            self.skipped[node] = str(event.get("because", ""))

    @property
    def settled(self) -> list[str]:
        """Nodes that are done, failed or skipped."""
        return [*self.done, *self.failed, *self.skipped]

    @property
    def fraction(self) -> float:
        """Share of the estimated seconds that is behind us, in [0, 1]; settled nodes count as done."""
        total = sum(self.todo.values())
        if not total:
            return 1.0
        behind = sum(self.todo.get(node, 0.0) for node in self.settled)
        behind += sum(self.todo.get(node, 0.0) * step.fraction for node, step in list(self.running.items()))
        return min(1.0, behind / total)

    def remaining(self, now: float) -> float | None:
        """Expected seconds to go, from the pace so far; None before there is a pace."""
        fraction, elapsed = self.fraction, now - self.started
        if self.status != "running" or fraction < 0.02 or elapsed < 2.0:
            return None
        return elapsed * (1.0 - fraction) / fraction


_OWN_FIELDS = frozenset({"event", "node", "time", "done", "total"})


def duration(seconds: float | None) -> str:
    """``"0.4 s"``, ``"42 s"``, ``"3 min 05 s"``, ``"2 h 07 min"``; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(n_bytes: float) -> str:
    """``"0 B"``, ``"12 kB"``, ``"3.4 GB"``: decimal units."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            value = n_bytes / scale
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{n_bytes:.0f} B"


def counted(n: int, noun: str) -> str:
    """``"1 step"``, ``"2 steps"``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def step_line(node: str, step: RunningStep, now: float) -> str:
    """One running step in words: share or counts, facts, and for how long it has been running."""
    parts = []
    if step.total:
        parts.append(f"{100 * step.fraction:.0f} %")
    parts += [f"{name} {_short(value)}" for name, value in list(step.facts.items())[:3]]
    parts.append(duration(max(0.0, now - step.since)))
    return f"{node}: " + ", ".join(parts)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
