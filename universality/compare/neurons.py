"""Neurons: the same estimator on raw coordinates, and how alike the raw activations are at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from universality.blas import on_one_blas_thread
from universality.compare.compare_config import CompareConfig
from universality.compare.pair_plan import PairPlan
from universality.compare.pairing import Resampler
from universality.correlation import correlate_dense, correlate_pairs
from universality.indices import Index, raw_indices
from universality.intervals import percentile_interval
from universality.matching import match
from universality.rows import Rows
from universality.seeds import generator
from universality.table_schemas import INDICES, NEURON_PAIRS


@dataclass(frozen=True, eq=False)
class NeuronMatching:
    """Assigned neurons of two models, and indices of their raw activations.

    Attributes:
        pairs: one row per assigned pair, the table ``neuron_pairs`` (a "latent" is a raw coordinate).
        resampled: (n_pairs, n_resamples) float32 held-out r in each resample of sources.
        indices: the table ``indices`` of this pair.
    """

    pairs: pd.DataFrame
    resampled: np.ndarray
    indices: pd.DataFrame

    def swapped(self) -> NeuronMatching:
        """The same matching, named the other way round (indices keep their own direction)."""
        names = {"model_a": "model_b", "latent_a": "latent_b", "model_b": "model_a", "latent_b": "latent_a"}
        pairs = self.pairs.rename(columns=names)[NEURON_PAIRS.names]
        order = np.lexsort((pairs["latent_b"], pairs["latent_a"]))
        return NeuronMatching(pairs.iloc[order].reset_index(drop=True), self.resampled[order], self.indices)

    def to_tables(self) -> dict[str, pd.DataFrame]:
        """Tables for storage."""
        return {"neuron_pairs": self.pairs, "raw_indices": self.indices}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays for storage."""
        return {"resampled": self.resampled}

    @classmethod
    def from_stored(cls, tables: Mapping[str, pd.DataFrame], arrays: Mapping[str, np.ndarray]) -> NeuronMatching:
        """The inverse of :meth:`to_tables` and :meth:`to_arrays`."""
        pairs = tables["neuron_pairs"][NEURON_PAIRS.names].reset_index(drop=True)
        indices = tables["raw_indices"][INDICES.names].reset_index(drop=True)
        return cls(pairs, np.asarray(arrays["resampled"]), indices)


@on_one_blas_thread
def pair_neurons(
    x: Any, y: Any, rows: Rows, config: CompareConfig, *, pair: tuple[str, str], root_seed: int
) -> NeuronMatching:
    """Assign raw coordinates on fit rows and score them on score rows, as latents are.

    Args:
        x, y: (n_rows, d) raw activations: arrays, memory maps, or anything that takes integer-array indices.
        rows: the rows of both.
        config: settings.
        pair: names of both sides; the outcome does not depend on their order.
        root_seed: seed of the comparison.

    Returns:
        A :class:`NeuronMatching`. Indices in one direction (excess correlation) are listed for both.
    """
    if pair[0] > pair[1]:
        return pair_neurons(y, x, rows, config, pair=(pair[1], pair[0]), root_seed=root_seed).swapped()
    fit, score = np.flatnonzero(rows.fit), np.flatnonzero(rows.score)
    # Dense lists cost little up to a few thousand coordinates, and full lists need no widening.
    top = max(config.top, min(1024, x.shape[1], y.shape[1]))
    chosen = match(correlate_dense(x[fit], y[fit], top=top), unmatched=config.unmatched)
    ia, ib = chosen.indices_a.astype(np.int64), chosen.indices_b.astype(np.int64)
    left, right = np.asarray(x[score]), np.asarray(y[score])
    resampled = Resampler(left, right, rows.groups[rows.score], config, root_seed)(ia, ib)
    low, high = percentile_interval(resampled, config.confidence)
    pairs = pd.DataFrame(
        {
            "model_a": pair[0],
            "latent_a": ia,
            "model_b": pair[1],
            "latent_b": ib,
            "r": chosen.score,
            "r_held_out": correlate_pairs(left, right, ia, ib).r,
            "r_low": low,
            "r_high": high,
        }
    ).astype({"model_a": object, "model_b": object})
    by_direction = raw_indices(left, right, generator(root_seed, "raw-indices", *pair), config.n_rotations)
    names = (f"{pair[0]}-{pair[1]}", f"{pair[0]}-{pair[1]}", f"{pair[1]}-{pair[0]}")
    indices = [(index, name) for name, part in zip(names, by_direction, strict=True) for index in part]
    return NeuronMatching(pairs, resampled.astype(np.float32), index_table(indices))


def index_table(indices: list[tuple[Index, str]], plan: PairPlan | None = None) -> pd.DataFrame:
    """The table ``indices``; bounds are missing where none are computed. Without a plan, all are of pairs of models."""
    rows = [
        {**asdict(index), "kind": "features" if plan is None else plan.kinds[pair], "pair": pair}
        for index, pair in indices
    ]  # fmt: skip
    numbers = dict.fromkeys(("value", "chance", "low", "high", "low_models", "high_models"), float)
    return pd.DataFrame(rows, columns=INDICES.names).astype({**numbers, "n": "int64"})
