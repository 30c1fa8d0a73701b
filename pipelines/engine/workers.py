"""Dask workers: those started here, those found on a cluster, and what runs inside them.

Embedded, each worker is a process with one Dask thread. For each CUDA device that the plan wants there are
as many workers as share it, which see that device only and declare the resource ``GPU``; the others see no device and
declare ``CPU``. Without this, every process would take ``cuda:0``. Dask's memory limits are off: it
counts memory-mapped pages as used and would kill healthy workers; the executor packs by the nodes' own
estimates instead.
"""

import asyncio
import logging
import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any, cast

import dask.config
from distributed import Client, Nanny, Scheduler, Security, SpecCluster, get_worker
from distributed.comm.core import connect as comm_connect

from pipelines.engine.executor import ExecutorError
from pipelines.engine.task import Event, execute
from storage import Store
from universality.errors import refusal

START_TIMEOUT = 120
#: Seconds in which a scheduler must have answered.
ANSWER = 10
#: Training frees and asks again for the same megabytes thousands of times a minute. Dask's own setting (trim at 64 kB)
#: hands them back to the system each time, and every page is then faulted in and cleared anew.
KEEP_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": 1 << 30,
    "MALLOC_MMAP_THRESHOLD_": 1 << 25,  # the largest that glibc accepts
    "MALLOC_TOP_PAD_": 1 << 26,
    "MALLOC_ARENA_MAX": 1,  # a worker computes in one thread
}
#: Reached from this machine only, on ports that are free, without a dashboard of Dask's.
HERE = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}


def worker_specs(n_cpu: int, devices: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The workers of an embedded cluster, by name, as ``SpecCluster`` takes them.

    Args:
        n_cpu: number of CPU workers.
        devices: CUDA device ids (index or UUID); one worker for each entry, so one that stands twice is shared.

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
                **HERE,
                "silence_logs": logging.CRITICAL,
            },
        }

    specs = {f"cpu-{index}": spec("CPU", "") for index in range(n_cpu)}
    return specs | {f"gpu-{index}": spec("GPU", device) for index, device in enumerate(devices)}


def start_cluster(n_cpu: int, devices: Sequence[str]) -> SpecCluster:
    """A cluster of processes on this machine, on a free port and without a dashboard server.

    Raises:
        ExecutorError: they do not start.
    """
    _silence()
    scheduler = {"cls": Scheduler, "options": {**HERE, "port": 0}}
    settings = {
        # The executor itself tries a step once more whose worker died (memory, a crash in native code).
        "distributed.scheduler.allowed-failures": 0,
        # Native code may hold the interpreter for long; that a process of this machine died is seen anyway.
        "distributed.scheduler.worker-ttl": None,
        # Nobody looks at Dask's own watch on the cards, and it stops a worker whose card it cannot ask about.
        "distributed.diagnostics.nvml": False,
        "distributed.nanny.pre-spawn-environ": {
            **dask.config.get("distributed.nanny.pre-spawn-environ"),
            **KEEP_MEMORY,
        },
    }
    try:
        with dask.config.set(settings), _interrupts_held_back():
            return SpecCluster(workers=worker_specs(n_cpu, devices), scheduler=scheduler, worker={"cls": Nanny})
    except (RuntimeError, OSError) as error:  # no sockets, no processes, no memory
        constraint, remedy = "able to start", "Use --serial, or fewer --workers."
        raise ExecutorError.worded("workers", "this machine", constraint, str(error), remedy) from error


def connect(cluster: SpecCluster | str) -> Client:
    """A client of a cluster started here, or of a scheduler at an address.

    Raises:
        InputError: nobody answers at the address.
    """
    _silence()
    if not isinstance(cluster, str):
        client = Client(cluster, set_as_default=False)
        client.wait_for_workers(len(cluster.worker_spec), timeout=START_TIMEOUT)
        return client
    problem = _who_answers(cluster)
    if not problem:
        try:
            return Client(cluster, timeout=20, set_as_default=False)
        except (OSError, ValueError) as error:
            problem = str(error)
    constraint = "the address of a running Dask scheduler, for example tcp://host:8786"
    remedy = "Start one with `dask scheduler`, or leave the option out."
    raise refusal("--scheduler", "this command", constraint, f"{cluster!r} ({problem})", remedy)


def _who_answers(address: str) -> str:
    """Why an address is not that of a scheduler, in words; empty if it is.

    Asked before Dask's client is made: that one waits long for an answer, and longer still when it is thrown away.
    """
    if not re.fullmatch(r"([a-z]+://)?(\[[^\]]+\]|[^:/\[\]]+):[0-9]{1,5}/?", address):
        return "no address"

    async def ask() -> Any:
        comm = await comm_connect(address, timeout=ANSWER, **Security().get_connection_args("client"))
        try:
            await comm.write({"op": "identity", "reply": True})
            return await comm.read()
        finally:
            comm.abort()

    async def within() -> Any:
        return await asyncio.wait_for(ask(), 2 * ANSWER)

    try:
        identity = asyncio.run(within())
    except TimeoutError:
        return f"nobody there speaks to Dask within {ANSWER} s"
    except Exception as error:  # whatever another program's answer makes of Dask's reader
        return str(error).split("\n")[0][:200] or type(error).__name__
    kind = identity.get("type") if isinstance(identity, Mapping) else None
    return "" if kind == "Scheduler" else f"there is a {kind or 'stranger'}"


def refuse_unfit_workers(client: Client, address: str, needs_gpu: bool, store: Store) -> None:
    """Look at an existing cluster before any work is sent there.

    Raises:
        InputError: it has no worker, a worker with several threads, no GPU worker although one is
            needed, or a worker that does not reach the store.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"]
    where = f"the cluster at {address}"
    if not workers:
        raise refusal("workers", where, "at least one", 0, "Start workers, then run again.")
    for name, worker in workers.items():
        if worker["nthreads"] != 1:  # threads, warnings and peak memory are counted by process
            raise refusal("threads", f"worker {name}", "1", worker["nthreads"], "Start it with --nthreads 1.")
    if needs_gpu and not any(worker["resources"].get("GPU") for worker in workers.values()):
        remedy = 'Start a worker for each GPU with --resources "GPU=1", as dask-cuda can.'
        raise refusal("resource GPU", where, "declared by a worker", "none", remedy)
    runs = sorted(run.name for run in store.runs({}))
    try:
        answers = cast("dict[str, str]", client.run(_why_out_of_reach, store.url, runs))
    except OSError as error:  # one that ended while it was asked
        constraint, got = "there while the run begins", f"{type(error).__name__}: {str(error)[:200]}"
        raise ExecutorError.worded("workers", where, constraint, got, "Run the same command again.") from error
    except Exception as error:  # a worker without this package cannot even read the question
        remedy = "Install the same version of universality, in the same environment, on every worker."
        got = f"{type(error).__name__}: {str(error)[:200]}"
        raise refusal("package universality", where, "installed on every worker", got, remedy) from None
    for name, reason in answers.items():
        if reason:
            remedy = "Use a shared folder or an object store that every worker reaches by this address."
            raise refusal("store", f"worker {name}", f"the one at {store.url}", reason, remedy)


def execute_on_worker(task: Mapping[str, Any], topic: str) -> Event:
    """Run a task in this worker; once nobody waits for it any more, its next report stops it.

    The outcome is also sent as the last event: what a future holds is fetched from its worker, and one that stalls
    just then would hold up the whole run.

    Args:
        task: from :func:`pipelines.engine.task.describe_task`.
        topic: the Dask topic on which its events and its outcome travel to the runner.
    """
    worker = get_worker()
    own_key = worker.get_current_task()

    def check() -> None:
        state = worker.state.tasks.get(own_key)
        if state is None or state.state == "cancelled":
            raise InterruptedError("the run that asked for this step has stopped")

    def emit(event: Event) -> None:
        check()
        worker.log_event(topic, {"payload": event})  # wrapped: Dask writes its own fields beside

    outcome = execute(task, emit, check=check)
    worker.log_event(topic, {"payload": outcome})
    return outcome


def let_trainings_save(client: Client, seconds: float) -> None:
    """After a cancellation, wait until no worker computes any more: trainings save their state before they end."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(cast("dict[str, int]", client.run(_n_computing)).values()):
        time.sleep(0.05)


def _n_computing(dask_worker: Any) -> int:
    return len(dask_worker.state.executing)


def _why_out_of_reach(store_url: str, runs: list[str]) -> str:
    from storage import open_store

    try:
        store = open_store(store_url)
        store.require()
        reachable = {run.name for run in store.runs({})}
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    missing = [name for name in runs if name not in reachable]
    return f"a place without the run {missing[0]!r}" if missing else ""


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Ctrl-C waits until the workers are there, and is for this process alone.

    A terminal sends it to every process of its group. Workers inherit the blocked signal; so they go on
    until this process ends them in order.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _silence() -> None:
    """Dask's own log speaks of every worker that ends; what matters comes back as an outcome."""
    # Some of its loggers have a level of their own, which that of their parent does not touch.
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL)
