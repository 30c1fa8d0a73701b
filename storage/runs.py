"""Runs: what was asked for, how far it is, and its tables as one."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.checkpoint import CHECKPOINTS
from storage.errors import ArtifactCorrupt, ArtifactGone, ArtifactMissing, InvalidName, RunMissing, TableMissing
from storage.events import EventLog
from storage.keys import check_text, plain
from storage.locks import Holder, RunLock, read_holder
from storage.record import RUNS, STATUSES, decode_record, encode_record

if TYPE_CHECKING:
    import pandas as pd

    from storage.artifact import Artifact
    from storage.store import Store


class Run:
    """One run of a recipe; made by ``store.run(name)`` and ``store.create_run(name, …)``.

    Attributes:
        name: its name.
        store: where it and its artifacts are.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self.store = store
        self._folder = f"{RUNS}/{name}"
        self._mutex = threading.Lock()
        self._events = EventLog(store.files, f"{self._folder}/events")

    def __repr__(self) -> str:
        return f"Run({self.name!r}, store={self.store.url!r})"

    # -- the record ---------------------------------------------------------------------------------------

    @property
    def record(self) -> dict[str, Any]:
        """``run.json`` as it is now: name, status, recipe_name, recipe, created, finished, wall_s, nodes
        {id: {step, key, status}}, environment. Times are seconds since 1970. A fresh copy at every access.

        Raises:
            RunMissing: it was deleted.
            RunCorrupt: it is not what was written.
        """
        try:
            data = self.store.files.read(f"{self._folder}/run.json")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise RunMissing.worded(
                "run", self.store.url, "there", repr(self.name), "It was deleted meanwhile."
            ) from error
        return decode_record(data, self.name)

    @property
    def observed(self) -> dict[str, Any]:
        """The record as the store bears it out.

        A node that was done and whose artifact is not there any more is ``gone``, and a done run with such a node is
        ``partial``. A run that says running while nobody holds its lock is ``interrupted``.
        """
        record = self.record
        nodes = record["nodes"].values()
        here = self.store.present(node["key"] for node in nodes if node["status"] == "done")
        gone = [node for node in nodes if node["status"] == "done" and node["key"] not in here]
        for node in gone:
            node["status"] = "gone"
        if record["status"] == "running" and self.holder() is None:
            record["status"] = "interrupted"
        elif record["status"] == "done" and gone:
            record["status"] = "partial"
        return record

    @property
    def status(self) -> str:
        """The status of :attr:`observed`."""
        return self.observed["status"]

    @property
    def has_work(self) -> bool:
        """Whether it computed anything itself: a step that has finished, or the checkpoint of one that has not."""
        started = {name.removesuffix(".safetensors") for name in self.store.files.names(CHECKPOINTS)}
        return any(node["key"] in started for node in self.record["nodes"].values()) or any(
            event.get("event") == "done" for event in self.events()
        )

    def missing(self) -> list[str]:
        """Ids of the nodes that were done and whose artifact is not there any more."""
        return [node for node, fields in self.observed["nodes"].items() if fields["status"] == "gone"]

    def update(self, **fields: Any) -> None:
        """Replace fields of the record, atomically. The holder of :meth:`lock` is the one to call it.

        Raises:
            InvalidName: a status that is none, or a value that is not JSON.
        """
        status = fields.get("status", "planned")
        if status not in STATUSES:
            raise InvalidName.worded(
                "status", f"run {self.name!r}", f"one of {', '.join(STATUSES)}", status, "Use one."
            )
        changed = plain(fields, f"run {self.name!r}", non_finite="none")
        with self._mutex:
            self.store.files.write(f"{self._folder}/run.json", encode_record(self.record | changed))

    def lock(self) -> RunLock:
        """Hold the run while computing it (a context manager); artifacts of its nodes are leased.

        Raises:
            RunLocked: on entering, when a live process holds it; says which.
        """
        return RunLock(self.store.files, f"{self._folder}/lock", self.name)

    def holder(self, now: float | None = None) -> Holder | None:
        """The live process that holds the run; None if nobody does, or a dead one left its lock.

        Args:
            now: the store's own time (``store.files.now()``) where something is decided by it; None takes this
                machine's clock, which may be minutes off.
        """
        holder = read_holder(self.store.files, f"{self._folder}/lock", now)
        return holder if holder is not None and holder.alive else None

    def append_event(self, event: Mapping[str, Any]) -> None:
        """Add an event; it gets a ``time`` (seconds since 1970) if it has none."""
        self._events.append(event)

    def events(self) -> list[dict[str, Any]]:
        """All events in order; a line that a kill has cut is left out."""
        return self._events.read()

    def write_log(self, name: str, text: str) -> str:
        """Keep a long text, such as a traceback, and say where."""
        path = f"{self._folder}/logs/{re.sub(r'[^A-Za-z0-9_.-]+', '__', name)}.txt"
        self.store.files.write(path, text.encode("utf-8", "replace"))
        return f"{self.store.url}/{path}"

    # -- artifacts ----------------------------------------------------------------------------------------

    def nodes(self, prefix: str = "") -> list[str]:
        """Ids of the nodes that start with a prefix, in the plan's order, finished or not."""
        return [node_id for node_id in self.record["nodes"] if node_id.startswith(prefix)]

    def artifact(self, node_id: str) -> Artifact:
        """The artifact of a node.

        Raises:
            ArtifactMissing: no such node, or it is not finished.
            ArtifactGone: it had finished.
        """
        nodes = self.record["nodes"]
        if check_text(node_id, "node", f"run {self.name!r}") not in nodes:
            room = node_id.partition("/")[0]
            near = [other for other in nodes if other.partition("/")[0] == room] or list(nodes)
            raise ArtifactMissing.worded(
                "node", f"run {self.name!r}", f"one of {', '.join(near)}", repr(node_id), "Check it."
            )
        try:
            return self.store.get(nodes[node_id]["key"])
        except ArtifactMissing as error:
            if nodes[node_id]["status"] == "done":
                raise self._gone([node_id]) from error
            raise ArtifactMissing.worded(
                f"node {node_id!r}",
                f"run {self.name!r}",
                "finished",
                nodes[node_id]["status"],
                "Run the recipe again; finished nodes are reused.",
            ) from error

    def artifacts(self) -> Iterator[Artifact]:
        """The artifacts that are there, in node order, each once (two nodes may share one)."""
        for key in dict.fromkeys(node["key"] for node in self.record["nodes"].values()):
            if self.store.has(key):
                yield self.store.get(key)

    # -- tables -------------------------------------------------------------------------------------------

    def tables(self) -> list[str]:
        """Names of the tables of the artifacts that are there, sorted."""
        return sorted({name for artifact in self.artifacts() for name in artifact.tables()})

    def table(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of all finished artifacts that have a table of this name, in node order.

        Raises:
            TableMissing: none has it, or none has a column; says which there are.
            ArtifactGone: artifacts with some of its rows are not there any more.
        """
        from storage.tables import load_tables

        files = self._table_files([check_text(name, "table", f"run {self.name!r}")])[name]
        if not files:
            names = ", ".join(self.tables()) or "nothing: no finished step wrote one"
            raise TableMissing.worded("table", f"run {self.name!r}", f"one of {names}", repr(name), self._incomplete())
        try:
            return load_tables(files, columns, f"table {name!r} of run {self.name!r}")
        except ValueError as error:
            raise ArtifactCorrupt.worded(
                f"table {name!r}", f"run {self.name!r}", "Parquet", str(error), "See: universality verify."
            ) from error

    def sql(self, query: str) -> pd.DataFrame:
        """The answer to a DuckDB query over the run's tables, for example ``select count(*) from pairs``.

        Raises:
            TableMissing: the query names a table that the run has not.
            QueryError: DuckDB refuses it.
        """
        from storage.tables import query as answer

        words = {word.lower() for word in re.findall(r"\w+", check_text(query, "query", f"run {self.name!r}"))}
        named = [name for name in self.tables() if name.lower() in words]
        return answer(query, self._table_files(named), f"run {self.name!r} with tables {self.tables()}")

    def _table_files(self, names: Sequence[str]) -> dict[str, list[Path]]:
        files: dict[str, list[Path]] = {name: [] for name in names}
        steps = set()
        for artifact in self.artifacts():
            for name in set(artifact.tables()).intersection(names):
                files[name].append(artifact.table_file(name))
                steps.add(artifact.manifest["step"])
        # A table has one step: what is gone of that step had rows of it.
        gone = [node for node in self.missing() if self.record["nodes"][node]["step"] in steps]
        if gone:
            raise self._gone(gone)
        return files

    def _gone(self, nodes: Sequence[str]) -> ArtifactGone:
        constraint, got = "there, as its record says", f"none of {', '.join(nodes)}"
        remedy = "Run the recipe again: it computes only what is gone."
        return ArtifactGone.worded("artifacts", f"run {self.name!r}", constraint, got, remedy)

    def _incomplete(self) -> str:
        gone = self.missing()
        return f"Artifacts are gone: {', '.join(gone)}. Run the recipe again." if gone else "Is the run complete?"
