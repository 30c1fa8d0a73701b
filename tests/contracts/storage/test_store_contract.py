"""What every store promises, whatever file system is behind it."""

from __future__ import annotations

import json
import logging
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

from storage import (
    Artifact,
    ArtifactCorrupt,
    ArtifactMissing,
    InvalidName,
    NotAStore,
    QueryError,
    RunExists,
    RunLocked,
    RunMissing,
    Store,
    StoreError,
    StoreUnreachable,
    TableMissing,
    artifact_key,
    open_run,
    open_store,
)
from storage.files import LocalFiles, cache_folder
from storage.shards import ShardedRows


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path, monkeypatch) -> Store:
    monkeypatch.setenv("UNIVERSALITY_CACHE", str(tmp_path / "cache"))
    return open_store(tmp_path / "store" if request.param == "folder" else f"memory://{tmp_path.name}")


def key_of(**params) -> str:
    return artifact_key("step", 1, params, {})


def create(store: Store, key: str, inputs=None):
    return store.create(key, step="step", version=1, params={"n": 1}, inputs=inputs or {})


def put(store: Store, key: str, inputs=None, **tables) -> Artifact:
    with create(store, key, inputs) as out:
        for name, frame in tables.items():
            out.table(name, frame)
    return store.get(key)


def damage(store: Store, path: str, change) -> None:
    """Change the stored bytes of an artifact's file, behind the store's back."""
    store.files.write(path, change(store.files.read(path)))


def stored_path(store: Store, key: str, path: str) -> str:
    return next(f"artifacts/{key}/{p}" for p in store.files.walk(f"artifacts/{key}") if p.endswith(path))


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


# -- entries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.float32(3.5),
        np.zeros((0, 4)),
        np.array([True, False]),
        np.array(["a", "bé"]),
        np.arange(3, dtype=">i8"),
    ],
)
def test_arrays_come_back_equal(store, array):
    with create(store, "k") as out:
        out.array("x", array)
    for mmap in (True, False):
        back = store.get("k").array("x", mmap=mmap)
        np.testing.assert_array_equal(back, array)
        assert back.shape == np.shape(array)
        assert back.dtype == np.asarray(array).dtype.newbyteorder("=")


def test_mapped_arrays_are_read_only_and_copies_are_not(store):
    with create(store, "k") as out:
        out.array("x", np.arange(4))
    mapped = store.get("k").array("x")
    assert isinstance(mapped, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 9
    copy = store.get("k").array("x", mmap=False)
    copy[0] = 9
    assert store.get("k").array("x")[0] == 0


def test_tensors_keep_shapes_and_dtypes(store):
    weights = {"W": np.eye(3, dtype=np.float32).T[::-1], "b": np.zeros(0), "n": np.array(7)}
    with create(store, "k") as out:
        out.tensors("weights", weights)
    back = store.get("k").tensors("weights")
    assert list(back) == ["W", "b", "n"]
    for name, array in weights.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype


def test_sparse_matrices_come_back_both_ways_without_zeros_or_duplicates(store):
    rows, columns = [2, 0, 2, 1], [1, 3, 1, 0]
    matrix = sparse.coo_array(([1.0, 2.0, 3.0, 0.0], (rows, columns)), shape=(4, 5))
    with create(store, "k") as out:
        out.csr("acts", matrix)
        out.csr("none", sparse.csr_matrix((0, 5)))
    for mmap in (True, False):
        csr, csc = store.get("k").csr("acts", mmap=mmap), store.get("k").csc("acts", mmap=mmap)
        assert (csr.format, csc.format) == ("csr", "csc")
        assert csr.nnz == csc.nnz == 2
        assert csr.dtype == csc.dtype == np.float32
        assert csr.indices.dtype == csr.indptr.dtype == csc.indices.dtype == np.int32
        np.testing.assert_array_equal(csr.toarray(), matrix.toarray())
        np.testing.assert_array_equal(csc.toarray(), matrix.toarray())
        assert csr.data.flags.writeable == csc.data.flags.writeable == (not mmap)
    assert store.get("k").csr("none").shape == store.get("k").csc("none").shape == (0, 5)


def test_tables_keep_their_types(store):
    frame = pd.DataFrame(
        {
            "model": ["m0", None],
            "latent": np.array([1, 2], np.int32),
            "r": [0.5, np.nan],
            "cluster": pd.array([3, None], dtype="Int64"),
            "fit": [True, False],
        }
    )
    with create(store, "k") as out:
        out.table("features", frame)
        out.table("arrow", pa.table({"a": [1, None], "b": [True, None]}))
    back = store.get("k").table("features")
    pd.testing.assert_frame_equal(back, frame)
    assert store.get("k").table("features", columns=["r", "latent"]).columns.tolist() == ["r", "latent"]
    arrow = store.get("k").table("arrow")
    assert [str(kind) for kind in arrow.dtypes] == ["Int64", "boolean"]
    assert store.get("k").tables() == ["arrow", "features"]


def test_json_and_bytes(store):
    value = {"names": ["a", "é\ud800"], "n": np.int64(3), "r": (1.5, None, True)}
    with create(store, "k") as out:
        out.json("domains", value)
        out.bytes("tokenizer.json", b"\0\xff")
    artifact = store.get("k")
    assert artifact.json("domains") == {"names": ["a", "é\ud800"], "n": 3, "r": [1.5, None, True]}
    assert artifact.bytes("tokenizer.json") == b"\0\xff"
    assert artifact.has("tokenizer.json")
    assert not artifact.has("tokenizer")


@pytest.mark.parametrize("shard_rows", [None, 1, 4, 100])
def test_streams_equal_the_whole_array(store, shard_rows):
    whole = np.arange(60, dtype=np.float32).reshape(10, 3, 2)
    with create(store, "k") as out, out.stream("x", np.float32, (3, 2), shard_rows) as stream:
        for start, stop in ((0, 0), (0, 3), (3, 9), (9, 10)):
            stream.write(whole[start:stop])
    back = store.get("k").array("x")
    assert isinstance(back, ShardedRows if shard_rows in (1, 4) else np.memmap)
    assert back.shape == whole.shape
    np.testing.assert_array_equal(np.asarray(back), whole)


def test_a_stream_without_rows_is_an_empty_array(store):
    with create(store, "k") as out, out.stream("x", np.int16, (2,)):
        pass
    back = store.get("k").array("x")
    assert (back.shape, back.dtype) == ((0, 2), np.int16)


def test_manifest_says_what_it_is_made_of(store):
    with store.create("k", step="sae", version=3, params={"k": (32,)}, inputs={"acts": "a1"}) as out:
        out.json("x", 1)
        out.facts(wall_s=1.5)
        out.facts(loss=float("nan"), n_tokens=np.int64(7))
    manifest = store.get("k").manifest
    assert (manifest["step"], manifest["version"]) == ("sae", 3)
    assert (manifest["params"], manifest["inputs"]) == ({"k": [32]}, {"acts": "a1"})
    assert manifest["facts"] == {"wall_s": 1.5, "loss": None, "n_tokens": 7}
    assert {path: entry["bytes"] for path, entry in manifest["files"].items()} == {"json/x.json": 1}
    assert manifest["created"] > 1.7e9


def test_what_cannot_be_stored_is_refused_and_nothing_appears(store):
    refused = [
        lambda out: out.array("x", np.array([object()])),
        lambda out: out.array("../x", np.zeros(1)),
        lambda out: out.array("a/b", np.zeros(1)),
        lambda out: out.csr("x", np.zeros((2, 2))),
        lambda out: out.csr("x", sparse.csr_array(np.array([[1e300]]))),
        lambda out: out.tensors("x", {"a": np.array(["text"])}),
        lambda out: out.table("x", {"a": [1]}),
        lambda out: out.table("x", pd.DataFrame([[1, 2]], columns=["a", "a"])),
        lambda out: out.table("x", pd.DataFrame({"a": [1, "b"]})),
        lambda out: out.json("x", float("nan")),
        lambda out: [out.json("x", 1), out.bytes("x", b"")],
        lambda out: out.stream("x", np.float32, (2,)).write(np.zeros((3, 2))),
        lambda out: out.stream("x", np.float32, (2,)).write(np.zeros((3, 3), np.float32)),
        lambda out: out.stream("x", object, (2,)),
        lambda out: out.stream("x", np.float32, (2,)),  # never closed
    ]
    for number, act in enumerate(refused):
        with pytest.raises(InvalidName), create(store, f"k{number}") as out:
            act(out)
        assert not store.has(f"k{number}"), number
    with pytest.raises(InvalidName):
        create(store, "k").array("x", np.zeros(1))
    assert store.keys() == []
    assert store.files.names("temporary") == []


def test_missing_entries_say_what_there_is(store):
    artifact = put(store, "k", pairs=pd.DataFrame({"r": [1.0]}))
    with pytest.raises(TableMissing, match="pairs"):
        artifact.table("nothing")
    with pytest.raises(TableMissing, match="one of r"):
        artifact.table("pairs", columns=["q"])
    with pytest.raises(ArtifactMissing, match="arrays"):
        artifact.array("pairs")
    with pytest.raises(LookupError):
        store.get("other")


# -- commit -----------------------------------------------------------------------------------------------


def test_an_artifact_appears_at_the_end_only(store):
    with create(store, "k") as out:
        out.array("x", np.zeros(3))
        assert not store.has("k")
        assert store.keys() == []
    assert out.committed
    assert store.keys() == ["k"]
    assert store.files.names("temporary") == []


def test_an_exception_leaves_nothing(store):
    with pytest.raises(KeyboardInterrupt), create(store, "k") as out:  # noqa: PT012
        out.array("x", np.zeros(3))
        raise KeyboardInterrupt
    assert not store.has("k")
    assert not out.committed
    assert store.files.walk("temporary") == {}


def test_the_first_commit_of_a_key_stays(store):
    with create(store, "k") as slow:
        slow.json("who", "slow")
        with create(store, "k") as fast:
            fast.json("who", "fast")
    assert (fast.committed, slow.committed) == (True, False)
    assert store.get("k").json("who") == "fast"
    assert store.verify() == []


def test_of_many_concurrent_commits_one_stays_whole(store):
    n, gate, writers = 8, threading.Barrier(8), []

    def write(number: int) -> None:
        with create(store, "k") as out:
            out.json("a", number)
            out.json("b", number)
            writers.append(out)
            gate.wait()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    artifact = store.get("k", verify=True)
    assert artifact.json("a") == artifact.json("b")
    assert sum(writer.committed for writer in writers) == 1
    assert store.verify() == []
    assert store.files.walk("temporary") == {}


def test_another_opening_of_the_store_sees_the_same(store):
    put(store, "k")
    assert open_store(store.url).keys() == ["k"]


# -- damage -----------------------------------------------------------------------------------------------

ENTRIES = {
    "arrays/x.npy": lambda a: a.array("x"),
    "00001.npy": lambda a: a.array("rows"),
    "w.safetensors": lambda a: a.tensors("w"),
    "csr_data.npy": lambda a: a.csr("acts"),
    "csc_indices.npy": lambda a: a.csc("acts"),
    "t.parquet": lambda a: a.table("t"),
    "j.json": lambda a: a.json("j"),
    "bytes/b": lambda a: a.bytes("b"),
}


def full(store: Store, key: str = "k") -> Artifact:
    with create(store, key) as out:
        out.array("x", np.arange(5))
        out.tensors("w", {"a": np.ones(3)})
        out.csr("acts", sparse.csr_array(np.eye(3)))
        out.table("t", pd.DataFrame({"a": [1, 2]}))
        out.json("j", {"a": 1})
        out.bytes("b", b"bytes")
        with out.stream("rows", np.int8, (), shard_rows=2) as stream:
            stream.write(np.arange(3, dtype=np.int8))
    return store.get(key)


@pytest.mark.parametrize("change", [flip, lambda data: data[:-1], lambda data: data + b"\0"])
@pytest.mark.parametrize("file", ENTRIES)
def test_changed_bytes_are_never_read(store, file, change):
    full(store)
    path = stored_path(store, "k", file)
    damage(store, path, change)
    with pytest.raises(ArtifactCorrupt, match=file.rsplit("/")[-1]):
        ENTRIES[file](store.get("k"))
    (problem,) = store.verify()
    assert (problem.key, path.endswith(problem.file)) == ("k", True)
    assert problem.reason


@pytest.mark.parametrize("file", ENTRIES)
def test_a_lost_file_is_told(store, file):
    full(store)
    store.files.remove(stored_path(store, "k", file))
    with pytest.raises(ArtifactCorrupt, match="gone"):
        ENTRIES[file](store.get("k"))
    assert [problem.reason for problem in store.verify()] == ["it is gone"]


def test_every_flipped_byte_of_a_manifest_is_found(store):
    with create(store, "k") as out:
        out.json("j", 1)
        out.facts(wall_s=1.25)
    path = "artifacts/k/manifest.json"
    whole = store.files.read(path)
    meaning = json.loads(whole)
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        try:
            same = json.loads(changed) == meaning  # white space may change into other white space
        except ValueError:
            same = False
        store.files.write(path, changed)
        assert [problem.file for problem in open_store(store.url).verify()] == ([] if same else ["manifest.json"])


def test_verify_reads_what_ordinary_reading_trusts(store, monkeypatch):
    monkeypatch.setattr("storage.artifact.CHECKED_BYTES", 8)
    full(store)
    assert store.verify() == []
    store.get("k").array("x")
    damage(store, stored_path(store, "k", "arrays/x.npy"), lambda data: data[:-1] + b"\1")
    if store.files.is_local:
        store.get("k").array("x")  # large: only its size is checked
    with pytest.raises(ArtifactCorrupt):
        store.get("k", verify=True).array("x")
    assert [problem.file for problem in store.verify(["k"])] == ["arrays/x.npy"]
    assert [problem.reason for problem in store.verify(["other"])] == ["it is gone"]


def test_a_cut_file_is_found_however_large(store, monkeypatch):
    monkeypatch.setattr("storage.artifact.CHECKED_BYTES", 0)
    full(store)
    damage(store, stored_path(store, "k", "bytes/b"), lambda data: data[:-1])
    with pytest.raises(ArtifactCorrupt, match="4 bytes, not 5"):
        store.get("k").bytes("b")


# -- checkpoints ------------------------------------------------------------------------------------------


def test_checkpoints_come_back_and_go_with_the_commit(store):
    checkpoint = store.checkpoint("k")
    assert checkpoint.load() is None
    checkpoint.save({"w": np.arange(3), "rng": np.array([2**63], np.uint64)}, {"step": 1})
    checkpoint.save({"w": np.arange(4)}, {"step": 2, "best": float("inf"), "state": {"a": [1.5]}})
    arrays, meta = open_store(store.url).checkpoint("k").load()
    np.testing.assert_array_equal(arrays["w"], np.arange(4))
    assert list(arrays) == ["w"]
    assert meta == {"step": 2, "best": float("inf"), "state": {"a": [1.5]}}
    put(store, "k")
    assert checkpoint.load() is None
    checkpoint.clear()


def test_a_damaged_checkpoint_counts_as_none_and_is_told(store, caplog):
    checkpoint = store.checkpoint("k")
    checkpoint.save({"w": np.arange(300)}, {"step": 1})
    whole = store.files.read("checkpoints/k.safetensors")
    for change in (flip, lambda data: data[:-5], lambda data: data[:9], lambda data: b""):
        store.files.write("checkpoints/k.safetensors", change(whole))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert checkpoint.load() is None
        assert "damaged" in caplog.text


# -- runs -------------------------------------------------------------------------------------------------


def new_run(store: Store, name: str = "r", **nodes: str):
    described = {node.replace("__", "/"): {"step": "step", "key": key} for node, key in nodes.items()}
    return store.create_run(name, recipe_name="tiny", recipe={"a": {"b": 1}}, nodes=described)


def test_a_run_remembers(store):
    run = new_run(store, tokens="a", sae__m0="b", sae__m1="c")
    record = store.run("r").record
    assert {record[field] for field in ("finished", "wall_s")} == {None}
    assert (record["name"], record["status"], record["recipe_name"]) == ("r", "planned", "tiny")
    assert record["recipe"] == {"a": {"b": 1}}
    assert record["nodes"]["sae/m0"] == {"step": "step", "key": "b", "status": "planned"}
    assert run.nodes() == ["tokens", "sae/m0", "sae/m1"]
    assert run.nodes("sae/") == ["sae/m0", "sae/m1"]
    run.update(status="done", wall_s=1.5, headline={"features": float("inf")})
    assert open_store(store.url).run("r").record["status"] == "done"
    assert run.record["headline"] == {"features": None}
    with pytest.raises(InvalidName, match="planned"):
        run.update(status="finished")


def test_runs_are_listed_by_age_and_found_by_name(store):
    assert store.runs() == []
    assert store.latest_run() is None
    with pytest.raises(RunMissing, match="quickstart"):
        open_run(store=store)
    for name in ("b", "a", "c.2"):
        new_run(store, name)
    assert [run.name for run in store.runs()] == ["b", "a", "c.2"]
    assert open_run(store=store).name == open_run(store=store.url).name == "c.2"
    assert open_run("a", store).name == "a"
    with pytest.raises(RunMissing, match=r"b, a, c\.2"):
        store.run("d")
    with pytest.raises(RunExists):
        new_run(store, "a")
    for bad in ("../x", "", "a/b", "a."):
        with pytest.raises(InvalidName):
            new_run(store, bad)


def test_of_two_creators_of_a_run_one_wins(store):
    gate, outcomes = threading.Barrier(4), []

    def create_it() -> None:
        gate.wait()
        try:
            outcomes.append(new_run(store).name)
        except RunExists:
            outcomes.append("exists")

    threads = [threading.Thread(target=create_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["exists", "exists", "exists", "r"]


def test_a_lock_is_exclusive_and_seen(store):
    run = new_run(store)
    run.update(status="running")
    assert run.status == "interrupted"  # nobody computes it
    with run.lock():
        assert run.status == "running"
        assert store.run("r").holder().alive
        with pytest.raises(RunLocked, match="process"), store.run("r").lock():
            pass
        with pytest.raises(RunLocked):
            store.delete_run("r")
    assert run.holder() is None
    with run.lock():
        pass


def test_events_in_order_with_time(store):
    run = new_run(store)
    assert run.events() == []
    for number in range(150):
        run.append_event({"event": "progress", "n": number, "loss": float("nan")})
    store.run("r").append_event({"event": "done", "time": 5})
    events = store.run("r").events()
    assert [event["n"] for event in events[:-1]] == list(range(150))
    assert events[0]["loss"] is None
    assert events[0]["time"] > 1.7e9
    assert events[-1] == {"event": "done", "time": 5}
    with pytest.raises(InvalidName):
        run.append_event("text")


def test_logs(store):
    run = new_run(store)
    where = run.write_log("sae/main/m0", "Traceback …")
    assert where.startswith(store.url)
    assert store.files.read(where.removeprefix(store.url + "/")).decode() == "Traceback …"


# -- tables of a run --------------------------------------------------------------------------------------


@pytest.fixture
def run(store):
    put(
        store,
        "b",
        pairs=pd.DataFrame({"model": ["m1"], "n": [3], "new": ["x"]}),
        empty=pd.DataFrame({"s": []}),
    )
    put(store, "a", pairs=pd.DataFrame({"model": ["m0", "m0"], "n": pd.array([1, None], "Int64")}))
    return new_run(store, first="a", second="b", twin="b", third="unfinished")


def test_a_run_table_is_the_union_in_node_order(run):
    table = run.table("pairs")
    expected = pd.DataFrame(
        {
            "model": ["m0", "m0", "m1"],
            "n": pd.array([1, None, 3], "Int64"),
            "new": pd.Series([None, None, "x"], dtype="str"),
        }
    )
    pd.testing.assert_frame_equal(table, expected)
    assert run.table("pairs", columns=["new"]).columns.tolist() == ["new"]
    assert run.tables() == ["empty", "pairs"]
    assert len(run.table("empty")) == 0


def test_missing_tables_and_nodes_say_what_there_is(run):
    with pytest.raises(TableMissing, match="empty, pairs"):
        run.table("features")
    with pytest.raises(TableMissing, match="model, n, new"):
        run.table("pairs", columns=["r"])
    with pytest.raises(ArtifactMissing, match="first, second"):
        run.artifact("zeroth")
    with pytest.raises(ArtifactMissing, match="finished; got planned"):
        run.artifact("third")
    assert run.artifact("first").key == "a"


def test_sql_over_the_tables(run):
    answer = run.sql("select model, sum(n) as n, count(*) as c from Pairs group by model order by model")
    pd.testing.assert_frame_equal(answer, pd.DataFrame({"model": ["m0", "m1"], "n": [1, 3], "c": [2, 1]}))
    nullable = run.sql("select n, new from pairs")
    assert str(nullable["n"].dtype) == "Int64"
    assert run.sql("select 1.5::decimal(4,2) as x, 2::hugeint << 70 as y").dtypes.tolist() == [float, float]
    with pytest.raises(TableMissing, match="empty"):
        run.sql("select * from features")


@pytest.mark.parametrize(
    "query",
    [
        "selec 1",
        "select q from pairs",
        "copy pairs to '{tmp}/stolen.csv'",
        "select * from read_csv('{tmp}/secret.csv')",
        "select * from '{tmp}/secret.csv'",
        "attach '{tmp}/x.db'",
        "set enable_external_access = true",
        "",
        "-- nothing",
    ],
)
def test_sql_reaches_nothing_else(run, query, tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises((QueryError, TableMissing)):
        run.sql(query.format(tmp=tmp_path))
    assert not (tmp_path / "stolen.csv").exists()


# -- gc ---------------------------------------------------------------------------------------------------


def test_gc_keeps_what_runs_need_and_all_it_was_made_from(store):
    put(store, "base")
    put(store, "middle", inputs={"x": "base"})
    put(store, "top", inputs={"x": "middle"})
    put(store, "orphan", t=pd.DataFrame({"a": [1]}))
    new_run(store, "old", only="orphan")
    new_run(store, "new", only="top", later="not-yet")
    assert store.gc().removed == ()
    store.delete_run("old")
    expected = (("orphan",), ("base", "middle", "top"))
    dry = store.gc(dry_run=True)
    assert (dry.removed, dry.kept) == expected
    assert store.has("orphan")
    result = store.gc()
    assert (result.removed, result.kept) == expected
    assert result == dry
    assert result.bytes > 300
    assert store.files.walk("artifacts/orphan") == {}
    assert store.verify() == []
    with pytest.raises(RunMissing):
        store.run("old")
    assert store.files.names("runs") == ["new"]


def test_gc_drops_checkpoints_of_nothing(store):
    new_run(store, a="wanted", b="committed")
    put(store, "committed")
    for key in ("wanted", "committed", "unwanted", "being-written"):
        store.checkpoint(key).save({"w": np.arange(3)}, {})
    with create(store, "being-written"):
        result = store.gc()
    assert result.leftovers == ("checkpoints/committed.safetensors", "checkpoints/unwanted.safetensors")
    assert store.checkpoint("wanted").load() is not None
    assert store.checkpoint("unwanted").load() is None


def test_gc_spares_living_writers_and_drops_dead_ones(store):
    with create(store, "alive") as out:
        out.json("x", 1)
        owner_path = next(f"temporary/{n}" for n in store.files.names("temporary") if n.endswith(".json"))
        owner = json.loads(store.files.read(owner_path))
        dead = {**owner, "key": "dead", "process_start": owner["process_start"] - 1}
        silent = {**owner, "key": "leased", "machine": "elsewhere", "heartbeat": owner["heartbeat"] - 1e6}
        for who in (dead, silent, {**silent, "key": "silent"}, {**silent, "key": "fresh", "heartbeat": 4e9}):
            half = (
                f"artifacts/{who['key']}/abcabcabcabc"
                if not store.files.is_local
                else f"temporary/{who['key']}.abcabcabcabc"
            )
            store.files.write(f"{half}/json/x.json", b"half")
            store.files.write(f"temporary/{who['key']}.abcabcabcabc.json", json.dumps(who).encode())
        with new_run(store, node="leased").lock():
            result = store.gc()
    assert [path.split("/")[1].partition(".")[0] for path in result.leftovers] == ["dead", "silent"]
    assert result.bytes == 8
    assert store.keys() == ["alive"]
    left = {name.partition(".")[0] for name in store.files.names("temporary")}
    assert left == {"leased", "fresh"}


def test_a_writer_killed_just_after_its_commit_takes_nothing_along(store):
    with create(store, "k") as out:
        out.json("x", 1)
        (owner_path,) = [n for n in store.files.names("temporary") if n.endswith(".json")]
        owner = json.loads(store.files.read(f"temporary/{owner_path}"))
    new_run(store, node="k")
    store.files.write(f"temporary/{owner_path}", json.dumps({**owner, "process_start": -1}).encode())
    store.gc()
    assert store.files.names("temporary") == []
    assert store.verify() == []
    assert store.get("k", verify=True).json("x") == 1


def test_a_new_attempt_clears_the_dead_ones_of_its_key(store):
    with create(store, "k"):
        name = next(n for n in store.files.names("temporary") if n.endswith(".json"))
        owner = json.loads(store.files.read(f"temporary/{name}"))
    for key in ("k", "other"):
        dead = json.dumps({**owner, "key": key, "process_start": -1}).encode()
        store.files.write(f"temporary/{key}.abcabcabcabc.json", dead)
        half = f"temporary/{key}.abcabcabcabc" if store.files.is_local else f"artifacts/{key}/abcabcabcabc"
        store.files.write(f"{half}/json/x.json", b"half")
    store.files.remove("artifacts/k")
    put(store, "k")
    assert {name.partition(".")[0] for name in store.files.names("temporary")} == {"other"}
    assert store.verify() == []


# -- addresses --------------------------------------------------------------------------------------------


def test_opening_creates_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("here")
    assert (store.keys(), store.runs(), store.has("k")) == ([], [], False)
    assert store.url == str(tmp_path / "here")
    assert open_store(f"file://{tmp_path}/here").url == store.url
    monkeypatch.setenv("UNIVERSALITY_STORE", str(tmp_path / "there"))
    assert open_store().url == str(tmp_path / "there")
    with pytest.raises(RunMissing, match="there"):
        open_run()
    monkeypatch.delenv("UNIVERSALITY_STORE")
    assert open_store().url == str(tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_unknown_file_systems_are_refused():
    with pytest.raises(StoreError, match="fsspec"):
        open_store("nosuchthing://bucket/x")


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".hidden", "_temporary", "a.b", 3, "k\n"])
def test_keys_that_are_no_folder_names_are_refused(store, key):
    for act in (store.has, store.get, store.checkpoint, lambda k: create(store, k)):
        with pytest.raises(InvalidName):
            act(key)


def test_remote_files_are_fetched_once_and_again_when_the_copy_is_bad(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIVERSALITY_CACHE", str(tmp_path))
    store = open_store(f"memory://{tmp_path.name}")
    artifact = full(store)
    artifact.array("x")
    (copy,) = (tmp_path / "artifacts" / "k").glob("*.npy")
    written = copy.stat().st_mtime_ns
    assert isinstance(store.get("k").array("x"), np.memmap)
    assert copy.stat().st_mtime_ns == written
    copy.write_bytes(flip(copy.read_bytes()))
    with pytest.raises(ArtifactCorrupt):
        store.get("k").array("x")
    np.testing.assert_array_equal(store.get("k").array("x"), np.arange(5))
    assert LocalFiles(cache_folder()).names("temporary") == []


@pytest.mark.parametrize("address", ["", "~nobody-of-this-name/x", "a\0b", "nosuchthing://x"])
def test_what_is_no_address_is_refused_as_such(address):
    with pytest.raises(NotAStore):
        open_store(address)


def test_errors_of_a_file_system_elsewhere_are_worded(monkeypatch):
    class NoCredentialsError(Exception):
        pass

    def fail(*arguments, **options):
        raise NoCredentialsError("Unable to locate credentials")

    store = open_store("memory://unreachable")
    for act in ("ls", "cat_file", "info", "find", "pipe_file", "makedirs"):
        monkeypatch.setattr(type(store.files.fs._fs), act, fail)
    for call in (store.runs, store.keys, store.gc, lambda: store.has("k"), lambda: put(store, "k")):
        with pytest.raises(StoreUnreachable, match="within reach; got NoCredentialsError: Unable to locate"):
            call()
