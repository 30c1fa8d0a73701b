"""A shuffled stream of training rows in bounded memory, whose order follows from a seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from universality.seeds import generator

CHUNK_ROWS = 128
"""Rows that are read together: sequential reads from disk, and far more chunks per buffer than tokens apart."""
BUFFER_BYTES = 256_000_000
"""Bytes of the shuffle buffer, as float32."""


class RowStream:
    """Batches of rows, each pass in a fresh order: chunks permuted over the whole data, rows within a buffer.

    Where the data fit the buffer (a million rows of width 64) that is a plain permutation.

    Args:
        rows: (n, d_in), an array, memory map or anything with ``len`` and slicing.
        batch_rows: rows per batch.
        seed: seed of the order.
        buffer_bytes: size of the buffer; it belongs to the order, so every resumption needs the same.
    """

    def __init__(self, rows: Any, batch_rows: int, seed: int, *, buffer_bytes: int = BUFFER_BYTES):
        self._rows, self._seed = rows, seed
        self._n = len(rows)
        width = int(rows.shape[1])
        self._chunks = max(1, buffer_bytes // (4 * width * CHUNK_ROWS), -(-batch_rows // CHUNK_ROWS))
        self._held: tuple[int, int] | None = None
        self._buffer = np.empty((0, width), dtype=np.float32)
        self._order = np.empty(0, dtype=np.int64)

    def batch(self, start: int, count: int) -> np.ndarray:
        """Rows ``start .. start + count`` of the endless stream, float32 (count, d_in)."""
        parts = []
        while count > 0:
            number, offset = divmod(start, self._n)
            block, within = divmod(offset, self._chunks * CHUNK_ROWS)
            self._load(number, block)
            part = self._buffer[self._order[within : within + count]]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _load(self, number: int, block: int) -> None:
        if self._held == (number, block):
            return
        n_chunks = -(-self._n // CHUNK_ROWS)
        order = generator(self._seed, "row-chunks", number).permutation(n_chunks)
        if self._n % CHUNK_ROWS:
            # The short last chunk goes last, so that a buffer's first row is a multiple of its size.
            order = np.concatenate([order[order != n_chunks - 1], [n_chunks - 1]])
        chosen = np.sort(order[block * self._chunks : (block + 1) * self._chunks])
        self._buffer = self._read(chosen)
        self._order = generator(self._seed, "row-buffer", number, block).permutation(len(self._buffer))
        self._held = (number, block)

    def _read(self, chunks: np.ndarray) -> np.ndarray:
        ends = np.minimum((chunks + 1) * CHUNK_ROWS, self._n)
        whole = int((ends - chunks * CHUNK_ROWS).sum())
        buffer = (
            self._buffer if len(self._buffer) == whole else np.empty((whole, self._rows.shape[1]), np.float32)
        )
        at = 0
        for chunk, end in zip(chunks, ends, strict=True):
            part = self._rows[int(chunk) * CHUNK_ROWS : int(end)]
            buffer[at : at + len(part)] = part
            at += len(part)
        return buffer


def sample_rows(rows: Any, count: int, seed: int) -> np.ndarray:
    """A random sample of at most ``count`` rows, float32, in rising order of their place."""
    n = len(rows)
    chosen = np.arange(n) if n <= count else generator(seed, "row-sample").choice(n, count, replace=False)
    return np.asarray(rows[np.sort(chosen)], dtype=np.float32)


def geometric_median(rows: np.ndarray, *, steps: int = 100, tolerance: float = 1e-4) -> np.ndarray:
    """The point with the least summed distance to the rows, by Weiszfeld's iteration.

    Args:
        rows: (n, d).
        steps: iterations at most.
        tolerance: movement, relative to the mean distance to the rows, at which it has converged.

    Returns:
        float64 (d,).

    Source: Bricken et al. 2023, "Bias initialisation"; Weiszfeld 1937.
    """
    exact = rows.astype(np.float64)
    centre = exact.mean(axis=0)
    for _ in range(steps):
        distance = np.linalg.norm(exact - centre, axis=1)
        typical = float(distance.mean())
        if typical == 0:
            break
        weight = 1 / np.maximum(distance, 1e-9 * typical)
        moved = (weight @ exact) / weight.sum()
        step = float(np.linalg.norm(moved - centre))
        centre = moved
        if step <= tolerance * typical:
            break
    return centre
