"""Embedded workers: one device per GPU worker, none for the others; packing by cores and memory."""

import pytest

from pipelines.engine import Estimate, Node, cluster, runner
from pipelines.engine.cluster import DaskExecutor
from pipelines.engine.slots import default_slots
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


@pytest.mark.parametrize(
    ("slots", "n_cuda", "seen"),
    [(None, 9, "0 1 0 1 0 1 0 1"), (1, 9, "0 1"), (3, 9, "0 1 0 1 0 1"), (3, 4, "0 1 0 1"), (2, 1, "0")],
)
def test_devices_are_shared_evenly_and_by_no_more_workers_than_steps(monkeypatch, slots, n_cuda, seen):
    monkeypatch.setattr(cluster, "device_memory", lambda devices: 80 << 30)
    nodes = [Node(f"g{n}", "s", device="cuda", estimate=Estimate(memory=1 << 30)) for n in range(n_cuda)]
    chosen = DaskExecutor(devices=["0", "1"], gpu_slots=slots)._pick_devices(nodes, n_cuda)
    assert chosen == seen.split()
    env = [spec["options"]["env"]["CUDA_VISIBLE_DEVICES"] for spec in worker_specs(0, chosen).values()]
    assert env == seen.split()


@pytest.mark.parametrize(
    ("gigabytes", "memory", "slots"),
    [
        ([1] * 9, 80, 4), ([1] * 2, 80, 2), ([], 80, 1), ([1] * 9, None, 1),
        ([1] * 9, 16, 2),  # 3 of 16 for the step and 2 for logits: three times that is beyond nine tenths
        ([20, 1], 80, 1), ([20, 1], 100, 2), ([99], 80, 1),
    ],
)  # fmt: skip
def test_as_many_steps_share_a_device_as_surely_fit(gigabytes, memory, slots):
    nodes = [Node(f"g{n}", "s", device="cuda", estimate=Estimate(memory=size)) for n, size in enumerate(gigabytes)]
    assert default_slots([*nodes, cpu(memory=1000)], memory) == slots


@pytest.mark.parametrize("bad", [{"gpu_slots": 0}, {"gpu_slots": 2, "scheduler": "tcp://127.0.0.1:1"}])
def test_slots_of_nothing_and_of_a_foreign_cluster_are_refused(bad):
    with pytest.raises(InputError, match=r"gpu_slots of the Dask executor must be (at least 1|absent beside .*GPU=1)"):
        DaskExecutor(**bad)


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
        DaskExecutor(devices=[])._pick_devices([GPU], n_cuda=1)
    assert DaskExecutor(devices=["0", "1", "2"])._pick_devices([GPU] * 2, 2) == ["0", "1"]
    assert DaskExecutor(devices=["0"])._pick_devices([], 0) == []


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
