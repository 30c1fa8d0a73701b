"""Reading an artifact: arrays, tables and texts by name, checked before they are believed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.errors import ArtifactMissing, TableMissing
from storage.files import LocalFiles, RemoteFiles, cache_folder
from storage.keys import check_text
from storage.manifest import Entry, corrupt, entries, file_digest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from scipy import sparse

#: Files up to this size are checked against their digest when a process first opens them; of larger ones
#: the size alone is checked, unless the artifact was opened with ``verify=True``.
CHECKED_BYTES = 16 * 2**20

#: Files that this process has checked: path, inode, change time and digest.
_checked: set[tuple[str, int, int, str]] = set()


class Artifact:
    """A complete, immutable artifact; made by ``store.get(key)``.

    Attributes:
        key: its key.
        manifest: ``step, version, params, inputs, files {path: {bytes, digest}}, facts, created``
            (seconds since 1970).
    """

    def __init__(
        self, files: LocalFiles | RemoteFiles, key: str, manifest: dict[str, Any], *, verify: bool = False
    ) -> None:
        self.key = key
        self.manifest = manifest
        self._files = files
        self._verify = verify
        self._trusted: set[str] = set()  # files that this object has checked
        self._entries = entries(manifest["files"])

    def __repr__(self) -> str:
        return f"Artifact({self.key!r}, step={self.manifest['step']!r}, entries={sorted(self._entries)})"

    def has(self, name: str) -> bool:
        """Whether it holds an entry of this name, of any kind."""
        return name in self._entries

    def names(self, kind: str | None = None) -> list[str]:
        """Names of its entries, or of those of one kind (arrays, tensors, sparse, tables, json, bytes)."""
        return [entry.name for entry in self._entries.values() if kind in (None, entry.kind)]

    def tables(self) -> list[str]:
        """Names of its tables."""
        return self.names("tables")

    @property
    def n_bytes(self) -> int:
        """Bytes of its files."""
        return sum(file["bytes"] for file in self.manifest["files"].values())

    def array(self, name: str, mmap: bool = True) -> Any:
        """An array: ``numpy.ndarray``; a stream written in several shards comes as :class:`ShardedRows`.

        Args:
            name: its name.
            mmap: map the file read-only and read what is touched; False copies it into memory, writable.
                Shards are always mapped.
        """
        from storage.arrays import load_array
        from storage.shards import ShardedRows

        paths = self._entry("arrays", name).paths
        if len(paths) == 1:
            return self._decoded(paths[0], lambda file: load_array(file, mmap))
        return ShardedRows([self._decoded(path, lambda file: load_array(file, True)) for path in paths])

    def tensors(self, name: str) -> dict[str, np.ndarray]:
        """A dictionary of arrays, in memory, ordered by name."""
        from storage.arrays import load_tensors

        return self._decoded(self._entry("tensors", name).paths[0], load_tensors)

    def csr(self, name: str, mmap: bool = True) -> sparse.csr_array:
        """A sparse matrix by rows; its buffers are mapped read-only, or copied with ``mmap=False``.

        Sorted indices, no duplicates, no explicit zeros.
        """
        from storage.arrays import load_csr

        return load_csr(self._sparse_files(name, "csr"), mmap)

    def csc(self, name: str, mmap: bool = True) -> sparse.csc_array:
        """The same matrix by columns; see :meth:`csr`."""
        from storage.arrays import load_csc

        return load_csc(self._sparse_files(name, "csc"), mmap)

    def table(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A table, or some of its columns in the order asked for.

        Raises:
            TableMissing: there is no such table or column.
        """
        from storage.tables import load_tables

        path = self._entry("tables", name).paths[0]
        where = f"table {name!r} of artifact {self.key}"
        return self._decoded(path, lambda file: load_tables([file], columns, where))

    def json(self, name: str) -> Any:
        """A JSON value."""
        return self._decoded(self._entry("json", name).paths[0], lambda file: json.loads(file.read_bytes()))

    def bytes(self, name: str) -> bytes:
        """Raw bytes."""
        return self.file(self._entry("bytes", name).paths[0]).read_bytes()

    def table_file(self, name: str) -> Path:
        """The local Parquet file of a table, checked."""
        return self.file(self._entry("tables", name).paths[0])

    def file(self, path: str) -> Path:
        """The local place of one of the manifest's files, fetched if the store is elsewhere, and checked.

        Raises:
            ArtifactCorrupt: it is gone, of another size, or (small files, or ``verify``) of another digest.
        """
        written = self.manifest["files"][path]
        if isinstance(self._files, LocalFiles):
            place = self._files.path(f"artifacts/{self.key}/{path}")
        else:
            place = self._fetched(self._files, path, written["digest"])
        self._check(place, path, written["bytes"], written["digest"])
        return place

    def _fetched(self, files: RemoteFiles, path: str, digest: str) -> Path:
        """A copy in the cache, named by its digest: another content is another file."""
        place = cache_folder() / "artifacts" / self.key / (digest + Path(path).suffix)
        if path not in self._trusted and (self._verify or not place.is_file()):
            try:
                files.download(f"artifacts/{self.key}/{self.manifest['payload']}/{path}", place)
            except FileNotFoundError as error:
                raise corrupt(self.key, path, "it is gone") from error
        return place

    def _check(self, place: Path, path: str, n_bytes: int, digest: str) -> None:
        try:
            stat = place.stat()
        except FileNotFoundError as error:
            raise corrupt(self.key, path, "it is gone") from error
        if stat.st_size != n_bytes:
            self._refuse(place, path, f"it has {stat.st_size} bytes, not {n_bytes}")
        mark = (str(place), stat.st_ino, stat.st_mtime_ns, digest)
        checked = path in self._trusted if self._verify else mark in _checked
        if checked or not (self._verify or n_bytes <= CHECKED_BYTES or not self._files.is_local):
            return
        try:
            same = file_digest(place) == digest
        except FileNotFoundError as error:  # removed meanwhile
            raise corrupt(self.key, path, "it is gone") from error
        if not same:
            self._refuse(place, path, "its digest does not match")
        _checked.add(mark)
        self._trusted.add(path)

    def _refuse(self, place: Path, path: str, reason: str) -> None:
        if isinstance(self._files, RemoteFiles):
            place.unlink(missing_ok=True)  # a bad copy is fetched anew next time
        raise corrupt(self.key, path, reason)

    def _decoded(self, path: str, read: Any) -> Any:
        place = self.file(path)
        try:
            return read(place)
        except FileNotFoundError as error:  # removed meanwhile
            raise corrupt(self.key, path, "it is gone") from error
        except (ValueError, EOFError) as error:
            raise corrupt(self.key, path, str(error)) from error

    def _sparse_files(self, name: str, form: str) -> dict[str, Path]:
        paths = {Path(path).stem: path for path in self._entry("sparse", name).paths}
        needed = {f"{form}_data", f"{form}_indices", "csr_indptr", "csc_indptr"}
        return {stem: self.file(path) for stem, path in paths.items() if stem in needed}

    def _entry(self, kind: str, name: str) -> Entry:
        entry = self._entries.get(check_text(name, "name", f"artifact {self.key}"))
        if entry is None or entry.kind != kind:
            names = ", ".join(sorted(self.names(kind))) or f"nothing: it has no {kind}"
            error = TableMissing if kind == "tables" else ArtifactMissing
            where = f"{kind} of the {self.manifest['step']} artifact {self.key}"
            raise error.worded("name", where, f"one of {names}", repr(name), "Check the name and the kind.")
        return entry
