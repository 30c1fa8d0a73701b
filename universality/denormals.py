"""Denormal numbers flushed to zero for a while, and the caller's setting restored.

The first moment of Adam for a token that stays away halves every seven steps and reaches the
denormal range within a thousand; arithmetic on those is many times slower and changes no result.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Flush denormals on this thread inside the block (numba kernels called from it included)."""
    before = denormals_are_flushed()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def denormals_are_flushed() -> bool:
    """Whether this thread flushes now; torch has no getter, so a denormal is multiplied by one."""
    tiny = torch.frombuffer(bytearray(b"\x01\x00\x00\x00"), dtype=torch.float32)
    return float((tiny * 1.0).view(torch.int32)) == 0.0
