"""The one function that computes a node: run in this process, or by a Dask worker anywhere.

It receives JSON values only (store address, node, keys) and opens what it needs, so that no array ever
travels and both executors run the very same code. It answers with JSON values too: an exception is
reported as text, because not every exception survives a journey between processes.
"""

from __future__ import annotations

import io
import logging
import os
import re
import socket
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from pipelines.engine.machine import versions
from pipelines.engine.plan import Node
from pipelines.engine.step import Step, StepContext, find_step
from pipelines.engine.threads import limit_threads
from storage import Store
from universality.errors import refusal

Event = dict[str, Any]
Emit = Callable[[Event], None]

#: What a step's libraries print is kept to so many lines of so many characters.
PRINTED_LINES, PRINTED_LENGTH = 50, 500
#: Threads, warnings and peak memory belong to the process, so a process runs one step at a time.
_ONE_STEP = threading.Lock()


def describe_task(store_url: str, node: Node, keys: Mapping[str, str], beside: Sequence[Node] = ()) -> dict[str, Any]:
    """The JSON values from which :func:`execute` computes a node.

    Args:
        store_url: address of the store, as the computing process reaches it.
        node: the node.
        keys: artifact key by node id, for the nodes and their inputs.
        beside: nodes of the same step that are computed with it.
    """
    step = find_step(node.step)
    return {
        "store": store_url,
        "node": node.to_dict(),
        "key": keys[node.id],
        "inputs": {local: keys[source] for local, source in node.inputs.items()},
        "step_module": step.module,
        "step_version": step.version,
        "beside": [describe_task(store_url, other, keys) for other in beside],
    }


def execute(
    task: Mapping[str, Any], emit: Emit, store: Store | None = None, check: Callable[[], None] | None = None
) -> Event:
    """Compute one node and commit its artifact.

    Args:
        task: from :func:`describe_task`.
        emit: receives events (JSON dicts with ``event`` and ``node``) while the step runs.
        store: the store where it is open already; a ``memory://`` store lives in one process only.
        check: called whenever the step reports; raises InterruptedError once nobody waits for it any more.

    Returns:
        ``{"node", "status": "done"|"failed", "wall_s", …}``; of a failure also ``error`` (one
        paragraph), ``error_type`` and ``traceback``. All nodes of a task are done, or none is known to be.
    """
    tasks = [task, *task["beside"]]
    nodes = [Node.from_dict(each["node"]) for each in tasks]
    started = time.perf_counter()
    with _ONE_STEP:
        for node in nodes:
            emit({"event": "started", "node": node.id, "pid": os.getpid(), "host": socket.gethostname()})
        try:
            facts = _compute(tasks, nodes, emit, store, check)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # any step may fail in any way, also by a panic of Rust; the run goes on
            facts = {"status": "failed", **_failure(error)}
    return {"node": nodes[0].id, "status": "done", "wall_s": round(time.perf_counter() - started, 3), **facts}


def _compute(
    tasks: Sequence[Mapping[str, Any]],
    nodes: Sequence[Node],
    emit: Emit,
    store: Store | None,
    check: Callable[[], None] | None,
) -> Event:
    first, node = tasks[0], nodes[0]
    step = _matching_step(first, node)
    from storage import open_store

    store = store or open_store(first["store"])
    store.require()  # a worker that reaches another place under this address must not begin a store there
    # Another run may have finished some meanwhile.
    missing = [(task, each) for task, each in zip(tasks, nodes, strict=True) if not store.has(task["key"])]
    if not missing:
        return {}
    limit_threads(node.threads)
    started = time.perf_counter()
    _reset_peak_memory()
    with ExitStack() as stack:
        stack.enter_context(_warnings_as_events(node.id, emit))
        stack.enter_context(_printed_as_event(node.id, emit))
        contexts = [_opened(stack, store, step, task, each, _Throttle(each.id, emit, check)) for task, each in missing]
        if len(contexts) == 1 or step.together is None:
            for ctx in contexts:
                step.function(ctx)
        else:
            step.together(contexts)
        facts = {
            "wall_s": round(time.perf_counter() - started, 3),
            "peak_memory": _peak_memory(),
            "threads": node.threads,
            "device": node.device,
        }
        for ctx in contexts:
            ctx.out.facts(**facts, made_with=versions())
    return {"peak_memory": facts["peak_memory"]}


def _opened(
    stack: ExitStack, store: Store, step: Step, task: Mapping[str, Any], node: Node, report: _Throttle
) -> StepContext:
    """What a step may touch for one node; its artifact is complete once the stack is closed without an error."""
    made = {"step": step.name, "version": step.version, "params": node.params, "inputs": task["inputs"]}
    out = stack.enter_context(store.create(task["key"], **made, tables=step.tables))
    return StepContext(
        node_id=node.id,
        params=node.params,
        inputs={local: store.get(key) for local, key in task["inputs"].items()},
        out=out,
        checkpoint=store.checkpoint(task["key"]),
        threads=node.threads,
        device=node.device,
        _report=report,
    )


def _matching_step(task: Mapping[str, Any], node: Node) -> Step:
    step = find_step(node.step, task["step_module"])
    if step.version != task["step_version"]:
        raise refusal(
            "version",
            f"step {step.name!r} on worker {socket.gethostname()}",
            f"{task['step_version']}, as where the run was started",
            step.version,
            "Install the same version of universality on every worker.",
        )
    return step


def _failure(error: BaseException) -> Event:
    text = str(error).strip() or "no message"
    named = text if _is_ours(error) else f"{type(error).__name__}: {text}"
    if isinstance(error, MemoryError):
        named += ". Use fewer workers, or a recipe with smaller models."
    return {
        "error": named,
        "error_type": type(error).__name__,
        "traceback": "".join(traceback.format_exception(error)),
    }


def _is_ours(error: BaseException) -> bool:
    """Whether the message was worded for people by one of our rooms."""
    from storage import StoreError
    from universality.errors import UniversalityError

    return isinstance(error, (UniversalityError, StoreError))


class _Throttle:
    """Lets through the first and the last report, and others at growing distances.

    The distance is a second or a hundredth of the time so far, so that a step of three hours leaves
    some six hundred events, not ten thousand.
    """

    def __init__(self, node_id: str, emit: Emit, check: Callable[[], None] | None = None) -> None:
        self._node_id, self._check = node_id, check
        self._emit = emit
        self._started = time.monotonic()
        self._next = self._started

    def __call__(self, done: float, total: float, facts: Mapping[str, Any]) -> None:
        if self._check is not None:
            self._check()
        now = time.monotonic()
        if now < self._next and done < total:
            return
        self._next = now + max(1.0, 0.01 * (now - self._started))
        self._emit(
            {name: _plain(value) for name, value in facts.items()}
            | {"event": "progress", "node": self._node_id, "done": _plain(done), "total": _plain(total)}
        )


def _plain(value: Any) -> Any:
    """A JSON value: numpy scalars and 0-d tensors become Python numbers, the rest their text."""
    item = getattr(value, "item", None)
    value = item() if callable(item) else value
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


@contextmanager
def _warnings_as_events(node_id: str, emit: Emit) -> Iterator[None]:
    """Send warnings and log records of level WARNING to the run's events while a step runs."""

    class ToEvents(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tell(record.getMessage(), record.name)

    def tell(message: str, source: str) -> None:
        emit({"event": "warning", "node": node_id, "message": message, "source": source})

    def show(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
        tell(f"{category.__name__}: {message}", "warnings")

    handler = ToEvents(logging.WARNING)
    shown = warnings.showwarning
    logging.getLogger().addHandler(handler)
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown
        logging.getLogger().removeHandler(handler)


class _Lines(io.TextIOBase):
    """Takes text and keeps its last lines."""

    def __init__(self) -> None:
        self._last = ""
        self.lines: deque[str] = deque(maxlen=PRINTED_LINES)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Take text; a carriage return, as progress bars send it, ends a line too."""
        *lines, self._last = re.split("[\r\n]", self._last + text)
        self.lines.extend(line[:PRINTED_LENGTH] for line in lines if line.strip())
        self._last = self._last[:PRINTED_LENGTH]
        return len(text)

    def end(self) -> list[str]:
        """All lines kept, the unfinished one among them."""
        self.write("\n")
        return list(self.lines)


@contextmanager
def _printed_as_event(node_id: str, emit: Emit) -> Iterator[None]:
    """Keep what libraries of a step print out of stdout, which is for results: an event ``printed`` has its end."""
    printed = _Lines()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        if lines := printed.end():
            with suppress(InterruptedError):  # nobody waits for it any more: the step's own end says so
                emit({"event": "printed", "node": node_id, "lines": lines})


def _reset_peak_memory() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: start VmHWM anew


def _peak_memory() -> int:
    """Peak resident bytes since the reset; of the whole process where it cannot be reset; 0 if unknown."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
