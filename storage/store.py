"""The store: artifacts by key, runs by name, on a local folder or any fsspec URL."""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from storage.artifact import Artifact
from storage.checkpoint import Checkpoint
from storage.errors import ArtifactMissing, RunCorrupt, RunExists, RunMissing
from storage.files import open_files
from storage.keys import check_key, check_name, plain
from storage.manifest import MANIFEST, decode
from storage.marker import claim, require_store
from storage.record import RUNS, encode_record
from storage.runs import Run
from storage.writer import ArtifactWriter

if TYPE_CHECKING:
    from storage.garbage import GcResult
    from storage.verification import Problem

DEFAULT_STORE = "runs"


class Store:
    """Artifacts and runs under one address; cheap to open, safe to use from many processes.

    Attributes:
        url: its address, an absolute path or URL; ``open_store(store.url)`` opens the same store.
        files: its bytes.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.files = open_files(url)
        self.url = self.files.url
        self._manifests: dict[str, dict[str, Any]] = {}
        self._claimed = False

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def claim(self) -> None:
        """Mark the place as a store before the first write there.

        Raises:
            NotAStore: it holds other people's files under names that a store uses, or is of a newer format.
        """
        if not self._claimed:
            claim(self.files)
            self._claimed = True

    def require(self) -> None:
        """Refuse a place that no run has written to. Raises NotAStore."""
        if not self._claimed:
            require_store(self.files)

    # -- artifacts ----------------------------------------------------------------------------------------

    def has(self, key: str) -> bool:
        """Whether the artifact is there, complete."""
        return self.files.exists(f"artifacts/{check_key(key)}/{MANIFEST}")

    def get(self, key: str, *, verify: bool = False) -> Artifact:
        """Open an artifact.

        Args:
            key: its key.
            verify: check the digest of every file that is opened, also of large ones.

        Raises:
            ArtifactMissing: it is not there.
            ArtifactCorrupt: its manifest is damaged.
        """
        manifest = self._manifests.get(check_key(key)) if not verify else None
        if manifest is None:
            try:
                data = self.files.read(f"artifacts/{key}/{MANIFEST}")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise ArtifactMissing.worded(
                    "artifact", self.url, "there", key, "Run the recipe to compute it."
                ) from error
            manifest = decode(data, key)
            if not self.files.is_local:  # immutable, and costly to fetch again
                self._manifests[key] = manifest
        return Artifact(self.files, key, manifest, verify=verify)

    def present(self, keys: Iterable[str]) -> set[str]:
        """Those of these keys whose artifact is there, complete."""
        return {key for key in keys if self.has(key)} if self.files.is_local else set(keys) & set(self.keys())

    def keys(self) -> list[str]:
        """Keys of all complete artifacts, sorted."""
        if self.files.is_local:
            return [key for key in self.folders() if self.has(key)]
        paths = [path.split("/") for path in self.files.walk("artifacts")]  # one listing, not a call per key
        return sorted(path[0] for path in paths if path[1:] == [MANIFEST])

    def folders(self) -> list[str]:
        """Keys of all artifacts, in a local store also of such as lost their manifest."""
        return self.files.names("artifacts") if self.files.is_local else self.keys()

    def create(
        self,
        key: str,
        *,
        step: str,
        version: int,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        tables: Collection[str] | None = None,
    ) -> ArtifactWriter:
        """A writer for a new artifact, to be used in a ``with`` block.

        Args:
            key: ``artifact_key(step, version, params, inputs)``.
            step: name of the step that makes it.
            version: the step's version.
            params: the step's params.
            inputs: key of each input artifact by local name.
            tables: the tables that may be written; None for any.

        Raises:
            NotAStore: the place cannot become a store.
        """
        self.claim()
        head = {"step": step, "version": version, "params": params, "inputs": inputs}
        return ArtifactWriter(self.files, key, **head, tables=tables)

    def checkpoint(self, key: str) -> Checkpoint:
        """The checkpoint of an artifact to be; cleared when the artifact is committed."""
        return Checkpoint(self.files, key, self.claim)

    def verify(self, keys: Iterable[str] | None = None) -> list[Problem]:
        """Read every byte of some artifacts, or of all; what differs from the manifests is returned."""
        from storage.verification import verify

        return verify(self, keys)

    def gc(self, dry_run: bool = False) -> GcResult:
        """Remove artifacts of no run, attempts of dead writers, and checkpoints of nothing."""
        from storage.garbage import gc

        result = gc(self, dry_run=dry_run)
        self._manifests.clear()
        return result

    # -- runs ---------------------------------------------------------------------------------------------

    def create_run(
        self,
        name: str,
        *,
        recipe_name: str,
        recipe: Mapping[str, Any],
        nodes: Mapping[str, Mapping[str, Any]],
        environment: Mapping[str, Any] | None = None,
    ) -> Run:
        """Write the record of a new run, with status ``planned``.

        Args:
            name: letters, digits, '_', '-' and '.'.
            recipe_name: name of the recipe.
            recipe: the whole recipe as JSON values.
            nodes: ``{"step", "key"}`` by node id, in the plan's order.
            environment: versions and machine, as JSON values.

        Raises:
            RunExists: there is a run of this name.
            NotAStore: the place cannot become a store.
        """
        record = {
            "name": check_name(name, "a run"),
            "status": "planned",
            "recipe_name": recipe_name,
            "recipe": plain(recipe, "recipe"),
            "created": round(time.time(), 6),
            "finished": None,
            "wall_s": None,
            "nodes": {node: {"status": "planned", **plain(fields, f"node {node!r}")} for node, fields in nodes.items()},
            "environment": plain(environment or {}, "environment"),
        }
        for node in record["nodes"].values():
            check_key(node["key"], "a node")
        self.claim()
        if not self.files.write_new(f"{RUNS}/{name}/run.json", encode_record(record)):
            raise RunExists.worded(
                "run name", self.url, "new", repr(name), "Open it with store.run(), or choose another."
            )
        return Run(self, name)

    def run(self, name: str) -> Run:
        """The run of that name. Raises RunMissing, naming those there are."""
        if not self.files.exists(f"{RUNS}/{check_name(name, 'a run')}/run.json"):
            raise RunMissing(_no_run(name, [run.name for run in self.runs({})], self.url))
        return Run(self, name)

    def runs(self, damaged: dict[str, RunCorrupt] | None = None) -> list[Run]:
        """All runs, oldest first.

        Args:
            damaged: receives the error of each run whose record cannot be read, and the others are returned.

        Raises:
            RunCorrupt: a record cannot be read, and nobody asked for such.
        """
        names = [name for name in self.files.names(RUNS) if self.files.exists(f"{RUNS}/{name}/run.json")]
        by_age = []
        for name in names:
            try:
                by_age.append((Run(self, name).record["created"], name))
            except RunMissing:  # deleted meanwhile
                continue
            except RunCorrupt as error:
                if damaged is None:
                    raise
                damaged[name] = error
        return [Run(self, name) for _, name in sorted(by_age)]

    def records(self, damaged: dict[str, RunCorrupt] | None = None, *, observed: bool = False) -> list[dict[str, Any]]:
        """The records of all runs as they are now, oldest first, without those of runs that are deleted meanwhile.

        Args:
            damaged: as :meth:`runs` takes it.
            observed: as the store bears them out (:attr:`Run.observed`).

        Raises:
            RunCorrupt: as :meth:`runs`.
        """
        records = []
        for run in self.runs(damaged):
            try:
                records.append(run.observed if observed else run.record)
            except RunMissing:
                continue
        return records

    def latest_run(self) -> Run | None:
        """The run created last; None if there is none."""
        return next(reversed(self.runs()), None)

    def delete_run(self, name: str) -> None:
        """Forget a run; :meth:`gc` then removes the artifacts that no other run uses.

        Raises:
            RunMissing: there is none.
            RunLocked: a live process is computing it.
            NotAStore: the place is no store.
        """
        require_store(self.files)
        with self.run(name).lock():
            self.files.remove(f"{RUNS}/{name}")


def open_store(url: str | os.PathLike[str] | None = None) -> Store:
    """Open a store; nothing is created before the first write.

    Args:
        url: a folder, or an fsspec URL (``s3://bucket/path``, ``memory://name``). None:
            ``$UNIVERSALITY_STORE``, else ``./runs``.
    """
    return Store(url if url is not None else os.environ.get("UNIVERSALITY_STORE") or DEFAULT_STORE)


def open_run(name: str | None = None, store: Store | str | os.PathLike[str] | None = None) -> Run:
    """Open a run.

    Args:
        name: its name; None for the newest.
        store: the store or its address; default as :func:`open_store`.

    Raises:
        RunMissing: there is no such run, or none at all.
    """
    opened = store if isinstance(store, Store) else open_store(store)
    if name is not None:
        return opened.run(name)
    newest = opened.latest_run()
    if newest is None:
        raise RunMissing(f"There are no runs in {opened.url} yet. {_COMPUTE}")
    return newest


_COMPUTE = "Compute one: universality run quickstart."


def _no_run(name: str, names: list[str], url: str) -> str:
    """That there is no such run, and which there are."""
    if not names:
        return f"There is no run {name!r}: there are no runs in {url} yet. {_COMPUTE}"
    near = difflib.get_close_matches(name, names, 1)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    shown = ", ".join(names[-12:]) if len(names) <= 12 else f"…, {', '.join(names[-12:])}"
    return f"There is no run {name!r} in {url}. {meant}It has {shown}. List them with: universality ls."
