"""Alive features of all models, numbered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from universality.compare.stages import Stages


@dataclass(frozen=True, eq=False)
class Nodes:
    """Alive features, numbered by model in the order of sorted ids, then by latent.

    The numbers decide ties, so they must not depend on the order in which models were given.

    Attributes:
        models: sorted ids. model_of, latent: (n_nodes,) model number and latent of each node.
        number: by model, (d_sae,) node of each latent, -1 where not alive.
    """

    models: tuple[str, ...]
    model_of: np.ndarray
    latent: np.ndarray
    number: dict[str, np.ndarray]

    @property
    def names(self) -> list[str]:
        """``"m0:12"`` for every node."""
        pairs = zip(self.model_of.tolist(), self.latent.tolist(), strict=True)
        return [f"{self.models[model]}:{latent}" for model, latent in pairs]

    def ends(self, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Nodes ``u < v`` of the rows of a table of pairs of alive features."""
        ends = []
        for side in "ab":
            ends.append(np.zeros(len(pairs), np.int64))
            for model, number in self.number.items():
                here = (pairs[f"model_{side}"] == model).to_numpy()
                ends[-1][here] = number[pairs[f"latent_{side}"].to_numpy()[here]]
        return np.minimum(*ends), np.maximum(*ends)


def number_nodes(stages: Stages) -> Nodes:
    """Number the alive features of all models."""
    models = tuple(sorted(stages.models))
    alive = {model: np.flatnonzero(stages.dictionaries[model].alive) for model in models}
    number, first = {}, 0
    for model in models:
        number[model] = np.full(stages.dictionaries[model].d_sae, -1, np.int64)
        number[model][alive[model]] = first + np.arange(alive[model].size)
        first += alive[model].size
    model_of = np.repeat(np.arange(len(models)), [alive[model].size for model in models])
    latent = np.concatenate([alive[model] for model in models])
    return Nodes(models, model_of, latent.astype(np.int64), number)
