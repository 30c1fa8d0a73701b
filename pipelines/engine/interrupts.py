"""Interrupts that wait for a moment at which nothing is half done.

A training that is stopped inside an optimiser step has weights of two steps; stopped between two steps it can
save its state at once and go on from there.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pipelines.engine.step import StepContext

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def resumable(*contexts: StepContext) -> Iterator[list[dict[str, Any]]]:
    """The options ``state``, ``on_state`` and ``progress`` of trainings that go on from their steps' checkpoints.

    Within the block, in the main thread, the first interrupt is raised by the next call of a ``progress``, after which
    the training saves its state; a second one acts at once. A worker of Dask raises there by itself.
    """
    with _held_until_asked() as ask:

        def options(ctx: StepContext) -> dict[str, Any]:
            def progress(done: float, total: float, **facts: Any) -> None:
                ask()
                ctx.progress(done, total, **facts)

            return {"state": ctx.checkpoint.load(), "on_state": ctx.checkpoint.save, "progress": progress}

        yield [options(ctx) for ctx in contexts]


@contextmanager
def _held_until_asked() -> Iterator[Callable[[], None]]:
    """Yields what raises KeyboardInterrupt if one was asked for; one that nobody asked about is raised at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    signals: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        if signals:
            before[number](number, frame)
        signals.append(number)

    def ask() -> None:
        if signals:
            raise KeyboardInterrupt

    for number in (getattr(signal, name) for name in SIGNALS if hasattr(signal, name)):
        # What is ignored (nohup) or ends the process unasked stays as it is.
        if callable(handler := signal.getsignal(number)):
            before[number] = handler
            signal.signal(number, note)
    try:
        yield ask
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    ask()
