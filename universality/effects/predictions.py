"""How predictions change when something is added to activations: cheap and exact where only the readout follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from transformer_lens.model_bridge import TransformerBridge

from universality.correlation.threads import n_threads, over_blocks
from universality.effects.kernels import CHUNK, changes
from universality.effects.readout import Readout, readout_of
from universality.errors import require
from universality.transformers.harvest import harvest

#: Rows whose predictions are held at one time, and bytes of the table of what directions do to the logits.
_ROWS = 128
_TABLE_BYTES = 1 << 29


@dataclass(frozen=True, eq=False)
class TextRows:
    """Tokens of some contexts, in the order of the rows of every activation matrix.

    Attributes:
        contexts: int (n_contexts, n_ctx) token ids.
        context, position: (n_rows,) int, where each row stands.

    Raises:
        InputError: arrays of unequal length, or a row outside the contexts.
    """

    contexts: np.ndarray
    context: np.ndarray
    position: np.ndarray

    def __post_init__(self) -> None:
        shape, n = np.shape(self.contexts), np.size(self.context)
        require(len(shape) == 2, "contexts", "the text", "(n_contexts, n_ctx) token ids", shape, "Pad or cut them.")
        fits = np.shape(self.context) == np.shape(self.position) == (n,)
        got = np.shape(self.context), np.shape(self.position)
        require(fits, "context and position", "the text", "two lists of equal length", got, "Give one of each per row.")
        for name, values, limit in (("context", self.context, shape[0]), ("position", self.position, shape[1])):
            low, high = (int(np.min(values)), int(np.max(values))) if n else (0, -1)
            inside, remedy = low >= 0 and high < limit, "Count from 0."
            require(inside, name, "the text", f"in [0, {limit})", (low, high), remedy)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(np.size(self.context))

    @cached_property
    def next_tokens(self) -> np.ndarray:
        """(n_rows,) int64 token that follows in the context, -1 at its end, where nothing is predicted."""
        after = np.minimum(self.position + 1, self.contexts.shape[1] - 1)
        return np.where(self.position + 1 < self.contexts.shape[1], np.asarray(self.contexts)[self.context, after], -1)


class Predictions(Protocol):
    """What a model predicts at some rows, and how that changes when directions are added to its activations there."""

    def changes(
        self, rows: np.ndarray, which: np.ndarray, amounts: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change of the log-loss and divergence of the prediction, one entry at a time, everything else as it is.

        Args:
            rows: (n_entries,) numbers of rows.
            which: (n_entries,) numbers of directions.
            amounts: (n_entries,) how much of the direction is added at that row.
            directions: (m, d_in) in the space of the hook point.

        Returns:
            Two float64 (n_entries,), in nats: loss after minus loss before (NaN where no token follows), and the
            Kullback–Leibler divergence of the new prediction from the old one, at least 0.
        """
        ...

    def losses(self, rows: np.ndarray, added: np.ndarray | None) -> np.ndarray:
        """(n,) log-loss at some rows, with ``added`` float32 (n, d_in) at all of them; NaN where no token follows."""
        ...


@dataclass(frozen=True, eq=False)
class ReadPredictions:
    """Predictions where only the readout follows: all from the last stream, the model no longer needed.

    Attributes:
        readout: the way to the logits.
        stream: float32 (n_rows, d_model) output of the last block.
        next_tokens: (n_rows,) token that came next, -1 where none did.
        threads: threads to use; no byte of any result depends on it.
    """

    readout: Readout
    stream: np.ndarray
    next_tokens: np.ndarray
    threads: int | None = None

    def changes(
        self, rows: np.ndarray, which: np.ndarray, amounts: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Predictions.changes`."""
        loss, divergence = np.zeros(rows.size), np.zeros(rows.size)
        moved = self.readout.centred(np.asarray(directions, np.float32) @ self.readout.to_stream)
        size = max(1, _TABLE_BYTES // (4 * self.readout.weights.shape[1]))
        for first in range(0, len(moved), size):
            part = moved[first : first + size]
            spread = self.readout.variance(part) - self.readout.eps if self.readout.normalises else np.zeros(len(part))
            entries = np.flatnonzero((which >= first) & (which < first + size))
            entries = entries[np.argsort(rows[entries], kind="stable")]
            given = rows[entries], which[entries] - first, amounts[entries].astype(np.float64)
            out = np.zeros(entries.size), np.zeros(entries.size)
            self._over_rows(given, (part, spread), part @ self.readout.weights, out)
            loss[entries], divergence[entries] = out
        loss[self.next_tokens[rows] < 0] = np.nan
        return loss, divergence

    def losses(self, rows: np.ndarray, added: np.ndarray | None) -> np.ndarray:
        """See :meth:`Predictions.losses`."""
        losses = np.full(rows.size, np.nan)
        for first in range(0, rows.size, 8 * _ROWS):
            here = rows[first : first + 8 * _ROWS]
            told = np.flatnonzero(self.next_tokens[here] >= 0)
            stream = self.stream[here[told]]
            if added is not None:
                stream = stream + added[first + told] @ self.readout.to_stream
            losses[first + told] = _log_loss(self.readout.logits(stream), self.next_tokens[here[told]])
        return losses

    def _over_rows(self, given, moved, effect: np.ndarray, out: tuple[np.ndarray, np.ndarray]) -> None:
        """Entries in rising order of their rows, a block of rows at a time."""
        starts = np.searchsorted(given[0], np.arange(0, len(self.stream) + _ROWS, _ROWS))

        def work(scratch, first: int, last: int) -> None:
            here = slice(starts[first // _ROWS], starts[first // _ROWS + 1])
            if here.start == here.stop:
                return
            centred = self.readout.centred(self.stream[first:last])
            variance = self.readout.variance(centred)
            base = centred @ self.readout.weights
            changes(
                (centred, variance), base, _softmax(base, variance, self.readout.bias),
                np.maximum(self.next_tokens[first:last], 0), given[0][here] - first, given[1][here], given[2][here],
                moved, effect, scratch, out[0][here], out[1][here],
            )  # fmt: skip

        states = [tuple(np.zeros(CHUNK, np.float32) for _ in range(3)) for _ in range(n_threads(self.threads))]
        spans = [(first, min(first + _ROWS, len(self.stream))) for first in range(0, len(self.stream), _ROWS)]
        over_blocks(work, spans, states)


def _log_loss(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) float64 negative log-probabilities of the targets."""
    highest = logits.max(axis=1)
    mass = np.exp(logits - highest[:, None]).sum(axis=1, dtype=np.float64)
    return np.log(mass) + highest - logits[np.arange(len(logits)), targets].astype(np.float64)


def _softmax(base: np.ndarray, variance: np.ndarray, bias: np.ndarray) -> np.ndarray:
    logits = base / np.sqrt(variance).astype(np.float32)[:, None] + bias
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    return logits / logits.sum(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)


def read_predictions(
    model: TransformerBridge, text: TextRows, hook_point: str, *, threads: int | None = None
) -> ReadPredictions | None:
    """Predictions at the rows of a text by the readout, or None where the hook point has none."""
    readout = readout_of(model, hook_point)
    if readout is None:
        return None
    stream = np.zeros((text.n_rows, readout.weights.shape[0]), np.float32)
    used = np.unique(text.context)
    order, size = np.argsort(text.context, kind="stable"), 32
    sorted_contexts = text.context[order]
    harvested = harvest(model, np.asarray(text.contexts)[used], [readout.stream], batch_contexts=size)
    for start, batch in zip(range(0, used.size, size), harvested, strict=True):
        here = used[start : start + size]
        low, high = np.searchsorted(sorted_contexts, [here[0], here[-1] + 1])
        rows = order[low:high]
        stream[rows] = batch[readout.stream][np.searchsorted(here, text.context[rows]), text.position[rows]]
    return ReadPredictions(readout, stream, text.next_tokens, threads)
