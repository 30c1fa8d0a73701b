"""Four groups of features: partnered, present but arranged differently, unstable, missing."""

from __future__ import annotations

import numpy as np
import pandas as pd

GROUPS = ("partnered", "rearranged", "unstable", "missing", "untested")
#: Verdicts after which a feature is in the other model all the same, not as one latent of its own.
REARRANGED = ("contested", "split", "part_of", "decodable")
#: Verdicts of a stable feature that was looked for in every way and not found.
MISSING = ("weak", "absent")


def group_features(n_models: pd.Series, verdicts: pd.DataFrame, wholes: np.ndarray) -> np.ndarray:
    """The group of every alive feature.

    * ``partnered``: its cluster holds a feature of another model.
    * ``unstable``: a second dictionary of its own model does not have it either, so no other model can be blamed.
    * ``rearranged``: some other model has it, but not as one latent of its own (contested, split, part_of, decodable;
      or a whole whose partners are only the largest of its pieces).
    * ``missing``: stable, and every other model was searched and lacks it (weak, absent). Only this is model-specific.
    * ``untested``: none of these can be said (no replicate, no probes, or an interval that reaches tau).

    Args:
        n_models: (n,) models in the cluster of each alive feature, indexed by (model, latent).
        verdicts: the table ``verdicts``.
        wholes: (n,) bool, such wholes.

    Returns:
        (n,) str, in the order of ``n_models``.
    """
    table = pd.crosstab([verdicts["model"], verdicts["latent"]], verdicts["verdict"]) if len(verdicts) else None
    out = np.full(len(n_models), "untested", dtype=object)
    if table is not None:
        counts = table.reindex(n_models.index, fill_value=0)
        total = counts.sum(axis=1).to_numpy()

        def times(names: tuple[str, ...]) -> np.ndarray:
            return counts.reindex(columns=list(names), fill_value=0).sum(axis=1).to_numpy()

        out[(times(MISSING) == total) & (total > 0)] = "missing"
        out[times(REARRANGED) > 0] = "rearranged"
        out[times(("unstable",)) > 0] = "unstable"
    out[n_models.to_numpy() > 1] = "partnered"
    out[wholes] = "rearranged"
    return out
