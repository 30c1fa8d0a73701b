"""Embedded workers: one device per GPU worker, none for the others; packing by cores and memory."""

import pytest

from pipelines.engine import Estimate, Node, runner
from pipelines.engine.cluster import DaskExecutor
from pipelines.engine.workers import KEEP_MEMORY, connect, start_cluster, worker_specs
from storage import open_store
from universality.errors import InputError


def test_each_gpu_worker_sees_its_own_device_only():
    specs = worker_specs(2, ["0", "MIG-7"])
    seen = {name: spec["options"]["env"]["CUDA_VISIBLE_DEVICES"] for name, spec in specs.items()}
    assert seen == {"cpu-0": "", "cpu-1": "", "gpu-0": "0", "gpu-1": "MIG-7"}
    resources = {name: spec["options"]["resources"] for name, spec in specs.items()}
    assert resources == {"cpu-0": {"CPU": 1}, "cpu-1": {"CPU": 1}, "gpu-0": {"GPU": 1}, "gpu-1": {"GPU": 1}}
    assert {spec["options"]["nthreads"] for spec in specs.values()} == {1}


def executor(workers=3, cores=4, memory=10_000, gpus=1):
    built = DaskExecutor(workers=workers)
    built._slots = {"CPU": workers, "GPU": gpus}
    built._cores, built._memory = cores, memory
    return built


def cpu(threads=1, memory=0):
    return Node("n", "s", threads=threads, estimate=Estimate(memory=memory))


GPU = Node("g", "s", device="cuda")


def test_one_step_per_worker():
    assert executor().fits(cpu(), [cpu(), cpu()])
    assert not executor().fits(cpu(), [cpu(), cpu(), cpu()])


def test_gpu_nodes_and_cpu_nodes_do_not_block_each_other():
    assert executor().fits(GPU, [cpu(), cpu(), cpu()])
    assert executor().fits(cpu(), [GPU, cpu(), cpu()])
    assert not executor().fits(GPU, [GPU])


def test_threads_stay_within_the_cores():
    assert executor().fits(cpu(threads=2), [cpu(threads=2)])
    assert not executor().fits(cpu(threads=3), [cpu(threads=2)])
    assert executor().fits(cpu(threads=64), []), "a node wider than the machine runs alone"


def test_memory_is_packed_by_estimates():
    assert executor().fits(cpu(memory=4_000), [cpu(memory=6_000)])
    assert not executor().fits(cpu(memory=4_001), [cpu(memory=6_000)])
    assert executor().fits(cpu(memory=99_000), []), "a node larger than the machine is tried alone"


def test_gpu_nodes_without_a_device_are_refused():
    with pytest.raises(InputError, match="CUDA devices"):
        DaskExecutor(devices=[])._pick_devices(n_cuda=1)
    assert DaskExecutor(devices=["0", "1", "2"])._pick_devices(n_cuda=2) == ["0", "1"]
    assert DaskExecutor(devices=["0"])._pick_devices(n_cuda=0) == []


def test_workers_that_do_not_start_are_told_in_words(monkeypatch):
    from pipelines.engine import workers
    from pipelines.engine.executor import ExecutorError

    def refuse(**_):
        raise RuntimeError("no more processes")

    monkeypatch.setattr(workers, "SpecCluster", refuse)
    with pytest.raises(ExecutorError, match=r"no more processes\. Use --serial"):
        workers.start_cluster(1, [])


def test_workers_and_scheduler_exclude_each_other():
    with pytest.raises(InputError, match="absent beside a scheduler"):
        DaskExecutor(workers=2, scheduler="tcp://127.0.0.1:1")
    with pytest.raises(InputError, match="at least 1"):
        DaskExecutor(workers=0)


def test_workers_keep_the_memory_they_will_ask_for_again():
    """The allocator reads these once, at its start. Dask's own trim at 64 kB costs a third of a run."""
    import os

    cluster = start_cluster(1, [])
    try:
        client = connect(cluster)
        try:
            seen = client.run(lambda names: {name: os.environ.get(name) for name in names}, list(KEEP_MEMORY))
        finally:
            client.close()
    finally:
        cluster.close()
    assert list(seen.values()) == [{name: str(value) for name, value in KEEP_MEMORY.items()}]


def test_a_step_that_is_done_elsewhere_has_failed(tmp_path, monkeypatch):
    """A worker that writes into another store under the same address says done, and nothing is here."""
    store = open_store(tmp_path)
    monkeypatch.setattr(runner, "LATE", 0.0)
    done = {"node": "n", "status": "done"}
    found = runner._as_found(done, store, {"n": "k"})
    assert found["status"] == "failed"
    assert "Does every worker reach the same store" in found["error"]
    with store.create("k", step="s", version=1, params={}, inputs={}) as out:
        out.json("x", 1)
    assert runner._as_found(done, store, {"n": "k"}) == done
