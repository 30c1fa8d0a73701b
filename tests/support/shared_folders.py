"""Folders that take long to fill and that many tests read: filled once in a session, whichever process comes first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

#: Where they lie, the same for all processes of a session; None outside of a session.
root: Path | None = None


def made_once(name: str, fill: Callable[[Path], object]) -> Path:
    """The folder of this name, filled; for reading only, since other tests read it too."""
    assert root is not None, "no session of pytest"
    folder, done = root / name, root / f"{name}.done"
    with FileLock(root / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            fill(folder)
            done.touch()
    return folder
