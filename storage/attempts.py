"""What writers leave when they are killed, and how it is told from what living writers still need."""

import json
import math
import re
import time
from collections.abc import Collection

from storage.files import TEMPORARY, LocalFiles, RemoteFiles
from storage.liveness import is_alive, is_owner_alive
from storage.manifest import MANIFEST

#: Seconds after which a nameless leftover, or an attempt from another machine, counts as abandoned.
GRACE = 24 * 3600.0
#: Names of what writers put there: an attempt at an artifact and its owner, a single write, a removal.
_NAMES = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9_-]{0,127}\.[0-9a-f]{12}(\.json)?|_(write|removed)\.[0-9a-f]{8}-\d+-\d+\.[0-9a-f]{12})"
)


def is_temporary_name(name: str) -> bool:
    """Whether a writer of ours gives such names in the folder of what is being written."""
    return _NAMES.fullmatch(name) is not None


def drop_dead_attempts(
    files: LocalFiles | RemoteFiles,
    key: str | None = None,
    *,
    leased: Collection[str] | None = None,
    dry_run: bool = False,
) -> list[tuple[str, int]]:
    """Remove the half-written artifacts of dead writers.

    Args:
        files: the store's files.
        key: look at this key's attempts only.
        leased: keys that live runs are computing, perhaps on machines whose processes cannot be seen
            from here. None: only processes of this machine are judged.
        dry_run: only tell.

    Returns:
        Path and bytes of what was removed.
    """
    names = files.names(TEMPORARY)
    tokens = sorted({name.removesuffix(".json") for name in names})
    removed = []
    for token in tokens:
        its_key = token.partition(".")[0]
        if key not in (None, its_key):
            continue
        patience = math.inf if leased is None or its_key in leased else GRACE
        if not _is_abandoned(files, token, patience):
            continue
        folder = _payload(files, token)
        if folder is not None:
            removed.append((folder, sum(files.walk(folder).values())))
        if not dry_run:
            drop_attempt(files, token)
    return removed


def drop_attempt(files: LocalFiles | RemoteFiles, token: str) -> None:
    """Remove an attempt at an artifact, unless it became the artifact; what names its owner goes last."""
    folder = _payload(files, token)
    if folder is not None:
        files.remove(folder)
    files.remove(f"{TEMPORARY}/{token}.json")


def live_attempts(files: LocalFiles | RemoteFiles) -> set[str]:
    """Keys that a living process is writing now."""
    tokens = [name.removesuffix(".json") for name in files.names(TEMPORARY) if name.endswith(".json")]
    return {token.partition(".")[0] for token in tokens if not _is_abandoned(files, token, GRACE)}


def _is_abandoned(files: LocalFiles | RemoteFiles, token: str, patience: float) -> bool:
    if not is_temporary_name(token):  # not ours to judge
        return False
    if token.startswith("_"):  # a single write or a removal
        changed = files.modified(f"{TEMPORARY}/{token}")
        owner = token.split(".")[1]
        return changed > 0.0 and not is_owner_alive(owner, changed, silence=min(patience, GRACE))
    try:
        owner = json.loads(files.read(f"{TEMPORARY}/{token}.json"))
    except FileNotFoundError:  # nobody's, or its writer ended just now
        return files.is_local and 0.0 < files.modified(f"{TEMPORARY}/{token}") < time.time() - GRACE
    except ValueError:
        owner = {}
    return not is_alive(owner, silence=patience)


def _payload(files: LocalFiles | RemoteFiles, token: str) -> str | None:
    """Where an attempt's files lie; None if they became the artifact before its writer died."""
    if isinstance(files, LocalFiles):
        return f"{TEMPORARY}/{token}"
    key, _, payload = token.partition(".")
    try:
        manifest = json.loads(files.read(f"artifacts/{key}/{MANIFEST}"))
    except (FileNotFoundError, ValueError):
        manifest = {}
    return None if manifest.get("payload") == payload else f"artifacts/{key}/{payload}"
