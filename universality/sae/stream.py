"""A shuffled stream of training rows in bounded memory, whose order follows from a seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from universality.seeds import derive_seed, generator

if TYPE_CHECKING:
    from universality.sae.sae_config import SAETrainingConfig

CHUNK_ROWS = 128
"""Rows that are read together: sequential reads from disk, and far more chunks per buffer than tokens apart."""
BUFFER_MB = 256
BUFFER_BYTES = BUFFER_MB * 1_000_000
"""Bytes of the shuffle buffer, as float32."""
READERS = 4
"""Threads that fill a buffer for a GPU: one copies about as fast as a small dictionary's steps take rows."""
SAMPLE_ROWS = 8192
"""Rows that the scale and the initial bias of a dictionary are estimated on."""
MEASURED_ROWS, MEASURED_BYTES = 1 << 16, 1 << 27
"""Rows that losses are measured on before dead latents start afresh, at most (ours; the paper takes 819,200), and
their bytes."""
MEASURED_BLOCK = 1024
"""Of them those whose losses are measured together: bounds the dense activations."""


class Buffer(NamedTuple):
    """What of a stream is shuffled together.

    Attributes:
        first: place in the stream of its first row.
        chunks: numbers of its chunks, rising.
        order: (n_rows,), which of the rows of these chunks comes when.
    """

    first: int
    chunks: np.ndarray
    order: np.ndarray


class RowStream:
    """Batches of rows, each pass in a fresh order: chunks permuted over the whole data, rows within a buffer.

    Where the data fit the buffer (a million rows of width 64) that is a plain permutation. A chunk is
    :data:`CHUNK_ROWS` rows, unless ``rows`` says where its own chunks lie (those that are computed together): then
    it has ``boundaries``, (n_chunks + 1,) rising places from 0 to n, and ``chunks(numbers)``, which yields the rows
    of these chunks, in order and in blocks of any length.

    Args:
        rows: (n, d_in), an array, memory map or anything with ``len`` and slicing.
        batch_rows: rows per batch.
        seed: seed of the order.
        buffer_bytes: size of the buffer; it belongs to the order, so every resumption needs the same.

    Attributes:
        starts: (n_chunks + 1,) where each chunk begins, and n.
        width: d_in.
        buffer_bytes: as given.
    """

    def __init__(self, rows: Any, batch_rows: int, seed: int, *, buffer_bytes: int = BUFFER_BYTES):
        self._rows, self._seed, self.buffer_bytes = rows, seed, buffer_bytes
        self.width = width = int(rows.shape[1])
        self._own = hasattr(rows, "boundaries")
        self.starts = chunk_starts(rows)
        self._sizes = np.diff(self.starts)
        longest = max(1, int(self._sizes.max())) if self._own else CHUNK_ROWS
        self._chunks = max(1, buffer_bytes // (4 * width * longest), -(-batch_rows // longest))
        self._buffer = np.empty((0, width), dtype=np.float32)
        self._pass: tuple[int, np.ndarray, np.ndarray] | None = None
        self._laid: tuple[tuple[int, int], np.ndarray, np.ndarray] | None = None
        self._read_chunks: np.ndarray | None = None

    def batch(self, start: int, count: int) -> np.ndarray:
        """Rows ``start .. start + count`` of the endless stream, float32 (count, d_in)."""
        parts = []
        for chosen, order in self._pieces(start, count):
            self._load(chosen)
            parts.append(self._buffer[order])
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def places(self, start: int, count: int) -> np.ndarray:
        """Which rows those are, int64 (count,) in [0, n); nothing is read."""
        parts = []
        for chosen, order in self._pieces(start, count):
            sizes = self._sizes[chosen]
            shift = self.starts[chosen] - np.concatenate([[0], np.cumsum(sizes)[:-1]])
            parts.append((np.arange(sizes.sum()) + np.repeat(shift, sizes))[order])
        return np.concatenate(parts)

    def _pieces(self, start: int, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The chunks of each buffer that a stretch of the stream needs, and which of the buffer's rows."""
        while count > 0:
            buffer = self.buffer_at(start)
            within = start - buffer.first
            part = buffer.order[within : within + count]
            yield buffer.chunks, part
            start, count = start + len(part), count - len(part)

    def buffer_at(self, place: int) -> Buffer:
        """The buffer that has a place of the endless stream; nothing is read."""
        n_rows = int(self.starts[-1])
        number, offset = divmod(place, n_rows)
        begins = self._order_of(number)[1]
        block = int(np.searchsorted(begins, offset, side="right")) - 1
        return Buffer(number * n_rows + int(begins[block]), *self._layout(number, block))

    def _order_of(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Order of the chunks in a pass, and the pass's row at which each buffer begins."""
        if self._pass is None or self._pass[0] != number:
            n_chunks = len(self._sizes)
            order = generator(self._seed, "row-chunks", number).permutation(n_chunks)
            if not self._own and self._sizes[-1] < CHUNK_ROWS:
                # The short last chunk goes last, so that a buffer's first row is a multiple of its size.
                order = np.concatenate([order[order != n_chunks - 1], [n_chunks - 1]])
            begins = np.concatenate([[0], np.cumsum(self._sizes[order])])[:: self._chunks]
            self._pass = (number, order, begins)
        return self._pass[1:]

    def _layout(self, number: int, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Chunks of a buffer in rising order, and the order of its rows."""
        if self._laid is None or self._laid[0] != (number, block):
            order = self._order_of(number)[0]
            chosen = np.sort(order[block * self._chunks : (block + 1) * self._chunks])
            n_rows = int(self._sizes[chosen].sum())
            shuffled = generator(self._seed, "row-buffer", number, block).permutation(n_rows)
            self._laid = ((number, block), chosen, shuffled)
        return self._laid[1:]

    def _load(self, chosen: np.ndarray) -> None:
        """Have the rows of these chunks in the buffer; data that fit it are read once for all passes."""
        if self._read_chunks is not None and np.array_equal(self._read_chunks, chosen):
            return
        self._read_chunks = None  # should reading fail half-way, the buffer holds nothing
        n_rows = int(self._sizes[chosen].sum())
        if len(self._buffer) != n_rows:
            self._buffer = np.empty((n_rows, self._rows.shape[1]), np.float32)
        self.read(chosen, self._buffer)
        self._read_chunks = chosen

    def read(self, chunks: np.ndarray, into: np.ndarray, helpers: Executor | None = None) -> None:
        """Read the rows of some chunks, in this order, into float32 (n_rows, d_in).

        Args:
            chunks: numbers of chunks.
            into: overwritten.
            helpers: threads that share the reading; rows in chunks of their own are read by the caller alone.
        """
        if helpers is None or self._own:
            at = 0
            for part in read_chunks(self._rows, chunks):
                into[at : at + len(part)] = part
                at += len(part)
            return
        ends = np.cumsum(self._sizes[chunks])
        shares = [share for share in np.array_split(np.arange(len(chunks)), READERS) if len(share)]
        begins = [int(ends[share[0]] - self._sizes[chunks[share[0]]]) for share in shares]
        parts = [into[begin : int(ends[share[-1]])] for begin, share in zip(begins, shares, strict=True)]
        list(helpers.map(lambda share, part: self.read(chunks[share], part), shares, parts))


def training_stream(rows: Any, config: SAETrainingConfig, order_seed: int) -> RowStream:
    """The stream that a training of the config reads."""
    seed = derive_seed(order_seed, "sae-order")
    return RowStream(rows, config.batch_rows, seed, buffer_bytes=config.buffer_bytes)


def chunk_starts(rows: Any) -> np.ndarray:
    """Where the chunks of some rows begin, and their number at the end, int64 (n_chunks + 1,)."""
    own = getattr(rows, "boundaries", None)
    return np.append(np.arange(0, len(rows), CHUNK_ROWS), len(rows)) if own is None else own


def read_chunks(rows: Any, numbers: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of some chunks, in the order of ``numbers``, in blocks that need not be single chunks."""
    if hasattr(rows, "boundaries"):
        yield from rows.chunks(numbers)
        return
    for number in numbers:
        yield rows[int(number) * CHUNK_ROWS : (int(number) + 1) * CHUNK_ROWS]


def rows_to_measure(d_in: int) -> int:
    """Rows that losses are measured on before dead latents start afresh, where there are as many."""
    return max(1024, min(MEASURED_ROWS, MEASURED_BYTES // (4 * d_in)))


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
