"""Artifact keys: a hash of the ancestry, written as canonical JSON.

Equal ancestry must give equal keys on every machine, and different ancestry different keys. So the text
is strict: mappings are sorted, lists keep their order, types are kept apart (``1``, ``1.0``, ``True`` and
``"1"`` are four values), and whatever has no one spelling (sets, paths, arrays, NaN) is refused.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal

from storage.errors import InvalidName

NonFinite = Literal["refuse", "none", "keep"]

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

_REMEDIES = {
    set: "Sort it into a list.",
    frozenset: "Sort it into a list.",
    bytes: "Pass the hex digest of the bytes.",
}


def plain(value: Any, where: str, *, non_finite: NonFinite = "refuse") -> Any:
    """Reduce a value to plain JSON types: dict, list, str, int, float, bool, None.

    Tuples become lists, numpy scalars the Python number of the same value, string enums their text.

    Args:
        value: anything.
        where: named in the error, for example ``"params"``.
        non_finite: NaN and infinities are an error, or None (facts and events must never stop a
            computation), or kept (states to resume from).

    Raises:
        InvalidName: the value, or one inside it, is of another type or not finite.
    """
    if value is None or isinstance(value, (bool, str, int, float)):
        return _scalar(value, where, non_finite)
    if isinstance(value, Mapping):
        return {
            _text_key(key, where): plain(item, f"{where}.{key}", non_finite=non_finite) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{index}]", non_finite=non_finite) for index, item in enumerate(value)]
    if (
        type(value).__module__ == "numpy"
        and getattr(value, "shape", None) == ()
        and not hasattr(value, "__array_finalize__")
    ):
        item = value.item()
        if isinstance(item, (bool, int, float)):
            return _scalar(item, where, non_finite)
    if isinstance(value, PurePath):
        remedy = "A path is not content: pass the digest of the file, or str(path) if the text itself matters."
    else:
        remedy = _REMEDIES.get(type(value), "Convert it first.")
    raise InvalidName.worded(
        "type", where, "a dict, list, tuple, str, number, bool or None", type(value).__name__, remedy
    )


def _scalar(value: Any, where: str, non_finite: NonFinite) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if math.isfinite(value) or non_finite == "keep":
        return float(value)
    if non_finite == "none":
        return None
    raise InvalidName.worded("number", where, "finite", value, "Use None for a value that is absent.")


def _text_key(key: Any, where: str) -> str:
    if isinstance(key, str):
        return str(key)
    raise InvalidName.worded("mapping key", where, "text (JSON would merge 1 and '1')", key, "Write the key as a str.")


def canonical_json(value: Any, where: str = "value") -> str:
    """The one ASCII text of a JSON value: sorted keys, no spaces, shortest round-trip floats.

    ``canonical_json(json.loads(canonical_json(v))) == canonical_json(v)`` for every legal ``v``.
    """
    return json.dumps(plain(value, where), sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def digest(data: bytes) -> str:
    """Digest of some bytes: blake2b, 32 hex characters."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def artifact_key(step: str, version: int, params: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """The key of what a step makes: ``blake2b(canonical_json({step, version, params, inputs}))``.

    Args:
        step: the step's name.
        version: the step's version, raised whenever its results can change. Code is never hashed.
        params: all that can change the result and is not an input; plain JSON values (see :func:`plain`).
        inputs: key of each input artifact by the local name under which the step reads it.

    Returns:
        32 hex characters; independent of the order of mappings.

    Raises:
        InvalidName: a value has no canonical form (NaN, sets, paths, arrays…).
    """
    if not isinstance(step, str) or not step:
        raise InvalidName.worded("step", "an artifact key", "a name", step, "Pass the step's name.")
    if isinstance(version, bool) or not isinstance(version, int):
        raise InvalidName.worded("version", f"step {step!r}", "an integer", version, "Pass 1, 2, …")
    for name, key in inputs.items():
        check_key(key, f"input {name!r}")
    ancestry = {"step": step, "version": version, "params": params, "inputs": inputs}
    return digest(canonical_json(ancestry, f"step {step!r}").encode("ascii"))


def check_text(value: str, what: str, where: str) -> str:
    """Return what is asked for if it is text; a name that is none would be looked up in vain, or not at all."""
    if not isinstance(value, str):
        raise InvalidName.worded(what, where, "text", repr(value), "Give its name.")
    return value


def check_key(key: str, where: str = "an artifact") -> str:
    """Return the key if it can name a folder; refuse path separators, dots and the like."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidName.worded("key", where, "letters, digits, '_' or '-'", key, "Make it with artifact_key().")
    return key


def check_name(name: str, where: str) -> str:
    """Return the name if it can name a file on every system and store."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.endswith("."):
        raise InvalidName.worded("name", where, "letters, digits, '_', '-' or '.'", name, "Choose a plain name.")
    return name
