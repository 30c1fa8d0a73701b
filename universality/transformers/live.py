"""Activations of one hook point as rows that are computed when they are read, and never stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from transformer_lens.model_bridge import TransformerBridge

from universality.transformers.harvest import harvest, hook_dimension

#: Contexts whose rows are counted at once.
COUNTED_CONTEXTS = 4096


class LiveRows:
    """The rows that :func:`~universality.transformers.harvest.harvest` would give, computed as they are asked for.

    Reads like the stored array of the same rows: ``shape``, ``len``, slices and integer arrays. Every read runs the
    model over the contexts that hold a wanted row, ``batch_contexts`` at a time; nothing is kept between reads, so
    equal reads give equal bytes on one machine with one number of threads. Other reads of the same row, and the
    stored row, differ from it by float32 round-off: they were computed beside other contexts.

    A context is a chunk for :class:`~universality.sae.stream.RowStream`: a shuffle buffer is filled by computing
    each of its contexts once.

    Args:
        model: any bridge.
        contexts: int ``(n_contexts, n_ctx)`` token ids, an array, memory map or sharded rows.
        hook_point: where the activations are read.
        counts: maps contexts ``(n, n_ctx)`` to a mask of the same shape: the positions that are rows.
        batch_contexts: contexts per forward pass.

    Attributes:
        boundaries: int64 ``(n_contexts + 1,)``, the first row of each context, and the number of rows.
        shape: (n, d_in).

    Raises:
        InputError: a hook point as :func:`~universality.transformers.harvest.harvest` refuses them.
    """

    def __init__(
        self,
        model: TransformerBridge,
        contexts: Any,
        hook_point: str,
        counts: Callable[[np.ndarray], np.ndarray],
        *,
        batch_contexts: int = 32,
    ):
        self._model, self._contexts, self._hook_point = model, contexts, hook_point
        self._counts, self._batch = counts, batch_contexts
        sizes = [
            counts(np.asarray(contexts[start : start + COUNTED_CONTEXTS])).sum(axis=1)
            for start in range(0, len(contexts), COUNTED_CONTEXTS)
        ]
        self.boundaries = np.cumsum(np.concatenate([[0], *sizes]), dtype=np.int64)
        self.shape = (int(self.boundaries[-1]), hook_dimension(model, hook_point))
        self.dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        """Rows by slice or integer array, float32 (n, d_in)."""
        asked = np.arange(*key.indices(len(self))) if isinstance(key, slice) else np.asarray(key, np.int64)
        if asked.size and (asked.min() < 0 or asked.max() >= len(self)):
            raise IndexError(f"row out of range: there are {len(self)}; got {asked.min()} to {asked.max()}")
        numbers, nth = np.unique(np.searchsorted(self.boundaries, asked, side="right") - 1, return_inverse=True)
        # Where each wanted row lies when the rows of these contexts alone are laid end to end.
        first = np.concatenate([[0], np.cumsum(np.diff(self.boundaries)[numbers])])[:-1]
        laid = first[nth] + asked - self.boundaries[numbers][nth]
        rows, at = np.empty((len(asked), self.shape[1]), self.dtype), 0
        for block in self.chunks(numbers):
            here = (laid >= at) & (laid < at + len(block))
            rows[here] = block[laid[here] - at]
            at += len(block)
        return rows

    def chunks(self, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """All rows of some contexts, in the order of ``numbers``, a block per forward pass."""
        tokens = np.asarray(self._contexts[numbers])
        blocks = harvest(self._model, tokens, [self._hook_point], batch_contexts=self._batch)
        for number, block in enumerate(blocks):
            counted = self._counts(tokens[number * self._batch : (number + 1) * self._batch])
            yield block[self._hook_point][counted]
