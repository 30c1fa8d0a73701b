"""Tidy frames of what a comparison found beyond pairs: indices, reasons of specific features, domains."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from results.colours import VERDICT_COLOURS
from results.schema_figures import FIGURES, MEDIANS


def index_frame(indices: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Every index once: the value over all models where there is one, else the median over pairs of models.

    Args:
        indices: table ``indices``.
        models: ids of the compared models; every other side of a pair is a second dictionary or untrained.

    Returns:
        name, pairs (how many; 0 for a value over all models), value, chance, low, high, ceiling, floor. Low and high
        are the interval of a value over all models, else the range over pairs; ceiling is the median over pairs of
        two dictionaries of one model, floor that over untrained models, missing without such pairs. In the order of
        the table.
    """
    kinds = [_kind_of_pair(str(pair), frozenset(models)) for pair in indices["pair"]]
    rows = []
    for name, of_index in indices.assign(kind=kinds).groupby("name", sort=False):
        by_kind = dict(iter(of_index.groupby("kind")))
        controls = [
            by_kind[kind]["value"].median() if kind in by_kind else np.nan for kind in ("ceiling", "floor")
        ]
        if "overall" in by_kind:
            overall = by_kind["overall"].iloc[0]
            rows.append((name, 0, *overall[["value", "chance", "low", "high"]], *controls))
        elif "models" in by_kind:
            value, chance = by_kind["models"]["value"], by_kind["models"]["chance"]
            rows.append(
                (name, len(value), value.median(), chance.median(), value.min(), value.max(), *controls)
            )
    return pd.DataFrame(rows, columns=["name", "pairs", "value", "chance", "low", "high", "ceiling", "floor"])


def _kind_of_pair(pair: str, models: frozenset[str]) -> str:
    a, _, b = pair.partition("-")
    if not b:
        return "overall"
    return {2: "models", 1: "ceiling", 0: "floor"}[(a in models) + (b in models)]


def verdict_frame(features: pd.DataFrame) -> pd.DataFrame:
    """Specific features of the table ``features`` by the reason that holds for them, per model and together.

    Returns:
        verdict, one column of counts per model, n, share (of all specific features, 0..1); in the order in which
        reasons are tested, those that never hold left out.
    """
    specific = features.loc[features["class"] == "specific"]
    models = list(dict.fromkeys(features["model"].astype(str)))
    verdict = specific["verdict"].astype(object).where(specific["verdict"].notna(), "untested")
    counts = pd.crosstab(verdict, specific["model"].astype(object)).reindex(columns=models, fill_value=0)
    order = [name for name in VERDICT_COLOURS if name in counts.index]
    frame = counts.loc[[*order, *[name for name in counts.index if name not in order]]]
    n = frame.sum(axis=1)
    frame = frame.assign(n=n, share=n / max(int(n.sum()), 1))
    return frame.rename_axis("verdict").rename_axis(None, axis=1).reset_index()


def domain_frame(domains: pd.DataFrame) -> pd.DataFrame:
    """One row per domain of the table ``domains``: how well its best latents know it, and whether models share them.

    Returns:
        Columns of figure "domains"; domains by falling r.
    """
    columns = FIGURES["domains"].names
    if domains.empty:
        return pd.DataFrame(columns=columns)
    middle = [of.name for of in MEDIANS]
    numbers = domains[middle].apply(pd.to_numeric, errors="coerce").astype(float)
    groups = domains.assign(**{name: numbers[name] for name in middle}).groupby("domain", observed=True)
    frame = groups[middle].median()
    frame["n_models"] = groups["model"].nunique()
    frame["n_rows"] = groups["n_rows"].max()
    frame["r_low"], frame["r_high"] = groups["r"].min(), groups["r"].max()
    frame["level"] = groups["level"].agg(_most_frequent)
    return frame.reset_index().sort_values("r", ascending=False, kind="stable", ignore_index=True)[columns]


def _most_frequent(values: pd.Series) -> str:
    counts = values.dropna().astype(str).value_counts()
    return str(sorted(counts[counts == counts.max()].index)[0]) if len(counts) else ""


def membership(features: pd.DataFrame) -> pd.DataFrame:
    """Clusters of the table ``features`` by the set of models that they reach.

    Returns:
        Columns of figure "membership", models of a set in the table's order; sets of more models first, then those of
        more clusters. Features without a partner are clusters of one.
    """
    alive = features.loc[(features["status"] == "alive") & features["cluster"].notna(), ["cluster", "model"]]
    order = {model: place for place, model in enumerate(dict.fromkeys(features["model"].astype(str)))}
    sets = alive.groupby("cluster")["model"].agg(
        lambda models: " ".join(sorted({str(m) for m in models}, key=order.__getitem__))
    )
    sizes = alive.groupby("cluster").size()
    by_set = pd.DataFrame({"models": sets.astype(object), "n": sizes}).groupby("models")["n"]
    frame = by_set.agg(n_clusters="size", n_features="sum").reset_index()
    frame.insert(1, "n_models", frame["models"].str.count(" ").astype("int64") + 1)
    keys = ["n_models", "n_clusters", "models"]
    return frame.sort_values(keys, ascending=[False, False, True], ignore_index=True)
