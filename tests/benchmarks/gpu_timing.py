"""How the parts of ``gpu.py`` take time, and the words they share."""

import math
import statistics
import time
from collections.abc import Callable

import torch

Figure = dict[str, object]


def device(small: bool) -> str:
    return "cpu" if small else "cuda"


def wait(small: bool) -> None:
    if not small:
        torch.cuda.synchronize()


def seconds(step: Callable[[], object], small: bool, budget: float = 0.5) -> float:
    """Median seconds of a call, of three rounds that take about ``budget`` together."""
    for _ in range(1 if small else 4):
        step()
    wait(small)
    start = time.perf_counter()
    step()
    wait(small)
    calls = 1 if small else max(2, min(50, int(budget / 3 / max(time.perf_counter() - start, 1e-6))))
    rounds = []
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(calls):
            step()
        wait(small)
        rounds.append((time.perf_counter() - start) / calls)
    return statistics.median(rounds)


def tried(what: str, measure: Callable[[], Figure]) -> Figure:
    """A figure, or why there is none: one way that fails must not hide the others."""
    start = time.perf_counter()
    try:
        figure = measure()
    except Exception as error:
        figure = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:150]}"}
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return {"what": what, **figure, "took": time.perf_counter() - start}


def shown(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
