"""Tidy frames of dictionaries: how often their latents fire, how good they are, what came of a sweep."""

import numpy as np
import pandas as pd

from results.schema_figures import FIGURES


def firing_rates(features: pd.DataFrame, *, per_decade: int = 4) -> pd.DataFrame:
    """Histogram of firing rates per model, in bins of equal width on a logarithmic axis.

    Args:
        features: table ``features``.
        per_decade: bins per factor of ten.

    Returns:
        Columns of figure "firing_rates": half-open bins up to 1 (which the last one includes), the same for all models,
        and before them a bin from 0 to 0 of latents that never fire.
    """
    rate = features["firing_rate"].to_numpy(float)
    lowest = min(-1, int(np.floor(np.log10(rate[rate > 0].min(initial=1.0)) * per_decade)))
    edges = 10.0 ** (np.arange(lowest, 1) / per_decade)
    parts = []
    for model, of_model in features.groupby("model", sort=False)["firing_rate"]:
        rates = of_model.to_numpy(float)
        # The lowest edge is rounded, and must not lose the rate that it was made from.
        n = np.append((rates == 0).sum(), np.histogram(rates[rates > 0].clip(edges[0]), edges)[0])
        bins = {"left": np.append(0.0, edges[:-1]), "right": np.append(0.0, edges[1:])}
        parts.append(pd.DataFrame({"model": model, **bins, "n": n, "fraction": n / max(len(rates), 1)}))
    return (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=FIGURES["firing_rates"].names)
    )


def dictionary_frame(models: pd.DataFrame) -> pd.DataFrame:
    """One row per dictionary, with those columns of the table ``models`` that papers list (figure "dictionaries")."""
    # Runs of earlier versions lack some.
    return models.reindex(columns=FIGURES["dictionaries"].names).reset_index(drop=True)


def sweep_points(sweeps: pd.DataFrame) -> pd.DataFrame:
    """One row per point of a sweep: means over the seeds that ended well.

    Args:
        sweeps: rows of one sweep in the table ``sweeps``.

    Returns:
        Columns of figure "frontier"; in the order of the sweep. Numbers of a point without such a seed are NaN.
    """
    measured = ["l0", "fvu", "ce_recovered", "kl_recovered", "dead_fraction", "n_dense"]
    fixed = ["architecture", "d_sae", "sparsity", "seed_cosine", "frontier"]
    good = sweeps["status"] == "ok"
    values = sweeps[measured].astype(float).where(good).assign(point=sweeps["point"], n_seeds=good)
    means = values.groupby("point", sort=False).agg({**dict.fromkeys(measured, "mean"), "n_seeds": "sum"})
    frame = sweeps.groupby("point", sort=False)[fixed].first().join(means).reset_index()
    series = frame["architecture"].astype(str) + ", " + frame["d_sae"].map("{:,}".format) + " latents"
    return frame.assign(series=series)[FIGURES["frontier"].names]
