"""The table ``attribution``: whether pairs do the same to first order, on many more rows than are ablated exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from universality.compare.pair import DictionaryPair
from universality.effects.agreement import effect_agreement
from universality.effects.pair_effects import drawn_interval, source_draws
from universality.table_schemas import TABLES


@dataclass(frozen=True, eq=False)
class AttributionSide:
    """What one side brings.

    Attributes:
        rows: (n_rows,) int, numbers of the evaluation rows, the same on both sides.
        loss: CSR (n_rows, d_sae), first-order changes (:func:`universality.effects.attribution.attributed`).
        loss_random: the same with a random direction of equal norm in each latent's place.
        r_exact: (d_sae,) how well they foretell exact changes.
    """

    rows: np.ndarray
    loss: sparse.csr_matrix
    loss_random: sparse.csr_matrix
    r_exact: np.ndarray


def pair_attribution(pair: DictionaryPair, sides: Sequence[AttributionSide], effects: pd.DataFrame) -> pd.DataFrame:
    """Correlate first-order effects of assigned pairs and of their controls, as exact ones are.

    Args:
        pair: the dictionaries and the settings.
        sides: what a and b bring.
        effects: table of :func:`universality.effects.pair_effects.pair_effects`, for the pairs.

    Returns:
        Columns ``universality.table_schemas.TABLES["attribution"]``.
    """
    a, b = sides
    assert np.array_equal(a.rows, b.rows)
    sources = pair.rows.groups[a.rows]
    weights = source_draws(pair.rows, pair.config.n_resamples, pair.root_seed, a.rows)
    made = effects[["model_a", "latent_a", "model_b", "latent_b", "kind", "edge"]].copy()
    ia, ib = (made[f"latent_{side}"].to_numpy(np.int64) for side in "ab")
    random = (made["kind"] == "random_direction").to_numpy()
    values = {name: np.full(len(made), np.nan) for name in TABLES["attribution"].names if name.startswith("r_grad")}
    for of, loss in ((~random, b.loss), (random, b.loss_random)):
        agreed = effect_agreement(a.loss, loss, ia[of], ib[of], sources, weights, threads=pair.threads)
        low, high = drawn_interval(agreed.resampled_both, pair.config.confidence)
        parts = agreed.r_effect, agreed.r_effect_both, low, high
        for name, part in zip(values, parts, strict=True):
            values[name][of] = part
    # The random direction of the other side is no latent, so nothing exact is known of it under the latent's number.
    ends = {"r_exact_a": a.r_exact[ia], "r_exact_b": np.where(random, np.nan, b.r_exact[ib])}
    return made.assign(**values, **ends)[TABLES["attribution"].names]
