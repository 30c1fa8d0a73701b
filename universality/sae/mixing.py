"""How well the batches of a shuffled stream are mixed, measured on places alone: no row is read."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from universality.sae.stream import RowStream

POORLY_MIXED = 0.25
"""Share of the expected chunks below which batches count as poorly mixed: four rows of a chunk where chance has one."""


class Mixing(NamedTuple):
    """How batches differ from those of a uniform permutation of all rows.

    Attributes:
        chunks: different chunks (contexts, or stretches of 128 rows) in a batch, divided by the number that a
            uniform permutation would bring together; above 0, chance value 1 (sampling takes it a little above),
            higher is better mixed.
        neighbours: share of a batch's rows whose next row of the data is in the batch too, in [0, 1], lower is
            better mixed. Rows of neighbouring positions resemble each other: this is the share of near copies.
        chance: the value of ``neighbours`` under a uniform permutation, (batch_rows - 1) / n.
    """

    chunks: float
    neighbours: float
    chance: float


def measure_mixing(stream: RowStream, batch_rows: int, n_steps: int, *, n_batches: int = 32) -> Mixing:
    """Measure some batches of a training, evenly spread over its steps.

    Args:
        stream: the stream, as the training reads it.
        batch_rows: rows per batch.
        n_steps: steps of the training.
        n_batches: batches looked at, at most.

    Returns:
        Means over these batches.

    Source: ours.
    """
    n = int(stream.starts[-1])
    steps = np.unique(np.linspace(0, n_steps - 1, min(n_batches, n_steps)).round().astype(np.int64))
    n_chunks, neighbours = [], []
    for step in steps:
        places = np.unique(stream.places(int(step) * batch_rows, batch_rows))
        n_chunks.append(len(np.unique(np.searchsorted(stream.starts, places, side="right"))))
        neighbours.append(float((np.diff(places) == 1).sum()) / len(places))
    drawn = min(batch_rows, n)
    expected = _expected_chunks(np.diff(stream.starts), n, drawn)
    return Mixing(float(np.mean(n_chunks)) / expected, float(np.mean(neighbours)), (drawn - 1) / n)


def _expected_chunks(sizes: np.ndarray, n: int, drawn: int) -> float:
    """Mean number of chunks that ``drawn`` of ``n`` rows touch, drawn without replacement.

    A chunk of s rows is missed with probability C(n - s, drawn) / C(n, drawn).
    """
    left = n - sizes.astype(np.float64)
    spared = np.maximum(left - drawn, 0)
    missed = gammaln(left + 1) - gammaln(spared + 1) - gammaln(n + 1) + gammaln(n - drawn + 1)
    return float(np.where((left >= drawn) & (sizes > 0), -np.expm1(missed), sizes > 0).sum())
