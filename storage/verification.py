"""Are all stored bytes those that were written?"""

from __future__ import annotations

from collections.abc import Iterable
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
        What is wrong, in the order of keys and files; empty means that all is well.
    """
    problems = []
    for key in store.folders() if keys is None else keys:
        try:
            artifact = store.get(key, verify=True)
        except ArtifactMissing:
            problems.append(Problem(key, MANIFEST, "it is gone"))
            continue
        except ArtifactCorrupt as error:
            problems.append(Problem(key, MANIFEST, error.reason))
            continue
        for path in artifact.manifest["files"]:
            try:
                artifact.file(path)
            except ArtifactCorrupt as error:
                problems.append(Problem(key, path, error.reason))
    return problems
