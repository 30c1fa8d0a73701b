"""Blocks of latents on plain threads: the kernels release the interpreter lock and share nothing."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
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
        ranges: what to work on; handed out in order.
        states: scratch memory; as many threads run as there are states.
    """
    if len(states) == 1:
        for first, last in ranges:
            work(states[0], first, last)
        return
    free: SimpleQueue[State] = SimpleQueue()
    for state in states:
        free.put(state)

    def call(span: tuple[int, int]) -> None:
        state = free.get()
        try:
            work(state, *span)
        finally:
            free.put(state)

    with ThreadPoolExecutor(len(states)) as pool:
        for _ in pool.map(call, ranges):
            pass
