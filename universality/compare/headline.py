"""Figures of a comparison: medians with their intervals, indices with their chance, the curves behind them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from universality.compare.k_of_m import over_dispersion
from universality.compare.pair_plan import ALL_MODELS, ALL_UNTRAINED, Pair, pair_name
from universality.compare.pairing import BestPartners, PairMatching
from universality.compare.shared_init import shared_initialisation
from universality.compare.shares import over_models, share_indices
from universality.compare.spaces import SpaceMatching, index_table
from universality.compare.stages import Stages
from universality.indices import Index, mutual_nearest, offset_power_law
from universality.intervals import centred_interval, percentile_interval
from universality.neuron_indices import universal_neurons
from universality.seeds import generator
from universality.table_schemas import BASELINES, HEADLINE, NULL_QUANTILES, NULL_RATES
from universality.weight_indices import decoder_indices

BINS_PER_DECADE = 4
"""Of the firing rate, in ``null_rates``."""


def headline_table(stages: Stages) -> pd.DataFrame:
    """The table ``headline``, "overall" first; quantities that were not measured have no rows.

    features, neurons, ceiling, untrained: median held-out r of assigned pairs, with the interval over
    resampled sources (the same draws for all pairs, so that "overall", over all pairs together, has one
    too). token_conditional: the same of the token-conditional r of feature pairs.
    null_p95: 95th percentile of the null maxima of both sides; its interval is over shifts.
    """
    rows, confidence = [], stages.config.confidence
    for kind, names in stages.plan.by_kind.items():
        rows += _medians(kind, {pair: _held_out(stages.matchings[pair]) for pair in names}, confidence)
    neurons = {pair: _held_out(matching) for pair, matching in stages.neurons.items()}
    rows += _medians("neurons", neurons, confidence)
    rows += _null_rows(stages)
    if stages.rows.tokens is not None:
        matchings = {pair: stages.matchings[pair] for pair in stages.plan.model_pairs}
        beyond = {pair: (m.pairs["r_token"], m.resampled_token) for pair, m in matchings.items()}
        rows += _medians("token_conditional", beyond, confidence)
    return pd.DataFrame(rows, columns=HEADLINE.names)


def _held_out(matching: PairMatching | SpaceMatching) -> tuple[pd.Series, np.ndarray]:
    return matching.pairs["r_held_out"], matching.resampled


def _medians(
    quantity: str, r_and_draws: Mapping[Pair, tuple[pd.Series, np.ndarray]], confidence: float
) -> list[tuple[object, ...]]:
    """Rows of one quantity: medians of r (n,), with centred intervals, as draws may be of some of the pairs only."""
    parts = {pair_name(pair): (r.to_numpy(float), draws) for pair, (r, draws) in r_and_draws.items() if len(r)}
    if not parts:
        return []
    together = [np.concatenate(side) for side in zip(*parts.values(), strict=True)]
    rows = []
    for name, (r, draws) in {"overall": together, **parts}.items():
        value = float(np.median(r))
        rows.append((quantity, name, value, *centred_interval(value, np.median(draws, axis=0), confidence), r.size))
    return rows


def _null_rows(stages: Stages) -> list[tuple[object, ...]]:
    maxima = {pair_name(pair): stages.null_maxima(pair) for pair in stages.plan.model_pairs}
    maxima = {name: values for name, values in maxima.items() if values.size}
    if maxima:
        maxima = {"overall": np.concatenate(list(maxima.values()), axis=1), **maxima}
    rows = []
    for name, values in maxima.items():
        low, high = percentile_interval(np.quantile(values, 0.95, axis=1), stages.config.confidence)
        row = ("null_p95", name, float(np.quantile(values, 0.95)), float(low), float(high), values.size)
        rows.append(row)
    return rows


def baseline_table(stages: Stages) -> pd.DataFrame:
    """kind (features|ceiling|untrained|neurons), model_a, latent_a, model_b, latent_b, r_held_out, r_token."""
    parts = [
        stages.matchings[pair].pairs.assign(kind=kind) for kind, names in stages.plan.by_kind.items() for pair in names
    ]
    parts += [matching.pairs.assign(kind="neurons", r_token=np.nan) for matching in stages.neurons.values()]
    return pd.concat(parts, ignore_index=True)[BASELINES.names]


def null_quantile_table(stages: Stages) -> pd.DataFrame:
    """The table ``null_quantiles``, of pairs of models."""
    parts = []
    for pair in stages.plan.model_pairs:
        alive = [stages.dictionaries[name].alive for name in pair]
        parts.append(stages.nulls[pair].quantiles(*alive).assign(pair=pair_name(pair)))
    return pd.concat(parts, ignore_index=True)[NULL_QUANTILES.names]


def null_rate_table(stages: Stages) -> pd.DataFrame:
    """The table ``null_rates``: quantiles of the null maxima by the latent's firing rate, pairs of models pooled.

    Bins ``[left, right)`` are quarters of a factor of ten, up to 1, which the last one includes; n counts null maxima,
    and bins without any have no row.
    """
    exponents, values = [], []
    for a, b in stages.plan.model_pairs:
        null = stages.nulls[a, b]
        for name, maxima in ((a, null.plain_a), (b, null.plain_b)):
            alive = stages.dictionaries[name].alive
            rate = stages.dictionaries[name].statistics.firing_rate[alive]
            exponent = np.floor(np.log10(rate) * BINS_PER_DECADE + 1e-9).clip(max=-1)
            exponents.append(np.broadcast_to(exponent, (len(maxima), rate.size)).ravel())
            values.append(maxima[:, alive].ravel())
    if not sum(map(len, values)):
        return pd.DataFrame({name: np.zeros(0) for name in NULL_RATES.names})
    exponent, value = np.concatenate(exponents), np.concatenate(values)
    rows = []
    for place in np.unique(exponent):
        binned = value[exponent == place]
        edges = 10.0 ** (np.array([place, place + 1]) / BINS_PER_DECADE)
        rows.append((*edges, binned.size, *np.quantile(binned, [0.05, 0.5, 0.95])))
    return pd.DataFrame(rows, columns=NULL_RATES.names)


def index_rows(stages: Stages, k_table: pd.DataFrame) -> pd.DataFrame:
    """The table ``indices`` but for cycle consistency: every index with its chance level.

    Directed indices are listed once per direction, "m0-m1" and "m1-m0". Shares at tau count assigned pairs
    beyond chance over the smaller side's alive latents; their chance is the share of null maxima that reach
    tau, and the untrained pairs stand beside them.
    """
    indices = share_indices(stages)
    for pair in stages.plan.all:
        indices += _partner_indices(stages, pair)
        indices += [(index, pair_name(pair)) for index in _shared_init(stages, pair)]
    for pair in stages.plan.one_basis_pairs:
        indices += [(index, pair_name(pair)) for index in _weight_indices(stages, pair)]
    indices += _disattenuated(stages)
    indices.append((_over_models(stages), "overall"))
    if (dispersion := over_dispersion(k_table)) is not None:
        indices.append((dispersion, "overall"))
    if len(stages.models) >= 4:
        at_least = k_table["fraction"].to_numpy()[::-1].cumsum()[::-1]
        alpha, offset = offset_power_law(k_table["k"].to_numpy(), at_least)
        n = int(k_table["n_features"].sum())
        # With nothing shared the curve drops from 1 to 0 at k = 2: steepest exponent, no offset.
        indices.append((Index("k_of_m_exponent", alpha, 5.0, n), "overall"))
        indices.append((Index("k_of_m_offset", offset, 0.0, n), "overall"))
    for pairs, together in ((stages.plan.model_pairs, ALL_MODELS), (stages.plan.untrained_pairs, ALL_UNTRAINED)):
        if (universal := _universal_neurons(stages, pairs)) is not None:
            indices.append((universal, together))
    kinds = stages.plan.kinds
    of_raw = [matching.indices.assign(kind=kinds[pair_name(pair)]) for pair, matching in stages.spaces.items()]
    tables = [index_table(indices, stages.plan), *of_raw]
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


def _partner_indices(stages: Stages, pair: Pair) -> list[tuple[Index, str]]:
    matching, null = stages.matchings[pair], stages.nulls[pair]
    a, b = (stages.dictionaries[name] for name in pair)
    if not (a.n_alive and b.n_alive):
        return []
    mutual = mutual_nearest(matching.best_a.partner, matching.best_b.partner, a.n_alive, b.n_alive)
    indices = [(mutual, pair_name(pair))]
    for direction, side, best, maxima in (
        (pair, a, matching.best_a, null.plain_a),
        ((pair[1], pair[0]), b, matching.best_b, null.plain_b),
    ):
        mass = side.statistics.mass * side.alive
        weights = {"mppc": side.alive / side.n_alive, "weighted_mppc": mass / max(mass.sum(), 1e-300)}
        median = float(np.median(best.r[side.alive]))
        chance = float(np.median(maxima[:, side.alive]))
        indices.append((Index("bricken_median", median, chance, side.n_alive), pair_name(direction)))
        for place, (name, weight) in enumerate(weights.items()):
            index = _mppc(name, weight, best, maxima, place, stages.config.confidence, side.n_alive)
            indices.append((index, pair_name(direction)))
    return indices


def _mppc(
    name: str,
    weight: np.ndarray,
    best: BestPartners,
    maxima: np.ndarray,
    place: int,
    confidence: float,
    n: int,
) -> Index:
    """Mean over one side's alive latents of the highest held-out r over the other side, with ``weight`` (d_sae,).

    ``place`` is the row of ``best.means`` that was resampled with that weight: 0 plain, 1 by activation mass.
    """
    value = float(weight @ best.r)
    low, high = centred_interval(value, best.means[place], confidence)
    return Index(name, value, float((maxima @ weight).mean()), n, low, high)


def _weight_indices(stages: Stages, pair: Pair) -> list[Index]:
    if not all(name in stages.weights for name in pair):
        return []
    (dec_a, enc_a), (dec_b, enc_b) = (stages.weights[name] for name in pair)
    alive = (stages.dictionaries[pair[0]].alive, stages.dictionaries[pair[1]].alive)
    if not (alive[0].any() and alive[1].any()):
        return []
    encoders = None if enc_a is None or enc_b is None else (enc_a, enc_b)
    return decoder_indices((dec_a, dec_b), encoders, alive, generator(stages.root_seed, "weights", *pair))


def _universal_neurons(stages: Stages, pairs: tuple[Pair, ...]) -> Index | None:
    """Gurnee's share of universal neurons of all models of some pairs."""
    excess: dict[str, list[np.ndarray]] = {}
    for pair in pairs:
        if pair in stages.spaces:
            for name, of_neurons in zip(pair, stages.spaces[pair].excess, strict=True):
                excess.setdefault(name, []).append(of_neurons)
    return universal_neurons(list(excess.values()))


def _shared_init(stages: Stages, pair: Pair) -> list[Index]:
    names = sorted(pair)  # which side is shuffled must not depend on the order of the models
    weights = [stages.weights[name][0] for name in names if name in stages.weights]
    decoders = (weights[0], weights[1]) if len(weights) == 2 else None
    sizes = (stages.dictionaries[names[0]].d_sae, stages.dictionaries[names[1]].d_sae)
    rng = generator(stages.root_seed, "shared-init", *names)
    pairs = stages.matchings[pair].pairs
    ia, ib = pairs["latent_a"].to_numpy(), pairs["latent_b"].to_numpy()
    return shared_initialisation(ia, ib, sizes, decoders, rng)


def _median_r(stages: Stages, pair: Pair) -> float:
    r = stages.matchings[pair].pairs["r_held_out"]
    return float(r.median()) if len(r) else 0.0


def _disattenuated(stages: Stages) -> list[tuple[Index, str]]:
    """Median r over the geometric mean of what both models reach with their own replicates, where both reach tau.

    Chance is the median of the null maxima over the same mean.
    """
    replicate_r = dict.fromkeys(stages.models, 0.0)
    for model, replicate in stages.plan.replicate_pairs:
        replicate_r[model] = max(replicate_r[model], _median_r(stages, (model, replicate)))
    indices = []
    for pair in stages.plan.model_pairs:
        a, b = (replicate_r[model] for model in pair)
        if min(a, b) >= stages.config.tau:
            scale = float(np.sqrt(a * b))
            alive = stages.dictionaries[pair[0]].alive
            chance = float(np.median(stages.nulls[pair].plain_a[:, alive])) / scale
            n = len(stages.matchings[pair].pairs)
            index = Index("disattenuated_r", _median_r(stages, pair) / scale, chance, n)
            indices.append((index, pair_name(pair)))
    return indices


def _over_models(stages: Stages) -> Index:
    """Mean over pairs of the median r, with the jackknife over models (M >= 4) or the range over pairs."""
    medians = {pair: _median_r(stages, pair) for pair in stages.plan.model_pairs}
    maxima = [stages.null_maxima(pair) for pair in medians]
    value = float(np.mean(list(medians.values())))
    chance = float(np.mean([np.median(values) if values.size else 0.0 for values in maxima]))
    low, high = over_models(medians, stages.config.confidence)
    if np.isnan(low):
        low, high = min(medians.values()), max(medians.values())
    return Index("mean_of_median_r", value, chance, len(medians), low, high)
