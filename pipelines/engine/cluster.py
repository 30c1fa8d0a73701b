"""The Dask executor: worker processes of this machine, or of a cluster that runs already.

Embedded, each worker is a process with one Dask thread. There is one worker per CUDA device that the
plan wants, which sees that device only and declares the resource ``GPU``; the others see no device and
declare ``CPU``. Without this, every process would take ``cuda:0``. Memory limits of Dask are off: it
counts memory-mapped pages as used and would kill healthy workers; packing by the nodes' own estimates
takes their place.

An existing cluster (``--scheduler tcp://…``) keeps its own workers. They must reach the store by the same
address, run one thread each (``--nthreads 1``), and those meant for GPU nodes must declare
``--resources "GPU=1"``, as ``dask cuda worker`` can.
"""

from __future__ import annotations

import logging
import queue
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dask
from distributed import Client, Future, Nanny, Scheduler, SpecCluster, get_worker

from pipelines.engine.machine import cores, total_memory, visible_devices
from pipelines.engine.plan import Node
from pipelines.engine.task import Emit, Event, execute
from universality.errors import InputError, must_be

if TYPE_CHECKING:
    from storage import Store

RESOURCE = {"cpu": "CPU", "cuda": "GPU"}


def worker_specs(n_cpu: int, devices: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The workers of an embedded cluster, by name, as ``SpecCluster`` takes them.

    Args:
        n_cpu: number of CPU workers.
        devices: CUDA device ids (index or UUID); one worker for each.

    Returns:
        One spec per worker: one thread, one unit of its resource, and the devices that its process sees.
    """

    def spec(resource: str, devices_seen: str) -> dict[str, Any]:
        return {
            "cls": Nanny,
            "options": {
                "nthreads": 1,
                "memory_limit": 0,
                "resources": {resource: 1},
                "env": {"CUDA_VISIBLE_DEVICES": devices_seen},
                "dashboard": False,
                "silence_logs": logging.CRITICAL,
            },
        }

    specs = {f"cpu-{index}": spec("CPU", "") for index in range(n_cpu)}
    return specs | {f"gpu-{index}": spec("GPU", device) for index, device in enumerate(devices)}


class DaskExecutor:
    """Runs nodes on Dask workers.

    Args:
        workers: CPU worker processes of the embedded cluster; default one per core.
        scheduler: address of an existing cluster; then ``workers`` must be None.
        devices: CUDA devices of the embedded cluster; default all visible ones.
    """

    def __init__(
        self, workers: int | None = None, scheduler: str | None = None, devices: Sequence[str] | None = None
    ) -> None:
        if workers is not None and workers < 1:
            raise InputError(must_be("workers", "the executor", "at least 1", workers, "Give 1 or more."))
        if workers is not None and scheduler is not None:
            raise InputError(
                must_be(
                    "workers", "the executor", "absent with a scheduler", workers, "Its cluster has its own."
                )
            )
        self.name = f"dask at {scheduler}" if scheduler else "dask"
        self._scheduler = scheduler
        self._n_workers = workers or cores()
        self._cores = max(cores(), self._n_workers)
        self._devices = list(devices) if devices is not None else None
        self._cluster: SpecCluster | None = None
        self._client: Client | None = None
        self._inbox: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._futures: dict[str, Future] = {}

    # -- start and stop -----------------------------------------------------------------------------

    def start(self, nodes: Sequence[Node], store: Store, emit: Emit) -> None:
        """Start workers, or connect to those of the scheduler and look whether they can do the work."""
        self._emit = emit
        self._topic = f"universality-{uuid.uuid4().hex}"
        if store.url.startswith("memory://"):
            raise InputError(
                must_be(
                    "store",
                    "a Dask run",
                    "reachable from other processes",
                    store.url,
                    "Use a folder, or --serial.",
                )
            )
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        if self._scheduler:
            self._client = Client(self._scheduler, timeout=20, set_as_default=False)
        else:
            self._client = Client(self._embedded(nodes), set_as_default=False)
        self._client.subscribe_topic(self._topic, self._take_event)
        if self._cluster is not None:
            self._client.wait_for_workers(len(self._cluster.worker_spec), timeout=120)
        self._slots, self._slots_at = self._count_slots(), time.monotonic()
        if self._scheduler:
            self._refuse_unfit_workers(nodes, store)

    def _embedded(self, nodes: Sequence[Node]) -> SpecCluster:
        n_cuda = sum(node.device == "cuda" for node in nodes)
        devices = (visible_devices() if self._devices is None else self._devices)[:n_cuda] if n_cuda else []
        if n_cuda and not devices:
            raise InputError(
                must_be(
                    "CUDA devices",
                    "this machine",
                    "at least one",
                    "none",
                    "Use --device cpu, or a machine with a GPU.",
                )
            )
        n_cpu = min(self._n_workers, sum(node.device == "cpu" for node in nodes))
        with dask.config.set({"distributed.scheduler.allowed-failures": 1}):
            self._cluster = SpecCluster(
                workers=worker_specs(n_cpu, devices),
                scheduler={
                    "cls": Scheduler,
                    "options": {
                        "host": "127.0.0.1",
                        "port": 0,
                        "dashboard": False,
                        "dashboard_address": None,
                    },
                },
                worker={"cls": Nanny},
                silence_logs=logging.CRITICAL,
            )
        return self._cluster

    def _refuse_unfit_workers(self, nodes: Sequence[Node], store: Store) -> None:
        assert self._client is not None
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        where = f"the cluster at {self._scheduler}"
        if not workers:
            raise InputError(must_be("workers", where, "at least one", 0, "Start workers, then run again."))
        wide = [address for address, worker in workers.items() if worker["nthreads"] != 1]
        if wide:
            raise InputError(
                must_be(
                    "threads",
                    f"worker {wide[0]}",
                    "1",
                    workers[wide[0]]["nthreads"],
                    "Start it with --nthreads 1.",
                )
            )
        if any(node.device == "cuda" for node in nodes) and not self._slots["GPU"]:
            raise InputError(
                must_be(
                    "resource GPU",
                    where,
                    "declared by a worker",
                    "none",
                    'Start GPU workers with --resources "GPU=1".',
                )
            )
        for address, reason in self._client.run(_why_out_of_reach, store.url, _mark_of(store)).items():
            if reason:
                raise InputError(
                    must_be(
                        "store",
                        f"worker {address}",
                        "the one of this command",
                        reason,
                        "Use a shared folder or an object store that every worker reaches by the same address.",
                    )
                )

    def stop(self) -> None:
        """Kill embedded workers, or cancel our tasks on an existing cluster."""
        client, cluster = self._client, self._cluster
        self._client = self._cluster = None
        if client is not None:
            with suppress(Exception):
                client.cancel(list(self._futures.values()), force=True)
            with suppress(Exception):
                client.close(timeout=5)
        self._futures.clear()
        if cluster is not None:
            with suppress(Exception):
                cluster.close(timeout=10)

    # -- work ---------------------------------------------------------------------------------------

    def fits(self, node: Node, running: Sequence[Node]) -> bool:
        """One step per worker; on this machine also no more threads than cores and memory for all."""
        if not running:
            return True
        if self._scheduler and time.monotonic() - self._slots_at > 5.0:
            self._slots, self._slots_at = self._count_slots(), time.monotonic()
        resource = RESOURCE[node.device]
        if sum(RESOURCE[other.device] == resource for other in running) >= self._slots[resource]:
            return False
        if self._scheduler:
            return True
        everyone = [node, *running]
        threads = sum(each.threads for each in everyone if each.device == "cpu")
        memory = sum(each.estimate.memory for each in everyone)
        return (node.device == "cuda" or threads <= self._cores) and memory <= 0.9 * total_memory()

    def submit(self, task: Mapping[str, Any], priority: float) -> None:
        """Send a task; it holds addresses and keys only."""
        assert self._client is not None
        node = task["node"]
        wants = RESOURCE[node["device"]]
        future = self._client.submit(
            _execute_on_worker,
            dict(task),
            self._topic,
            key=f"{node['id']}-{uuid.uuid4().hex[:8]}",
            priority=priority,
            resources={wants: 1} if wants in self._declared else None,
            pure=False,
            retries=0,
        )
        self._futures[node["id"]] = future
        future.add_done_callback(lambda done, node_id=node["id"]: self._inbox.put((node_id, done)))

    def wait(self) -> list[Event]:
        """Pass on events until something finishes, or half a second has gone."""
        outcomes: list[Event] = []
        block = True
        while True:
            try:
                node_id, item = self._inbox.get(block=block, timeout=0.5)
            except queue.Empty:
                return outcomes
            block = False
            if isinstance(item, Future):
                outcomes.append(self._outcome(node_id, item))
                del self._futures[node_id]
            else:
                self._emit(item)

    def _outcome(self, node_id: str, future: Future) -> Event:
        if future.status == "finished":
            return future.result()
        if future.status == "error":
            error = future.exception()
            reason = f"{type(error).__name__}: {error}"
            if type(error).__name__ == "KilledWorker":
                reason = (
                    "the worker process died twice while it ran this step, most likely for lack of memory. "
                    "Use fewer --workers, or a recipe with smaller models."
                )
        else:
            reason = "the connection to the Dask scheduler was lost. Run the same command again to go on."
        return {
            "node": node_id, "status": "failed", "wall_s": 0.0,
            "error": reason, "error_type": future.status, "traceback": reason + "\n",
        }  # fmt: skip

    def _take_event(self, stamped: tuple[float, Event]) -> None:
        self._inbox.put(("", stamped[1]))

    def _count_slots(self) -> dict[str, int]:
        assert self._client is not None
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        gpu = sum(worker["resources"].get("GPU", 0) > 0 for worker in workers)
        self._declared = {name for worker in workers for name in worker["resources"]}
        cpu = sum("CPU" in worker["resources"] for worker in workers)
        return {"GPU": gpu, "CPU": cpu if "CPU" in self._declared else len(workers)}


def _execute_on_worker(task: Mapping[str, Any], topic: str) -> Event:
    """Run a task here, and stop it at its next report once nobody waits for it any more."""
    worker = get_worker()
    own_key = worker.get_current_task()

    def emit(event: Event) -> None:
        state = worker.state.tasks.get(own_key)
        if state is None or state.state == "cancelled":
            raise InterruptedError("the run that asked for this step has stopped")
        worker.log_event(topic, event)

    return execute(task, emit)


def _mark_of(store: Store) -> list[str]:
    """What another process must find in the store, if it is the same one: its runs."""
    return sorted(run.name for run in store.runs())


def _why_out_of_reach(store_url: str, runs: list[str]) -> str:
    from storage import open_store

    try:
        found = {run.name for run in open_store(store_url).runs()}
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    missing = [name for name in runs if name not in found]
    return f"a store without the run {missing[0]!r} at {store_url}" if missing else ""
