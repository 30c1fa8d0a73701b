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
    if record is None or _is_given_back(files, path, record):
        return None
    return Holder(
        int(record.get("pid") or 0),
        str(record.get("host") or "unknown"),
        float(record.get("heartbeat") or 0.0),
        is_alive(record, age=_age(files, path, time.time() if now is None else now)),
    )


def _is_over(files: LocalFiles | RemoteFiles, path: str, record: dict, now: float) -> bool:
    """Whether a lock was given back, or its process is dead."""
    return _is_given_back(files, path, record) or not is_alive(record, age=_age(files, path, now))


def _is_given_back(files: LocalFiles | RemoteFiles, path: str, record: dict) -> bool:
    return not files.is_local and files.exists(_beside(path, record.get("token")))


def _beside(path: str, what: object) -> str:
    """The path of what is said of a record of a lock, or of its token: of nothing else, whatever comes after it."""
    return f"{path}.{hashlib.blake2b(json.dumps(what).encode(), digest_size=8).hexdigest()}"


def _age(files: LocalFiles | RemoteFiles, path: str, now: float) -> float | None:
    """Seconds since the store took the last heartbeat in: clocks of hosts may be minutes apart."""
    changed = files.modified(path)
    return now - changed if changed > 0.0 else None


class RunLock:
    """A lock file with a heartbeat; a context manager.

    A lock whose process is dead (same machine: the process table says so; elsewhere: silent for two
    minutes by the store's own time) is taken over. Taking and giving are serialised by ``flock`` where the
    system has it. On object stores a lock that was given back stays, with a file beside it that says so.

    Attributes:
        lost: True when another process took the lock over while this one was suspended or cut off.
    """

    def __init__(self, files: LocalFiles | RemoteFiles, path: str, name: str) -> None:
        self.lost = False
        self._files = files
        self._path = path
        self._name = name
        self._token = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> RunLock:
        self.lost, self._token = False, uuid.uuid4().hex  # what is said of an earlier time is none of this one
        with self._alone():
            taken = self._take(self._path)
        if not taken:
            raise RunLocked(self._who(_read(self._files, self._path) or {}))
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
        if not self._holds(self._path):  # lost, or the run was deleted: leave no trace of ours
            return
        with self._alone():
            if not self._holds(self._path):
                return
            if self._files.is_local:
                self._files.remove(self._path)
            else:
                self._files.write(_beside(self._path, self._token), b"given back")

    def require(self) -> None:
        """Refuse to go on once the lock is lost. Raises RunLocked."""
        if self.lost:
            constraint, got = "held by the process that computes it", "another process that took it over"
            remedy = (
                "This one was silent for too long and has stopped; what is finished is kept, and the other goes on."
            )
            raise RunLocked.worded("run", repr(self._name), constraint, got, remedy)

    def _take(self, path: str) -> bool:
        """Make the lock at a path ours, unless a living process holds it; answers whether it is.

        A lock that is over is written over by one of those who find it so: who holds a lock on that lock. It is not
        removed: a removal that a network sends twice may arrive when it is another's.
        """
        record = _read(self._files, path)
        if record is None:
            self._files.write_new(path, self._record())
        elif _is_over(self._files, path, record, self._files.now()):
            above = _beside(path, record)
            if self._take(above):
                try:
                    if _read(self._files, path) == record:
                        self._files.write(path, self._record(), durable=False)
                finally:
                    self._files.remove(above)
                self._files.remove(_beside(path, record.get("token")))
        return self._holds(path)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                with self._alone():
                    if not self._holds(self._path):
                        self.lost = True
                        return
                    self._files.write(self._path, self._record(), durable=False)
            except OSError:  # the disk may be full or away for a while; the next beat tries again
                continue

    def _holds(self, path: str) -> bool:
        return (_read(self._files, path) or {}).get("token") == self._token

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
