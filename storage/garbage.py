"""gc: remove what no run needs, and nothing that a live run leases.

Roots are the nodes of every run, finished or not; what a root was made from is kept too. So artifacts go
when their runs are deleted or go over to another plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.attempts import drop_dead_attempts, live_attempts
from storage.checkpoint import CHECKPOINTS, is_checkpoint
from storage.errors import ArtifactCorrupt, InvalidName, StoreError, StoreUnreachable
from storage.files import LocalFiles, cache_folder
from storage.marker import require_store
from storage.runs import Run

if TYPE_CHECKING:
    from storage.store import Store


@dataclass(frozen=True)
class GcResult:
    """What a sweep removed, or would remove.

    Attributes:
        removed: keys of artifacts, sorted.
        leftovers: paths of half-written artifacts and of checkpoints, sorted.
        kept: keys of the artifacts that stay, sorted.
        bytes: bytes freed.
    """

    removed: tuple[str, ...]
    leftovers: tuple[str, ...]
    kept: tuple[str, ...]
    bytes: int


def gc(store: Store, *, dry_run: bool = False) -> GcResult:
    """Remove artifacts of no run, attempts of dead writers, and checkpoints of nothing.

    A checkpoint stays while its artifact is missing and a run, or a living writer, needs it. What does not show that
    this program wrote it stays too: an artifact whose manifest is none, files of other names.

    Raises:
        NotAStore: the place is no store.
        RunCorrupt: the record of a run cannot be read, so nobody knows what it needs.
    """
    files = store.files
    require_store(files)
    needed = _needed_keys(store)
    keys = store.keys()
    unused = [key for key in keys if key not in needed and _is_ours(store, key)]
    sizes = {key: sum(files.walk(f"artifacts/{key}").values()) for key in unused}
    removed = {key: n for key, n in sizes.items() if dry_run or _remove(store, key)}
    leftovers = dict(drop_dead_attempts(files, leased=_leased(store), dry_run=dry_run))
    if not isinstance(files, LocalFiles):
        drop_dead_attempts(LocalFiles(cache_folder()), leased=_leased(store), dry_run=dry_run)
    leftovers |= _drop_checkpoints(store, dry_run)
    return GcResult(
        tuple(sorted(removed)),
        tuple(sorted(leftovers)),
        tuple(sorted(set(keys) - set(removed))),
        sum(removed.values()) + sum(leftovers.values()),
    )


def _is_ours(store: Store, key: str) -> bool:
    try:
        store.get(key)
    except (ArtifactCorrupt, InvalidName):
        return False
    return True


def _needed_keys(store: Store) -> set[str]:
    """Keys of all runs' nodes and of all that those were made from."""
    needed: set[str] = set()
    stack = [node["key"] for record in store.records() for node in record["nodes"].values()]
    while stack:
        key = stack.pop()
        if key in needed:
            continue
        needed.add(key)
        try:
            stack += store.get(key).manifest["inputs"].values()
        except StoreUnreachable:  # it may be there, and name what it was made from
            raise
        except StoreError:  # not computed yet, or damaged: verify tells
            continue
    return needed


def _leased(store: Store) -> set[str]:
    now = store.files.now()
    records = [record for record in store.records() if Run(store, record["name"]).holder(now) is not None]
    return {node["key"] for record in records for node in record["nodes"].values()}


def _remove(store: Store, key: str) -> bool:
    """Remove one artifact, unless a run that was created meanwhile needs it.

    The run is written before it looks for artifacts. So either it is seen here, or it no longer finds
    this one and computes it again.
    """
    if key in _needed_keys(store):
        return False
    store.files.remove(f"artifacts/{key}")
    if not store.files.is_local:
        LocalFiles(cache_folder()).remove(f"artifacts/{key}")
    return True


def _drop_checkpoints(store: Store, dry_run: bool) -> dict[str, int]:
    files = store.files
    needed = _needed_keys(store) | live_attempts(files)
    dropped = {}
    for name, n_bytes in files.walk(CHECKPOINTS).items():
        key = name.removesuffix(".safetensors")
        if not is_checkpoint(files, name):
            continue
        if key not in needed or store.has(key):
            dropped[f"{CHECKPOINTS}/{name}"] = n_bytes
            if not dry_run:
                files.remove(f"{CHECKPOINTS}/{name}")
    return dropped
