"""Writing an artifact: everything into a temporary folder, then visible at once, or never."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from storage.attempts import drop_attempt, drop_dead_attempts
from storage.checkpoint import Checkpoint
from storage.errors import InvalidName, StoreUnreachable
from storage.files import TEMPORARY, LocalFiles, RemoteFiles, cache_folder, sync_file, sync_folder
from storage.keys import check_key, check_name, plain
from storage.liveness import me
from storage.manifest import MANIFEST, SUFFIXES, encode, file_digest

if TYPE_CHECKING:
    import numpy as np

    from storage.shards import RowStream


class ArtifactWriter:
    """Collects the entries of one artifact; a context manager, made by ``store.create(key, …)``.

    On a clean exit the artifact appears, complete; on an exception, or a kill at any moment, nothing does.
    If another writer committed the same key meanwhile, theirs stays and ours is dropped.

    Attributes:
        committed: True after an exit that made this writer's artifact the visible one.
    """

    def __init__(
        self,
        files: LocalFiles | RemoteFiles,
        key: str,
        *,
        step: str,
        version: int,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        tables: Collection[str] | None = None,
    ) -> None:
        self.key = check_key(key)
        self._tables = tables
        self.committed = False
        self._files = files
        self._head = {
            "key": key,
            "step": step,
            "version": version,
            "params": plain(params, "params"),
            "inputs": {name: check_key(source, f"input {name!r}") for name, source in inputs.items()},
        }
        self._facts: dict[str, Any] = {}
        self._names: set[str] = set()
        self._open_streams: set[str] = set()
        self._token = f"{key}.{uuid.uuid4().hex[:12]}"
        self._staging = files if isinstance(files, LocalFiles) else LocalFiles(cache_folder())
        self._owner = f"{TEMPORARY}/{self._token}.json"
        self._folder = self._staging.path(f"{TEMPORARY}/{self._token}")

    # -- entries ------------------------------------------------------------------------------------------

    def array(self, name: str, array: np.ndarray) -> None:
        """Store an array of numbers or fixed-length text."""
        from storage.arrays import save_array

        save_array(self._place("arrays", name), array)

    def tensors(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store a dictionary of arrays (weights) as safetensors."""
        from storage.arrays import pack_tensors

        packed = pack_tensors(arrays, f"tensors {name!r}")
        self._place("tensors", name).write_bytes(packed)

    def csr(self, name: str, matrix: Any) -> None:
        """Store a scipy sparse matrix, by rows and by columns; int32 indices, float32 values.

        Duplicates are summed and explicit zeros dropped.
        """
        from storage.arrays import save_csr

        save_csr(self._place("sparse", name), matrix)

    def table(self, name: str, table: Any) -> None:
        """Store a DataFrame (without its index) or a pyarrow Table as Parquet.

        Raises:
            InvalidName: a table that the step does not declare: a run would join its rows to another step's.
        """
        if self._tables is not None and name not in self._tables:
            declared = ", ".join(sorted(self._tables)) or "none"
            remedy = "Declare it where the step is registered, under a name that no other step's table has."
            step = f"step {self._head['step']!r}"
            raise InvalidName.worded("table", step, f"one that it declares ({declared})", repr(name), remedy)
        from storage.tables import save_table

        save_table(self._place("tables", name), table)

    def json(self, name: str, value: Any) -> None:
        """Store a JSON value; NaN and infinities are refused."""
        text = json.dumps(plain(value, f"json {name!r}"), indent=1, ensure_ascii=False)
        self._place("json", name).write_bytes(text.encode("utf-8", "surrogatepass"))

    def bytes(self, name: str, data: bytes) -> None:
        """Store raw bytes."""
        self._place("bytes", name).write_bytes(data)

    def stream(self, name: str, dtype: Any, row_shape: Sequence[int] | int, shard_rows: int | None = None) -> RowStream:
        """Store an array block by block, larger than memory if need be; use as a context manager.

        Args:
            name: its name; read back with ``artifact.array(name)``.
            dtype: of every block.
            row_shape: shape of one row.
            shard_rows: rows of a file; default about 256 MiB.
        """
        from storage.shards import RowStream

        folder = self._place("arrays", name, folder=True)
        self._open_streams.add(name)
        return RowStream(folder, dtype, row_shape, shard_rows, lambda paths: self._open_streams.discard(name))

    def facts(self, **values: Any) -> None:
        """Record JSON values in the manifest; they are no part of the key. NaN becomes None."""
        self._facts |= plain(values, "facts", non_finite="none")

    # -- begin and end ------------------------------------------------------------------------------------

    def __enter__(self) -> ArtifactWriter:
        owner = json.dumps({"key": self.key, **me()}).encode("ascii")
        for files in {id(place): place for place in (self._files, self._staging)}.values():
            drop_dead_attempts(files, self.key)
            files.write(self._owner, owner, durable=False)
        self._folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._staging.remove(self._owner)
            # What cannot be removed now stays with its owner's name, for gc.
            with suppress(StoreUnreachable):
                drop_attempt(self._files, self._token)

    def _commit(self) -> None:
        if self._open_streams:
            names = sorted(self._open_streams)
            raise InvalidName.worded("streams", f"artifact {self.key}", "closed", names, "Write them in a with block.")
        described = {}
        for path in sorted(path for path in self._folder.rglob("*") if path.is_file()):
            sync_file(path)
            relative = path.relative_to(self._folder).as_posix()
            described[relative] = {"bytes": path.stat().st_size, "digest": file_digest(path)}
        fields = {**self._head, "files": described, "facts": self._facts, "created": round(time.time(), 3)}
        if isinstance(self._files, LocalFiles):
            self.committed = self._publish_folder(self._files, encode(fields))
        else:
            self.committed = self._upload(self._files, fields)
        with suppress(StoreUnreachable):  # else gc removes it
            Checkpoint(self._files, self.key).clear()

    def _publish_folder(self, files: LocalFiles, manifest: bytes) -> bool:
        with open(self._folder / MANIFEST, "xb") as file:
            file.write(manifest)
            file.flush()
            os.fsync(file.fileno())
        for folder in [path for path in self._folder.rglob("*") if path.is_dir()] + [self._folder]:
            sync_folder(folder)
        target = files.path(f"artifacts/{self.key}")
        target.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(8):
            try:
                os.rename(self._folder, target)  # fails if the target is a folder that holds anything
            except OSError:
                if files.exists(f"artifacts/{self.key}/{MANIFEST}"):
                    return False
                if not target.exists():
                    raise
                files.remove(f"artifacts/{self.key}")  # somebody removed its manifest by hand
                continue
            sync_folder(target.parent)
            return True
        raise OSError(f"{target} cannot be replaced")

    def _upload(self, files: RemoteFiles, fields: dict[str, Any]) -> bool:
        """Payload into a folder of our own, then the manifest that names it: the last put decides."""
        payload = self._token.rpartition(".")[2]
        home = f"artifacts/{self.key}"
        for path in fields["files"]:
            files.upload(self._folder / path, f"{home}/{payload}/{path}")
        return files.write_new(f"{home}/{MANIFEST}", encode({**fields, "payload": payload}))

    def _place(self, kind: str, name: str, folder: bool = False) -> Path:
        where = f"artifact {self.key}"
        check_name(name, where)
        if not self._folder.is_dir():
            raise InvalidName.worded("writer", where, "used in its with block", "a call outside of it", "")
        if name in self._names:
            raise InvalidName.worded("name", where, "new", repr(name), "Every entry needs its own name.")
        self._names.add(name)
        place = self._folder / kind / (name if folder else name + SUFFIXES[kind])
        place.parent.mkdir(exist_ok=True)
        return place
