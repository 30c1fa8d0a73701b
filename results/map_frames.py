"""Tidy frames of two models on their common map: where features stand, and which of them are matched."""

import numpy as np
import pandas as pd

from results.schema_figures import FIGURES


def map_points(positions: pd.DataFrame, features: pd.DataFrame, models: tuple[str, str]) -> pd.DataFrame:
    """Where the features of two models stand on the common map.

    Args:
        positions: table ``positions``.
        features: table ``features``.
        models: which two.

    Returns:
        Columns of figure "map"; those of the first model before the second's.
    """
    keys, columns = ["model", "latent"], ["class", "cluster"]
    placed = positions[[*keys, "x", "y"]].merge(features[[*keys, *columns]], on=keys, how="left")
    return pd.concat([placed[placed["model"] == model] for model in models], ignore_index=True)


def map_links(pairs: pd.DataFrame, points: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Assigned pairs of features that are in one cluster and both stand on the map.

    Args:
        pairs: table ``pairs``.
        points: as :func:`map_points` makes it.
        limit: lines drawn, at most.

    Returns:
        Columns of figure "map.links"; by falling r.
    """
    models = list(dict.fromkeys(points["model"].astype(str)))
    columns = FIGURES["map.links"].names[:-1]
    if len(models) < 2:
        return pd.DataFrame({name: np.zeros(0) for name in columns}).assign(drawn=np.zeros(0, bool))
    matched = pairs.loc[(pairs["model_a"] == models[0]) & (pairs["model_b"] == models[1])]
    for side, model in zip("ab", models, strict=False):
        of_side = points.loc[points["model"] == model, ["latent", "x", "y", "cluster"]].add_suffix(f"_{side}")
        matched = matched.merge(of_side, on=f"latent_{side}")
    matched = matched.loc[matched["cluster_a"] == matched["cluster_b"]]
    matched = matched.sort_values(["r_held_out", "latent_a"], ascending=[False, True], ignore_index=True)
    matched = matched[columns]
    chosen = np.unique(np.linspace(0, len(matched) - 1, min(limit, len(matched))).round().astype(int))
    return matched.assign(drawn=np.isin(np.arange(len(matched)), chosen))
