"""Rows larger than memory: written block by block into .npy shards, read back as one array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.lib import format as npy

from storage.errors import InvalidName

#: Bytes of a shard when the caller names no number of rows.
SHARD_BYTES = 256 * 2**20


class RowStream:
    """Writes rows into shards of equal length (the last may be shorter); a context manager.

    Args:
        folder: where the shards go; must not exist.
        dtype: of every block; blocks of another dtype are refused, never cast.
        row_shape: shape of one row.
        shard_rows: rows of a shard; default about ``SHARD_BYTES``.
        finished: called once with the paths of the shards when the stream closes without an error.
    """

    def __init__(
        self,
        folder: Path,
        dtype: Any,
        row_shape: Sequence[int] | int,
        shard_rows: int | None,
        finished: Callable[[list[Path]], None],
    ) -> None:
        self._folder = folder
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.row_shape = (row_shape,) if isinstance(row_shape, int) else tuple(int(n) for n in row_shape)
        row_bytes = max(1, self.dtype.itemsize * int(np.prod(self.row_shape, dtype=np.int64)))
        self.shard_rows = int(shard_rows) if shard_rows is not None else max(1, SHARD_BYTES // row_bytes)
        if self.dtype.hasobject or self.shard_rows < 1:
            raise InvalidName.worded(
                "dtype and shard_rows",
                f"stream {folder.name!r}",
                "a plain dtype and at least 1",
                (str(self.dtype), self.shard_rows),
                "Store numbers; objects are never pickled.",
            )
        self._finished = finished
        self._paths: list[Path] = []
        self._file: Any = None
        self._rows_in_shard = 0
        self._closed = False
        self.n_rows = 0

    def write(self, block: np.ndarray) -> None:
        """Append rows: an array ``(n, *row_shape)`` of the stream's dtype, any n."""
        block = np.asarray(block)
        if block.shape[1:] != self.row_shape or block.ndim == 0 or block.dtype != self.dtype.newbyteorder("="):
            constraint = f"{self.dtype.name} of shape (n, {', '.join(map(str, self.row_shape))})"
            got = f"{block.dtype.name} of shape {block.shape}"
            remedy = "Cast or reshape it before writing."
            raise InvalidName.worded("block", f"stream {self._folder.name!r}", constraint, got, remedy)
        if self._closed:
            raise InvalidName.worded("write", f"stream {self._folder.name!r}", "before its end", "a closed stream", "")
        start = 0
        while start < len(block):
            if self._file is None or self._rows_in_shard == self.shard_rows:
                self._next_shard()
            file: Any = self._file
            stop = min(len(block), start + self.shard_rows - self._rows_in_shard)
            rows = np.ascontiguousarray(block[start:stop], self.dtype)
            file.write(rows.reshape(-1).view(np.uint8).data)
            self._rows_in_shard += stop - start
            self.n_rows += stop - start
            start = stop

    def close(self) -> None:
        """End the stream; a stream without rows leaves one empty shard."""
        if self._closed:
            return
        if self._file is None:
            self._next_shard()
        self._end_shard()
        self._closed = True
        self._finished(self._paths)

    def _next_shard(self) -> None:
        self._end_shard()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{len(self._paths):05d}.npy"
        self._file = open(path, "xb")  # noqa: SIM115 (spans several writes)
        self._paths.append(path)
        self._rows_in_shard = 0
        self._header_end = self._write_header(self.shard_rows)

    def _end_shard(self) -> None:
        if self._file is None:
            return
        # numpy pads headers, so that the number of rows can be set when it is known.
        self._file.seek(0)
        if self._write_header(self._rows_in_shard) != self._header_end:
            raise AssertionError("the header of a .npy file changed its length")
        self._file.close()
        self._file = None

    def _write_header(self, n_rows: int) -> int:
        described = {
            "descr": npy.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (n_rows, *self.row_shape),
        }
        npy.write_array_header_1_0(self._file, described)
        return self._file.tell()

    def __enter__(self) -> RowStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._file is not None:
            self._file.close()
            self._file = None


class ShardedRows:
    """Several memory-mapped arrays read as one along the first axis.

    Invariant: ``np.asarray(rows)`` equals ``np.concatenate(shards)``; slices and integer arrays give the
    same as on that array, as a fresh array in memory (a slice inside one shard is a view of its mapping).
    """

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        self._shards = list(shards)
        lengths = [len(shard) for shard in self._shards]
        self._starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.dtype = self._shards[0].dtype
        self.shape = (int(self._starts[-1]), *self._shards[0].shape[1:])
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"ShardedRows(shape={self.shape}, dtype={self.dtype}, shards={len(self._shards)})"

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return sum(shard.nbytes for shard in self._shards)

    def __getitem__(self, rows: Any) -> Any:
        """Rows by integer, slice, integer array or boolean mask; a tuple indexes further axes after that."""
        if isinstance(rows, tuple):
            first, *rest = rows
            return self[first][(slice(None), *rest)] if not _is_integer(first) else self[first][tuple(rest)]
        if _is_integer(rows):
            index = self._checked(np.asarray([rows]))[0]
            shard = int(np.searchsorted(self._starts, index, side="right")) - 1
            return self._shards[shard][index - self._starts[shard]]
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            return self._range(start, stop) if step == 1 else self._take(np.arange(start, stop, step))
        picked = np.asarray(rows)
        if picked.dtype == bool:
            if picked.shape != (len(self),):
                raise IndexError(f"a mask of {len(self)} rows must have that length; got {picked.shape}")
            return self._take(np.flatnonzero(picked))
        return self._take(self._checked(picked))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows in several shards cannot be one array without a copy")
        whole = np.asarray(self._range(0, len(self)))
        return whole.astype(dtype) if dtype is not None else whole

    def blocks(self, n: int) -> Iterator[np.ndarray]:
        """All rows in order, ``n`` at a time (the last block may be shorter); n at least 1."""
        if n < 1:
            raise InvalidName.worded("n", "blocks()", "at least 1", n, "Ask for 1 row or more at a time.")
        for start in range(0, len(self), n):
            yield self._range(start, min(start + n, len(self)))

    def _range(self, start: int, stop: int) -> np.ndarray:
        if stop <= start:
            return np.empty((0, *self.shape[1:]), self.dtype)
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop - 1, side="right")) - 1
        parts = [
            self._shards[s][max(start - self._starts[s], 0) : stop - self._starts[s]] for s in range(first, last + 1)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _take(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        for shard in np.unique(shard_of):
            here = shard_of == shard
            out[here] = self._shards[shard][rows[here] - self._starts[shard]]
        return out

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        if rows.size == 0:
            return rows.astype(np.int64)
        if not np.issubdtype(rows.dtype, np.integer):
            raise IndexError(f"rows must be picked by integers, a slice or a mask; got {rows.dtype}")
        rows = rows.astype(np.int64)
        if rows.min() < -len(self) or rows.max() >= len(self):
            raise IndexError(f"row out of range: there are {len(self)}; got {rows.min()} to {rows.max()}")
        return np.where(rows < 0, rows + len(self), rows)


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
