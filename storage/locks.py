"""The lock of a run: one process computes it, and others can see who and whether it still lives."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType

from storage.errors import RunLocked
from storage.files import LocalFiles, RemoteFiles
from storage.liveness import BEAT, is_alive, me


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        pid: process id there.
        host: its host name.
        heartbeat: its last sign of life, seconds since 1970.
        alive: whether it lives, as far as can be told from here.
    """

    pid: int
    host: str
    heartbeat: float
    alive: bool


def read_holder(files: LocalFiles | RemoteFiles, path: str, now: float | None = None) -> Holder | None:
    """Who holds the lock at a path; None if nobody does.

    Args:
        files: the store's files.
        path: of the lock.
        now: the store's own time, from ``files.now()``; None takes this machine's clock for it, and writes nothing.
    """
    record = _read(files, path)
    if record is None:
        return None
    return Holder(
        int(record.get("pid") or 0),
        str(record.get("host") or "unknown"),
        float(record.get("heartbeat") or 0.0),
        is_alive(record, age=_age(files, path, time.time() if now is None else now)),
    )


def _age(files: LocalFiles | RemoteFiles, path: str, now: float) -> float | None:
    """Seconds since the store took the last heartbeat in: clocks of hosts may be minutes apart."""
    changed = files.modified(path)
    return now - changed if changed > 0.0 else None


class RunLock:
    """A lock file with a heartbeat; a context manager.

    A lock whose process is dead (same machine: the process table says so; elsewhere: silent for two
    minutes by the store's own time) is taken over. Taking and giving are serialised by ``flock`` where the
    system has it.

    Attributes:
        lost: True when another process took the lock over while this one was suspended or cut off.
    """

    def __init__(self, files: LocalFiles | RemoteFiles, path: str, name: str) -> None:
        self.lost = False
        self._files = files
        self._path = path
        self._name = name
        self._token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> RunLock:
        with self._alone():
            self._remove_dead(self._path)
            taken = self._files.write_new(self._path, self._record())
            record = _read(self._files, self._path)
        if not taken or record is None or record.get("token") != self._token:
            raise RunLocked(self._who(record or {}))
        self._stop.clear()
        self._thread = threading.Thread(target=self._beat, name=f"lock of {self._name}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if not self._is_ours():  # lost, or the run was deleted: leave no trace of ours
            return
        with self._alone():
            if self._is_ours():
                self._files.remove(self._path)

    def require(self) -> None:
        """Refuse to go on once the lock is lost. Raises RunLocked."""
        if self.lost:
            constraint, got = "held by the process that computes it", "another process that took it over"
            remedy = (
                "This one was silent for too long and has stopped; what is finished is kept, and the other goes on."
            )
            raise RunLocked.worded("run", repr(self._name), constraint, got, remedy)

    def _remove_dead(self, path: str) -> None:
        """Remove the lock of a dead process.

        Of many who find it dead one may, who creates a lock on that lock: else a slow one would remove the new lock
        of a quick one.
        """
        record = _read(self._files, path)
        if record is None or is_alive(record, age=_age(self._files, path, self._files.now())):
            return
        above = f"{path}.{hashlib.blake2b(json.dumps(record).encode(), digest_size=8).hexdigest()}"
        if self._files.write_new(above, self._record()):
            try:
                if _read(self._files, path) == record:
                    self._files.remove(path)
            finally:
                self._files.remove(above)
        else:  # somebody is at it, or died at it
            self._remove_dead(above)
            if not self._files.exists(above):
                self._remove_dead(path)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                with self._alone():
                    if not self._is_ours():
                        self.lost = True
                        return
                    self._files.write(self._path, self._record(), durable=False)
            except OSError:  # the disk may be full or away for a while; the next beat tries again
                continue

    def _is_ours(self) -> bool:
        return (_read(self._files, self._path) or {}).get("token") == self._token

    def _record(self) -> bytes:
        return json.dumps({**me(), "token": self._token}).encode("ascii")

    def _who(self, record: dict) -> str:
        ago = time.time() - float(record.get("heartbeat") or time.time())
        return (
            f"run {self._name!r} must be free to be computed; got a lock of process {record.get('pid')} on "
            f"{record.get('host')} (last sign of life {ago:.0f} s ago). Wait for it, or stop that process."
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else on this file system changes the lock meanwhile (object stores: best effort)."""
        try:
            import fcntl
        except ImportError:
            fcntl = None
        if fcntl is None or not isinstance(self._files, LocalFiles):
            yield
            return
        place = self._files.path(f"{self._path}.guard")
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place, "ab") as guard:
            with suppress(OSError):  # a mounted file system may know no locks
                fcntl.flock(guard, fcntl.LOCK_EX)
            yield


def _read(files: LocalFiles | RemoteFiles, path: str) -> dict | None:
    try:
        record = json.loads(files.read(path))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
