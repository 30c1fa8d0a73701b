"""Bytes in a folder of this machine; what the acts promise is said in :class:`storage.files.Files`."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.liveness import whose

#: Folder of what is being written or removed; nothing in it is part of the store's content.
TEMPORARY = "temporary"


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

    def read(self, path: str, most: int | None = None) -> bytes:
        """See :class:`Files`."""
        with open(self.path(path), "rb") as file:
            return file.read(-1 if most is None else most)

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
        sizes: dict[str, int] = {}
        for folder, _, names in os.walk(top):
            for name in names:
                file = Path(folder, name)
                try:
                    sizes[file.relative_to(top).as_posix()] = file.stat().st_size
                except FileNotFoundError:  # removed meanwhile
                    continue
        return sizes

    def modified(self, path: str) -> float:
        """See :class:`Files`."""
        try:
            return self.path(path).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def now(self) -> float:
        """See :class:`Files`."""
        place = self.temporary("write")
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(place, "xb") as file:
                file.write(b".")
            return place.stat().st_mtime
        finally:
            place.unlink(missing_ok=True)

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
