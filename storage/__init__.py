"""The memory: immutable artifacts, runs and their tables.

``open_store(url)`` opens a local folder or any fsspec URL; ``open_run(name)`` finds a finished run.
Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.artifact import Artifact
    from storage.checkpoint import Checkpoint
    from storage.errors import (
        ArtifactCorrupt,
        ArtifactMissing,
        InvalidName,
        QueryError,
        RunExists,
        RunLocked,
        RunMissing,
        StoreError,
        TableMissing,
    )
    from storage.garbage import GcResult
    from storage.keys import artifact_key, canonical_json
    from storage.locks import Holder
    from storage.runs import Run
    from storage.shards import ShardedRows
    from storage.store import Store, open_run, open_store
    from storage.verification import Problem
    from storage.writer import ArtifactWriter

_HOMES = {
    "Artifact": "artifact",
    "ArtifactWriter": "writer",
    "Checkpoint": "checkpoint",
    "GcResult": "garbage",
    "Holder": "locks",
    "Problem": "verification",
    "Run": "runs",
    "ShardedRows": "shards",
    "Store": "store",
    "artifact_key": "keys",
    "canonical_json": "keys",
    "open_run": "store",
    "open_store": "store",
} | dict.fromkeys(
    (
        "ArtifactCorrupt",
        "ArtifactMissing",
        "InvalidName",
        "QueryError",
        "RunExists",
        "RunLocked",
        "RunMissing",
        "StoreError",
        "TableMissing",
    ),
    "errors",
)

__all__ = [
    "Artifact",
    "ArtifactCorrupt",
    "ArtifactMissing",
    "ArtifactWriter",
    "Checkpoint",
    "GcResult",
    "Holder",
    "InvalidName",
    "Problem",
    "QueryError",
    "Run",
    "RunExists",
    "RunLocked",
    "RunMissing",
    "ShardedRows",
    "Store",
    "StoreError",
    "TableMissing",
    "artifact_key",
    "canonical_json",
    "open_run",
    "open_store",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'storage' has no attribute {name!r}")
    return getattr(importlib.import_module(f"storage.{_HOMES[name]}"), name)
