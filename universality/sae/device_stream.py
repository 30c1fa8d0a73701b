"""A stream of training rows whose shuffle buffer lies on a device; the next one is read while it is trained on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import torch

from universality.denormals import flushed_denormals
from universality.gpu import device_memory
from universality.sae.stream import READERS, RowStream

BUFFER_SHARE = 8
"""A buffer on a CUDA device takes at most this part of its memory: there are three for moments, while two change."""


class Batches(Protocol):
    """Batches of a training's stream, on its device."""

    def batch(self, start: int, count: int) -> torch.Tensor:
        """Rows ``start .. start + count`` of the endless stream, float32 (count, d_in), owned by the caller."""
        ...

    def paused(self) -> AbstractContextManager[None]:
        """Inside the block nothing is read ahead."""
        ...

    def close(self) -> None:
        """End what reads ahead."""
        ...


def batches(stream: RowStream, device: torch.device, end: int) -> Batches:
    """The batches of a stream as suits a device: shuffled there where its memory is large enough for the buffer.

    Args:
        stream: where they are read.
        device: where they go.
        end: place in the stream beyond which nothing is asked for.
    """
    if device.type == "cpu":  # a thread beside the training would take a core that the plan gave to another step
        return HostBatches(stream, device)
    roomy = BUFFER_SHARE * stream.buffer_bytes <= device_memory(device)
    return DeviceStream(stream, device, end) if roomy else HostBatches(stream, device)


class HostBatches:
    """Batches that are shuffled in the host's memory, when they are asked for."""

    def __init__(self, stream: RowStream, device: torch.device):
        self._stream, self._device = stream, device

    def batch(self, start: int, count: int) -> torch.Tensor:
        """As :meth:`Batches.batch`."""
        return torch.from_numpy(self._stream.batch(start, count)).to(self._device)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """As :meth:`Batches.paused`."""
        yield

    def close(self) -> None:
        """Nothing to end."""


class _Held(NamedTuple):
    """A buffer on the device: the stream's places ``first .. last``, its rows, their order, when both are there."""

    first: int
    last: int
    rows: torch.Tensor
    order: torch.Tensor
    ready: torch.cuda.Event | None


class DeviceStream:
    """Batches of a :class:`~universality.sae.stream.RowStream` from a shuffle buffer on a device.

    A thread reads the next buffer into pinned memory and sends it in a stream of its own, beside the steps; a batch is
    then one gather on the device. Rows, and so the bytes, are those of ``stream.batch``. What was read ahead is no
    part of any state: a training that is resumed asks for the batch after its last step. What the thread meets is
    raised where the rows are asked for.

    Args:
        stream: read by that thread alone from now on.
        device: where the rows go.
        end: place in the stream beyond which nothing is read ahead.
    """

    def __init__(self, stream: RowStream, device: torch.device, end: int):
        self._stream, self._device, self._end = stream, device, end
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="next-rows")
        self._helpers = ThreadPoolExecutor(READERS, thread_name_prefix="rows")
        self._busy = threading.Lock()
        self._side = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self._side is not None:  # whatever the rows are computed with is there
            self._side.wait_stream(torch.cuda.current_stream(device))
        self._host = torch.empty((0, stream.width))
        self._read: tuple[np.ndarray, torch.Tensor] | None = None
        self._held: _Held | None = None
        self._next: tuple[int, Future[_Held]] | None = None

    def batch(self, start: int, count: int) -> torch.Tensor:
        """As :meth:`Batches.batch`."""
        parts = []
        while count > 0:
            held = self._holding(start)
            part = held.order[start - held.first : start - held.first + count]
            parts.append(held.rows.index_select(0, part))
            start, count = start + len(part), count - len(part)
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """As :meth:`Batches.paused`: a graph is captured, or the rows' own model is run by another thread."""
        with self._busy:
            yield

    def close(self) -> None:
        """End the thread; what it reads now is read to its end."""
        for executor in (self._reader, self._helpers):
            executor.shutdown(wait=True, cancel_futures=True)

    def _holding(self, place: int) -> _Held:
        """The buffer with a place of the stream; the one after it is asked for."""
        held = self._held
        if held is not None and held.first <= place < held.last:
            return held
        if self._next is None or self._next[0] != place:
            self._next = (place, self._reader.submit(self._load, place))
        held = self._next[1].result()
        if held.ready is not None:
            now = torch.cuda.current_stream(self._device)
            now.wait_event(held.ready)
            for tensor in (held.rows, held.order):
                tensor.record_stream(now)
        self._held, self._next = held, None
        if held.last < self._end:
            self._next = (held.last, self._reader.submit(self._load, held.last))
        return held

    def _load(self, place: int) -> _Held:
        with self._busy, flushed_denormals():
            buffer = self._stream.buffer_at(place)
            if self._side is None:
                rows, order = self._send(buffer.chunks, buffer.order)
                ready = None
            else:
                with torch.cuda.stream(self._side):
                    rows, order = self._send(buffer.chunks, buffer.order)
                    ready = torch.cuda.Event()
                    ready.record()
                ready.synchronize()  # the pinned memory is free again
            return _Held(buffer.first, buffer.first + len(buffer.order), rows, order, ready)

    def _send(self, chunks: np.ndarray, order: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of some chunks and their order, on the device; data that fit the buffer are read once for all passes."""
        places = torch.from_numpy(order)
        if self._side is not None:
            places = places.pin_memory()
        sent = places.to(self._device, non_blocking=True)
        if self._read is not None and np.array_equal(self._read[0], chunks):
            return self._read[1], sent
        self._read = None  # should reading fail half-way, nothing was read
        if len(self._host) != len(order):
            shape = (len(order), self._stream.width)
            self._host = torch.empty(shape, pin_memory=self._side is not None)
        self._stream.read(chunks, self._host.numpy(), self._helpers)
        rows = torch.empty(self._host.shape, device=self._device)
        rows.copy_(self._host, non_blocking=True)
        self._read = (chunks, rows)
        return rows, sent
