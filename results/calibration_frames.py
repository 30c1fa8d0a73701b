"""What findings rest on: does r hold on text that chose no partner, and how sure are classes?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from results.schema_figures import FIGURES

#: Width of a bin of r on fit rows.
STEP = 0.05
#: Ends of the groups of probabilities, each upper end within its group; those that never changed stand alone.
CERTAINTY = ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.0), (1.0, 1.0))


def fit_and_held_out(pairs: pd.DataFrame) -> pd.DataFrame:
    """Held-out r of assigned pairs by their r on the rows on which partners were chosen.

    Args:
        pairs: the run's table ``pairs``.

    Returns:
        Columns of figure "calibration", by rising r on fit rows; bins without a pair have no row.
    """
    known = pairs[["r", "r_held_out"]].dropna()
    rows = []
    for place, of in known.groupby(np.floor(known["r"] / STEP + 1e-9).astype(int)):
        low, middle, high = np.quantile(of["r_held_out"], (0.1, 0.5, 0.9))
        rows.append((place * STEP, (place + 1) * STEP, len(of), of["r"].median(), middle, low, high))
    return pd.DataFrame(rows, columns=FIGURES["calibration"].names)


def certainty(features: pd.DataFrame) -> pd.DataFrame:
    """Alive features by the share of re-splits that give them the class, or the group, that they have.

    Args:
        features: the run's table ``features``.

    Returns:
        Columns of figure "calibration.certainty", the least certain first; what was not split anew has no rows.
    """
    alive, rows = features[features["status"] == "alive"], []
    for of in ("class", "group"):
        if f"{of}_probability" not in alive:  # runs of earlier versions
            continue
        known = alive[f"{of}_probability"].dropna().to_numpy(float)
        for low, high in CERTAINTY if len(known) else ():
            n = int(((known >= low) & ((known < high) | (low == high))).sum())
            rows.append((of, low, high, n, n / len(known)))
    return pd.DataFrame(rows, columns=FIGURES["calibration.certainty"].names)
