"""Where bytes live: a local folder, or any fsspec file system.

Both offer the same few acts on relative POSIX paths. What they promise: :meth:`Files.write` is all or
nothing, :meth:`Files.write_new` succeeds for one writer only, and :meth:`Files.remove` is at once. The
rest of the room builds on these three.
"""

import os
from pathlib import Path
from typing import Protocol

from storage.errors import NotAStore
from storage.local import TEMPORARY, LocalFiles, sync_file, sync_folder
from storage.remote import RemoteFiles, cache_folder

__all__ = [
    "TEMPORARY",
    "Files",
    "LocalFiles",
    "RemoteFiles",
    "cache_folder",
    "open_files",
    "sync_file",
    "sync_folder",
]


class Files(Protocol):
    """Bytes under relative POSIX paths."""

    url: str
    #: True for a folder of this machine's file system.
    is_local: bool

    def read(self, path: str, most: int | None = None) -> bytes:
        """All bytes of a file, or so many from its start. Raises FileNotFoundError."""
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

    def now(self) -> float:
        """The time that a file written now gets, seconds since 1970: the store's clock, not this machine's."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all it holds, at once for readers; missing is fine."""
        ...


def open_files(url: str | os.PathLike[str]) -> LocalFiles | RemoteFiles:
    """The files behind a path or URL. Nothing is created before the first write."""
    text = os.fspath(url) if isinstance(url, (str, os.PathLike)) else ""
    if not isinstance(text, str) or not text:
        raise NotAStore.worded("store", "open_store", "a path or URL", repr(url), "Name a folder.")
    if text.startswith(("file://", "local://")):
        text = text.split("://", 1)[1]
    if "://" in text:
        return RemoteFiles(text)
    if not text or "\0" in text:
        raise NotAStore.worded("store", "open_store", "a path or URL", repr(text), "Name a folder.")
    try:
        folder = Path(text).expanduser().absolute()
        if folder.is_file():
            raise NotAStore(f"{folder} is a file, and a store is a folder. Give another --store.")
        return LocalFiles(folder)
    except RuntimeError as error:  # "~nobody"
        raise NotAStore.worded(
            "store", "open_store", "a path or URL", f"{text!r} ({error})", "Name a folder."
        ) from error
