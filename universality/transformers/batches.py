"""Which contexts and which learning rate a step of a training has: both follow from its number alone."""

import math

import numpy as np

from universality.seeds import generator
from universality.transformers.transformer_config import TrainingConfig


def schedule(step: int, n_steps: int, config: TrainingConfig) -> float:
    """Learning rate of a step as a share of the peak: linear rise, then ``config.decay`` to ``final_lr``."""
    warmup = round(config.warmup * n_steps)
    if step < warmup:
        return (step + 1) / warmup
    if config.decay == "none":
        return 1.0
    done = (step - warmup) / max(1, n_steps - warmup)
    left = 1 - done if config.decay == "linear" else (1 + math.cos(math.pi * done)) / 2
    return config.final_lr + (1 - config.final_lr) * left


class Batches:
    """Contexts in the endless order of their passes, each of which is a permutation from its own seed.

    Args:
        contexts: int (n_contexts, n_ctx), an array, memory map or sharded rows.
        batch_contexts: contexts per step.
        data_seed: seed of the order.
    """

    def __init__(self, contexts: np.ndarray, batch_contexts: int, data_seed: int):
        self.contexts, self.batch_contexts, self.data_seed = contexts, batch_contexts, data_seed
        self._pass: tuple[int, np.ndarray] | None = None

    def of_steps(self, first: int, count: int) -> np.ndarray:
        """Contexts of ``count`` steps from ``first`` on, one after the other: int32 (count * batch_contexts, n_ctx)."""
        rows = self.rows(first * self.batch_contexts, count * self.batch_contexts)
        return np.asarray(self.contexts[rows], dtype=np.int32)

    def rows(self, start: int, count: int) -> np.ndarray:
        """Numbers of the contexts at ``count`` places of the order from ``start`` on."""
        parts: list[np.ndarray] = []
        n = len(self.contexts)
        while count > 0:
            number, offset = divmod(start, n)
            part = self._permutation(number)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts)

    def _permutation(self, number: int) -> np.ndarray:
        if self._pass is None or self._pass[0] != number:
            draw = generator(self.data_seed, "transformer-data-order", number)
            self._pass = (number, draw.permutation(len(self.contexts)))
        return self._pass[1]
