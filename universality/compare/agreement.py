"""How much two dictionaries agree, and what the agreement is made of: trained, untrained, one model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from universality.compare.levels import PART_COLUMNS
from universality.compare.pair_plan import Pair, pair_name
from universality.compare.pairing import PairMatching
from universality.compare.spaces import SpaceMatching
from universality.compare.stages import Stages
from universality.intervals import centred_interval
from universality.table_schemas import AGREEMENT


def agreement_table(stages: Stages) -> pd.DataFrame:
    """The table ``agreement``: of every kind, all its pairs together ("overall") and each alone.

    Intervals are over resampled sources, with the same draws for all pairs.
    """
    matchings: dict[str, Mapping[Pair, PairMatching | SpaceMatching]] = {
        kind: {pair: stages.matchings[pair] for pair in names} for kind, names in stages.plan.by_kind.items()
    }
    matchings["neurons"] = stages.neurons
    rows = []
    for kind, of_pair in matchings.items():
        parts = {pair_name(pair): matching for pair, matching in of_pair.items() if len(matching.pairs)}
        if parts:
            rows.append(_agreement(stages, kind, "overall", list(parts.values())))
            rows += [_agreement(stages, kind, name, [matching]) for name, matching in parts.items()]
    return pd.DataFrame(rows, columns=AGREEMENT.names)


def _agreement(
    stages: Stages, kind: str, pair: str, matchings: list[PairMatching | SpaceMatching]
) -> dict[str, object]:
    tau, confidence = stages.config.tau, stages.config.confidence
    pairs = pd.concat([matching.pairs for matching in matchings], ignore_index=True)
    measured = {"r": ("r_held_out", "resampled"), "r_joint": ("r_joint", "resampled_joint")}
    row: dict[str, object] = {"kind": kind, "pair": pair, "n": len(pairs)}
    for name, (column, drawn) in measured.items():
        r, draws = pairs[column].to_numpy(float), [getattr(matching, drawn) for matching in matchings]
        for what, of in (("mean", np.mean), ("share", lambda x, axis: (x >= tau).mean(axis=axis))):
            value = float(of(r, axis=0)) if not np.isnan(r).all() else np.nan
            low = high = np.nan
            if not np.isnan(value):
                low, high = centred_interval(value, of(np.concatenate(draws), axis=0), confidence)
            row |= {f"{what}_{name}": value, f"{what}_{name}_low": low, f"{what}_{name}_high": high}
    edges = pairs[pairs["edge"]] if "edge" in pairs else pairs.iloc[:0]
    row["n_edges"] = len(edges)
    total = float(edges["r_held_out"].sum()) if len(edges) else np.nan
    for column in PART_COLUMNS:
        row[column] = float(edges[column].sum(skipna=False)) / total if len(edges) else np.nan
    return row
