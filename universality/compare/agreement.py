"""How much two dictionaries agree, and what the agreement is made of: trained, untrained, one model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from universality.compare.levels import LEVELS, PART_COLUMNS
from universality.compare.neurons import NeuronMatching
from universality.compare.pair_plan import Pair, pair_name
from universality.compare.pairing import PairMatching
from universality.compare.stages import Stages
from universality.indices import Index
from universality.intervals import centred_interval
from universality.table_schemas import AGREEMENT


def agreement_table(stages: Stages) -> pd.DataFrame:
    """The table ``agreement``: of every kind, all its pairs together ("overall") and each alone.

    Intervals are over resampled sources, with the same draws for all pairs.
    """
    matchings: dict[str, Mapping[Pair, PairMatching | NeuronMatching]] = {
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
    stages: Stages, kind: str, pair: str, matchings: list[PairMatching | NeuronMatching]
) -> dict[str, object]:
    tau, confidence = stages.config.tau, stages.config.confidence
    pairs = pd.concat([matching.pairs for matching in matchings], ignore_index=True)
    measured = {"r": ("r_held_out", "resampled"), "r_joint": ("r_joint", "resampled_joint")}
    row: dict[str, object] = {"kind": kind, "pair": pair, "n": len(pairs)}
    for name, (column, drawn) in measured.items():
        # Neurons have no r_joint: dense coordinates are taken apart by no sparse kernel.
        r = pairs[column].to_numpy(float) if column in pairs else np.full(len(pairs), np.nan)
        draws = [getattr(matching, drawn) for matching in matchings if hasattr(matching, drawn)]
        for what, of in (("mean", np.mean), ("share", lambda x, axis: (x >= tau).mean(axis=axis))):
            value = float(of(r, axis=0)) if not np.isnan(r).all() else np.nan
            low = high = np.nan
            if draws and not np.isnan(value):
                low, high = centred_interval(value, of(np.concatenate(draws), axis=0), confidence)
            row |= {f"{what}_{name}": value, f"{what}_{name}_low": low, f"{what}_{name}_high": high}
    edges = pairs[pairs["edge"]] if "edge" in pairs else pairs.iloc[:0]
    row["n_edges"] = len(edges)
    total = float(edges["r_held_out"].sum()) if len(edges) else np.nan
    for column in PART_COLUMNS:
        row[column] = float(edges[column].sum(skipna=False)) / total if len(edges) else np.nan
    return row


def reproduced_shares(stages: Stages) -> list[tuple[Index, str]]:
    """Of the features that a second dictionary of the same model has at a level, the share that another model has.

    ``reproduced_<level>`` for every ordered pair of models whose first has a replicate, and ``reproduced`` over all
    levels. Both a feature's pair with the replicate and its pair with the other model are edges, at the same level;
    what another model has at another level does not count. Chance is the share of null maxima that reach tau.
    """
    config = stages.config
    indices: list[tuple[Index, str]] = []
    for model, replicate in stages.plan.replicate_pairs:
        own = _edges(stages.matchings[model, replicate].pairs, "a")
        for other in stages.models:
            if other == model:
                continue
            pair = (model, other) if (model, other) in stages.matchings else (other, model)
            side = "a" if pair[0] == model else "b"
            matching = stages.matchings[pair]
            theirs = matching.pairs[f"latent_{side}"].to_numpy()
            chance = float((stages.null_maxima(pair) >= config.tau).mean())
            for level in ("all", *LEVELS):
                wanted = own if level == "all" else own[own == level]
                if not len(wanted):
                    continue
                edge = matching.pairs["edge"].to_numpy(bool) & np.isin(theirs, wanted.index.to_numpy())
                here = edge if level == "all" else edge & (matching.pairs["level"] == level).to_numpy()
                value = float(here.sum() / len(wanted))
                # Edges of other levels may have this one in a resample.
                drawn = held_in_draws(matching, level, config.tau)[edge].sum(axis=0) / len(wanted)
                low, high = centred_interval(value, drawn, config.confidence)
                name = "reproduced" if level == "all" else f"reproduced_{level}"
                index = Index(name, value, chance, len(wanted), max(low, 0.0), min(high, 1.0))
                indices.append((index, f"{model}-{other}"))
    return indices


def held_in_draws(matching: PairMatching, level: str, tau: float) -> np.ndarray:
    """(n_pairs, n_resamples) in which resamples of the sources r reaches tau and the level is that one ("all": any)."""
    held = matching.resampled >= tau
    return held if level == "all" else held & (matching.resampled_level == LEVELS.index(level))


def _edges(pairs: pd.DataFrame, side: str) -> pd.Series:
    """Level of each edge, by the latent of one side."""
    edges = pairs[pairs["edge"]]
    return edges.set_index(f"latent_{side}")["level"]
