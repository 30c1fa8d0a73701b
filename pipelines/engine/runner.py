"""Run a plan: what is missing, in a good order, through an executor, and never losing what is done.

The store is the only state that counts. A node whose artifact exists is done, whoever made it; so a run
that was stopped at any moment goes on by being run again, and a finished one has nothing to do.
"""

from __future__ import annotations

import heapq
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.engine.executor import Executor, SerialExecutor
from pipelines.engine.journal import Journal
from pipelines.engine.plan import DEVICES, Node, Plan, bottom_levels
from pipelines.engine.step import Estimate
from pipelines.engine.task import Event, describe_task
from storage import Run, RunLock, Store

#: Seconds after which an artifact that a worker has written must be seen here.
LATE = 60.0
EXIT_CODES = {"done": 0, "failed": 1, "partial": 3, "interrupted": 130}


@dataclass(frozen=True)
class RunOutcome:
    """What became of a run.

    Attributes:
        status: ``done`` (every node), ``partial`` (some results of the plan exist, others failed),
            ``failed`` (no result exists) or ``interrupted``.
        nodes: status by node id: done, failed, skipped (an input failed) or planned (not reached).
        n_computed: nodes computed now.
        n_reused: nodes whose artifact was in the store before.
        errors: by failed node: ``error`` (one paragraph), ``traceback``, ``log`` (where it was written).
        wall_s: seconds of this call.
    """

    status: str
    nodes: dict[str, str]
    n_computed: int
    n_reused: int
    errors: dict[str, dict[str, str]] = field(default_factory=dict)
    wall_s: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed, 3 partial, 130 interrupted."""
        return EXIT_CODES[self.status]


def run_plan(
    plan: Plan,
    store: Store,
    run: Run,
    executor: Executor | None = None,
    progress: Callable[[Event], None] | None = None,
) -> RunOutcome:
    """Compute what the store lacks of a plan, and keep the run's record true at every moment.

    Nodes with equal keys are computed once. When a node fails, the nodes that need it are skipped and
    all others go on. Ctrl-C, SIGTERM and SIGHUP stop the run in order (main thread only).

    Args:
        plan: what to compute.
        store: where artifacts are; the run lives in it.
        run: the run that records progress; locked for the time of the call.
        executor: default :class:`SerialExecutor`.
        progress: called in this thread with every event.

    Returns:
        The outcome; failures of steps are a status, not an exception.

    Raises:
        RunLocked: another process is running this run, or took it over while this one was silent.
        InputError: the plan or the executor is misused (unknown step, no GPU worker, …).
    """
    started = time.monotonic()
    keys = plan.keys()
    with run.lock() as lock, _signals_as_interrupt():
        _name_nodes(run, plan, keys)
        schedule = _Schedule(plan, keys, present={key for key in set(keys.values()) if store.has(key)})
        journal = Journal(run, plan, keys, schedule.status, progress)
        executor = executor or SerialExecutor()
        interrupted = False
        try:
            if schedule.waiting:
                todo = {node_id: plan[node_id].estimate.seconds for node_id in schedule.waiting}
                journal.begin(todo, schedule.n_reused, executor.name)
                executor.start([plan[node_id] for node_id in todo], store, journal.emit)
                _compute_missing(schedule, plan, store, executor, journal, lock)
        except KeyboardInterrupt:
            interrupted = True
            schedule.forget_running()
            journal.save("interrupted", time.monotonic() - started)
        except BaseException as error:
            if not lock.lost:  # else the record is another's
                schedule.forget_running()
                journal.finish("failed", time.monotonic() - started, message=str(error))
            raise
        finally:
            executor.stop()
        status = "interrupted" if interrupted else schedule.outcome()
        wall_s = time.monotonic() - started
        journal.finish(status, wall_s)
    return RunOutcome(status, dict(schedule.status), schedule.n_computed, schedule.n_reused, journal.errors, wall_s)


def _compute_missing(
    schedule: _Schedule, plan: Plan, store: Store, executor: Executor, journal: Journal, lock: RunLock
) -> None:
    while schedule.firsts() or schedule.running:
        lock.require()
        running = schedule.running
        while node := next((each for each in schedule.firsts() if executor.fits(each, list(running.values()))), None):
            beside = _neighbours(node, schedule.alike(node), list(running.values()), executor)
            schedule.start(node, beside)
            for each in (node, *beside):
                journal.started(each)
            executor.submit(describe_task(store.url, node, schedule.keys, beside), schedule.priority[node.id])
        for told in executor.wait():
            if told["status"] == "failed" and schedule.apart(told["node"]):
                message = "failed beside others of its kind; each is computed by itself"
                journal.emit({"event": "warning", "node": told["node"], "message": message, "source": "engine"})
                continue
            for outcome in [_as_found(each, store, schedule.keys) for each in schedule.outcomes(told)]:
                journal.settled(outcome, schedule.settle(outcome))


def _neighbours(node: Node, alike: list[Node], running: list[Node], executor: Executor) -> list[Node]:
    """Ready nodes to compute beside a node: a fair share where places are free for others, as far as memory goes."""
    places: list[Node] = []
    while len(places) <= len(alike) and executor.fits(node, [*running, *places]):
        places.append(node)
    beside: list[Node] = []
    for other in alike[: -(-(1 + len(alike)) // max(1, len(places))) - 1]:
        if not executor.fits(_as_one(node, [*beside, other]), running):
            break
        beside.append(other)
    return beside


def _as_one(node: Node, beside: Sequence[Node]) -> Node:
    """What a node costs with those beside it."""
    costs = [each.estimate for each in (node, *beside)]
    total = Estimate(*(sum(getattr(cost, name) for cost in costs) for name in ("seconds", "bytes", "memory")))
    return replace(node, estimate=total)


def _as_found(outcome: Event, store: Store, keys: Mapping[str, str]) -> Event:
    """An outcome as the store bears it out: a worker may write elsewhere under the same address.

    A file system of another machine may show a new folder late, so it is given a while.
    """
    if outcome["status"] != "done":
        return outcome
    key, deadline = keys[outcome["node"]], time.monotonic() + LATE
    while not store.has(key):
        if time.monotonic() > deadline:
            error = (
                f"its artifact {key} must be in the store {store.url} once it is done; a worker says that it is, and "
                "it is not there. Does every worker reach the same store under this address?"
            )
            return {**outcome, "status": "failed", "error": error, "error_type": "ArtifactMissing", "traceback": error}
        time.sleep(0.5)
    return outcome


def _name_nodes(run: Run, plan: Plan, keys: Mapping[str, str]) -> None:
    """Record the plan's keys before looking for their artifacts: what a locked run names, gc leaves alone."""
    recorded = {node_id: node["key"] for node_id, node in run.record["nodes"].items()}
    if list(recorded.items()) != list(keys.items()):
        run.update(nodes={node.id: {"step": node.step, "key": keys[node.id], "status": "planned"} for node in plan})


class _Schedule:
    """Which node may start next, and what follows from each outcome. Pure bookkeeping."""

    def __init__(self, plan: Plan, keys: Mapping[str, str], present: set[str]) -> None:
        self.plan = plan
        self.keys = dict(keys)
        self.priority = bottom_levels(plan)
        self._order = {node.id: place for place, node in enumerate(plan)}
        self._readers = plan.dependants()
        self.status = {node.id: "done" if keys[node.id] in present else "planned" for node in plan}
        self.n_reused = sum(status == "done" for status in self.status.values())
        self.n_computed = 0
        # Nodes of one key are one piece of work: the first stands for its twins.
        self._twins: dict[str, list[str]] = {}
        for node in plan:
            if self.status[node.id] == "planned":
                self._twins.setdefault(keys[node.id], []).append(node.id)
        self.waiting = [twins[0] for twins in self._twins.values()]
        self._ready: dict[str, list[tuple[float, int, str]]] = {device: [] for device in DEVICES}
        self._queued: set[str] = set()
        self._beside: dict[str, list[str]] = {}
        self._alone: set[str] = set()
        self.running: dict[str, Node] = {}
        for node_id in self.waiting:
            self._queue_if_ready(node_id)

    def firsts(self) -> list[Node]:
        """Of each device the ready node with the longest chain after it, the longest first.

        Strictly first, so that a wide node is never starved; but one that waits for a GPU holds up no other device.
        """
        return [self.plan[ready[2]] for ready in sorted(heap[0] for heap in self._ready.values() if heap)]

    def alike(self, node: Node) -> list[Node]:
        """Ready nodes that may be computed beside one of :meth:`firsts`, in order."""
        if not node.beside or node.id in self._alone:
            return []
        others = [self.plan[ready[2]] for ready in sorted(self._ready[node.device]) if ready[2] != node.id]
        same = (node.step, node.beside)
        return [each for each in others if (each.step, each.beside) == same and each.id not in self._alone]

    def start(self, node: Node, beside: Sequence[Node] = ()) -> None:
        """Take one of :meth:`firsts` as running, and those computed beside it."""
        taken = {each.id for each in (node, *beside)}
        self._ready[node.device] = [ready for ready in self._ready[node.device] if ready[2] not in taken]
        heapq.heapify(self._ready[node.device])
        self.running[node.id] = _as_one(node, beside)
        self._beside[node.id] = [each.id for each in beside]
        for name in taken:
            self._mark(name, "running")

    def outcomes(self, told: Event) -> list[Event]:
        """The outcome of every node of a task that ended."""
        return [{**told, "node": name} for name in (told["node"], *self._beside.pop(told["node"], []))]

    def apart(self, node_id: str) -> bool:
        """Whether others were computed with a node that failed; then each of them is ready again, to be alone."""
        others = self._beside[node_id]
        if others:
            self.forget_running([node_id])
            for name in (node_id, *others):
                self._alone.add(name)
                self._queued.discard(name)
                self._queue_if_ready(name)
        return bool(others)

    def settle(self, outcome: Event) -> list[str]:
        """Take an outcome in; answers with the nodes whose status changed by it, itself first."""
        node_id = outcome["node"]
        self.running.pop(node_id, None)
        changed = self._mark(node_id, outcome["status"])
        if outcome["status"] == "done":
            self.n_computed += 1
            for twin in changed:
                for reader in self._readers[twin]:
                    self._queue_if_ready(reader)
        else:
            changed += self._skip_readers(changed)
        return changed

    def forget_running(self, nodes: Sequence[str] | None = None) -> None:
        """What runs, or some of it, is dropped: it goes back to planned."""
        for node_id in list(self.running if nodes is None else nodes):
            for name in (node_id, *self._beside.pop(node_id)):
                self._mark(name, "planned")
            del self.running[node_id]

    def outcome(self) -> str:
        """``done``, ``partial`` or ``failed``, by the results of the plan that exist."""
        if all(status == "done" for status in self.status.values()):
            return "done"
        return "partial" if any(self.status[result] == "done" for result in self.plan.results()) else "failed"

    def _mark(self, node_id: str, status: str) -> list[str]:
        twins = self._twins[self.keys[node_id]]
        for twin in twins:
            self.status[twin] = status
        return list(twins)

    def _queue_if_ready(self, node_id: str) -> None:
        first = self._twins.get(self.keys[node_id], [node_id])[0]
        if self.status[first] != "planned" or first in self._queued:
            return
        if all(self.status[source] == "done" for source in self.plan[first].inputs.values()):
            self._queued.add(first)
            heapq.heappush(self._ready[self.plan[first].device], (-self.priority[first], self._order[first], first))

    def _skip_readers(self, failed: list[str]) -> list[str]:
        skipped: list[str] = []
        stack = list(failed)
        while stack:
            for reader in self._readers[stack.pop()]:
                if self.status[reader] == "planned":
                    self.status[reader] = "skipped"
                    skipped.append(reader)
                    stack.append(reader)
        return sorted(skipped, key=self._order.__getitem__)


@contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP end the run as Ctrl-C does; an ignored SIGHUP (nohup) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
