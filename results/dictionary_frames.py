"""Tidy frames of dictionaries: how often their latents fire, how good they are, what a sweep found."""

from __future__ import annotations

import numpy as np
import pandas as pd


def firing_rates(features: pd.DataFrame, *, per_decade: int = 4) -> pd.DataFrame:
    """Histogram of firing rates per model, in bins of equal width on a logarithmic axis.

    Args:
        features: the table ``features``.
        per_decade: bins per factor of ten.

    Returns:
        ``model, left, right, n, fraction``: half-open bins ``[left, right)`` up to 1 (which the last one includes), the
        same for all models, and before them a bin ``[0, 0]`` of latents that never fire. ``fraction`` is of the model's
        latents and sums to 1.
    """
    rate = features["firing_rate"].to_numpy(float)
    lowest = min(-1, int(np.floor(np.log10(rate[rate > 0].min(initial=1.0)) * per_decade)))
    edges = 10.0 ** (np.arange(lowest, 1) / per_decade)
    parts = []
    for model, mine in features.groupby("model", sort=False):
        own = mine["firing_rate"].to_numpy(float)
        # The lowest edge is rounded, and must not lose the rate that it was made from.
        n = np.append((own == 0).sum(), np.histogram(own[own > 0].clip(edges[0]), edges)[0])
        bins = {"left": np.append(0.0, edges[:-1]), "right": np.append(0.0, edges[1:])}
        parts.append(pd.DataFrame({"model": model, **bins, "n": n, "fraction": n / max(len(own), 1)}))
    columns = ["model", "left", "right", "n", "fraction"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def dictionary_frame(models: pd.DataFrame) -> pd.DataFrame:
    """One row per dictionary, with those columns of the table ``models`` that papers list."""
    wanted = [
        "model", "role", "architecture", "d_sae", "sparsity", "fvu", "l0", "ce_recovered", "kl_recovered", "n_alive",
        "n_dense", "dead_fraction", "heldout_loss", "sae_tokens",
    ]  # fmt: skip
    # Runs of earlier versions lack some.
    return models.reindex(columns=wanted).reset_index(drop=True)


def sweep_points(sweeps: pd.DataFrame) -> pd.DataFrame:
    """One row per point of a sweep: means over the seeds that ended well.

    Args:
        sweeps: rows of one sweep in the table ``sweeps``.

    Returns:
        ``point, series`` (architecture and size), ``architecture, d_sae, sparsity, l0, fvu, ce_recovered,
        kl_recovered, dead_fraction, n_dense, seed_cosine, n_seeds`` (that ended well), ``frontier``; in the order of
        the sweep. Numbers of a point without such a seed are NaN.
    """
    measured = ["l0", "fvu", "ce_recovered", "kl_recovered", "dead_fraction", "n_dense"]
    fixed = ["architecture", "d_sae", "sparsity", "seed_cosine", "frontier"]
    good = sweeps["status"] == "ok"
    values = sweeps[measured].astype(float).where(good).assign(point=sweeps["point"], n_seeds=good)
    means = values.groupby("point", sort=False).agg({**dict.fromkeys(measured, "mean"), "n_seeds": "sum"})
    frame = sweeps.groupby("point", sort=False)[fixed].first().join(means).reset_index()
    series = frame["architecture"].astype(str) + ", " + frame["d_sae"].map("{:,}".format) + " latents"
    order = ["point", "series", *fixed[:3], *measured, "seed_cosine", "n_seeds", "frontier"]
    return frame.assign(series=series)[order]
