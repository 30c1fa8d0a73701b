"""What the runner asks of an executor, and the simplest one."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pipelines.engine.plan import Node
from pipelines.engine.task import Emit, Event, execute
from storage import Store
from universality.errors import UniversalityError


class ExecutorError(UniversalityError, RuntimeError):
    """Workers could not be started, or are out of reach; what is finished is kept."""


class Executor(Protocol):
    """Computes tasks somewhere. The runner decides order; an executor decides what fits at once."""

    name: str

    def start(self, nodes: Sequence[Node], store: Store, emit: Emit) -> None:
        """Start processes or connections. Called once, only when there is something to compute.

        Args:
            nodes: all that is going to be submitted.
            store: the run's store.
            emit: takes events; to be called from the thread that calls :meth:`wait` only.

        Raises:
            InputError: these nodes can never be computed here (no GPU worker, a store out of reach, …).
            ExecutorError: workers do not start.
        """
        ...

    def fits(self, node: Node, running: Sequence[Node]) -> bool:
        """Whether the node may start beside those that run now. With none running: True."""
        ...

    def submit(self, task: Mapping[str, Any], priority: float) -> None:
        """Start a task that fits; a higher priority goes first where the executor has a choice."""
        ...

    def wait(self) -> list[Event]:
        """Block for a moment or until something finishes, pass on events, and answer with outcomes.

        Returns:
            Zero or more outcomes as :func:`pipelines.engine.task.execute` returns them.
        """
        ...

    def stop(self) -> None:
        """Drop what runs and free everything. Safe to call twice, and before :meth:`start`."""
        ...


class SerialExecutor:
    """Runs one node after another, in this process. For debugging, and for small plans."""

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
