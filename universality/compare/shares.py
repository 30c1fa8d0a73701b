"""Shares of features that another dictionary has, of all and by level: pair by pair, and over all pairs together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from universality.compare.levels import LEVELS
from universality.compare.pair_plan import ALL_MODELS, ALL_UNTRAINED, Pair, pair_name
from universality.compare.pairing import PairMatching
from universality.compare.stages import Stages
from universality.indices import Index
from universality.intervals import centred_interval


@dataclass(frozen=True, eq=False)
class DrawnShare:
    """A share of one pair of dictionaries, and the same in every resample of the sources.

    Attributes:
        name: of the index. pair: whose it is, in its direction. value, chance, n: as in :class:`Index`.
        draws: (n_resamples,) its values.
    """

    name: str
    pair: Pair
    value: float
    chance: float
    n: int
    draws: np.ndarray

    def index(self, level: float) -> Index:
        """With its interval over sources."""
        low, high = centred_interval(self.value, self.draws, level)
        return Index(self.name, self.value, self.chance, self.n, max(low, 0.0), min(high, 1.0))


def share_indices(stages: Stages) -> list[tuple[Index, str]]:
    """``shared_fraction`` and ``reproduced``, of all and by level, of every pair and of all pairs of a kind together.

    Together they are means over pairs, with the interval over sources (the same draws for all pairs) and, from four
    models on, that over models.
    """
    plan, level = stages.plan, stages.config.confidence
    of_kind = {
        ALL_MODELS: (plan.model_pairs, plan.replicate_pairs),
        ALL_UNTRAINED: (plan.untrained_pairs, plan.untrained_replicate_pairs),
    }
    indices: list[tuple[Index, str]] = []
    for together, (pairs, replicate_pairs) in of_kind.items():
        shares = [share for pair in pairs for share in shared(stages, pair)]
        for pair in replicate_pairs:
            indices += [(share.index(level), pair_name(pair)) for share in shared(stages, pair)]
        shares += reproduced(stages, pairs, replicate_pairs)
        indices += [(share.index(level), pair_name(share.pair)) for share in shares]
        by_name: dict[str, list[DrawnShare]] = {}
        for share in shares:
            by_name.setdefault(share.name, []).append(share)
        indices += [(_together(parts, level), together) for parts in by_name.values()]
    return indices


def _together(parts: list[DrawnShare], level: float) -> Index:
    value, chance = (float(np.mean([getattr(part, what) for part in parts])) for what in ("value", "chance"))
    draws = np.mean([part.draws for part in parts], axis=0)
    index = DrawnShare(parts[0].name, parts[0].pair, value, chance, sum(part.n for part in parts), draws).index(level)
    low, high = over_models({part.pair: part.value for part in parts}, level)
    return replace(index, low_models=max(low, 0.0), high_models=min(high, 1.0))


def over_models(values: Mapping[Pair, float], level: float) -> tuple[float, float]:
    """Interval of the mean of a quantity of pairs, from leaving out one model at a time; NaN with fewer than four.

    Models are never drawn with replacement: a model compared with itself has r = 1. t with one degree of freedom less
    than there are models. Source: Arvesen 1969 (the jackknife of a mean over pairs).
    """
    models = sorted({model for pair in values for model in pair})
    m = len(models)
    if m < 4:
        return np.nan, np.nan
    value = float(np.mean(list(values.values())))
    others = [[v for pair, v in values.items() if model not in pair] for model in models]
    if not all(others):  # every pair has one model in it: how far that decides cannot be told
        return np.nan, np.nan
    left_out = np.array([np.mean(of) for of in others])
    deviation = float(np.sqrt((m - 1) / m * ((left_out - left_out.mean()) ** 2).sum()))
    spread = float(stats.t.ppf((1 + level) / 2, m - 1)) * deviation
    return value - spread, value + spread


def shared(stages: Stages, pair: Pair) -> Iterator[DrawnShare]:
    """Share of the smaller side's alive latents with an edge, of all and by level."""
    config, matching = stages.config, stages.matchings[pair]
    n = min(stages.dictionaries[name].n_alive for name in pair)
    if not n:
        return
    pairs = matching.pairs
    above, level = pairs["edge"].to_numpy(bool), pairs["level"].to_numpy()
    # Where a pair falls below tau in a resample it is none; what else an edge needs is not drawn again.
    beyond = above | ((pairs["q"] < config.alpha) & (pairs["r_held_out"] < config.tau)).to_numpy()
    nobody_could_tell = above.any() and (level[above] == "untested").all()
    for name in ("all", *reversed(LEVELS)):
        of_level = np.full(level.size, True) if name == "all" else level == name
        matched = above & of_level
        if (name == "untested" and not matched.any()) or (name not in ("all", "untested") and nobody_could_tell):
            continue
        draws = (held_in_draws(matching, name, config.tau) & beyond[:, None]).sum(axis=0) / n
        yield DrawnShare(
            _named("shared_fraction", name), pair, float(matched.sum() / n), _chance(stages, pair), n, draws
        )


def reproduced(stages: Stages, pairs: tuple[Pair, ...], replicate_pairs: tuple[Pair, ...]) -> list[DrawnShare]:
    """Of the features that a second dictionary of the same model has at a level, the share that another model has.

    For every ordered pair of models whose first has a replicate, at every level and over all. Both a feature's pair
    with the replicate and its pair with the other model are edges, at the same level; what another model has at another
    level does not count. Chance is the share of null maxima that reach tau.
    """
    tau = stages.config.tau
    shares = []
    for model, replicate in replicate_pairs:
        edges = stages.matchings[model, replicate].pairs
        own = edges.loc[edges["edge"]].set_index("latent_a")["level"]
        for pair in pairs:
            if model not in pair:
                continue
            other = pair[1] if model == pair[0] else pair[0]
            matching = stages.matchings[pair]
            theirs = matching.pairs["latent_a" if model == pair[0] else "latent_b"].to_numpy()
            for level in ("all", *LEVELS):
                wanted = own if level == "all" else own[own == level]
                if not len(wanted):
                    continue
                edge = matching.pairs["edge"].to_numpy(bool) & np.isin(theirs, wanted.index.to_numpy())
                here = edge if level == "all" else edge & (matching.pairs["level"] == level).to_numpy()
                # Edges of other levels may have this one in a resample.
                draws = held_in_draws(matching, level, tau)[edge].sum(axis=0) / len(wanted)
                named = _named("reproduced", level)
                value = float(here.sum() / len(wanted))
                shares.append(DrawnShare(named, (model, other), value, _chance(stages, pair), len(wanted), draws))
    return shares


def held_in_draws(matching: PairMatching, level: str, tau: float) -> np.ndarray:
    """(n_pairs, n_resamples) in which resamples of the sources r reaches tau and the level is that one ("all": any)."""
    held = matching.resampled >= tau
    return held if level == "all" else held & (matching.resampled_level == LEVELS.index(level))


def ceiling_share(stages: Stages) -> float:
    """Mean share of a model's features that a second dictionary of it has; NaN without replicates."""
    shares = [share.value for pair in stages.plan.replicate_pairs for share in list(shared(stages, pair))[:1]]
    return float(np.mean(shares)) if shares else np.nan


def _named(name: str, level: str) -> str:
    return name if level == "all" else f"{name}_{level}"


def _chance(stages: Stages, pair: Pair) -> float:
    return float((stages.null_maxima(pair) >= stages.config.tau).mean())
