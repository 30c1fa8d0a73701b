"""A store says that it is one: ``universality-store.json`` in its folder, written before anything else.

What writes or removes asks here first, so that a folder of somebody else is never taken for a store. Stores of before
had no marker: they are recognised by one run or artifact that only this program can have written, and marked at the
next write.
"""

import json
from typing import Literal

from storage.attempts import is_temporary_name
from storage.checkpoint import CHECKPOINTS
from storage.errors import ArtifactCorrupt, NotAStore, StoreError, StoreUnreachable
from storage.files import TEMPORARY, LocalFiles, RemoteFiles
from storage.manifest import MANIFEST, decode
from storage.record import RUNS, decode_record

MARKER = "universality-store.json"
KIND = "universality-store"
FORMAT = 1

#: ``marked`` and ``old`` are stores; ``free`` holds nothing under the names that a store uses; ``foreign`` does.
State = Literal["marked", "old", "free", "foreign"]


def state_of(files: LocalFiles | RemoteFiles) -> State:
    """What a place is.

    Raises:
        NotAStore: a store of a newer format.
    """
    if _is_marked(files):
        return "marked"
    inside = {folder: files.names(folder) for folder in ("artifacts", RUNS, CHECKPOINTS, TEMPORARY)}
    # A first writer beside us has its temporary files there before the marker.
    inside[TEMPORARY] = [name for name in inside[TEMPORARY] if not is_temporary_name(name)]
    if not any(inside.values()):
        return "free"
    ours = any(_is_artifact(files, key) for key in inside["artifacts"]) or any(_is_run(files, n) for n in inside[RUNS])
    return "old" if ours else "foreign"


def claim(files: LocalFiles | RemoteFiles) -> None:
    """Mark a place as a store before the first write; nothing happens if it is one.

    Raises:
        NotAStore: it holds other people's files under names that a store uses, or is of a newer format.
    """
    state = state_of(files)
    if state == "foreign":
        constraint = f"a store, or a place without files in artifacts, {RUNS}, {CHECKPOINTS} and {TEMPORARY}"
        remedy = "Give another --store: a new folder."
        raise NotAStore.worded("store", "this command", constraint, f"{files.url}, which holds such files", remedy)
    if state != "marked":
        text = json.dumps({"kind": KIND, "format": FORMAT}, indent=1) + "\n"
        if not files.write_new(MARKER, text.encode("ascii")):
            files.write(MARKER, text.encode("ascii"))  # another first writer's, or a damaged one


def require_store(files: LocalFiles | RemoteFiles) -> None:
    """Refuse a place that is no store, before anything of it is removed.

    Raises:
        NotAStore: it is none.
    """
    if state_of(files) in ("free", "foreign"):
        got = f"{files.url}, which is none"
        remedy = "Check --store and UNIVERSALITY_STORE; nothing was removed."
        raise NotAStore.worded("store", "this command", f"a folder with {MARKER}", got, remedy)


def _is_marked(files: LocalFiles | RemoteFiles) -> bool:
    try:
        marker = json.loads(files.read(MARKER))
        ours, written = marker["kind"] == KIND, int(marker["format"])
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, RecursionError):
        return False
    if ours and written > FORMAT:
        remedy = "Update universality: a newer version has written there."
        raise NotAStore.worded("format", f"the store {files.url}", f"at most {FORMAT}", written, remedy)
    return ours


def _is_artifact(files: LocalFiles | RemoteFiles, key: str) -> bool:
    try:
        decode(files.read(f"artifacts/{key}/{MANIFEST}"), key)
    except StoreUnreachable:
        raise
    except (OSError, ArtifactCorrupt):
        return False
    return True


def _is_run(files: LocalFiles | RemoteFiles, name: str) -> bool:
    try:
        decode_record(files.read(f"{RUNS}/{name}/run.json"), name)
    except StoreUnreachable:
        raise
    except (OSError, StoreError):
        return False
    return True
