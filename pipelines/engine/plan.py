"""Plans: what to compute, from what, and under which keys."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pipelines.engine.step import Estimate, find_step
from universality.errors import refusal

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Node:
    """One application of a step.

    Attributes:
        id: unique in the plan, for example ``"similarity/main/m0-m1"``.
        step: name of a registered step.
        params: JSON values; all that can change the result and is not an input.
        inputs: node id by the local name under which the step reads it.
        threads: threads the step runs with. Where it changes bytes, the step's params hold it too.
        device: ``"cpu"`` or ``"cuda"``.
        estimate: expected cost.
        beside: nodes of one step with the same word may be computed side by side in one process, because they read
            the same rows in the same order; empty for none. In no key.
        warnings: what is known to be said of it before it runs. In no key.
    """

    id: str
    step: str
    params: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    threads: int = 1
    device: str = "cpu"
    estimate: Estimate = field(default_factory=Estimate)
    beside: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise refusal("threads", f"node {self.id!r}", "at least 1", self.threads, "Set 1 or more.")
        if self.device not in DEVICES:
            remedy = "Choose one of them."
            raise refusal("device", f"node {self.id!r}", f"one of {DEVICES}", self.device, remedy)

    def to_dict(self) -> dict[str, Any]:
        """JSON values that :meth:`from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Node:
        """The node that :meth:`to_dict` described."""
        as_they_were = {"estimate": Estimate(**values["estimate"]), "warnings": tuple(values.get("warnings", ()))}
        return cls(**{**values, **as_they_were})


class Plan:
    """An acyclic graph of nodes in topological order.

    The order is the given one, changed only where an input would come after its reader; so it is the
    same on every machine, and tables that join the artifacts of many nodes keep one row order.

    Args:
        nodes: in the order in which people should read them.

    Raises:
        InputError: two nodes share an id, an input is unknown, or the inputs form a circle.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        given = list(nodes)
        by_id: dict[str, Node] = {}
        for node in given:
            if node.id in by_id:
                raise refusal("node ids", "the plan", "unique", f"{node.id!r} twice", "Rename one.")
            by_id[node.id] = node
        for node in given:
            for local, source in node.inputs.items():
                if source not in by_id:
                    constraint, remedy = "a node of the plan", "Add that node."
                    raise refusal(f"input {local!r}", f"node {node.id!r}", constraint, source, remedy)
        self._nodes = {node.id: node for node in _topological(given)}
        self._keys: dict[str, str] | None = None

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, node_id: str) -> Node:
        return self._nodes[node_id]

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._nodes

    @property
    def nodes(self) -> list[Node]:
        """The nodes in topological order."""
        return list(self._nodes.values())

    def keys(self) -> dict[str, str]:
        """Artifact key by node id: step version, params and input keys, hashed.

        Local input names are part of the key; node ids, threads, device, estimates and neighbours are not.

        Raises:
            InputError: a step that is not registered, or a table that two steps of the plan would write.
        """
        if self._keys is None:
            from storage import artifact_key

            self._refuse_shared_tables()
            keys: dict[str, str] = {}
            for node in self:
                inputs = {local: keys[source] for local, source in node.inputs.items()}
                keys[node.id] = artifact_key(node.step, find_step(node.step).version, node.params, inputs)
            self._keys = keys
        return dict(self._keys)

    def _refuse_shared_tables(self) -> None:
        """A run joins the tables of its nodes by name, so each table must have one step."""
        owners: dict[str, str] = {}
        for name in dict.fromkeys(node.step for node in self):
            for table in find_step(name).tables:
                owner = owners.setdefault(table, name)
                if owner != name:
                    both, remedy = (
                        f"two: {owner!r} and {name!r}",
                        "Give the table of one of them another name.",
                    )
                    raise refusal("steps", f"the run's table {table!r}", "one", both, remedy)

    def digest(self) -> str:
        """Eight hex characters over all node ids and keys: equal exactly for equal plans."""
        text = json.dumps(sorted(self.keys().items()), separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def dependants(self) -> dict[str, list[str]]:
        """Node ids that read each node directly, in topological order."""
        readers: dict[str, list[str]] = {node.id: [] for node in self}
        for node in self:
            for source in dict.fromkeys(node.inputs.values()):
                readers[source].append(node.id)
        return readers

    def results(self) -> list[str]:
        """Nodes that people read: those that no other reads, and those whose step says so."""
        read = self.dependants()
        return [node.id for node in self.nodes if not read[node.id] or find_step(node.step).is_result]


def _topological(nodes: list[Node]) -> list[Node]:
    """The earliest given node first among those whose inputs are all there."""
    place = {node.id: position for position, node in enumerate(nodes)}
    sorter = TopologicalSorter({place[node.id]: [place[source] for source in node.inputs.values()] for node in nodes})
    try:
        sorter.prepare()
    except CycleError as error:
        circle = sorted(nodes[position].id for position in set(error.args[1]))
        remedy = "Remove one of these inputs."
        raise refusal("inputs", "the plan", "free of circles", f"a circle among {circle}", remedy) from None
    ready: list[int] = []
    ordered: list[Node] = []
    while sorter.is_active():
        for position in sorter.get_ready():
            heapq.heappush(ready, position)
        position = heapq.heappop(ready)
        ordered.append(nodes[position])
        sorter.done(position)
    return ordered


def bottom_levels(plan: Plan, seconds: Callable[[Node], float] | None = None) -> dict[str, float]:
    """Seconds from the start of each node to the end of the longest chain of readers after it.

    Ready nodes are started in falling order of this number (critical path first), the classic list
    schedule, at most twice the best makespan and near it in practice.

    Args:
        plan: the plan.
        seconds: cost of a node; default its estimate, with a floor so that chains without estimates
            are still ordered by their length.

    Returns:
        Bottom level by node id, in seconds; a node's is at least its own cost plus any reader's.

    Source: Graham (1969), Bounds on multiprocessing timing anomalies.
    """
    cost = seconds or (lambda node: max(node.estimate.seconds, 1e-3))
    readers = plan.dependants()
    levels: dict[str, float] = {}
    for node in reversed(plan.nodes):
        levels[node.id] = cost(node) + max((levels[reader] for reader in readers[node.id]), default=0.0)
    return levels


def critical_path(plan: Plan, seconds: Callable[[Node], float] | None = None) -> list[str]:
    """The chain of nodes whose summed cost is largest, first to last; empty for an empty plan."""
    levels = bottom_levels(plan, seconds)
    readers = plan.dependants()
    path: list[str] = []
    candidates = [node.id for node in plan if not node.inputs]
    while candidates:
        path.append(max(candidates, key=lambda node_id: levels[node_id]))
        candidates = readers[path[-1]]
    return path


def makespan(plan: Plan, seconds: Callable[[Node], float], workers: int, gpu_slots: int = 1) -> float:
    """Wall time of the plan under the runner's rule: of each device the ready nodes by falling bottom level.

    Args:
        plan: the plan.
        seconds: cost of a node; 0 for those in the store.
        workers: steps of the CPU that may run at once, at least 1; a step with several threads takes as many.
        gpu_slots: steps of a GPU that may run at once beside them, at least 1.

    Returns:
        Seconds; at least the critical path and at least the summed cost over the workers (for nodes of
        one thread), at most the summed cost.
    """
    levels = bottom_levels(plan, seconds)
    order = {node.id: place for place, node in enumerate(plan)}
    readers = plan.dependants()
    waiting = {node.id: len(set(node.inputs.values())) for node in plan}
    free = {"cpu": workers, "cuda": gpu_slots}
    ready: dict[str, list[tuple[float, int]]] = {device: [] for device in free}
    nodes, running, now = plan.nodes, [], 0.0

    def queue(node: Node) -> None:
        heapq.heappush(ready[node.device], (-levels[node.id], order[node.id]))

    def takes(node: Node) -> int:
        return min(node.threads, workers) if node.device == "cpu" else 1

    for node in nodes:
        if not waiting[node.id]:
            queue(node)
    while running or any(ready.values()):
        for device, heap in ready.items():
            while heap and free[device] >= takes(nodes[heap[0][1]]):
                node = nodes[heapq.heappop(heap)[1]]
                free[device] -= takes(node)
                heapq.heappush(running, (now + seconds(node), order[node.id]))
        now, place = heapq.heappop(running)
        finished = nodes[place]
        free[finished.device] += takes(finished)
        for reader in readers[finished.id]:
            waiting[reader] -= 1
            if not waiting[reader]:
                queue(plan[reader])
    return now
