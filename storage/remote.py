"""Bytes behind fsspec, and the local copies that can be mapped.

What the acts promise is said in :class:`storage.files.Files`.
"""

import errno
import os
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from storage.errors import NotAStore, StoreUnreachable
from storage.liveness import whose
from storage.local import TEMPORARY, LocalFiles

#: How often a creation is tried that was refused although nothing lies there.
ATTEMPTS = 3
_KNOWN = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class RemoteFiles:
    """Any fsspec file system: object stores, memory, HTTP-like ones that can write."""

    is_local = False

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url.rstrip("/")
        try:
            fs, root = fsspec.url_to_fs(self.url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            constraint = "a folder or a URL of an installed fsspec file system"
            remedy = f"{error}. Install the package of that file system, for example s3fs for s3://."
            raise NotAStore.worded("store URL", "open_store", constraint, url, remedy) from error
        self.fs: Any = _Asked(fs, self.url)
        self.root = root.rstrip("/")

    def __repr__(self) -> str:
        return f"RemoteFiles({self.url!r})"

    def path(self, path: str) -> str:
        """The place of a relative path on the file system."""
        return f"{self.root}/{path}"

    def read(self, path: str, most: int | None = None) -> bytes:
        """See :class:`Files`."""
        return self.fs.cat_file(self.path(path), start=None if most is None else 0, end=most)

    def exists(self, path: str) -> bool:
        """See :class:`Files`."""
        try:  # fsspec's isfile says no as well where nobody answers
            return self.fs.info(self.path(path))["type"] == "file"
        except (FileNotFoundError, NotADirectoryError):
            return False

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """See :class:`Files`. One put of one object is atomic on object stores."""
        self._make_parent(path)
        self.fs.pipe_file(self.path(path), data)

    def write_new(self, path: str, data: bytes) -> bool:
        """See :class:`Files`. Exclusive where the file system offers it, else checked just before.

        A put whose answer was lost is sent again, and then refused because of what it has itself written; and object
        stores refuse a second creator in several ways. So after any refusal what lies there decides.
        """
        self._make_parent(path)
        left = ATTEMPTS
        while True:
            left -= 1
            try:
                self.fs.pipe_file(self.path(path), data, mode="create")
                return True
            except (FileExistsError, StoreUnreachable) as error:
                try:
                    return self.read(path) == data
                except FileNotFoundError:
                    if isinstance(error, FileExistsError):
                        return False
                    if not left:
                        raise error from None
            except (TypeError, NotImplementedError):
                if self.exists(path):
                    return False
                self.fs.pipe_file(self.path(path), data)
                return True

    def _make_parent(self, path: str) -> None:
        self.fs.makedirs(self.path(path).rsplit("/", 1)[0], exist_ok=True)

    def names(self, path: str) -> list[str]:
        """See :class:`Files`."""
        try:
            listed = self.fs.ls(self.path(path), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        names = {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in listed}
        return sorted(name for name in names if name)

    def walk(self, path: str) -> dict[str, int]:
        """See :class:`Files`."""
        top = self.path(path)
        try:
            infos = self.fs.find(top, detail=True)
        except FileNotFoundError:
            return {}
        return {str(name)[len(top) :].lstrip("/"): int(info.get("size") or 0) for name, info in infos.items()}

    def modified(self, path: str) -> float:
        """See :class:`Files`."""
        try:
            return self.fs.modified(self.path(path)).timestamp()
        except (FileNotFoundError, NotImplementedError, AttributeError):
            return 0.0

    def now(self) -> float:
        """See :class:`Files`."""
        path = f"{TEMPORARY}/_write.{whose()}.{uuid.uuid4().hex[:12]}"
        self.write(path, b".")
        try:
            return self.modified(path) or time.time()
        finally:
            self.remove(path)

    def remove(self, path: str) -> None:
        """See :class:`Files`. ``manifest.json`` goes first: without it nothing of an artifact is visible."""
        for name in (f"{path}/manifest.json", path):
            try:
                self.fs.rm(self.path(name), recursive=name == path)
            except FileNotFoundError:
                continue

    def upload(self, source: Path, path: str) -> None:
        """Copy a local file there."""
        self._make_parent(path)
        self.fs.put_file(str(source), self.path(path))

    def download(self, path: str, target: Path) -> None:
        """Copy a file into the cache; it appears there when it is complete."""
        temporary = LocalFiles(cache_folder()).temporary("write")
        for folder in (target.parent, temporary.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self.fs.get_file(self.path(path), str(temporary))
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


class _Asked:
    """A file system whose own errors (no credentials, no network, too many requests, …) become sentences."""

    def __init__(self, fs: Any, url: str) -> None:
        self._fs, self._url = fs, url

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._fs, name)
        if not callable(member):
            return member

        def ask(*arguments: Any, **options: Any) -> Any:
            try:
                return member(*arguments, **options)
            except (TypeError, NotImplementedError, AttributeError, *_KNOWN):
                raise  # what callers here know
            except Exception as error:
                if isinstance(error, OSError) and (error.filename or error.errno in _FULL):
                    raise  # of a file on this machine
                got = f"{type(error).__name__}: {error}"
                remedy = "Check its address, the network and your credentials."
                raise StoreUnreachable.worded("store", self._url, "within reach", got, remedy) from error

        return ask


def cache_folder() -> Path:
    """Where files of remote stores are kept for mapping: ``$UNIVERSALITY_CACHE``, else the user's cache.

    Safe to delete while nothing runs.
    """
    named = os.environ.get("UNIVERSALITY_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (
        Path(base) if base else Path(tempfile.gettempdir() if not _home() else Path.home() / ".cache")
    ) / "universality"


def _home() -> bool:
    try:
        return Path.home().is_dir()
    except RuntimeError:
        return False
