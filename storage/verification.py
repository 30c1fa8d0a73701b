"""Are all stored bytes those that were written?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.errors import ArtifactCorrupt, ArtifactMissing
from storage.manifest import MANIFEST

if TYPE_CHECKING:
    from storage.store import Store


@dataclass(frozen=True)
class Problem:
    """Something wrong with one file of an artifact (``manifest.json`` for the artifact itself)."""

    key: str
    file: str
    reason: str


def verify(store: Store, keys: Iterable[str] | None = None) -> list[Problem]:
    """Read every byte of some artifacts, or of all, and compare with the manifests.

    Returns:
        What is wrong, in the order of keys and files; empty means that all is well. Of all artifacts, one that is
        removed meanwhile (by gc) is no problem.
    """
    problems = []
    for key in store.folders() if keys is None else keys:
        wrong = list(_problems(store, key))
        if not (wrong and keys is None and not store.files.walk(f"artifacts/{key}")):
            problems += wrong
    return problems


def _problems(store: Store, key: str) -> Iterator[Problem]:
    try:
        artifact = store.get(key, verify=True)
    except ArtifactMissing:
        yield Problem(key, MANIFEST, "it is gone")
        return
    except ArtifactCorrupt as error:
        yield Problem(key, MANIFEST, error.reason)
        return
    for path in artifact.manifest["files"]:
        try:
            artifact.file(path)
        except ArtifactCorrupt as error:
            yield Problem(key, path, error.reason)
