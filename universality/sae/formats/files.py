"""Reading JSON and tensors the safe way, with errors that say which file is wrong."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from universality.errors import refusal


@contextmanager
def _said_of(path: Path, constraint: str, remedy: str, *kinds: type[Exception]) -> Iterator[None]:
    """Errors of these kinds become one that says which file must be what."""
    try:
        yield
    except kinds as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise refusal("content", str(path), constraint, reason, remedy) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: not JSON, or no object.
    """
    with _said_of(path, "JSON", "Download it again.", OSError, ValueError):
        value = json.loads(path.read_text("utf-8"))
    if not isinstance(value, dict):
        raise refusal("content", str(path), "a JSON object", type(value).__name__, "Download it again.")
    return value


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, floats widened to float32."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with _said_of(path, "a safetensors file", "Download it again.", OSError, SafetensorError):
        return _widened(load_file(path))


def read_npz(path: Path) -> dict[str, torch.Tensor]:
    """Arrays of an npz file, floats widened to float32; objects are refused."""
    with (
        _said_of(path, "an npz file of plain arrays", "Download it again.", OSError, ValueError),
        np.load(path, allow_pickle=False) as arrays,
    ):
        return _widened({name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files})


def read_pt(path: Path) -> dict[str, Any]:
    """A state dict of ``torch.save``, tensors and plain values only: nothing in it is executed."""
    with _said_of(path, "a state dict of plain tensors", "Save it as safetensors.", Exception):
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        kind = type(state).__name__
        raise refusal("content", str(path), "a state dict", kind, "Save the state_dict() alone.")
    return _widened(state)


def _widened(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for name, value in tensors.items()
    }


def take(tensors: Mapping[str, torch.Tensor], names: Iterable[str], where: Path) -> list[torch.Tensor]:
    """The tensors of these names.

    Raises:
        InputError: some are missing; the message says which there are.
    """
    names = list(names)
    missing = [name for name in names if name not in tensors]
    if missing:
        remedy = "The file is of another architecture than its config says, or incomplete."
        raise refusal(f"tensors {missing}", str(where), "in the file", f"only {sorted(tensors)}", remedy)
    return [tensors[name] for name in names]


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """sha256 of some files of a folder."""
    sums = {}
    for name in names:
        with (folder / name).open("rb") as stream:
            sums[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return sums
