"""Files of data that a page loads one by one: a script each, since a page opened from a file may fetch nothing else.

A script is one call, ``atlas("0/12","…");`` with a name and base64 of a raw deflate stream of JSON. So no text of a run
is ever part of a script or of a page, whatever it holds.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

#: Latents of a model whose details share a file: latent // SHARD is its number.
SHARD = 64


class Shards:
    """Writes the files of data of an atlas below a folder.

    Attributes:
        folder: the folder ``data``.
        n_bytes: size of all files so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.n_bytes = folder, 0

    def write(self, name: str, value: Any) -> None:
        """Write a value of JSON under a name such as ``texts`` or ``0/12``; it must hold no NaN."""
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        packed = base64.b64encode(packer.compress(text.encode()) + packer.flush()).decode()
        path = self.folder / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.n_bytes += path.write_bytes(f'atlas("{name}","{packed}");\n'.encode())


class Numbers:
    """Texts by number, in the order in which they were first met: frequent ones get short numbers.

    Attributes:
        names: the texts so far.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.names: list[str] = []
        self._number: dict[str, int] = {}
        for text in texts:
            self(text)

    def __call__(self, text: str) -> int:
        """The number of a text."""
        number = self._number.setdefault(text, len(self.names))
        if number == len(self.names):
            self.names.append(text)
        return number

    def column(self, values: pd.Series | None, n: int) -> list[int | None]:
        """The numbers of a column's texts, None where a value is missing; all None without the column."""
        if values is None:
            return [None] * n
        return [None if missing else self(str(v)) for v, missing in zip(values, values.isna(), strict=True)]


def plain(value: Any, digits: int = 4) -> int | float | None:
    """A number for JSON, of so many significant digits; None for what is missing or not finite."""
    if value is None or value is pd.NA or not math.isfinite(value):
        return None
    rounded = float(f"{float(value):.{digits}g}")
    return int(rounded) if rounded == int(rounded) else rounded


def plain_column(frame: pd.DataFrame, column: str, digits: int = 3) -> list[int | float | None]:
    """A column of numbers for JSON; all None where the table has none."""
    if column not in frame:
        return [None] * len(frame)
    return [plain(value, digits) for value in frame[column].to_numpy(float, na_value=math.nan)]


def text_column(frame: pd.DataFrame, column: str) -> list[str | None]:
    """A column of texts for JSON, None where one is missing; all None where the table has none."""
    if column not in frame:
        return [None] * len(frame)
    return [None if missing else str(text) for text, missing in zip(frame[column], frame[column].isna(), strict=True)]


class ByLatent:
    """Rows of a table by latent: values of one column, or lists of those of several."""

    def __init__(self, latents: pd.Series, *columns: Sequence[Any]) -> None:
        numbers = latents.to_numpy(np.int64)
        self._order, self._columns = np.argsort(numbers, kind="stable"), columns
        self._sorted = numbers[self._order]

    def of(self, latent: int) -> list[Any]:
        """The rows of a latent, in the order in which they were given."""
        low, high = np.searchsorted(self._sorted, [latent, latent + 1])
        rows = [[column[place] for column in self._columns] for place in self._order[low:high].tolist()]
        return [row[0] for row in rows] if len(self._columns) == 1 else rows
