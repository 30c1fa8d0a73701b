"""Tidy frames of one comparison's tables: what screens chart and what stands behind every figure of the
report.

Every function takes tables of *one* comparison, changes none of them, and returns one row per mark to be
drawn. Empty tables give empty frames with the same columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from results.ids import pair_ids
from results.words import CLASSES, LEVELS

#: Kinds of pairs whose distributions are compared, from the top of a figure to its bottom.
KINDS: dict[str, str] = {
    "ceiling": "same model,\nother SAE seed",
    "features": "SAE features",
    "neurons": "neurons",
    "untrained": "untrained\nmodels",
    "chance": "chance",
}
MEASURES = ("r_held_out", "r_token")


def class_bars(features: pd.DataFrame) -> pd.DataFrame:
    """Alive features per model, class and level.

    Args:
        features: table ``features``: model, status, class, level.

    Returns:
        model, class, level, n, fraction (of the model's alive features, 0..1); every class and level of every
        model that has alive features, zeros included; models in the table's order.
    """
    alive = features.loc[features["status"] == "alive"]
    models = list(dict.fromkeys(alive["model"]))
    index = pd.MultiIndex.from_product([models, [*CLASSES], [*LEVELS]], names=["model", "class", "level"])
    counts = _with_level(alive).groupby(["model", "class", "level"], observed=True).size()
    frame = counts.reindex(index, fill_value=0).rename("n").reset_index()
    frame["fraction"] = _share(frame["n"], frame.groupby("model")["n"].transform("sum"))
    return frame


def class_curve(tau_curve: pd.DataFrame) -> pd.DataFrame:
    """Features per class and level over the threshold tau.

    Args:
        tau_curve: table ``tau_curve``: tau, class, level, n_features.

    Returns:
        tau, class, level, n_features, fraction (of all features at that tau, 0..1); every class and level at
        every tau, zeros included.
    """
    taus = np.sort(tau_curve["tau"].unique())
    index = pd.MultiIndex.from_product([taus, [*CLASSES], [*LEVELS]], names=["tau", "class", "level"])
    counts = _with_level(tau_curve).groupby(["tau", "class", "level"], observed=True)["n_features"].sum()
    frame = counts.reindex(index, fill_value=0).reset_index()
    frame["fraction"] = _share(frame["n_features"], frame.groupby("tau")["n_features"].transform("sum"))
    return frame


def r_histogram(
    baselines: pd.DataFrame, null_quantiles: pd.DataFrame, bins: int | Sequence[float] = 50
) -> pd.DataFrame:
    """Distribution of the held-out r of assigned pairs, per kind, raw and token-conditional, beside chance.

    Args:
        baselines: table ``baselines``: kind, r_held_out, r_token, one row per assigned pair.
        null_quantiles: table ``null_quantiles``: pair, kind (plain|domain), quantile, value; the plain ones
            are used.
        bins: number of equal bins from 0 to 1 (as many more below 0 as the data need), or their edges.

    Returns:
        kind, measure (r_held_out|r_token), left, right, count, fraction. Bins are half-open, the last one
        closed. Fractions of a kind and measure sum to 1. Chance is rebuilt from its quantiles: fraction only,
        count missing. Pairs without a value of a measure are left out of it.
    """
    edges = _edges(baselines, bins)
    parts = []
    for kind in KINDS:
        for measure in MEASURES:
            values = baselines.loc[baselines["kind"] == kind, measure].dropna().to_numpy(float)
            if len(values):
                count = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
                parts.append(_bins(kind, measure, edges, count, count / len(values)))
    plain = null_quantiles.loc[null_quantiles["kind"] == "plain"]
    if len(plain):
        cumulative = np.mean([_distribution(group, edges) for _, group in plain.groupby("pair")], axis=0)
        fraction = np.diff(cumulative)
        parts.append(_bins("chance", "r_held_out", edges, None, fraction / fraction.sum()))
    if not parts:
        return _bins("chance", "r_held_out", edges[:1], None, np.zeros(0))
    return pd.concat(parts, ignore_index=True)


def medians(baselines: pd.DataFrame, tau: float = 0.5) -> pd.DataFrame:
    """Median of each kind's assigned pairs and their share at or above a threshold, raw and token-conditional.

    Returns:
        kind, measure (r_held_out|r_token), median, tau, at_least (share of pairs with r >= tau, 0..1), n; kinds and
        measures without a value are left out.
    """
    rows = [
        (kind, measure, float(values.median()), tau, float((values >= tau).mean()), len(values))
        for kind in KINDS
        for measure in MEASURES
        if len(values := baselines.loc[baselines["kind"] == kind, measure].dropna())
    ]
    return pd.DataFrame(rows, columns=["kind", "measure", "median", "tau", "at_least", "n"])


def model_matrix(
    pairs: pd.DataFrame,
    models: Sequence[str],
    baselines: pd.DataFrame | None = None,
    headline: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Median held-out r between every two models.

    Args:
        pairs: table ``pairs``: model_a, model_b, r_held_out.
        models: model ids in the order of rows and columns.
        baselines: table ``baselines``; its ceiling (same model, other SAE seed) fills the diagonal.
        headline: table ``headline``; it has the intervals.

    Returns:
        model_a, model_b, r, n (assigned pairs), low, high (95 % interval, documents resampled); both directions,
        symmetric; r missing and n = 0 where nothing was compared, low and high missing without a headline.
    """
    medians_of: dict[tuple[str, str], tuple[float, int]] = {}
    for (a, b), group in pairs.groupby(["model_a", "model_b"], observed=True, sort=False):
        medians_of[str(a), str(b)] = medians_of[str(b), str(a)] = (
            float(group["r_held_out"].median()),
            len(group),
        )
    if baselines is not None:
        ceiling = baselines.loc[baselines["kind"] == "ceiling"]
        for a, group in ceiling.groupby("model_a", observed=True):
            medians_of[str(a), str(a)] = (float(group["r_held_out"].median()), len(group))
    rows = [(a, b, *medians_of.get((a, b), (np.nan, 0))) for a in models for b in models]
    intervals = _intervals(headline)
    ends = [intervals.get((a, b), intervals.get((b, a), (np.nan, np.nan))) for a, b, *_ in rows]
    return pd.DataFrame(rows, columns=["model_a", "model_b", "r", "n"]).assign(
        low=[low for low, _ in ends], high=[high for _, high in ends]
    )


def _intervals(headline: pd.DataFrame | None) -> dict[tuple[str, str], tuple[float, float]]:
    """Interval of the median by pair of models; a model with itself stands for its ceiling."""
    intervals: dict[tuple[str, str], tuple[float, float]] = {}
    if headline is None:
        return intervals
    for quantity, pair, low, high in headline[["quantity", "pair", "low", "high"]].itertuples(index=False):
        a, _, b = str(pair).partition("-")
        if b and quantity in ("features", "ceiling"):
            intervals[a, b if quantity == "features" else a] = (float(low), float(high))
    return intervals


def k_of_m_frame(k_of_m: pd.DataFrame) -> pd.DataFrame:
    """How many clusters and features reach how many models.

    Args:
        k_of_m: table ``k_of_m``: k, n_clusters, n_features, fraction.

    Returns:
        k, n_clusters, n_features, fraction, at_least (fraction of features in clusters of k models or more);
        by k.
    """
    frame = k_of_m[["k", "n_clusters", "n_features", "fraction"]].sort_values("k", ignore_index=True)
    frame["at_least"] = _share(frame["n_features"][::-1].cumsum()[::-1], frame["n_features"].sum())
    return frame


def cluster_domains(features: pd.DataFrame) -> pd.Series:
    """The domain of every cluster: that in which most of its members are strongest.

    Args:
        features: table ``features``: cluster, top_domain, best_r.

    Returns:
        Domain by cluster. Of equally frequent ones that of the member with the highest ``best_r``, then the earlier
        name. Clusters without any domain are left out.
    """
    if "top_domain" not in features:
        return pd.Series(dtype=object)
    members = features[["cluster", "top_domain", "best_r"]].dropna(subset=["cluster", "top_domain"])
    members = members.astype({"cluster": "int64", "top_domain": object})
    domains = members.groupby(["cluster", "top_domain"])["best_r"].agg(["size", "max"]).reset_index()
    domains = domains.sort_values(["size", "max", "top_domain"], ascending=[False, False, True])
    return domains.drop_duplicates("cluster").set_index("cluster")["top_domain"].sort_index()


def pair_table(pairs: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Assigned pairs with what is known of both sides, best held-out r first.

    Args:
        pairs: table ``pairs``.
        features: table ``features``.

    Returns:
        id ("m0:12-m1:7"), every column of ``pairs``, and for both sides class_, firing_rate_, flags_ with
        suffix a or b, and rate_ratio (firing rate of a over b's; missing where b never fires).
    """
    frame = pairs.drop(columns="comparison_id", errors="ignore")
    known = features[["model", "latent", "class", "firing_rate", "flags"]]
    for side in "ab":
        renamed = known.rename(columns={column: f"{column}_{side}" for column in known.columns})
        frame = frame.merge(renamed, on=[f"model_{side}", f"latent_{side}"], how="left")
    frame.insert(0, "id", pair_ids(frame))
    frame["rate_ratio"] = frame["firing_rate_a"] / frame["firing_rate_b"].where(frame["firing_rate_b"] > 0)
    return frame.sort_values("r_held_out", ascending=False, kind="stable", ignore_index=True)


def _with_level(frame: pd.DataFrame) -> pd.DataFrame:
    """Text columns with a level for every row; where none was given, it is untested."""
    level = frame["level"].astype(object)
    return frame.assign(
        level=level.where(level.isin(list(LEVELS)), "untested"), **{"class": frame["class"].astype(object)}
    )


def _share(part: pd.Series, whole: pd.Series | float) -> pd.Series:
    return (part / np.maximum(whole, 1)).astype(float)


def _edges(baselines: pd.DataFrame, bins: int | Sequence[float]) -> np.ndarray:
    if not isinstance(bins, int):
        return np.asarray(bins, float)
    values = baselines[list(MEASURES)].to_numpy(float)
    # Counted from 0, so that round thresholds such as 0.5 fall on an edge.
    n_below = int(np.ceil(-np.nanmin(values, initial=0.0) * bins))
    return np.arange(-n_below, bins + 1) / bins


def _distribution(quantiles: pd.DataFrame, edges: np.ndarray) -> np.ndarray:
    """Cumulative share at each edge; the tails beyond the outer quantiles lie at these."""
    ordered = quantiles.sort_values("quantile")
    return np.interp(edges, ordered["value"], ordered["quantile"], left=0.0, right=1.0)


def _bins(
    kind: str, measure: str, edges: np.ndarray, count: np.ndarray | None, fraction: np.ndarray
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "kind": kind,
            "measure": measure,
            "left": edges[:-1],
            "right": edges[1:],
            "count": pd.array(count if count is not None else [pd.NA] * len(fraction), dtype="Int64"),
            "fraction": fraction,
        }
    )
