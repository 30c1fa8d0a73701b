"""The memory: immutable artifacts, runs and their tables.

``open_store(url)`` opens a local folder or any fsspec URL; ``open_run(name)`` finds a finished run.
Nothing heavy is imported before it is used.
"""

from storage.artifact import Artifact
from storage.checkpoint import Checkpoint
from storage.errors import (
    ArtifactCorrupt,
    ArtifactGone,
    ArtifactMissing,
    InvalidName,
    NotAStore,
    QueryError,
    RunCorrupt,
    RunExists,
    RunLocked,
    RunMissing,
    StoreError,
    StoreUnreachable,
    TableMissing,
)
from storage.garbage import GcResult
from storage.keys import artifact_key, canonical_json
from storage.locks import Holder, RunLock
from storage.runs import Run
from storage.store import Store, open_run, open_store
from storage.verification import Problem
from storage.writer import ArtifactWriter

__all__ = [
    "Artifact", "ArtifactCorrupt", "ArtifactGone", "ArtifactMissing", "ArtifactWriter", "Checkpoint", "GcResult",
    "Holder", "InvalidName", "NotAStore", "Problem", "QueryError", "Run", "RunCorrupt", "RunExists", "RunLock",
    "RunLocked", "RunMissing", "Store", "StoreError", "StoreUnreachable", "TableMissing",
    "artifact_key", "canonical_json", "open_run", "open_store",
]  # fmt: skip
