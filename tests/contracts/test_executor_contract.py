"""One contract for every executor: the same artifacts, the same record, the same manners in failure."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError

from pipelines.engine import Estimate, Node, Plan, SerialExecutor, run_plan
from pipelines.engine.cluster import DaskExecutor
from pipelines.engine.executor import ExecutorError
from storage import ArtifactMissing, open_store
from universality.errors import InputError

TOYS = str(Path(__file__).resolve().parents[1] / "toys")
if TOYS not in sys.path:  # Dask workers inherit sys.path and import the steps by name
    sys.path.insert(0, TOYS)
import engine_toys as toys


class Never(SerialExecutor):
    """Fails when it is asked to compute anything."""

    def start(self, nodes, store, emit):
        raise AssertionError(f"asked to compute {[node.id for node in nodes]}")


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes that run already, as a cluster would."""
    from pipelines.engine import workers

    started = workers.start_cluster(2, [])
    yield started.scheduler_address
    started.close(timeout=10)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Digests of the wide plan, computed serially, in another store."""
    store = open_store(str(tmp_path_factory.mktemp("reference")))
    plan = toys.wide_plan()
    assert run_plan(plan, store, toys.make_run(store, plan)).status == "done"
    return toys.digests(store, plan)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


class ExecutorContract:
    """What holds for each executor; subclasses provide the fixture ``executor``, a factory."""

    def test_same_bytes_as_serial_and_truthful_record(self, executor, store, reference):
        plan, events = toys.wide_plan(), []
        run = toys.make_run(store, plan)
        outcome = run_plan(plan, store, run, executor=executor(), progress=events.append)

        assert (outcome.status, outcome.exit_code) == ("done", 0), outcome.errors
        assert (outcome.n_computed, outcome.n_reused) == (10, 0), "twins are computed once"
        assert toys.digests(store, plan) == reference

        record = store.run("toy").record
        assert record["status"] == "done"
        assert record["wall_s"] > 0
        assert {node["status"] for node in record["nodes"].values()} == {"done"}
        assert {name: node["key"] for name, node in record["nodes"].items()} == plan.keys()

        kinds = [event["event"] for event in events]
        assert (kinds[0], kinds[-1]) == ("run_started", "run_finished")
        assert kinds.count("started") == kinds.count("done") == 10
        assert json.loads(json.dumps(events)) == events
        written = store.run("toy").events()
        assert [event["event"] for event in written] == kinds
        for name in ("train/0", "sum"):
            order = [event["event"] for event in written if event.get("node") == name]
            assert order[0] == "started"
            assert order[-1] == "done"
            assert "progress" in order
        last = [event for event in written if event.get("node") == "train/3" and event["event"] == "progress"][-1]
        assert (last["done"], last["total"]) == (10, 10)
        assert isinstance(last["loss"], float)
        assert set(last) == {"time", "event", "node", "done", "total", "loss"}

        facts = store.get(plan.keys()["train/3"]).manifest["facts"]
        assert facts["threads"] == 2
        assert facts["peak_memory"] > 1e6
        assert facts["wall_s"] >= 0

    def test_a_finished_run_computes_nothing(self, executor, store):
        plan = Plan([Node("draw", "toy-draw", {"seed": 1, "n": 3})])
        run = toys.make_run(store, plan)
        run_plan(plan, store, run, executor=executor())
        record, events = store.run("toy").record, store.run("toy").events()
        again = run_plan(plan, store, store.run("toy"), executor=Never())
        assert (again.status, again.n_computed, again.n_reused) == ("done", 0, 1)
        assert store.run("toy").record == record
        assert store.run("toy").events() == events

    def test_failure_is_told_and_its_neighbours_go_on(self, executor, store):
        plan, events = toys.failing_plan(), []
        run = toys.make_run(store, plan)
        outcome = run_plan(plan, store, run, executor=executor(), progress=events.append)
        assert outcome.nodes == {
            "start": "done", "bad": "failed", "after": "skipped", "good": "done", "last": "skipped",
        }  # fmt: skip
        assert (outcome.status, outcome.exit_code) == ("failed", 1), "no result of the plan exists"
        failure = outcome.errors["bad"]
        assert failure["error"] == "ValueError: no [luck] today"
        assert "engine_toys.py" in failure["traceback"]
        assert "raise ValueError" in Path(failure["log"]).read_text()
        assert [event["because"] for event in events if event["event"] == "skipped"] == ["bad", "bad"]
        with pytest.raises(ArtifactMissing):
            store.get(plan.keys()["bad"])
        record = store.run("toy").record
        assert record["status"] == "failed"
        assert {name: node["status"] for name, node in record["nodes"].items()} == outcome.nodes

    def test_partial_when_some_results_exist_and_repaired_by_running_again(self, executor, store):
        bad = Node("bad", "toy-fail", {"message": "no"})
        good = Node("good", "toy-draw", {"seed": 3, "n": 3})
        plan = Plan([bad, good])
        outcome = run_plan(plan, store, toys.make_run(store, plan), executor=executor())
        assert (outcome.status, outcome.exit_code) == ("partial", 3)
        mended = Plan([Node("bad", "toy-draw", {"seed": 4, "n": 3}), good])
        again = run_plan(mended, store, store.run("toy"), executor=executor())
        assert (again.status, again.n_computed, again.n_reused) == ("done", 1, 1)
        assert store.run("toy").record["nodes"]["bad"]["key"] == mended.keys()["bad"]

    def test_warnings_and_log_records_reach_the_events(self, executor, store):
        plan, events = Plan([Node("w", "toy-warn", {})]), []
        run_plan(plan, store, toys.make_run(store, plan), executor=executor(), progress=events.append)
        messages = [event["message"] for event in events if event["event"] == "warning"]
        assert messages == ["logged 7", "UserWarning: shown"]

    def test_each_step_gets_its_threads(self, executor, store):
        plan = Plan([Node(f"report/{n}", "toy-report", {"n": n, "libraries": True}, threads=n) for n in (2, 1)])
        run_plan(plan, store, toys.make_run(store, plan), executor=executor())
        for n in (1, 2):
            process = store.get(plan.keys()[f"report/{n}"]).json("process")
            assert process["threads"] == [n, n, n]
            assert process["omp"] == str(n)

    def test_an_artifact_that_vanishes_fails_its_reader_only(self, executor, store):
        plan = Plan([Node("a", "toy-draw", {"seed": 1, "n": 3}), Node("b", "toy-sum", {}, {"x": "a"})])
        run = toys.make_run(store, plan)

        def remove_a(event):
            if event["event"] == "done" and event["node"] == "a":
                for path in sorted(Path(store.url).glob(f"artifacts/{plan.keys()['a']}/**/*"), reverse=True):
                    path.unlink() if path.is_file() else path.rmdir()

        outcome = run_plan(plan, store, run, executor=executor(), progress=remove_a)
        assert outcome.nodes["b"] == "failed"
        assert plan.keys()["a"][:8] in outcome.errors["b"]["error"]

    def test_nodes_beside_each_other_are_one_task_and_the_same_bytes(self, executor, store, tmp_path):
        def nodes(beside, **params):
            return [Node(f"{beside}{n}", "toy-side", {"seed": n, **params}, beside=beside) for n in range(4)]

        plan, events = Plan([*nodes("a"), *nodes("b", alone=True)]), []
        outcome = run_plan(plan, store, toys.make_run(store, plan), executor=executor(), progress=events.append)
        assert (outcome.status, outcome.n_computed) == ("done", 8), outcome.errors
        facts = {name: store.get(key).manifest["facts"]["together"] for name, key in plan.keys().items()}
        assert all(name in names for name, names in facts.items())
        a = {frozenset(facts[name]) for name in ("a0", "a1", "a2", "a3")}
        assert sorted(map(len, a)) == list(self.shares), "as many tasks as there are places"
        assert [facts[f"b{n}"] for n in range(4)] == [[f"b{n}"] for n in range(4)], "who fails together is tried alone"
        for kind in ("started", "done"):
            told = [event["node"] for event in events if event["event"] == kind]
            assert set(told) == set(facts)
            assert kind == "started" or len(told) == 8
        alone = open_store(str(tmp_path / "alone"))
        single = Plan([Node(name, "toy-side", plan[name].params) for name in facts])
        run_plan(single, alone, toys.make_run(alone, single))
        assert toys.digests(alone, single) == toys.digests(store, plan)


class TestSerial(ExecutorContract):
    shares = (4,)

    @pytest.fixture
    def executor(self):
        return SerialExecutor

    def test_works_on_a_store_in_memory(self):
        store = open_store("memory://executor-contract")
        plan = Plan([Node("a", "toy-draw", {"seed": 1, "n": 3}), Node("b", "toy-sum", {}, {"x": "a"})])
        outcome = run_plan(plan, store, toys.make_run(store, plan))
        assert outcome.status == "done"


class TestDaskCluster(ExecutorContract):
    """Against workers that run already, by address."""

    shares = (2, 2)

    @pytest.fixture
    def executor(self, cluster):
        return lambda: DaskExecutor(scheduler=cluster)

    def test_gpu_nodes_need_a_gpu_worker(self, executor, store):
        plan = Plan([Node("a", "toy-draw", {"seed": 1, "n": 3}, device="cuda")])
        with pytest.raises(InputError, match=r"GPU.*--resources"):
            run_plan(plan, store, toys.make_run(store, plan), executor=executor())
        assert store.run("toy").record["status"] == "failed"

    def test_store_in_memory_is_refused(self, executor):
        store = open_store("memory://executor-contract-dask")
        plan = Plan([Node("a", "toy-draw", {"seed": 1, "n": 3})])
        with pytest.raises(InputError, match="reachable by other processes"):
            run_plan(plan, store, toys.make_run(store, plan), executor=executor())

    def test_a_worker_that_cannot_reach_the_store_is_named(self, cluster, store):
        from pipelines.engine import workers

        client = workers.connect(cluster)

        class Elsewhere:
            url = "/nowhere/at/all"

            def runs(self, damaged):
                return store.runs(damaged)

        plan = Plan([Node("a", "toy-draw", {"seed": 1, "n": 3})])
        toys.make_run(store, plan)
        try:
            with pytest.raises(InputError, match=r"store of worker tcp://.* must be the one at /nowhere"):
                workers.refuse_unfit_workers(client, cluster, False, Elsewhere())
        finally:
            client.close()

    def test_no_scheduler_at_the_address(self, store):
        plan = Plan([Node("a", "toy-draw", {"seed": 1, "n": 3})])
        executor = DaskExecutor(scheduler="nonsense://127.0.0.1:1")
        with pytest.raises(InputError, match="running Dask scheduler"):
            run_plan(plan, store, toys.make_run(store, plan), executor=executor)


def meeting(tmp_path, n):
    (tmp_path / "met").mkdir()
    params = {"place": str(tmp_path / "met"), "expected": n}
    first = Estimate(99.0)  # before anything may die beside them
    return Plan([Node(f"meet/{k}", "toy-meet", {**params, "k": k}, {}, 1, "cuda", first) for k in range(n)])


def test_workers_of_a_cluster_that_see_one_gpu_share_it(store, tmp_path):
    from pipelines.engine import workers

    plan, started = meeting(tmp_path, 2), workers.start_cluster(0, ["3", "3"])
    try:
        executor = DaskExecutor(scheduler=started.scheduler_address)
        assert run_plan(plan, store, toys.make_run(store, plan), executor=executor).status == "done"
    finally:
        started.close(timeout=10)
    assert {store.get(key).json("devices") for key in plan.keys().values()} == {"3"}


class OneGpu(SerialExecutor):
    """Takes what is sent and computes it last come first, one step of a GPU at a time."""

    def start(self, nodes, store, emit):
        super().start(nodes, store, emit)
        self.taken, self.seen = [], []

    def fits(self, node, running):
        return node.device == "cpu" or all(other.device == "cpu" for other in running)

    def submit(self, task, priority):
        self.taken.append(task)
        self.seen.append(task["node"]["id"])

    def wait(self):
        self._task = self.taken.pop()
        return super().wait()


def test_a_step_that_waits_for_a_gpu_holds_up_no_step_of_the_cpu(store):
    nodes = [Node(f"g{n}", "toy-draw", {"seed": n, "n": 3}, device="cuda", estimate=Estimate(9.0)) for n in range(2)]
    nodes += [Node(f"c{n}", "toy-draw", {"seed": 9 + n, "n": 3}) for n in range(2)]
    executor = OneGpu()
    plan = Plan(nodes)
    assert run_plan(plan, store, toys.make_run(store, plan), executor=executor).status == "done"
    assert executor.seen == ["g0", "c0", "c1", "g1"]


class Line:
    """A Dask client whose futures end as they are told to, each in its turn."""

    status = "running"

    def __init__(self):
        self.asked = []

    def submit(self, function, task, topic, **options):
        future = Future()
        self.asked.append((task["node"]["id"], future))
        return future


class Future:
    def add_done_callback(self, callback):
        self.callback = callback

    def end(self, error=None):
        self.status, self.error = ("error" if error else "finished"), error
        self.callback(self)

    def cancel(self, error):
        self.status, self.error = "cancelled", error
        self.callback(self)

    def exception(self):
        return self.error if self.status == "error" else None

    def result(self, timeout=None):
        if self.status == "cancelled":
            raise self.error
        return {"status": "done"}


def death(place):
    """What Dask tells of each step that a dead worker had, run or not."""
    return KilledWorker("key", SimpleNamespace(address=f"tcp://{place}"), 0)


def waiting_for(node_id):
    """An executor that has sent a step to an existing cluster, and what it has sent it on."""
    executor, line = DaskExecutor(scheduler="tcp://far:1"), Line()
    executor._client, executor._topic, executor._execute = line, "", None  # pyright: ignore
    executor._emit, executor._wants_cpu, executor._slots, executor._counted = None, False, {"CPU": 2}, 0.0
    executor.submit({"node": {"id": node_id, "device": "cpu"}}, 0.0)
    return executor, line


@pytest.mark.parametrize("reason", ["scheduler-connection-lost", None])
def test_a_connection_that_was_lost_is_told_though_it_is_back(reason):
    """Dask's client finds its scheduler again and has forgotten what it had sent there."""
    executor, line = waiting_for("a")
    executor._counted = float("inf")
    line.asked[0][1].cancel(FutureCancelledError("a", reason))
    if reason is None:
        assert "somebody cancelled it" in executor.wait()[0]["error"]
    else:
        with pytest.raises(ExecutorError, match="tcp://far:1 must be there until the run ends; got a connection"):
            executor.wait()


def test_a_scheduler_that_dies_before_an_answer_is_fetched(monkeypatch):
    executor, line = waiting_for("a")
    executor._counted = float("inf")

    def closed(**options):
        raise CommClosedError("in <TCP (closed) ConnectionPool.gather>: OSError: [Errno 113] No route to host")

    monkeypatch.setattr(Future, "result", lambda future, timeout=None: closed())
    line.asked[0][1].end()
    with pytest.raises(ExecutorError, match="tcp://far:1 must be there until the run ends; got a connection"):
        executor.wait()


def test_a_scheduler_that_dies_while_its_workers_are_counted(monkeypatch):
    executor, line = waiting_for("a")

    def closed(**options):
        raise CommClosedError("in <TCP (closed)>: Stream is closed")

    monkeypatch.setattr(line, "scheduler_info", closed, raising=False)
    for act in (executor.wait, lambda: executor.fits(Node("b", "toy-sum", {}), [Node("a", "toy-sum", {})])):
        with pytest.raises(ExecutorError, match="tcp://far:1 must be there until the run ends; got a connection"):
            act()


def test_it_is_said_once_that_no_worker_is_left_whoever_counts_them(monkeypatch):
    executor, line = waiting_for("a")
    told, here = [], {}
    executor._emit = told.append
    monkeypatch.setattr(line, "scheduler_info", lambda **options: {"workers": here}, raising=False)
    for number, found in enumerate([{}, {"tcp://one:1": {"resources": {}}}, {}]):
        here = found
        for _ in range(2):
            executor._counted = 0.0
            executor.fits(Node("b", "toy-sum", {}), [Node("a", "toy-sum", {})])
            executor.wait()
        assert len(told) == 1 + number // 2
        assert "no worker is left at tcp://far:1" in told[-1]["message"]


def test_a_worker_that_ends_while_it_is_asked_is_told(tmp_path, monkeypatch):
    from pipelines.engine import workers

    line = Line()
    monkeypatch.setattr(
        line, "scheduler_info", lambda **options: {"workers": {"tcp://one:1": {"nthreads": 1}}}, raising=False
    )

    def closed(*arguments):
        raise CommClosedError("in <TCP (closed)>: Stream is closed")

    monkeypatch.setattr(line, "run", closed, raising=False)
    with pytest.raises(ExecutorError, match="must be there while the run begins; got CommClosedError"):
        workers.refuse_unfit_workers(line, "tcp://far:1", False, open_store(tmp_path))  # pyright: ignore


def test_what_a_dead_worker_held_is_tried_again_one_by_one():
    """Nothing runs beside them, and a worker's death counts against a step only where it had that worker alone.

    ``once`` only waited on the worker that ``guilty`` took down, and dies a first time itself afterwards.
    """
    executor, told, line = DaskExecutor(workers=2), [], Line()
    executor._client, executor._topic, executor._execute = line, "", None  # pyright: ignore
    executor._emit, executor._wants_cpu, executor._slots = told.append, False, {"CPU": 2}
    nodes = {name: Node(name, "toy-sum", {}) for name in ("guilty", "once", "other", "next")}
    for name in ("guilty", "once", "other"):
        executor.submit({"node": {"id": name, "device": "cpu"}}, 0.0)
    for place in (0, 1):
        line.asked[place][1].end(death("shared"))
    assert executor.wait() == [], "both have another try"
    assert [event["node"] for event in told] == ["guilty", "once"]
    assert len(line.asked) == 3, "not beside the third"
    assert not executor.fits(nodes["next"], [nodes["guilty"]])

    line.asked[2][1].end()
    assert [outcome["status"] for outcome in executor.wait()] == ["done"]
    ends = {"guilty": [death(1), death(2)], "once": [death(3), None]}
    settled = []
    while line.asked[3:] and not settled[1:]:
        name, future = line.asked[-1]
        assert not executor.fits(nodes["next"], [nodes[name]]), "alone"
        future.end(ends[name].pop(0))
        settled += executor.wait()
    assert [(outcome.get("node"), outcome["status"]) for outcome in settled] == [("guilty", "failed"), (None, "done")]
    assert [name for name, _ in line.asked[3:]] == ["guilty", "once", "guilty", "once"]
    executor._client = None


def test_embedded_workers_devices_deaths_and_order(store, tmp_path):
    """One embedded cluster, many questions: starting it is what takes time."""
    deaths = str(tmp_path / "deaths")
    gpu = [Node(f"gpu/{n}", "toy-report", {"n": n}, device="cuda", estimate=Estimate(5.0)) for n in range(4)]
    cpu = [Node(f"cpu/{n}", "toy-report", {"cpu": n}) for n in range(4)]
    once = Node("dies/once", "toy-die", {"deaths": deaths + "1", "times": 1})
    always = Node("dies/always", "toy-die", {"deaths": deaths + "2", "times": 99})
    too = Node("dies/too", "toy-die", {"deaths": deaths + "3", "times": 99})
    met = meeting(tmp_path, 4).nodes
    plan = Plan([*cpu, *gpu, *met, once, always, too, Node("needs", "toy-sum", {}, {"x": "dies/always"})])
    executor = DaskExecutor(workers=2, devices=["3", "5"], gpu_slots=2)
    outcome = run_plan(plan, store, toys.make_run(store, plan), executor=executor)

    assert outcome.nodes["dies/once"] == "done", "a worker's death is survived once"
    assert outcome.nodes["dies/always"] == "failed"
    assert "died again in this step" in outcome.errors["dies/always"]["error"]
    assert outcome.nodes["needs"] == "skipped"
    innocent = {node.id: outcome.nodes[node.id] for node in [*cpu, *gpu]}
    assert set(innocent.values()) == {"done"}, "nobody is blamed for a neighbour's death"

    keys = plan.keys()
    processes = {node.id: store.get(keys[node.id]).json("process") for node in [*cpu, *gpu]}
    assert {processes[node.id]["devices"] for node in cpu} == {""}
    seen = {(processes[node.id]["devices"], processes[node.id]["pid"]) for node in gpu}
    assert {device for device, _ in seen} == {"3", "5"}
    assert len(seen) <= 4, "each process has one device"
    devices = [store.get(keys[node.id]).json("devices") for node in met]
    assert sorted(devices) == ["3", "3", "5", "5"], "two steps at a time on each"
    assert {processes[node.id]["device"] for node in gpu} == {"cuda"}
