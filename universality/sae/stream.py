"""A shuffled stream of training rows in bounded memory, whose order follows from a seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from universality.seeds import generator

#: Rows that are read together: sequential reads from disk, far more of them per buffer than there are tokens apart.
CHUNK_ROWS = 128
#: Bytes of the shuffle buffer, as float32.
BUFFER_BYTES = 256_000_000


class RowStream:
    """Batches of rows, each pass in a fresh order: chunks are permuted over the whole data, rows within a buffer.

    Where the data fit the buffer (a million rows of width 64) that is a plain permutation.

    Args:
        rows: (n, d_in), an array, memory map or anything with ``len`` and slicing.
        batch_rows: rows per batch.
        seed: seed of the order.
    """

    def __init__(self, rows: Any, batch_rows: int, seed: int):
        self._rows, self._batch, self._seed = rows, batch_rows, seed
        self._n = len(rows)
        width = int(rows.shape[1])
        chunks = max(1, BUFFER_BYTES // (4 * width * CHUNK_ROWS))
        self._buffer_rows = max(chunks * CHUNK_ROWS, batch_rows)
        self._held: tuple[int, int] | None = None
        self._buffer = np.empty((0, width), dtype=np.float32)

    def batch(self, start: int, count: int) -> np.ndarray:
        """Rows ``start .. start + count`` of the endless stream, float32 (count, d_in)."""
        parts = []
        while count > 0:
            number, offset = divmod(start, self._n)
            block, within = divmod(offset, self._buffer_rows)
            self._load(number, block)
            part = self._buffer[within : within + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _load(self, number: int, block: int) -> None:
        if self._held == (number, block):
            return
        n_chunks = -(-self._n // CHUNK_ROWS)
        order = generator(self._seed, "row-chunks", number).permutation(n_chunks)
        # The short last chunk goes last, so that a buffer's first row is a multiple of its size.
        order = np.concatenate([order[order != n_chunks - 1], [n_chunks - 1]]) if self._n % CHUNK_ROWS else order
        per_buffer = self._buffer_rows // CHUNK_ROWS
        chosen = np.sort(order[block * per_buffer : (block + 1) * per_buffer])
        rows = [np.asarray(self._rows[c * CHUNK_ROWS : (c + 1) * CHUNK_ROWS], dtype=np.float32) for c in chosen]
        joined = np.concatenate(rows)
        self._buffer = joined[generator(self._seed, "row-buffer", number, block).permutation(len(joined))]
        self._held = (number, block)


def sample_rows(rows: Any, count: int, seed: int) -> np.ndarray:
    """A random sample of at most ``count`` rows, float32, in rising order of their place."""
    n = len(rows)
    chosen = np.sort(generator(seed, "row-sample").permutation(n)[:count])
    return np.asarray(rows[chosen], dtype=np.float32)


def geometric_median(rows: np.ndarray, *, steps: int = 100, tolerance: float = 1e-6) -> np.ndarray:
    """The point with the least summed distance to the rows, by Weiszfeld's iteration.

    Args:
        rows: (n, d).
        steps: iterations at most.
        tolerance: relative movement at which it has converged.

    Returns:
        float64 (d,).

    Source: Bricken et al. 2023, "Bias initialisation"; Weiszfeld 1937.
    """
    exact = rows.astype(np.float64)
    center = exact.mean(axis=0)
    floor = 1e-12 + 1e-9 * float(np.linalg.norm(exact - center, axis=1).mean())
    for _ in range(steps):
        weight = 1 / np.maximum(np.linalg.norm(exact - center, axis=1), floor)
        moved = (weight @ exact) / weight.sum()
        step = float(np.linalg.norm(moved - center))
        center = moved
        if step <= tolerance * (1 + float(np.linalg.norm(center))):
            break
    return center
