"""The serial executor: one node after another in this process. For debugging, and for small plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.engine.plan import Node
from pipelines.engine.task import Emit, Event, execute

if TYPE_CHECKING:
    from storage import Store


class SerialExecutor:
    """Runs each node where it is called."""

    name = "serial"

    def start(self, nodes: Sequence[Node], store: Store, emit: Emit) -> None:
        """Get ready to compute; called once, and only when something is to be computed."""
        self._store = store
        self._emit = emit
        self._task: Mapping[str, Any] | None = None

    def fits(self, node: Node, running: Sequence[Node]) -> bool:
        """Whether the node may start beside those that run."""
        return not running

    def submit(self, task: Mapping[str, Any], priority: float) -> None:
        """Take a task; :meth:`wait` computes it."""
        self._task = task

    def wait(self) -> list[Event]:
        """Compute the task taken and answer with its outcome."""
        task, self._task = self._task, None
        return [execute(task, self._emit, self._store)] if task is not None else []

    def stop(self) -> None:
        """Nothing outlives :meth:`wait`."""
