"""The Dask executor: worker processes of this machine, or of a cluster that runs already.

Dask itself is imported by :meth:`DaskExecutor.start`, which the runner calls only when something is to be
computed. An existing cluster (``--scheduler tcp://…``) keeps its own workers: they must reach the store by
the same address and run one thread each (``--nthreads 1``), and those meant for GPU nodes must declare
``--resources "GPU=1"``; several of them may see one GPU, and share it.
"""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pipelines.engine.executor import ExecutorError
from pipelines.engine.machine import cores, device_memory, total_memory, visible_devices
from pipelines.engine.plan import Node
from pipelines.engine.slots import default_slots
from pipelines.engine.task import Emit, Event
from universality.errors import refusal

if TYPE_CHECKING:
    from distributed import Client, Future, SpecCluster

    from storage import Store

RESOURCE = {"cpu": "CPU", "cuda": "GPU"}
#: Seconds that an interrupted run gives its trainings to save their state.
SAVING = 3.0
#: Seconds between two counts of an existing cluster's workers.
RECOUNT = 5.0


class DaskExecutor:
    """Runs nodes on Dask workers.

    Args:
        workers: CPU worker processes of the embedded cluster; default one per core.
        scheduler: address of an existing cluster; then ``workers`` must be None.
        devices: CUDA devices of the embedded cluster; default all visible ones.
        gpu_slots: steps that share one of them; default as many as their memory surely holds, at most four.

    Raises:
        InputError: workers or gpu_slots below 1, or together with a scheduler.
    """

    def __init__(
        self,
        workers: int | None = None,
        scheduler: str | None = None,
        devices: Sequence[str] | None = None,
        gpu_slots: int | None = None,
    ) -> None:
        remedies = {
            "workers": (workers, "Change or drop it."),
            "gpu_slots": (
                gpu_slots,
                'On a cluster start that many workers for each GPU, each with --resources "GPU=1".',
            ),
        }
        for name, (value, remedy) in remedies.items():
            if value is not None and scheduler is not None:
                raise refusal(name, "the Dask executor", "absent beside a scheduler", value, remedy)
            if value is not None and value < 1:
                raise refusal(name, "the Dask executor", "at least 1", value, "Change or drop it.")
        self.name = f"dask at {scheduler}" if scheduler else "dask"
        self._scheduler = scheduler
        self._n_workers = workers or cores()
        self._cores = max(cores(), self._n_workers)
        self._memory = 0.9 * total_memory()
        self._devices = list(devices) if devices is not None else None
        self._gpu_slots = gpu_slots
        self._cluster: SpecCluster | None = None
        self._client: Client | None = None
        self._inbox: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._futures: dict[str, Future] = {}
        self._outcomes: dict[str, Event] = {}
        self._tasks: dict[str, tuple[Mapping[str, Any], float]] = {}
        self._awaiting_retry: list[str] = []
        self._deaths: dict[str, list[str]] = {}
        self._has_workers = True

    def start(self, nodes: Sequence[Node], store: Store, emit: Emit) -> None:
        """Start workers, or connect to those of the scheduler and look whether they can do the work."""
        from pipelines.engine import workers

        if store.url.startswith("memory://"):
            remedy = "Use a folder or an object store, or the serial executor."
            raise refusal("store", "a Dask run", "reachable by other processes", store.url, remedy)
        self._emit = emit
        self._tasks, self._outcomes, self._awaiting_retry, self._deaths = {}, {}, [], {}
        self._topic = f"universality-{uuid.uuid4().hex}"
        self._execute = workers.execute_on_worker
        n_cuda = sum(node.device == "cuda" for node in nodes)
        if self._scheduler is None:
            n_cpu = min(self._n_workers, len(nodes) - n_cuda)
            self._cluster = workers.start_cluster(n_cpu, self._pick_devices(nodes, n_cuda))
        self._client = workers.connect(self._cluster or self._scheduler or "")
        if self._scheduler is not None:
            workers.refuse_unfit_workers(self._client, self._scheduler, n_cuda > 0, store)
        self._client.subscribe_topic(self._topic, lambda stamped: self._inbox.put(("", stamped[1]["payload"])))
        self._count_slots()

    def _pick_devices(self, nodes: Sequence[Node], n_cuda: int) -> list[str]:
        """The device of each GPU worker: all devices once, then all once more, as often as they are shared."""
        if not n_cuda:
            return []
        devices = visible_devices() if self._devices is None else self._devices
        if not devices:
            remedy = "Use --device cpu, or a machine with a GPU."
            raise refusal("CUDA devices", "this machine", "at least one", "none", remedy)
        slots = self._gpu_slots or default_slots(nodes, device_memory(devices))
        return (devices * slots)[:n_cuda]

    def _count_slots(self) -> None:
        """Workers by resource. Where nobody declares ``CPU``, every worker takes CPU nodes."""
        client = self._connected()
        try:
            workers = client.scheduler_info(n_workers=-1).get("workers", {}).values()
        except OSError as error:  # it went between the two lines
            raise self._connection_lost() from error
        declared = [name for worker in workers for name in worker["resources"]]
        self._wants_cpu = "CPU" in declared
        self._slots = {
            "GPU": declared.count("GPU"),
            "CPU": declared.count("CPU") if self._wants_cpu else len(workers),
        }
        self._counted = time.monotonic()

    def _connected(self) -> Client:
        """The client, while its scheduler answers.

        Raises:
            ExecutorError: the scheduler is gone.
        """
        assert self._client is not None
        if self._client.status != "running":
            raise self._connection_lost()
        return self._client

    def _connection_lost(self) -> ExecutorError:
        where = self._scheduler or "this machine"
        remedy = "What is finished is kept: start scheduler and workers again, and the same command goes on."
        got = "a connection that was lost"
        return ExecutorError.worded("Dask scheduler", where, "there until the run ends", got, remedy)

    def fits(self, node: Node, running: Sequence[Node]) -> bool:
        """One step per worker; on this machine also no more threads than cores, and memory for all."""
        if not running:
            return True
        if self._awaiting_retry or any(other.id in self._deaths for other in running):
            return False
        if self._scheduler is not None and time.monotonic() - self._counted > RECOUNT:
            self._count_slots()
        beside = sum(other.device == node.device for other in running)
        if beside >= self._slots[RESOURCE[node.device]]:
            return False
        if self._scheduler is not None:
            return True
        everyone = [node, *running]
        threads = sum(each.threads for each in everyone if each.device == "cpu")
        memory = sum(each.estimate.memory for each in everyone)
        return (node.device == "cuda" or threads <= self._cores) and memory <= self._memory

    def submit(self, task: Mapping[str, Any], priority: float) -> None:
        """Send a task; it holds addresses and keys only."""
        self._tasks[task["node"]["id"]] = (task, priority)
        self._send(task, priority)

    def _send(self, task: Mapping[str, Any], priority: float) -> None:
        node_id, device = task["node"]["id"], task["node"]["device"]
        future = self._connected().submit(
            self._execute,
            dict(task),
            self._topic,
            key=f"{node_id}-{uuid.uuid4().hex[:8]}",
            priority=round(priority),
            resources={RESOURCE[device]: 1} if device == "cuda" or self._wants_cpu else None,
            pure=False,
        )
        self._futures[node_id] = future
        future.add_done_callback(lambda done: self._inbox.put((node_id, done)))

    def wait(self) -> list[Event]:
        """Pass on events until something finishes, or half a second has gone."""
        outcomes: list[Event] = []
        try:
            node_id, item = self._inbox.get(timeout=0.5)
            while True:
                if not node_id and "event" in item:
                    self._emit(item)
                elif not node_id:
                    self._outcomes[item["node"]] = item
                elif (outcome := self._settle(node_id, item)) is not None:
                    outcomes.append(outcome)
                node_id, item = self._inbox.get_nowait()
        except queue.Empty:
            if self._awaiting_retry and not self._futures:
                self._send(*self._tasks[self._awaiting_retry.pop(0)])
            self._look_after_workers()
            return outcomes

    def _look_after_workers(self) -> None:
        """Say once that a cluster of somebody else has no worker any more: what is sent waits there without a word."""
        if self._scheduler is None or not self._futures:
            return
        if time.monotonic() - self._counted > RECOUNT:
            self._count_slots()
        had, self._has_workers = self._has_workers, sum(self._slots.values()) > 0
        if had and not self._has_workers:
            message = f"no worker is left at {self._scheduler}; waiting for one. Start workers, or stop this run"
            node_id = next(iter(self._futures))
            self._emit({"event": "warning", "node": node_id, "message": message, "source": "engine"})

    def _settle(self, node_id: str, future: Future) -> Event | None:
        """A future's outcome; None where its worker died, and may have done so because of another step.

        Dask blames every step that a dead worker had, also those that only waited there. So a further try is
        alone: whoever dies then has itself to blame, and has all memory of the machine. A step has failed
        once its second worker died that it shared with none.
        """
        if future.status in ("lost", "cancelled"):
            self._connected()
            if _reason(future) == "scheduler-connection-lost":  # and found again since, without what was sent there
                raise self._connection_lost()
        del self._futures[node_id]
        said = self._outcomes.pop(node_id, None)
        try:
            outcome = said if said and future.status == "finished" else _outcome(node_id, future)
        except OSError as error:  # it went before the answer was fetched
            raise self._connection_lost() from error
        if outcome.get("error_type") != "KilledWorker":
            return outcome
        death: Any = future.exception()
        self._deaths.setdefault(node_id, []).append(death.last_worker.address)
        if self._own_deaths(node_id) > 1:
            return outcome
        self._awaiting_retry.append(node_id)
        message = "its worker process died; it is tried once more, with nothing beside it"
        self._emit({"event": "warning", "node": node_id, "message": message, "source": "engine"})
        return None

    def _own_deaths(self, node_id: str) -> int:
        others = [place for other, places in self._deaths.items() if other != node_id for place in places]
        return sum(place not in others for place in self._deaths[node_id])

    def stop(self) -> None:
        """Kill the workers started here; on an existing cluster cancel what is ours."""
        client, cluster, futures = self._client, self._cluster, list(self._futures.values())
        self._client, self._cluster, self._futures = None, None, {}
        # Best effort: the run's record is written before, and nothing here can change a result.
        if client is not None:
            with suppress(Exception):
                client.cancel(futures, force=True)
                if futures:
                    from pipelines.engine.workers import let_trainings_save

                    let_trainings_save(client, SAVING)
            with suppress(Exception):
                client.close(timeout=5)
        if cluster is not None:
            with suppress(Exception):
                cluster.close(timeout=10)


def _reason(future: Future) -> str:
    """Why a future was cancelled, in Dask's words; empty if it does not say."""
    try:
        future.result(timeout=1)
    except Exception as error:
        return getattr(error, "reason", None) or ""
    return ""


def _outcome(node_id: str, future: Future) -> Event:
    """What a future holds, or in words why it holds nothing."""
    if future.status == "finished":
        return future.result()
    error = future.exception() if future.status == "error" else None
    if error is None:
        reason = "somebody cancelled it on the Dask scheduler. The same command goes on from here."
    elif type(error).__name__ == "KilledWorker":
        reason = (
            "the worker process died again in this step, with no other step of the run beside it, most "
            "likely for lack of memory. Use a machine with more, or a recipe with smaller models."
        )
    else:
        reason = f"{type(error).__name__}: {error}"
    kind = type(error).__name__ if error else "CancelledError"
    return {
        "node": node_id,
        "status": "failed",
        "wall_s": 0.0,
        "error": reason,
        "error_type": kind,
        "traceback": reason + "\n",
    }
