"""Reading JSON and tensors the safe way, with errors that say which file is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from universality.errors import InputError, must_be


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: not JSON, or no object.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(must_be("content", str(path), "JSON", str(error), "Download it again.")) from error
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise InputError(must_be("content", str(path), "a JSON object", kind, "Download it again."))
    return value


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, floats widened to float32."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return _widened(load_file(path))
    except (OSError, SafetensorError) as error:
        raise InputError(
            must_be("content", str(path), "a safetensors file", str(error), "Download it again.")
        ) from error


def read_npz(path: Path) -> dict[str, torch.Tensor]:
    """Arrays of an npz file, floats widened to float32; objects are refused."""
    try:
        with np.load(path, allow_pickle=False) as held:
            return _widened({name: torch.from_numpy(np.array(held[name])) for name in held.files})
    except (OSError, ValueError) as error:
        raise InputError(
            must_be("content", str(path), "an npz file of plain arrays", str(error), "Download it again.")
        ) from error


def read_pt(path: Path) -> dict[str, Any]:
    """A state dict of ``torch.save``, tensors and plain values only: nothing in it is executed."""
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise InputError(
            must_be("content", str(path), "a state dict of plain tensors", reason, "Save it as safetensors.")
        ) from error
    if not isinstance(held, dict):
        kind = type(held).__name__
        raise InputError(must_be("content", str(path), "a state dict", kind, "Save the state_dict() alone."))
    return _widened(held)


def _widened(held: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for name, value in held.items()
    }


def take(tensors: Mapping[str, torch.Tensor], names: Iterable[str], where: Path) -> list[torch.Tensor]:
    """The tensors of these names.

    Raises:
        InputError: some are missing; the message says which there are.
    """
    names = list(names)
    missing = [name for name in names if name not in tensors]
    if missing:
        raise InputError(
            must_be(
                f"tensors {missing}",
                str(where),
                "in the file",
                f"only {sorted(tensors)}",
                "The file is of another architecture than its config says, or incomplete.",
            )
        )
    return [tensors[name] for name in names]


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """sha256 of some files of a folder."""
    found = {}
    for name in names:
        with (folder / name).open("rb") as stream:
            found[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found
