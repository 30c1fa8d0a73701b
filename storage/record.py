"""``run.json``: the record of a run, with its own digest.

Whatever a report or a screen says of a run's settings comes from here, so a changed byte must not be read.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from storage.errors import RunCorrupt
from storage.keys import canonical_json, digest

RUNS = "runs"
STATUSES = ("planned", "running", "done", "partial", "failed", "interrupted")
#: Records of format 1 had neither format nor digest.
FORMAT = 2

_TYPES: dict[str, type | tuple[type, ...]] = {
    "name": str, "status": str, "recipe_name": str, "recipe": dict, "created": (int, float), "nodes": dict,
}  # fmt: skip


def encode_record(record: Mapping[str, Any]) -> bytes:
    """The bytes of ``run.json``."""
    whole = {**record, "format": FORMAT}
    whole["digest"] = digest(canonical_json(whole).encode("ascii"))
    return json.dumps(whole, indent=1, ensure_ascii=True).encode("ascii") + b"\n"


def decode_record(data: bytes, name: str) -> dict[str, Any]:
    """The record that these bytes hold, a fresh one at every call.

    Raises:
        RunCorrupt: it is none, or any value of it has changed since it was written.
    """
    reason = _what_is_wrong(data)
    if reason:
        remedy = "Restore the file, or remove the run's folder; a run of the same recipe finds its artifacts again."
        raise RunCorrupt.worded("run.json", f"run {name!r}", "as it was written", reason, remedy)
    record = json.loads(data)
    return {field: value for field, value in record.items() if field not in ("format", "digest")}


@lru_cache(maxsize=64)
def _what_is_wrong(data: bytes) -> str:
    """In words; empty for a record that may be believed. Equal bytes are looked at once."""
    try:
        record = json.loads(data)
        if not isinstance(record, dict):
            return "no JSON object"
        if "digest" in record or "format" in record:
            if record.get("format") != FORMAT:
                return f"format {record.get('format')!r}, which this version does not read"
            written = record.pop("digest", None)
            if written != digest(canonical_json(record).encode("ascii")):
                return "other values: its digest does not match"
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"
    wrong = [field for field, kind in _TYPES.items() if not isinstance(record.get(field), kind)]
    nodes = {} if wrong else record["nodes"]
    wrong += [
        f"nodes.{node}"
        for node, fields in nodes.items()
        if not isinstance(fields, dict)
        or not all(isinstance(fields.get(part), str) for part in ("key", "step", "status"))
    ]
    if not wrong and record["status"] not in STATUSES:
        wrong = ["status"]
    return f"no legal {', '.join(wrong[:3])}" if wrong else ""
