"""How long a plan would take on some workers, by playing its schedule through."""

import heapq
from collections.abc import Callable

from pipelines.engine.plan import Node, Plan, bottom_levels


def makespan(plan: Plan, seconds: Callable[[Node], float], workers: int) -> float:
    """Wall time of the plan under the runner's rule: ready nodes by falling bottom level.

    Args:
        plan: the plan.
        seconds: cost of a node; 0 for those in the store.
        workers: steps that may run at once, at least 1; a step with several threads takes as many.

    Returns:
        Seconds; at least the critical path and at least the summed cost over the workers (for nodes of
        one thread), at most the summed cost.
    """
    levels = bottom_levels(plan, seconds)
    order = {node.id: place for place, node in enumerate(plan)}
    readers = plan.dependants()
    waiting = {node.id: len(set(node.inputs.values())) for node in plan}
    ready = [(-levels[node.id], order[node.id], node) for node in plan if not waiting[node.id]]
    heapq.heapify(ready)
    running: list[tuple[float, int, Node]] = []
    now, free = 0.0, workers
    while ready or running:
        while ready and (not running or free >= ready[0][2].threads):
            node = heapq.heappop(ready)[2]
            free -= node.threads
            heapq.heappush(running, (now + seconds(node), order[node.id], node))
        now, _, finished = heapq.heappop(running)
        free += finished.threads
        for reader in readers[finished.id]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, (-levels[reader], order[reader], plan[reader]))
    return now
