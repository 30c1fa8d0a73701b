"""Tidy frames of one comparison's tables: what screens chart and what stands behind figures of the report.

Every function takes tables of *one* comparison (:data:`results.schema.TABLES`), changes none of them, and returns one
row per mark to be drawn. What stands in a file of the report has its columns explained in
:data:`results.schema_figures.FIGURES`. Empty tables give empty frames with the same columns.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from results.ids import pair_ids
from results.schema_figures import FIGURES
from results.words import CLASSES, LEVELS
from universality.table_schemas import K_OF_M

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
    """Alive features of the table ``features`` per model, class and level.

    Returns:
        model, class, level, n, fraction (of the model's alive features, 0..1); every class and level of every
        model that has alive features, zeros included; models in the table's order.
    """
    alive = features.loc[features["status"] == "alive"]
    return _by_class_and_level(alive.assign(n=1), "n", "model", alive["model"].unique())


def partnered_wholes(features: pd.DataFrame) -> pd.Series:
    """Which features share a cluster with other models and yet are not partnered: wholes of several pieces there."""
    together = (features["status"] == "alive") & (features["class"] != "specific")
    return (together & (features["group"] != "partnered")).astype(bool)


def class_curve(tau_curve: pd.DataFrame) -> pd.DataFrame:
    """Features per class and level over the threshold tau, from the table ``tau_curve``.

    Returns:
        Columns of figure "classes"; every class and level at every tau, zeros included.
    """
    return _by_class_and_level(tau_curve, "n_features", "tau", np.sort(tau_curve["tau"].unique()))


def _by_class_and_level(rows: pd.DataFrame, n: str, by: str, groups: Sequence[object] | np.ndarray) -> pd.DataFrame:
    """Sums of column ``n`` by group, class and level, zeros included, and their share of the group's sum.

    A level that is missing or has no name of its own is untested.
    """
    index = pd.MultiIndex.from_product([groups, [*CLASSES], [*LEVELS]], names=[by, "class", "level"])
    level = rows["level"].astype(object)
    level = level.where(level.isin(list(LEVELS)), "untested")
    rows = rows.assign(level=level, **{"class": rows["class"].astype(object)})
    sums = rows.groupby([by, "class", "level"], observed=True)[n].sum()
    frame = sums.reindex(index, fill_value=0).reset_index()
    return frame.assign(fraction=_share(frame[n], frame.groupby(by)[n].transform("sum")))


def r_histogram(
    baselines: pd.DataFrame, null_quantiles: pd.DataFrame, bins: int | Sequence[float] = 50
) -> pd.DataFrame:
    """Distribution of the held-out r of assigned pairs, per kind, raw and token-conditional, beside chance.

    Args:
        baselines: table ``baselines``.
        null_quantiles: table ``null_quantiles``; the plain ones are used.
        bins: number of equal bins from 0 to 1 (as many more below 0 as the data need), or their edges.

    Returns:
        Columns of figure "correlation". Bins are half-open, the last one closed. Fractions of a kind and measure sum
        to 1. Chance is rebuilt from its quantiles: fraction only, count missing. Pairs without a value of a measure are
        left out of it.
    """
    edges = _edges(baselines, bins)
    parts = []
    for kind, measure, r in _measured(baselines):
        count = np.histogram(r.to_numpy(float).clip(edges[0], edges[-1]), edges)[0]
        parts.append(_bins(kind, measure, edges, count, count / len(r)))
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
        (kind, measure, float(r.median()), tau, float((r >= tau).mean()), len(r))
        for kind, measure, r in _measured(baselines)
    ]
    return pd.DataFrame(rows, columns=["kind", "measure", "median", "tau", "at_least", "n"])


def _measured(baselines: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series]]:
    """Kind, measure and values, of kinds and measures that have any."""
    for kind in KINDS:
        for measure in MEASURES:
            if len(r := baselines.loc[baselines["kind"] == kind, measure].dropna()):
                yield kind, measure, r


def model_matrix(
    pairs: pd.DataFrame,
    models: Sequence[str],
    baselines: pd.DataFrame | None = None,
    headline: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Median held-out r between every two models.

    Args:
        pairs: table ``pairs``.
        models: model ids in the order of rows and columns.
        baselines: table ``baselines``; its ceiling (same model, other SAE seed) fills the diagonal.
        headline: table ``headline``; it has the intervals.

    Returns:
        Columns of figure "classes.matrix"; both directions, symmetric; low and high missing without a headline.
    """
    medians_of: dict[tuple[str, str], tuple[float, int]] = {}
    for (a, b), r in pairs.groupby(["model_a", "model_b"], observed=True, sort=False)["r_held_out"]:
        medians_of[str(a), str(b)] = medians_of[str(b), str(a)] = (float(r.median()), len(r))
    if baselines is not None:
        ceiling = baselines.loc[baselines["kind"] == "ceiling"]
        for a, r in ceiling.groupby("model_a", observed=True)["r_held_out"]:
            medians_of[str(a), str(a)] = (float(r.median()), len(r))
    intervals, none = _intervals(headline), (np.nan, np.nan)
    rows = [
        (a, b, *medians_of.get((a, b), (np.nan, 0)), *intervals.get((a, b), intervals.get((b, a), none)))
        for a in models
        for b in models
    ]
    return pd.DataFrame(rows, columns=FIGURES["classes.matrix"].names)


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
    """The table ``k_of_m`` by k, with the share of features in clusters of k models or more (``at_least``)."""
    frame = k_of_m.reindex(columns=K_OF_M.names).sort_values("k", ignore_index=True)
    frame["at_least"] = _share(frame["n_features"][::-1].cumsum()[::-1], frame["n_features"].sum())
    return frame


def cluster_domains(features: pd.DataFrame) -> pd.Series:
    """The domain of every cluster: that in which most of its members (rows of the table ``features``) are strongest.

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

    Returns:
        id ("m0:12-m1:7"), every column of ``pairs``, and for both sides class_, firing_rate_, flags_ with
        suffix a or b, and rate_ratio (firing rate of a over b's; missing where b never fires).
    """
    frame = pairs.drop(columns="comparison_id", errors="ignore")
    described = features[["model", "latent", "class", "firing_rate", "flags"]]
    for side in "ab":
        of_side = described.add_suffix(f"_{side}")
        frame = frame.merge(of_side, on=[f"model_{side}", f"latent_{side}"], how="left")
    frame.insert(0, "id", pair_ids(frame))
    frame["rate_ratio"] = frame["firing_rate_a"] / frame["firing_rate_b"].where(frame["firing_rate_b"] > 0)
    return frame.sort_values("r_held_out", ascending=False, kind="stable", ignore_index=True)


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


def _bins(kind: str, measure: str, edges: np.ndarray, count: np.ndarray | None, fraction: np.ndarray) -> pd.DataFrame:
    counts = pd.array([pd.NA] * len(fraction) if count is None else count, dtype="Int64")
    ends = {"left": edges[:-1], "right": edges[1:]}
    return pd.DataFrame({"kind": kind, "measure": measure, **ends, "count": counts, "fraction": fraction})


def dictionary_roles(models: pd.DataFrame) -> pd.Series:
    """What each dictionary is there for, by row of the table ``models``: a key of :data:`results.words.ROLES`.

    The table calls every second dictionary a replicate; that of an untrained model is a ceiling of untrained models.
    """
    of = models["replicate_of"] if "replicate_of" in models else models["model"].astype(str).str.removesuffix("r")
    untrained = models.loc[models["role"] == "untrained", "model"].astype(str)
    second = (models["role"] == "replicate") & of.astype(str).isin(set(untrained))
    return models["role"].astype(str).mask(second, "untrained_replicate")
