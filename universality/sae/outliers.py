"""Training rows without those of an outlier norm."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from universality.errors import refusal
from universality.sae.stream import chunk_starts, read_chunks


class InlierRows:
    """The rows of a source whose norm is at most ``max_norm`` times the median norm, in their order.

    Which rows those are follows from the data alone, so a resumed training has the same. Making it reads all rows
    once and keeps 9 bytes of each. Where the median norm is 0, every row stays.

    Args:
        rows: (n, d_in), whatever :class:`~universality.sae.stream.RowStream` takes.
        max_norm: multiple of the median norm, at least 1.

    Attributes:
        median_norm: the median of all rows' norms.
        n_left_out: rows of a larger norm than ``max_norm`` times that.

    Raises:
        InputError: ``max_norm`` below 1, no rows, or rows that are not finite.
    """

    def __init__(self, rows: Any, max_norm: float):
        if not max_norm >= 1:
            remedy = "Rows of the median norm must stay."
            raise refusal("max_norm", "InlierRows", "at least 1", max_norm, remedy)
        if len(rows) == 0:
            raise refusal("number", "activations", "at least 1 row", 0, "Give more text.")
        self._rows, self._starts = rows, chunk_starts(rows)
        norms = np.concatenate(list(self._norms()))
        if not np.isfinite(norms).all():
            remedy = "Harvest them again, in float32 if they overflow."
            raise refusal("values", "activations", "finite", "NaN or infinity", remedy)
        self.median_norm = float(np.median(norms))
        self._stays = (norms <= max_norm * self.median_norm) | (self.median_norm == 0)
        self._places = np.flatnonzero(self._stays)
        self.n_left_out = len(norms) - len(self._places)
        self.boundaries: np.ndarray = np.searchsorted(self._places, self._starts)
        self.shape = (len(self._places), int(rows.shape[1]))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        return self._rows[self._places[key]]

    def chunks(self, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """What is left of some of the source's chunks, in the order of ``numbers``."""
        parts = [self._stays[self._starts[number] : self._starts[number + 1]] for number in numbers]
        stays = np.concatenate([np.empty(0, dtype=bool), *parts])
        at = 0
        for block in read_chunks(self._rows, numbers):
            yield np.asarray(block)[stays[at : at + len(block)]]
            at += len(block)

    def _norms(self) -> Iterator[np.ndarray]:
        for block in read_chunks(self._rows, np.arange(len(self._starts) - 1)):
            yield np.linalg.norm(np.asarray(block, dtype=np.float64), axis=1)
