"""In how many of M models a feature is found, beside what sharing alike and identical models would give."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from universality.compare.probabilities import Resplits
from universality.indices import Index
from universality.table_schemas import K_OF_M


def k_of_m_table(
    n_models: np.ndarray, m: int, ceiling: float, resplits: Resplits, untrained: np.ndarray, level: float
) -> pd.DataFrame:
    """The table ``k_of_m``.

    * ``untrained``: the same share of features of as many untrained models.
    * ``homogeneous``: if every other model had each feature with the same chance s, independently: ``P(k - 1) =
      Bin(M - 1, s)``, with the s that gives the same mean.
    * ``identical_low``, ``identical_high``: what M *identical* models could show, whose dictionaries find each other's
      features with chance s_c: universal between ``s_c ** (M - 1)`` and ``s_c``, single between
      ``(1 - s_c) ** (M - 1)`` and ``1 - s_c``. What lies inside says nothing about the models.

    Args:
        n_models: (n_clusters,) models of each cluster.
        m: models compared, M.
        ceiling: s_c, the share of features that a second dictionary of the same model has; NaN if not measured.
        resplits: of the same features, for the intervals of the fractions.
        untrained: (m,) share of features of untrained models in clusters of k of these; NaN if there are not m.
        level: of the intervals.

    Source: ours; bounds as of a vote of dependent and of independent judges.
    """
    k = np.arange(1, m + 1)
    n_clusters = np.bincount(n_models, minlength=m + 1)[1:]
    n_features = n_clusters * k
    total = max(int(n_features.sum()), 1)
    fraction_low, fraction_high = resplits.fractions(n_features / total, level)
    low, high = np.full(m, np.nan), np.full(m, np.nan)
    low[[0, -1]] = (1 - ceiling) ** (m - 1), ceiling ** (m - 1)
    high[[0, -1]] = 1 - ceiling, ceiling
    return pd.DataFrame(
        {
            "k": k,
            "n_clusters": n_clusters,
            "n_features": n_features,
            "fraction": n_features / total,
            "fraction_low": fraction_low,
            "fraction_high": fraction_high,
            "untrained": untrained,
            "homogeneous": stats.binom.pmf(k - 1, m - 1, _sharing(k, n_features)),
            "identical_low": low,
            "identical_high": high,
        }
    )[K_OF_M.names]


def over_dispersion(table: pd.DataFrame) -> Index | None:
    """Variance of k over what homogeneous sharing of the same mean gives (its chance level: 1).

    Above 1, some features are in all models and others in none rather than all alike. None with two models, where k can
    only vary as its mean allows, or where all or no features are shared.
    """
    k, n = table["k"].to_numpy(), table["n_features"].to_numpy()
    m, s = int(k.max()), _sharing(k, n)
    if m < 3 or not 0 < s < 1:
        return None
    mean = float((k - 1) @ n / n.sum())
    variance = float((k - 1 - mean) ** 2 @ n / n.sum())
    return Index("k_of_m_over_dispersion", variance / ((m - 1) * s * (1 - s)), 1.0, int(n.sum()))


def _sharing(k: np.ndarray, n_features: np.ndarray) -> float:
    """Chance that another model has a feature, from the mean k over features."""
    return float((k - 1) @ n_features / max(int(n_features.sum()), 1) / max(int(k.max()) - 1, 1))
