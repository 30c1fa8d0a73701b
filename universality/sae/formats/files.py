"""The border where dictionary files come in: every tensor is used or named, every number finite, sizes agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from universality.downloads import check_download
from universality.errors import InputError, refusal
from universality.sae.base import SparseAutoencoder

_AGAIN = "Download it again."
_CONTRADICTS = "The file is of another architecture than its config says, or incomplete."


@contextmanager
def _said_of(path: Path, constraint: str, remedy: str) -> Iterator[None]:
    """Whatever a library raises becomes one sentence that says which file must be what."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = str(error).split("\n", maxsplit=1)[0] or type(error).__name__
        raise refusal("content", str(path), constraint, reason, remedy) from error


class Config(Mapping[str, Any]):
    """A JSON object that says which file and key is wrong.

    Args:
        values: the object.
        where: its file.
    """

    def __init__(self, values: Mapping[str, Any], where: Path) -> None:
        self._values, self.where = dict(values), where

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def as_dict(self) -> dict[str, Any]:
        """The object itself."""
        return dict(self._values)

    def inner(self, key: str) -> Config:
        """An object under a key; empty where nothing or null stands there.

        Raises:
            InputError: something else stands there.
        """
        value = self.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.refusal(key, "an object", value)
        return Config(value or {}, self.where)

    def flag(self, key: str, default: bool) -> bool:
        """A boolean; null is the default."""
        return bool(self._of(key, default, "true or false", lambda value: isinstance(value, bool)))

    def text(self, key: str, default: str) -> str:
        """A text; null is the default."""
        return str(self._of(key, default, "a text", lambda value: isinstance(value, str)))

    def number(self, key: str) -> float | None:
        """A finite number; None where nothing or null stands there."""
        value = self._of(key, None, "a finite number", lambda value: type(value) in (int, float) and value - value == 0)
        return None if value is None else float(value)

    def size(self, key: str) -> int | None:
        """A number of things, at least 1; None where nothing, null or 0 stands there."""
        value = self._of(key, None, "a whole number", lambda value: type(value) is int and value >= 0)
        return value or None

    def refusal(self, key: str, constraint: str, got: object) -> InputError:
        """The error for a value of this file."""
        remedy = "Correct the file, or save the dictionary again."
        return refusal(key, str(self.where), constraint, repr(got), remedy)

    def _of(self, key: str, default: Any, constraint: str, holds: Callable[[Any], bool]) -> Any:
        value = self.get(key)
        if value is not None and not holds(value):
            raise self.refusal(key, constraint, value)
        return default if value is None else value


def read_json(path: Path) -> Config:
    """A JSON object; a byte-order mark is dropped.

    Raises:
        InputError: a stand-in for the file, not JSON, or no object.
    """
    with _said_of(path, "JSON", _AGAIN):
        check_download(path)
        value = json.loads(path.read_text("utf-8-sig"), parse_constant=str, parse_float=_finite)
    if not isinstance(value, dict):
        raise refusal("content", str(path), "a JSON object", type(value).__name__, _AGAIN)
    return Config(value, path)


def read_yaml(path: Path) -> Config:
    """A YAML mapping of plain values.

    Raises:
        InputError: a stand-in for the file, not YAML, tags that would make objects, or no mapping.
    """
    import yaml

    with _said_of(path, "YAML of plain values", _AGAIN):
        check_download(path)
        value = yaml.safe_load(path.read_text("utf-8-sig"))
    if not isinstance(value, dict):
        raise refusal("content", str(path), "a mapping", type(value).__name__, _AGAIN)
    return Config(value, path)


def _finite(number: str) -> float | str:
    """A number of JSON; what is not finite stays text, which no reader takes for a number."""
    value = float(number)
    return value if value - value == 0 else number


class Tensors:
    """The tensors of one file; what is read of it is remembered, so that nothing is left out unsaid.

    Args:
        values: tensors and plain values by name.
        where: the file.
    """

    def __init__(self, values: Mapping[str, Any], where: Path) -> None:
        self._values, self.where = dict(values), where
        self._used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> list[str]:
        """Of all tensors."""
        return [str(name) for name in self._values]

    def take(self, *names: str) -> list[torch.Tensor]:
        """The tensors of these names: float32, finite, off the graph.

        Raises:
            InputError: some are missing (the message says which there are), integers, or not finite.
        """
        missing = [name for name in names if name not in self._values]
        if missing:
            got = f"only {sorted(map(str, self._values))}"
            raise refusal(f"tensors {missing}", str(self.where), "in the file", got, _CONTRADICTS)
        self._used.update(names)
        return [self._number(name) for name in names]

    def one(self, name: str) -> torch.Tensor:
        """The tensor of that name, as :meth:`take` gives it."""
        return self.take(name)[0]

    def maybe(self, name: str) -> torch.Tensor | None:
        """The same, or None where there is none."""
        return self.one(name) if name in self._values else None

    def integers(self, name: str) -> list[int]:
        """A tensor of whole numbers.

        Raises:
            InputError: missing, or other numbers.
        """
        if name not in self._values:
            self.take(name)
        self._used.add(name)
        value = torch.as_tensor(self._values[name])
        listed = value.detach().flatten().tolist()
        if value.is_complex() or not all(float(number).is_integer() for number in listed):
            raise refusal(f"tensor {name!r}", str(self.where), "of whole numbers", listed[:4], _CONTRADICTS)
        return [int(number) for number in listed]

    def flags(self, name: str) -> list[bool]:
        """A tensor of true and false, or of 0 and 1."""
        self._used.add(name)
        return [bool(value) for value in torch.as_tensor(self._values[name]).flatten().tolist()]

    def has_nan(self, name: str) -> bool:
        """Whether a tensor marks with NaN that there is nothing."""
        return bool(torch.isnan(torch.as_tensor(self._values[name])).any())

    def every(self) -> dict[str, torch.Tensor]:
        """All tensors by name, as :meth:`take` gives them."""
        return dict(zip(self._values, self.take(*self._values), strict=True))

    def lower_case(self) -> Tensors:
        """The same under names of small letters.

        Raises:
            InputError: two names become one.
        """
        lower = {name.lower(): value for name, value in self._values.items()}
        if len(lower) != len(self._values):
            names = sorted(self._values)
            raise refusal("names", str(self.where), "different without capitals", names, _CONTRADICTS)
        return Tensors(lower, self.where)

    def unused(self, *names: str) -> None:
        """Say of some names that the format stores them and nothing that is computed here needs them."""
        self._used.update(names)

    def finish(self, architecture: str) -> None:
        """Refuse what nobody read.

        Raises:
            InputError: names the tensors.
        """
        rest = sorted(map(str, set(self._values) - self._used))
        if rest:
            constraint = f"known to the architecture {architecture!r}"
            raise refusal(f"tensors {rest}", str(self.where), constraint, "tensors that nothing reads", _CONTRADICTS)

    def _number(self, name: str) -> torch.Tensor:
        value = self._values[name]
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            got = str(value.dtype) if isinstance(value, torch.Tensor) else type(value).__name__
            raise refusal(f"tensor {name!r}", str(self.where), "of floating point", got, "Convert the weights first.")
        value = value.detach().float()
        check_finite(value, f"tensor {name!r}", self.where)
        return value


def check_finite(value: torch.Tensor, what: str, where: Path) -> None:
    """Refuse NaN and infinity.

    Raises:
        InputError: says how many of the tensor's numbers are not finite, and where the first stands.
    """
    bad = ~torch.isfinite(value)
    if bool(bad.any()):
        first = bad.nonzero()[0].tolist()
        got = f"{int(bad.sum())} NaN or infinite values, the first at {first}"
        raise refusal(what, str(where), "finite", got, "Take another save of the dictionary.")


def read_safetensors(path: Path) -> Tensors:
    """Tensors of a safetensors file."""
    from safetensors.torch import load_file

    with _said_of(path, "a safetensors file", _AGAIN):
        check_download(path)
        return Tensors(load_file(path), path)


def read_npz(path: Path) -> Tensors:
    """Arrays of an npz file; objects are refused."""
    with _said_of(path, "an npz file of plain arrays", _AGAIN):
        check_download(path)
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            native = {name: np.array(arrays[name]) for name in arrays.files}
        kinds = {name: array.astype(array.dtype.newbyteorder("=")) for name, array in native.items()}
        return Tensors({name: torch.from_numpy(array) for name, array in kinds.items()}, path)


def read_pt(path: Path) -> dict[str, Any]:
    """A state dict of ``torch.save``, tensors and plain values only: nothing in it is executed."""
    with _said_of(path, "a state dict of plain tensors", "Save it as safetensors."):
        check_download(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        kind = type(state).__name__
        raise refusal("content", str(path), "a state dict", kind, "Save the state_dict() alone.")
    return state


def no_parts(part: int | None, where: Path) -> None:
    """Refuse a part of what has none.

    Raises:
        InputError: a part was asked for.
    """
    if part is not None:
        raise refusal("part", str(where), "left out: only crosscoders have parts", part, "Leave it out.")


def check_sizes(sae: SparseAutoencoder, config: Config, names: Mapping[str, int]) -> SparseAutoencoder:
    """Sizes that a config names are those of the tensors, and what was folded into them left them finite.

    Args:
        sae: the dictionary.
        config: its config.
        names: what each size is by the key that says it; a key that is absent, null or 0 says nothing.

    Raises:
        InputError: another size, or a weight that is not finite.
    """
    for key, size in names.items():
        said = config.size(key)
        if said is not None and said != size:
            raise config.refusal(key, f"{size}, as the tensors beside it have", said)
    for name, value in sae.every_tensor().items():
        check_finite(value, name, config.where)
    return sae


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """sha256 of some files of a folder."""
    sums = {}
    for name in names:
        with (folder / name).open("rb") as stream:
            sums[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return sums
