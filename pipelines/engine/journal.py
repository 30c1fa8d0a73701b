"""The run's memory of itself: run.json for what is, events.jsonl for what happened, logs for tracebacks.

One process writes them, the one that runs the plan; workers send it their events. So ``status`` and the
screens can read along from anywhere, and no two writers meet in one file.

Events are JSON objects with ``time`` (seconds since 1970) and ``event``:
``run_started`` (todo: estimated seconds by node, n_reused, executor), ``started`` (node, pid, host),
``progress`` (node, done, total, …), ``warning`` (node, message), ``printed`` (node, lines),
``done`` (node, wall_s, peak_memory),
``failed`` (node, error, traceback), ``skipped`` (node, because), ``run_finished`` (status, wall_s).
"""

import time
from collections.abc import Callable, Mapping

from pipelines.engine.plan import Node, Plan
from pipelines.engine.task import Event
from storage import Run


class Journal:
    """Writes the record and the events of one call of ``run_plan``.

    Args:
        run: the run, locked by the caller.
        plan: the plan.
        keys: artifact key by node id.
        status: status by node id; read at every save, so it must be the living dict.
        progress: also called with every event.
    """

    def __init__(
        self,
        run: Run,
        plan: Plan,
        keys: Mapping[str, str],
        status: Mapping[str, str],
        progress: Callable[[Event], None] | None,
    ) -> None:
        self._run = run
        self._plan = plan
        self._keys = keys
        self._status = status
        self._progress = progress
        self._running: set[str] = set()
        self._wall_before = float(run.record.get("wall_s") or 0.0)
        self.errors: dict[str, dict[str, str]] = {}

    def begin(self, todo: Mapping[str, float], n_reused: int, executor: str) -> None:
        """The run starts computing ``todo``: estimated seconds by node id."""
        self._run.update(status="running", finished=None, nodes=self._nodes())
        self._tell({"event": "run_started", "todo": dict(todo), "n_reused": n_reused, "executor": executor})

    def emit(self, event: Event) -> None:
        """An event from a step; dropped when it arrives after the step's outcome."""
        if event.get("node") in self._running:
            self._tell(event)

    def started(self, node: Node) -> None:
        """A node was handed to the executor (its own ``started`` event follows from there)."""
        self._running.add(node.id)
        self._run.update(nodes=self._nodes())

    def settled(self, outcome: Event, changed: list[str]) -> None:
        """A node finished or failed, and with it ``changed`` changed."""
        node_id = outcome["node"]
        self._running.discard(node_id)
        if outcome["status"] == "failed":
            log = self._run.write_log(node_id, outcome["traceback"])
            self.errors[node_id] = {"error": outcome["error"], "traceback": outcome["traceback"], "log": log}
        self._run.update(nodes=self._nodes())
        facts = {name: value for name, value in outcome.items() if name != "status"}
        self._tell({"event": outcome["status"], **facts})
        for other in changed:
            if self._status[other] == "skipped":
                self._tell({"event": "skipped", "node": other, "because": node_id})

    def save(self, status: str, wall_s: float) -> None:
        """Write the record at once, before anything slow."""
        self._run.update(
            status=status,
            nodes=self._nodes(),
            finished=time.time(),
            wall_s=round(self._wall_before + wall_s, 3),
        )

    def finish(self, status: str, wall_s: float, message: str | None = None) -> None:
        """The call ends. A record that says the same already is left as it is."""
        record = self._run.record
        if record.get("status") == status == "done" and record.get("nodes") == self._nodes():
            return
        self.save(status, wall_s)
        event = {"event": "run_finished", "status": status, "wall_s": round(wall_s, 3)}
        self._tell(event | ({"error": message} if message else {}))

    def _nodes(self) -> dict[str, dict[str, str]]:
        return {
            node.id: {"step": node.step, "key": self._keys[node.id], "status": self._status[node.id]}
            for node in self._plan
        }

    def _tell(self, event: Event) -> None:
        stamped = {"time": round(time.time(), 3), **event}
        self._run.append_event(stamped)
        if self._progress is not None:
            self._progress(stamped)
