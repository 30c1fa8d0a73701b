"""Manifests: what an artifact is, which files it holds, and how to tell that they are unharmed.

``manifest.json`` is written last, so its presence means that the artifact is complete. It carries the
digest of every file and of itself.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from storage.errors import ArtifactCorrupt
from storage.keys import canonical_json, digest

FORMAT = 1
MANIFEST = "manifest.json"

#: Suffix of the files of each kind of entry; a kind is the first folder of a file's path.
SUFFIXES = {
    "arrays": ".npy",
    "tensors": ".safetensors",
    "sparse": "",
    "tables": ".parquet",
    "json": ".json",
    "bytes": "",
}


@dataclass(frozen=True)
class Entry:
    """One named thing in an artifact: its kind (a key of ``SUFFIXES``) and its files, sorted."""

    name: str
    kind: str
    paths: tuple[str, ...]


def entries(files: dict[str, Any]) -> dict[str, Entry]:
    """The named things that these file paths hold, in the manifest's order."""
    grouped: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    for path in files:
        kind, first, *below = path.split("/")
        name = first if below else first.removesuffix(SUFFIXES[kind])
        grouped.setdefault(name, []).append(path)
        kinds[name] = kind
    return {name: Entry(name, kinds[name], tuple(sorted(paths))) for name, paths in grouped.items()}


def encode(fields: dict[str, Any]) -> bytes:
    """The bytes of a manifest, with its own digest."""
    whole = {"format": FORMAT, **fields}
    whole["digest"] = digest(canonical_json(whole).encode("ascii"))
    return json.dumps(whole, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


@lru_cache(maxsize=4096)
def decode(data: bytes, key: str) -> dict[str, Any]:
    """Read a manifest back. Equal bytes are read once, and all readers share the answer: none may change it.

    Raises:
        ArtifactCorrupt: it is no manifest, of another artifact, or any byte of it has changed.
    """
    try:
        whole = json.loads(data)
        written_digest = whole.pop("digest")
        if written_digest != digest(canonical_json(whole).encode("ascii")) or whole["key"] != key:
            raise ValueError("its digest or key does not match")
        if whole.pop("format") != FORMAT:
            raise ValueError("it was written in another format")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise corrupt(key, MANIFEST, str(error)) from error
    return whole


def file_digest(path: Path) -> str:
    """Digest of a file: blake2b, 32 hex characters."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def corrupt(key: str, path: str, reason: str) -> ArtifactCorrupt:
    """The error of a damaged file."""
    error = ArtifactCorrupt(
        f"{path} of artifact {key} must be as it was written; {reason}. "
        "Restore the file, or remove the artifact's folder and run again to compute it anew."
    )
    error.reason = reason
    return error
