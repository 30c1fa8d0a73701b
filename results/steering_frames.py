"""Tidy frames of what models write with features turned up: doses, transfer, and one row per cluster of both."""

from __future__ import annotations

import numpy as np
import pandas as pd

from results.schema_figures import FIGURES
from results.words import STEERED_BY

#: Strength at which a summary looks, unless transfer was measured at another.
USUAL_STRENGTH = 2.0


def dose_rows(steering_doses: pd.DataFrame) -> pd.DataFrame:
    """What was measured over strengths: columns of figure "steering"."""
    rows = steering_doses[steering_doses["problem"].isna()]
    return rows[FIGURES["steering"].names].reset_index(drop=True)


def transfer_rows(steering_transfer: pd.DataFrame) -> pd.DataFrame:
    """What directions from elsewhere do, at the strength of the summary: columns of figure "steering.transfer"."""
    rows = steering_transfer[steering_transfer["problem"].isna() & (steering_transfer["arm"] != "own")]
    rows = rows[rows["beta"] == _nearest(rows["beta"], USUAL_STRENGTH)]
    return rows[FIGURES["steering.transfer"].names].reset_index(drop=True)


def steering_summary(clusters: pd.DataFrame, doses: pd.DataFrame, transfer: pd.DataFrame) -> pd.DataFrame:
    """One row per steered cluster, the most selective first.

    Args:
        clusters, doses, transfer: the run's tables ``steering_clusters``, ``steering_doses``, ``steering_transfer``.

    Returns:
        domain, cluster, hit, n_models (that were steered), strength; share of the domain's tokens without steering, its
        mean, lowest and highest over models with it (``steered``, ``low``, ``high``), the highest along a random
        direction and along a latent of another domain (``random``, ``other``); ``norm_ratio`` where it is highest; mean
        cosine and ratio of transfer by arm (``t_partner``, ``ratio_partner``, …); ``problem``, why models could not be
        steered. Missing where nothing was measured.
    """
    moved, rows = transfer_rows(transfer), []
    for _, chosen in clusters[clusters["left_out"].isna()].iterrows():
        of, own = doses[doses["cluster"] == chosen["cluster"]], moved[moved["cluster"] == chosen["cluster"]]
        measured = of[of["problem"].isna()]
        strength = _nearest(measured["strength"], _nearest(own["beta"], USUAL_STRENGTH))
        there = measured[measured["strength"] == strength]
        mine = there.loc[there["kind"] == "own", "share"]
        row = {
            "domain": chosen["domain"], "cluster": chosen["cluster"], "hit": chosen["hit"], "strength": strength,
            "n_models": len(mine), "without": measured.loc[measured["strength"] == 0, "share"].mean(),
            "steered": mine.mean(), "low": mine.min(), "high": mine.max(),
            **{kind: there.loc[there["kind"] == kind, "share"].max() for kind in ("random", "other")},
            "norm_ratio": there.loc[there["kind"] == "own", "norm_ratio"].max(),
            "problem": "; ".join(sorted(set(of["problem"].dropna()))),
        }  # fmt: skip
        for arm in STEERED_BY:
            part = own[own["arm"] == arm]
            row |= {f"t_{arm}": part["cosine"].mean(), f"ratio_{arm}": part["ratio"].mean()}
        rows.append(row)
    names = ["domain", "cluster", "hit", "strength", "n_models", "without", "steered", "low", "high", "random", "other",
             "norm_ratio", "problem"]  # fmt: skip
    names += [f"{what}_{arm}" for arm in STEERED_BY for what in ("t", "ratio")]
    return pd.DataFrame(rows, columns=pd.Index(names))


def _nearest(values: pd.Series, wanted: float) -> float:
    """The value above 0 that is nearest to a wanted one; the wanted one where there is none."""
    known = np.unique(values.dropna().to_numpy(float))
    known = known[known > 0]
    return float(known[np.abs(known - wanted).argmin()]) if len(known) else wanted
