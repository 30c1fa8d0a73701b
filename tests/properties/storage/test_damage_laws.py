"""Damage of any stored file: what is read afterwards is what was written, or a sentence says what is wrong."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_run import write_synthetic_run
from visits import TINY

from storage import StoreError, open_store
from storage.keys import canonical_json, digest

#: What no figure is made of: a diary, and what is written anew whenever it is needed.
NO_CONTENT = ("events.jsonl", "lock", "lock.guard", "universality-store.json")


def read_all(store, key: str | None = None, tables: tuple[str, ...] | None = None) -> dict[str, str]:
    """A digest, or the sentence of its refusal, of everything that can be read of every run.

    With ``key``, of no artifact but this one; with ``tables``, of no tables of runs but these.
    """
    seen: dict[str, str] = {}

    def note(name, read):
        try:
            seen[name] = digest(read())
        except StoreError as error:
            seen[name] = f"refused: {error}"

    damaged: dict = {}
    runs = store.runs(damaged)
    for name, error in damaged.items():
        seen[f"{name} status"] = seen[f"{name} record"] = f"refused: {error}"
    for run in runs:
        note(f"{run.name} record", lambda run=run: canonical_json(run.record).encode())
        note(f"{run.name} status", lambda run=run: str(run.observed).encode())
        for table in TABLES if tables is None else tables:
            note(f"{run.name} table {table}", lambda run=run, table=table: run.table(table).to_csv().encode())
        for node, fields in run.record["nodes"].items():
            if key not in (None, fields["key"]):
                continue
            for kind, entries in ENTRIES[fields["key"]].items():
                for entry in entries:
                    name = f"{run.name} {node} {kind} {entry}"
                    note(name, lambda n=node, k=kind, e=entry, r=run: _bytes(r.artifact(n), k, e))
    return seen


def _bytes(artifact, kind, name) -> bytes:
    if kind == "arrays":
        return np.asarray(artifact.array(name)[:]).tobytes()
    if kind == "sparse":
        forms = artifact.csr(name), artifact.csc(name)
        return b"".join(np.asarray(part).tobytes() for f in forms for part in (f.data, f.indices, f.indptr))
    if kind == "tensors":
        return b"".join(array.tobytes() for array in artifact.tensors(name).values())
    if kind == "json":
        return canonical_json(artifact.json(name)).encode()
    return artifact.table(name).to_csv().encode() if kind == "tables" else artifact.bytes(name)


TABLES: list[str] = []
ENTRIES: dict[str, dict[str, list[str]]] = {}
#: What is read near a file while nothing is damaged.
NEAR: dict[tuple, dict[str, str]] = {}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with a run, what is read of it, and its files."""
    folder = tmp_path_factory.mktemp("damage") / "store"
    run = write_synthetic_run(str(folder), **TINY)
    TABLES[:] = run.tables()
    kinds = ("arrays", "sparse", "tensors", "json", "tables", "bytes")
    ENTRIES.update({artifact.key: {kind: artifact.names(kind) for kind in kinds} for artifact in run.artifacts()})
    whole = read_all(open_store(folder))
    assert len(TABLES) > 10
    assert not [name for name, seen in whole.items() if seen.startswith("refused") and "table" not in name]
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in NO_CONTENT and "logs" not in p.parts)
    return folder, whole, files


def damaged(data: bytes, how: str, place: float, value: int, other: bytes) -> bytes:
    at = min(int(place * len(data)), max(len(data) - 1, 0))
    if how == "flip":
        return data[:at] + bytes(data[at : at + 1] and [data[at] ^ (value or 1)]) + data[at + 1 :]
    return {
        "cut": data[:at],
        "more": data + bytes([value]),
        "hole": data[:at] + data[at + 1 + value :],
        "swapped": other,
    }[how]


def check(sound, which, how, place, value, another, *, everything=True) -> bool:
    """Damage one file, read everything, or what is near it, put it back; whether anything was refused.

    Near a file are its artifact and the tables that hold it, every table if it says which there are.
    """
    folder, whole, files = sound
    path, other = files[which % len(files)], files[another % len(files)]
    room, key, *_ = path.relative_to(folder).parts
    near: tuple = ()
    if room == "artifacts" and not everything:
        near = (key, None if path.name == "manifest.json" else tuple(ENTRIES[key]["tables"]))
        if near not in NEAR:
            NEAR[near] = read_all(open_store(folder), *near)
        assert NEAR[near].items() <= whole.items()
        whole = NEAR[near]
    data = path.read_bytes()
    try:
        if how == "gone":
            path.unlink()
        elif how == "folder":
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(damaged(data, how, place, value, other.read_bytes()))
        seen = read_all(open_store(folder), *near)
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        path.write_bytes(data)
    wrong = {name: seen.get(name) for name in whole if seen.get(name) != whole[name]}
    wrong = {
        name: got for name, got in wrong.items() if not str(got).startswith("refused") and not name.endswith(" status")
    }
    # Nothing is read of a run whose record is refused, and a record that is gone is no run.
    if path.name == "run.json" and (how in ("gone", "folder") or seen["synthetic record"].startswith("refused")):
        wrong = {name: got for name, got in wrong.items() if got is not None}
    assert wrong == {}, (path, how)
    return seen != whole


DAMAGE = {
    "which": st.integers(0, 10_000), "value": st.integers(0, 255),
    "how": st.sampled_from(["flip"] * 5 + ["cut", "more", "hole", "swapped", "gone", "folder"]),
    "place": st.floats(0, 1), "another": st.integers(0, 10_000),
}  # fmt: skip
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@settings(max_examples=30, **QUIET)
@given(**DAMAGE)
def test_no_damaged_file_changes_what_is_read(sound, which, how, place, value, another):
    check(sound, which, how, place, value, another)


@pytest.mark.slow
@settings(max_examples=1000, **QUIET)
@given(**DAMAGE)
def test_no_damaged_file_of_a_thousand_changes_what_is_read(sound, which, how, place, value, another):
    """Near it, that is; the whole store is read after each of the thirty above."""
    check(sound, which, how, place, value, another, everything=False)


def test_damage_of_every_kind_of_file_is_seen(sound):
    """One flipped byte in the middle of a file is refused by whatever reads that file."""
    kinds = {(path.parent.name, path.suffix): which for which, path in enumerate(sound[2]) if path.stat().st_size}
    assert len(kinds) > 6
    for which in kinds.values():
        assert check(sound, which, "flip", 0.5, 0x55, 0), sound[2][which]
