"""The table ``spaces``: features beside other coordinates of their space, and beside as many random directions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from universality.compare.pair_plan import Pair
from universality.compare.spaces import space_means
from universality.compare.stages import Stages
from universality.intervals import centred_interval
from universality.table_schemas import SPACE_MEANS, SPACES

#: In the order of the table.
KINDS = ("features", "features_subset", "ica", "haar", "neurons", "initial_sae", "random_sae", "pca")
MEASURES = {"r_held_out": "r", "r_joint": "r_joint"}


def space_table(stages: Stages) -> pd.DataFrame:
    """All pairs of models together, and all pairs of untrained models for the floor; empty without raw activations.

    Intervals are over resampled sources, the same ones for all kinds and pairs, so that differences have one too.
    """
    compared = [pair for pair in stages.plan.model_pairs if pair in stages.spaces]
    untrained = [pair for pair in stages.plan.untrained_pairs if pair in stages.spaces]
    if not compared:
        return pd.DataFrame(columns=SPACES.names)
    trained, floor, draws = _Means(stages, compared), _Means(stages, untrained), _drawn(stages, compared)
    confidence, rows = stages.config.confidence, []
    for space in (kind for kind in KINDS if trained.has(kind)):
        haar = "haar" if space == "features" else space
        for place, (measure, of) in enumerate(MEASURES.items()):
            value, random = trained.of(space, space, f"mean_{of}"), trained.of("haar", haar, f"mean_{of}")
            if np.isnan(value):
                continue
            drawn, of_random = (draws[name][place] if name in draws else np.full(1, np.nan) for name in (space, "haar"))
            above = drawn - of_random
            intervals = [
                centred_interval(value, drawn, confidence),
                centred_interval(value - random, above, confidence),
            ]
            row = {
                "space": space,
                "measure": measure,
                "n": round(trained.of(space, space, "n")),
                "n_pairs": round(trained.of(space, space, "n_pairs")),
                "value": value,
                "median": trained.of(space, space, f"median_{of}"),
                "floor": floor.of(space, space, f"mean_{of}"),
                "floor_median": floor.of(space, space, f"median_{of}"),
                "best": trained.of(space, space, "best_r") if place == 0 else np.nan,
                "best_floor": floor.of(space, space, "best_r") if place == 0 else np.nan,
                "best_haar": trained.of("haar", haar, "best_r") if place == 0 else np.nan,
                "haar": random,
                "haar_floor": floor.of("haar", haar, f"mean_{of}"),
                "above_haar": value - random,
            }
            for name, (low, high) in zip(("", "above_haar_"), intervals, strict=True):
                row |= {f"{name}low": low, f"{name}high": high}
            rows.append(row)
    return pd.DataFrame(rows, columns=SPACES.names)


class _Means:
    """``space_means`` of pairs of models together, the features' own beside them, weighted by assigned pairs."""

    def __init__(self, stages: Stages, pairs: Sequence[Pair]) -> None:
        parts: list[pd.DataFrame] = []
        for pair in pairs:
            matching, alive = stages.matchings[pair], [stages.dictionaries[name].alive for name in pair]
            r, joint = (matching.pairs[column].to_numpy(float) for column in MEASURES)
            sides = zip((matching.best_a.r, matching.best_b.r), alive, strict=True)
            best = float(np.mean([np.median(of[here]) if here.any() else 0.0 for of, here in sides]))
            own = space_means("features", "features", int(min(here.sum() for here in alive)), r, joint, best)
            parts += [pd.DataFrame([own], columns=SPACE_MEANS.names), stages.spaces[pair].means]
        self._rows = dict(iter(pd.concat(parts).groupby(["space", "like"]))) if parts else {}

    def has(self, space: str) -> bool:
        """Whether there are such coordinates."""
        return (space, space) in self._rows

    def of(self, space: str, like: str, column: str) -> float:
        """A column of the table; NaN where there are no such coordinates."""
        if (space, like) not in self._rows:
            return np.nan
        rows = self._rows[space, like]
        n = rows["n_pairs"].to_numpy(float)
        return float(n.sum() if column == "n_pairs" else rows[column].to_numpy(float) @ n / max(n.sum(), 1.0))


def _drawn(stages: Stages, pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    """Of each kind (2, n_resamples) mean r and mean r_joint over pairs of models, weighted likewise."""
    parts: dict[str, list[tuple[int, np.ndarray]]] = {}
    for pair in pairs:
        matching, spaces = stages.matchings[pair], stages.spaces[pair]
        own = np.stack([matching.resampled.mean(axis=0), matching.resampled_joint.mean(axis=0)])
        parts.setdefault("features", []).append((len(matching.pairs), own))
        n = spaces.means[spaces.means["space"] == spaces.means["like"]].set_index("space")["n_pairs"]
        for space, draws in spaces.mean_draws.items():
            parts.setdefault(space, []).append((int(n.loc[[space]].iloc[0]), draws))
    return {space: np.average([d for _, d in of], axis=0, weights=[n for n, _ in of]) for space, of in parts.items()}
