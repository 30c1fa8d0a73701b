"""Blocks of latents on plain threads: the kernels release the interpreter lock and share nothing."""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

State = TypeVar("State")


def n_threads(threads: int | None) -> int:
    """Number of threads to use: as asked, else every core this process may use (NUMBA_NUM_THREADS wins)."""
    if threads is not None:
        return max(1, int(threads))
    asked = os.environ.get("NUMBA_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(asked) if asked.isdigit() and int(asked) > 0 else cores


def blocks(n: int, size: int) -> list[tuple[int, int]]:
    """Consecutive ranges ``(first, last)`` that cover ``0..n``."""
    return [(first, min(n, first + size)) for first in range(0, n, size)]


def over_blocks(
    work: Callable[[State, int, int], None], ranges: Iterable[tuple[int, int]], states: list[State]
) -> None:
    """Call ``work(state, first, last)`` for every range, on one thread per state.

    Args:
        work: writes its result in place; a state is never in two calls at once.
        ranges: what to work on; handed out in order, to whichever thread is free. An error ends it for all.
        states: scratch memory; as many threads run as there are states.
    """
    todo = deque(ranges)

    def drain(state: State) -> None:
        while True:
            try:
                span = todo.popleft()
            except IndexError:
                return
            try:
                work(state, *span)
            except BaseException:
                todo.clear()
                raise

    if len(states) == 1:
        drain(states[0])
        return
    # One task a thread, which fetches its ranges itself: a task for every range would be the caller's time alone.
    with ThreadPoolExecutor(len(states)) as pool:
        tasks = [pool.submit(drain, state) for state in states]
        try:
            for task in tasks:
                task.result()
        finally:
            todo.clear()
