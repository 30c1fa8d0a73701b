"""Figures of a comparison: medians with their intervals, indices with their chance, the curves behind them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from universality.compare.neurons import index_table
from universality.compare.pairing import BestPartners
from universality.compare.shared_init import shared_initialisation
from universality.compare.stages import Pair, Stages, pair_name
from universality.indices import Index, decoder_indices, mutual_nearest, offset_power_law
from universality.intervals import centred_interval, percentile_interval
from universality.seeds import generator

HEADLINE_COLUMNS = ("quantity", "pair", "value", "low", "high", "n")
BASELINE_COLUMNS = ("kind", "model_a", "latent_a", "model_b", "latent_b", "r_held_out", "r_token")
NULL_COLUMNS = ("pair", "kind", "quantile", "value")
RATE_COLUMNS = ("left", "right", "n", "p05", "p50", "p95")
BINS_PER_DECADE = 4
"""Of the firing rate, in ``null_rates``."""


def headline_table(stages: Stages) -> pd.DataFrame:
    """quantity, pair, value, low, high, n; "overall" first; quantities that were not measured have no rows.

    features, neurons, ceiling, untrained: median held-out r of assigned pairs, with the interval over
    resampled documents (the same draws for all pairs, so that "overall", over all pairs together, has one
    too). token_conditional: the same of the token-conditional r of feature pairs.
    null_p95: 95th percentile of the null maxima of both sides; its interval is over shifts.
    """
    plan, rows = stages.plan, []
    kinds = {"features": plan.features, "ceiling": plan.ceiling, "untrained": plan.untrained}
    for kind, pairs in kinds.items():
        found = {p: (stages.matchings[p].pairs["r_held_out"], stages.matchings[p].resampled) for p in pairs}
        rows += _medians(kind, found, stages.config.confidence)
    found = {p: (m.pairs["r_held_out"], m.resampled) for p, m in stages.neurons.items()}
    rows += _medians("neurons", found, stages.config.confidence)
    rows += _null_rows(stages)
    if stages.rows.tokens is not None:
        matched = {p: stages.matchings[p] for p in plan.features}
        found = {p: (m.pairs["r_token"], m.resampled_token) for p, m in matched.items()}
        rows += _medians("token_conditional", found, stages.config.confidence)
    return pd.DataFrame(rows, columns=list(HEADLINE_COLUMNS))


def _medians(
    quantity: str, found: dict[Pair, tuple[pd.Series, np.ndarray]], confidence: float
) -> list[tuple[object, ...]]:
    """Rows of one quantity; centred intervals also fit draws of a choice of pairs."""
    parts = {pair_name(pair): (r.to_numpy(float), draws) for pair, (r, draws) in found.items() if len(r)}
    if not parts:
        return []
    together = [np.concatenate(side) for side in zip(*parts.values(), strict=True)]
    rows = []
    for name, (r, draws) in {"overall": together, **parts}.items():
        value = float(np.median(r))
        rows.append(
            (quantity, name, value, *centred_interval(value, np.median(draws, axis=0), confidence), r.size)
        )
    return rows


def _null_rows(stages: Stages) -> list[tuple[object, ...]]:
    rows, pooled = [], []
    for pair in stages.plan.features:
        null = stages.nulls[pair]
        alive = [stages.statistics[name].alive for name in pair]
        values = np.concatenate([null.plain_a[:, alive[0]], null.plain_b[:, alive[1]]], axis=1)
        if values.size:
            pooled.append(values)
            rows.append(_null_row(pair_name(pair), values, stages.config.confidence))
    if not pooled:
        return []
    return [_null_row("overall", np.concatenate(pooled, axis=1), stages.config.confidence), *rows]


def _null_row(name: str, values: np.ndarray, confidence: float) -> tuple[object, ...]:
    low, high = percentile_interval(np.quantile(values, 0.95, axis=1), confidence)
    return ("null_p95", name, float(np.quantile(values, 0.95)), float(low), float(high), values.size)


def baseline_table(stages: Stages) -> pd.DataFrame:
    """kind (features|neurons|ceiling|untrained), model_a, latent_a, model_b, latent_b, r_held_out, r_token."""
    plan, parts = stages.plan, []
    for kind, pairs in (
        ("features", plan.features),
        ("ceiling", plan.ceiling),
        ("untrained", plan.untrained),
    ):
        parts += [stages.matchings[pair].pairs.assign(kind=kind) for pair in pairs]
    parts += [matching.pairs.assign(kind="neurons", r_token=np.nan) for matching in stages.neurons.values()]
    return pd.concat(parts, ignore_index=True)[list(BASELINE_COLUMNS)]


def null_quantile_table(stages: Stages) -> pd.DataFrame:
    """pair, kind (plain|domain), quantile, value; pairs of models."""
    parts = []
    for pair in stages.plan.features:
        alive = [stages.statistics[name].alive for name in pair]
        parts.append(stages.nulls[pair].quantiles(*alive).assign(pair=pair_name(pair)))
    return pd.concat(parts, ignore_index=True)[list(NULL_COLUMNS)]


def null_rate_table(stages: Stages) -> pd.DataFrame:
    """left, right, n, p05, p50, p95: quantiles of the null maxima by the latent's firing rate, pairs of models pooled.

    Bins ``[left, right)`` are quarters of a factor of ten, up to 1, which the last one includes; n counts null maxima,
    and bins without any have no row.
    """
    exponents, values = [], []
    for a, b in stages.plan.features:
        null = stages.nulls[a, b]
        for name, maxima in ((a, null.plain_a), (b, null.plain_b)):
            statistics = stages.statistics[name]
            rate = statistics.firing_rate[statistics.alive]
            exponent = np.floor(np.log10(rate) * BINS_PER_DECADE + 1e-9).clip(max=-1)
            exponents.append(np.broadcast_to(exponent, (len(maxima), rate.size)).ravel())
            values.append(maxima[:, statistics.alive].ravel())
    if not sum(map(len, values)):
        return pd.DataFrame({name: np.zeros(0) for name in RATE_COLUMNS})
    exponent, value = np.concatenate(exponents), np.concatenate(values)
    rows = []
    for place in np.unique(exponent):
        mine = value[exponent == place]
        edges = 10.0 ** (np.array([place, place + 1]) / BINS_PER_DECADE)
        rows.append((*edges, mine.size, *np.quantile(mine, [0.05, 0.5, 0.95])))
    return pd.DataFrame(rows, columns=list(RATE_COLUMNS))


def index_rows(stages: Stages, k_table: pd.DataFrame) -> pd.DataFrame:
    """The table ``indices`` but for cycle consistency: every index with its chance level.

    Directed indices are listed once per direction, "m0-m1" and "m1-m0". Shares at tau count assigned pairs
    beyond chance over the smaller side's alive latents; their chance is the share of null maxima that reach
    tau, and the untrained pairs beside them are their floor.
    """
    found: list[tuple[Index, str]] = []
    for pair in stages.plan.all:
        found += [(index, pair_name(pair)) for index in _shares(stages, pair)]
        found += _partner_indices(stages, pair)
        found += [(index, pair_name(pair)) for index in _shared_init(stages, pair)]
    for pair in stages.plan.ceiling:
        found += [(index, pair_name(pair)) for index in _weight_indices(stages, pair)]
    found += _disattenuated(stages)
    found += [(index, "overall") for index in _over_models(stages)]
    if len(stages.models) >= 4:
        at_least = k_table["fraction"].to_numpy()[::-1].cumsum()[::-1]
        alpha, offset = offset_power_law(k_table["k"].to_numpy(), at_least)
        n = int(k_table["n_features"].sum())
        # With nothing shared the curve drops from 1 to 0 at k = 2: steepest exponent, no offset.
        found += [(Index("k_of_m_exponent", alpha, 5.0, n), "overall")]
        found += [(Index("k_of_m_offset", offset, 0.0, n), "overall")]
    tables = [index_table(found)] + [matching.indices for matching in stages.neurons.values()]
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


def _shares(stages: Stages, pair: Pair) -> list[Index]:
    config, matching, null = stages.config, stages.matchings[pair], stages.nulls[pair]
    alive = [stages.statistics[name].alive for name in pair]
    n = int(min(side.sum() for side in alive))
    if not n:
        return []
    maxima = np.concatenate([null.plain_a[:, alive[0]].ravel(), null.plain_b[:, alive[1]].ravel()])
    chance = float((maxima >= config.tau).mean())
    pairs = matching.pairs
    beyond = (pairs["q"] < config.alpha).to_numpy()
    above = beyond & (pairs["r_held_out"] >= config.tau).to_numpy()
    level = pairs["level"].to_numpy()
    out = []
    for name in ("", "_context", "_token", "_domain", "_untested"):
        kept = above if not name else above & (level == name[1:])
        if name == "_untested" and not kept.any():
            continue
        if name in ("_context", "_token", "_domain") and above.any() and (level[above] == "untested").all():
            continue  # not 0: nobody could tell
        draws = (matching.resampled >= config.tau) & (beyond if not name else beyond & (level == name[1:]))[
            :, None
        ]
        value = float(kept.sum() / n)
        low, high = centred_interval(value, draws.sum(axis=0) / n, config.confidence)
        out.append(Index(f"shared_fraction{name}", value, chance, n, max(low, 0.0), min(high, 1.0)))
    return out


def _partner_indices(stages: Stages, pair: Pair) -> list[tuple[Index, str]]:
    matching, null = stages.matchings[pair], stages.nulls[pair]
    one, two = (stages.statistics[name] for name in pair)
    n_a, n_b = int(one.alive.sum()), int(two.alive.sum())
    if not (n_a and n_b):
        return []
    out = [(mutual_nearest(matching.best_a.partner, matching.best_b.partner, n_a, n_b), pair_name(pair))]
    for name, statistics, best, maxima in (
        (pair_name(pair), one, matching.best_a, null.plain_a),
        (pair_name((pair[1], pair[0])), two, matching.best_b, null.plain_b),
    ):
        alive, mass = statistics.alive, statistics.mass * statistics.alive
        plain = alive / alive.sum()
        for place, (index, weight) in enumerate(
            (("mppc", plain), ("weighted_mppc", mass / max(mass.sum(), 1e-300)))
        ):
            out.append(
                (_mppc(index, weight, best, maxima, place, stages.config.confidence, int(alive.sum())), name)
            )
    return out


def _mppc(
    name: str,
    weight: np.ndarray,
    best: BestPartners,
    maxima: np.ndarray,
    place: int,
    confidence: float,
    n: int,
) -> Index:
    """Mean over a's alive latents of the highest held-out r over b, plain or weighted by activation mass."""
    value = float(weight @ best.r)
    low, high = centred_interval(value, best.means[place], confidence)
    return Index(name, value, float((maxima @ weight).mean()), n, low, high)


def _weight_indices(stages: Stages, pair: Pair) -> list[Index]:
    if not all(name in stages.weights for name in pair):
        return []
    (dec_a, enc_a), (dec_b, enc_b) = (stages.weights[name] for name in pair)
    alive = (stages.statistics[pair[0]].alive, stages.statistics[pair[1]].alive)
    if not (alive[0].any() and alive[1].any()):
        return []
    encoders = None if enc_a is None or enc_b is None else (enc_a, enc_b)
    return decoder_indices((dec_a, dec_b), encoders, alive, generator(stages.root_seed, "weights", *pair))


def _shared_init(stages: Stages, pair: Pair) -> list[Index]:
    pairs = stages.matchings[pair].pairs
    named = sorted(pair)  # which side is shuffled must not depend on the order of the models
    weights = [stages.weights[name][0] for name in named if name in stages.weights]
    decoders = (weights[0], weights[1]) if len(weights) == 2 else None
    n_a, n_b = (stages.statistics[name].alive.size for name in named)
    rng = generator(stages.root_seed, "shared-init", *named)
    ia, ib = pairs["latent_a"].to_numpy(), pairs["latent_b"].to_numpy()
    return shared_initialisation(ia, ib, (n_a, n_b), decoders, rng)


def _median_r(stages: Stages, pair: Pair) -> float:
    r = stages.matchings[pair].pairs["r_held_out"]
    return float(r.median()) if len(r) else 0.0


def _disattenuated(stages: Stages) -> list[tuple[Index, str]]:
    """Median r over the geometric mean of both ceilings, only where both reach tau; chance the same of the null."""
    ceiling: dict[str, float] = {}
    for model, replicate in stages.plan.ceiling:
        ceiling[model] = max(ceiling.get(model, 0.0), _median_r(stages, (model, replicate)))
    out = []
    for pair in stages.plan.features:
        both = [ceiling.get(model, 0.0) for model in pair]
        if min(both) >= stages.config.tau:
            scale = float(np.sqrt(both[0] * both[1]))
            alive = stages.statistics[pair[0]].alive
            chance = float(np.median(stages.nulls[pair].plain_a[:, alive])) / scale
            n = len(stages.matchings[pair].pairs)
            out.append(
                (Index("disattenuated_r", _median_r(stages, pair) / scale, chance, n), pair_name(pair))
            )
    return out


def _over_models(stages: Stages) -> list[Index]:
    """Mean over pairs of the median r, with the jackknife over models (M >= 4) or the range over pairs.

    Models are never drawn with replacement: a model compared with itself has r = 1.
    """
    plan = stages.plan.features
    medians = {pair: _median_r(stages, pair) for pair in plan}
    value = float(np.mean(list(medians.values())))
    chance = float(
        np.mean([np.median(_maxima(stages, pair)) if _maxima(stages, pair).size else 0.0 for pair in plan])
    )
    low, high = min(medians.values()), max(medians.values())
    if len(stages.models) >= 4:
        ids = sorted(stages.models)
        left_out = np.array([np.mean([r for pair, r in medians.items() if m not in pair]) for m in ids])
        m = left_out.size
        spread = 1.96 * float(np.sqrt((m - 1) / m * ((left_out - left_out.mean()) ** 2).sum()))
        low, high = value - spread, value + spread
    return [Index("mean_of_median_r", value, chance, len(plan), low, high)]


def _maxima(stages: Stages, pair: Pair) -> np.ndarray:
    null, alive = stages.nulls[pair], [stages.statistics[name].alive for name in pair]
    return np.concatenate([null.plain_a[:, alive[0]].ravel(), null.plain_b[:, alive[1]].ravel()])
