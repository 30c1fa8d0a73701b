"""Checkpoints: the unfinished state of a long step, replaced whole and gone when its artifact is there."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from storage.files import LocalFiles, RemoteFiles
from storage.keys import check_key, plain

if TYPE_CHECKING:
    import numpy as np

CHECKPOINTS = "checkpoints"
#: How the file begins: length of the header, then the metadata that no other program writes so.
_START = re.compile(rb"(?s).{8}\s*\{\s*\"__metadata__\"\s*:\s*\{\s*\"(meta|digest)\"")

_log = logging.getLogger(__name__)


def is_checkpoint(files: LocalFiles | RemoteFiles, name: str) -> bool:
    """Whether the file of this name in the folder of checkpoints is one that :meth:`Checkpoint.save` wrote."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}\.safetensors", name):
        return False
    return _START.match(files.read(f"{CHECKPOINTS}/{name}", most=64)) is not None


class Checkpoint:
    """The one checkpoint of an artifact to be; made by ``store.checkpoint(key)``."""

    def __init__(
        self, files: LocalFiles | RemoteFiles, key: str, before_write: Callable[[], None] = lambda: None
    ) -> None:
        self.key = check_key(key)
        self._before_write = before_write
        self._files = files
        self._path = f"{CHECKPOINTS}/{key}.safetensors"

    def save(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old one or the new one.

        Args:
            arrays: numbers by name.
            meta: JSON values: step counters, states of generators; NaN and infinities come back as they were.
        """
        from storage.arrays import pack_tensors

        self._before_write()
        text = json.dumps(plain(meta, "meta", non_finite="keep"), ensure_ascii=True)
        self._files.write(self._path, pack_tensors(arrays, f"checkpoint {self.key}", text))

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Arrays and meta of the last save; None if there is none.

        A damaged checkpoint costs time, never a result: it is told in a log record and counts as none.
        """
        from storage.arrays import unpack_tensors

        try:
            data = self._files.read(self._path)
        except FileNotFoundError:
            return None
        try:
            arrays, meta = unpack_tensors(data)
        except ValueError as error:
            _log.warning("checkpoint of %s is damaged (%s); the step starts anew", self.key, error)
            return None
        return arrays, json.loads(meta)

    def clear(self) -> None:
        """Remove it; nothing happens if there is none."""
        self._files.remove(self._path)
