"""Where bytes live: a local folder, or any fsspec file system.

Both offer the same few acts on relative POSIX paths. What they promise: :meth:`Files.write` is all or
nothing, :meth:`Files.write_new` succeeds for one writer only, :meth:`Files.publish` makes a whole folder
visible at once. The rest of the room builds on these three.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from storage.errors import StoreError, must_be
from storage.liveness import whose

#: Folder of what is being written or removed; nothing in it is part of the store's content.
TEMPORARY = "temporary"


class Files(Protocol):
    """Bytes under relative POSIX paths."""

    url: str
    #: True for a folder of this machine's file system.
    is_local: bool

    def read(self, path: str) -> bytes:
        """All bytes of a file. Raises FileNotFoundError."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file at this path."""
        ...

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """Replace a file: readers see the old bytes or the new, also when the writer is killed."""
        ...

    def write_new(self, path: str, data: bytes) -> bool:
        """Create a file; False if there is one. Of many callers one gets True."""
        ...

    def names(self, path: str) -> list[str]:
        """Sorted names of the direct children of a folder; empty if there is none."""
        ...

    def walk(self, path: str) -> dict[str, int]:
        """Bytes by path (relative to ``path``) of all files below a folder."""
        ...

    def modified(self, path: str) -> float:
        """Time of the last change in seconds since 1970; 0 if unknown or missing."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all it holds, at once for readers; missing is fine."""
        ...


class LocalFiles:
    """A folder of this machine (or mounted on it)."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def __repr__(self) -> str:
        return f"LocalFiles({self.url!r})"

    def path(self, path: str) -> Path:
        """The place of a relative path."""
        return self.root / path

    def temporary(self, purpose: str) -> Path:
        """A new name on the same file system, from where a rename is atomic.

        Starts with ``_``, as no key does, and tells whose it is.
        """
        return self.root / TEMPORARY / f"_{purpose}.{whose()}.{uuid.uuid4().hex[:12]}"

    def read(self, path: str) -> bytes:
        """See :class:`Files`."""
        return self.path(path).read_bytes()

    def exists(self, path: str) -> bool:
        """See :class:`Files`."""
        return self.path(path).is_file()

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """See :class:`Files`. Not ``durable``: survives a kill, perhaps not a power cut."""
        with self._beside(path, data, durable) as (temporary, target):
            os.replace(temporary, target)
            if durable:
                sync_folder(target.parent)

    def write_new(self, path: str, data: bytes) -> bool:
        """See :class:`Files`."""
        with self._beside(path, data, durable=True) as (temporary, target):
            try:
                os.link(temporary, target)  # the one act that fails when the name is taken
            except FileExistsError:
                return False
            except OSError:  # a file system without hard links
                return _create(target, data)
            sync_folder(target.parent)
        return True

    @contextmanager
    def _beside(self, path: str, data: bytes, durable: bool) -> Iterator[tuple[Path, Path]]:
        target = self.path(path)
        temporary = self.temporary("write")
        for folder in (target.parent, temporary.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            yield temporary, target
        finally:
            temporary.unlink(missing_ok=True)

    def names(self, path: str) -> list[str]:
        """See :class:`Files`."""
        try:
            return sorted(os.listdir(self.path(path)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def walk(self, path: str) -> dict[str, int]:
        """See :class:`Files`."""
        top = self.path(path)
        found: dict[str, int] = {}
        for folder, _, names in os.walk(top):
            for name in names:
                file = Path(folder, name)
                try:
                    found[file.relative_to(top).as_posix()] = file.stat().st_size
                except FileNotFoundError:  # removed meanwhile
                    continue
        return found

    def modified(self, path: str) -> float:
        """See :class:`Files`."""
        try:
            return self.path(path).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def remove(self, path: str) -> None:
        """See :class:`Files`. A folder is renamed away first, so that nobody sees half of it."""
        target = self.path(path)
        if not target.is_dir() or target.is_symlink():
            target.unlink(missing_ok=True)
            return
        trash = self.temporary("removed")
        trash.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(target, trash)
        except FileNotFoundError:
            return
        shutil.rmtree(trash, ignore_errors=True)


class RemoteFiles:
    """Any fsspec file system: object stores, memory, HTTP-like ones that can write."""

    is_local = False

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url.rstrip("/")
        try:
            self.fs, root = fsspec.url_to_fs(self.url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise StoreError(
                must_be(
                    "store URL",
                    "open_store",
                    "a folder or a URL of an installed fsspec file system",
                    url,
                    f"{error}. Install the package of that file system, for example s3fs for s3://.",
                )
            ) from error
        self.root = root.rstrip("/")

    def __repr__(self) -> str:
        return f"RemoteFiles({self.url!r})"

    def path(self, path: str) -> str:
        """The place of a relative path on the file system."""
        return f"{self.root}/{path}"

    def read(self, path: str) -> bytes:
        """See :class:`Files`."""
        return self.fs.cat_file(self.path(path))

    def exists(self, path: str) -> bool:
        """See :class:`Files`."""
        return self.fs.isfile(self.path(path))

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """See :class:`Files`. One put of one object is atomic on object stores."""
        self._make_parent(path)
        self.fs.pipe_file(self.path(path), data)

    def write_new(self, path: str, data: bytes) -> bool:
        """See :class:`Files`. Exclusive where the file system offers it, else checked just before."""
        self._make_parent(path)
        try:
            self.fs.pipe_file(self.path(path), data, mode="create")
        except FileExistsError:
            return False
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
            found = self.fs.find(top, detail=True)
        except FileNotFoundError:
            return {}
        return {str(name)[len(top) :].lstrip("/"): int(info.get("size") or 0) for name, info in found.items()}

    def modified(self, path: str) -> float:
        """See :class:`Files`."""
        try:
            return self.fs.modified(self.path(path)).timestamp()
        except (FileNotFoundError, NotImplementedError, AttributeError):
            return 0.0

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


def open_files(url: str | os.PathLike[str]) -> LocalFiles | RemoteFiles:
    """The files behind a path or URL. Nothing is created before the first write."""
    text = os.fspath(url)
    if text.startswith(("file://", "local://")):
        text = text.split("://", 1)[1]
    if "://" in text:
        return RemoteFiles(text)
    if not text:
        raise StoreError(must_be("store", "open_store", "a path or URL", text, "Name a folder."))
    return LocalFiles(Path(text).expanduser().absolute())


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


def sync_file(path: Path) -> None:
    """Have the system write a file's bytes to the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Have the system write a folder's names to the disk now, where it knows how."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _create(target: Path, data: bytes) -> bool:
    try:
        with open(target, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True
