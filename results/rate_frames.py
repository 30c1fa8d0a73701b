"""Tidy frames of correlation against firing rate: is it only the frequent latents that agree?"""

import numpy as np
import pandas as pd


def r_by_rate(
    pairs: pd.DataFrame, features: pd.DataFrame, *, per_decade: int = 8, step: float = 0.04
) -> pd.DataFrame:
    """Assigned pairs by firing rate and held-out r; each counts for both of its latents.

    Args:
        pairs: table ``pairs``.
        features: table ``features``.
        per_decade: bins of the firing rate per factor of ten.
        step: width of the bins of r.

    Returns:
        Columns of figure "r_by_rate": half-open bins that hold anything, in the order of left and bottom.
    """
    rates = features.set_index(["model", "latent"])["firing_rate"]
    parts = []
    for side in "ab":
        keys = pd.MultiIndex.from_frame(pairs[[f"model_{side}", f"latent_{side}"]])
        parts.append(
            pd.DataFrame({"rate": rates.reindex(keys).to_numpy(float), "r": pairs["r_held_out"].to_numpy()})
        )
    both = pd.concat(parts, ignore_index=True).dropna()
    both = both[both["rate"] > 0]
    across = np.floor(np.log10(both["rate"]) * per_decade + 1e-9).clip(upper=-1).astype("int64")
    up = np.floor(both["r"] / step + 1e-9).clip(upper=round(1 / step) - 1).astype("int64")
    counts = pd.DataFrame({"across": across, "up": up}).groupby(["across", "up"]).size()
    place = counts.index.to_frame(index=False) if len(counts) else pd.DataFrame({"across": [], "up": []})
    return pd.DataFrame(
        {
            "left": 10.0 ** (place["across"] / per_decade),
            "right": 10.0 ** ((place["across"] + 1) / per_decade),
            "bottom": (place["up"] * step).round(9),
            "top": ((place["up"] + 1) * step).round(9),
            "n": counts.to_numpy(),
        }
    )


def median_by_rate(bins: pd.DataFrame) -> pd.DataFrame:
    """Median r per bin of the firing rate, interpolated within its bin of r.

    Returns:
        Columns of figure "r_by_rate.median"; bins of fewer than 5 are left out.
    """
    rows = []
    for _, column in bins.groupby("left"):
        n = int(column["n"].sum())
        if n >= 5:
            ordered = column.sort_values("bottom")
            reached = ordered["n"].cumsum().to_numpy()
            at = int(np.searchsorted(reached, n / 2))
            before = reached[at - 1] if at else 0
            inside = (n / 2 - before) / ordered["n"].iloc[at]
            low, high = ordered["bottom"].iloc[at], ordered["top"].iloc[at]
            rows.append(
                (np.sqrt(column["left"].iloc[0] * column["right"].iloc[0]), low + inside * (high - low), n)
            )
    return pd.DataFrame(rows, columns=["rate", "r", "n"])
