"""Of two dictionaries: whether matched latents do the same, beside partners that should not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from universality.brief_repr import brief_repr
from universality.compare.pair import Dictionary, DictionaryPair
from universality.correlation import TopSimilarity
from universality.effects.agreement import EffectAgreement, effect_agreement
from universality.effects.controls import hard_exchange, random_partner, runner_up
from universality.effects.predictions import Predictions
from universality.effects.sampled_agreement import SampledLoss, sampled_agreement
from universality.effects.sampling import EntrySample
from universality.effects.substitution import SubstitutedLosses, scaling_factors, substituted_losses
from universality.intervals import percentile_interval
from universality.rows import Rows
from universality.seeds import generator
from universality.table_schemas import TABLES

EFFECTS = TABLES["effects"]
#: What a matched pair is called, by the kind of the two dictionaries.
MATCHED_KINDS = {"features": "matched", "ceiling": "ceiling", "untrained": "floor"}
#: Controls whose partners are not put in each other's place: they cost as much and say what the others say.
UNSUBSTITUTED = ("random", "random_direction")
CLASSES = ("same_effect", "other_effect", "undecided")


@dataclass(frozen=True, eq=False)
class EffectSide:
    """What one side brings.

    Attributes:
        dictionary: activations over all rows.
        loss: CSR (n_rows, d_sae) fingerprints (:class:`universality.effects.ablation.Fingerprints`).
        loss_random: the same with a random direction of equal norm in each latent's place.
        directions: (d_sae, d_in), rows of the decoder.
        predictions: of the model at the rows of the substitution; None leaves substitution out.
        scale: by which the dictionary scales what it adds at these rows; 1 by default.
        sample: which firings of the rows were measured; all by default. With the same lots on both sides.
        ablated: (d_sae,) bool, latents that were ablated; all by default.
    """

    dictionary: Dictionary
    loss: sparse.csr_matrix
    loss_random: sparse.csr_matrix
    directions: np.ndarray
    predictions: Predictions | None = None
    scale: np.ndarray | None = None
    sample: EntrySample | None = None
    ablated: np.ndarray | None = None


@brief_repr
@dataclass(frozen=True, eq=False)
class PairEffects:
    """Effects of the pairs of two dictionaries, matched ones and controls.

    Attributes:
        table: columns ``universality.table_schemas.TABLES["effects"]``.
        resampled, resampled_both: (n_rows, n_resamples) float32 draws of r_effect and r_effect_both.
        substituted, ablated: (n_rows, n_sources) float32 sums of :class:`SubstitutedLosses`, NaN where not measured.
    """

    table: pd.DataFrame
    resampled: np.ndarray
    resampled_both: np.ndarray
    substituted: np.ndarray
    ablated: np.ndarray

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All content besides the table as named arrays, for storage."""
        return {name: value for name, value in vars(self).items() if name != "table"}

    @classmethod
    def from_stored(cls, table: pd.DataFrame, arrays: Mapping[str, np.ndarray]) -> PairEffects:
        """The inverse of :meth:`to_arrays`."""
        return cls(table, **{name: np.asarray(arrays[name]) for name in cls.__dataclass_fields__ if name != "table"})


def source_draws(rows: Rows, n_resamples: int, root_seed: int, numbers: np.ndarray) -> np.ndarray:
    """(n_resamples, n_sources) how often each source of some score rows is drawn, as for every other interval.

    Args:
        rows: the evaluation rows. n_resamples: resamples. root_seed: of the comparison.
        numbers: score rows whose sources are wanted; all score rows draw together.
    """
    known = np.unique(rows.groups[rows.score])
    rng = generator(root_seed, "document-bootstrap")
    weights = rng.multinomial(known.size, np.full(known.size, 1.0 / known.size), size=n_resamples)
    return weights[:, np.isin(known, rows.groups[numbers])]


def pair_effects(
    pair: DictionaryPair,
    a: EffectSide,
    b: EffectSide,
    matched: pd.DataFrame,
    similarity: TopSimilarity,
    rows: np.ndarray,
    substituted: np.ndarray,
    *,
    kind: str,
    weights: np.ndarray | None = None,
) -> PairEffects:
    """Measure every assigned pair, and between trained models its latents with other partners too.

    Args:
        pair: the dictionaries and the settings. Controls keep the latent of a and exchange the partner in b.
        a, b: what either side brings.
        matched: assigned pairs (columns ``latent_a, latent_b, r_held_out, level, edge``).
        similarity: candidates on fit rows.
        rows: (n_rows,) int, score rows (numbers of evaluation rows) that the fingerprints are of.
        substituted: int, which of these (places in ``rows``) the substitution is measured on.
        kind: features, ceiling or untrained: what the two dictionaries are to each other.
        weights: (n_pairs,) how many assigned pairs each one stands for where only some were chosen to be measured
            (:func:`universality.effects.choice.choose_ablated`), 0 for the others; 1 by default.

    Returns:
        :class:`PairEffects`; pairs that were not chosen are in it, with nothing measured.
    """
    weights = np.ones(len(matched)) if weights is None else weights
    partners = _partners(pair, matched, similarity, kind, weights > 0, b.ablated)
    sources = pair.rows.groups[rows]
    resamples = source_draws(pair.rows, pair.config.n_resamples, pair.root_seed, rows)
    parts, draws = [], []
    for name, (chosen, indices_b) in partners.items():
        indices_a, on = matched["latent_a"].to_numpy(np.int64)[chosen], weights[chosen] > 0
        loss_b = b.loss_random if name == "random_direction" else b.loss
        some = indices_a[on], indices_b[on]
        if a.sample is None or b.sample is None:
            agreed = effect_agreement(a.loss, loss_b, *some, sources, resamples, threads=pair.threads)
        else:
            measured = SampledLoss(a.sample, a.loss), SampledLoss(b.sample, loss_b)
            agreed = sampled_agreement(*measured, *some, sources, resamples)
        agreed = EffectAgreement(**{of: _scattered(value, on) for of, value in vars(agreed).items()})
        lost = _substituted((a, b), some, rows, substituted, sources, name)
        lost = SubstitutedLosses(_scattered(lost.substituted, on), _scattered(lost.ablated, on))
        ends = {}
        for column, drawn in (("r_effect", agreed.resampled), ("r_effect_both", agreed.resampled_both)):
            low, high = drawn_interval(drawn, pair.config.confidence)
            ends |= {f"{column}_low": low, f"{column}_high": high}
        of = matched.iloc[chosen]
        parts.append(
            pd.DataFrame(
                {
                    "model_a": pair.names[0], "latent_a": indices_a, "model_b": pair.names[1], "latent_b": indices_b,
                    "kind": name, "level": of["level"].to_numpy(), "edge": of["edge"].to_numpy(),
                    "r_held_out": of["r_held_out"].to_numpy(),
                    "r_effect": agreed.r_effect, "r_effect_both": agreed.r_effect_both, **ends,
                    "recovered": lost.recovered(), "weight": np.where(on, weights[chosen], np.nan),
                }
            )
        )  # fmt: skip
        draws.append((agreed.resampled, agreed.resampled_both, lost.substituted, lost.ablated))
    table = pd.concat(parts, ignore_index=True)
    # As text even where no pair is an edge: a column of nothing has no type in Parquet.
    classes = np.where(table["weight"].isna(), None, effect_classes(table, pair.config.tau))
    table["effect_class"] = pd.Series(classes, dtype="str")
    stacked = (np.concatenate(values).astype(np.float32) for values in zip(*draws, strict=True))
    return PairEffects(table[EFFECTS.names], *stacked)


def _scattered(values: np.ndarray, on: np.ndarray) -> np.ndarray:
    """Values (n_measured, …) of the pairs that were measured in the places of all of them, NaN elsewhere."""
    if on.all():
        return values
    out = np.full((on.size, *values.shape[1:]), np.nan)
    out[on] = values
    return out


def _partners(
    pair: DictionaryPair, matched: pd.DataFrame, similarity: TopSimilarity, kind: str, on: np.ndarray,
    ablated: np.ndarray | None,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """By kind: which assigned pairs have such a partner (numbers), and the partner in b.

    Pairs that are measured (``on``) have one that was ablated too.
    """
    ia, ib = (matched[column].to_numpy(np.int64) for column in ("latent_a", "latent_b"))
    everyone = np.arange(ia.size)
    partners = {MATCHED_KINDS[kind]: ib}
    if kind == "features":
        rng = generator(pair.root_seed, "random-partner", *pair.names)
        partners |= {
            "runner_up": runner_up(similarity, ia, ib),
            "hard_exchange": hard_exchange(pair.b, ib),
            "random": random_partner(pair.b, ib, rng),
        }
        if not on.all():
            partners["hard_exchange"][on] = hard_exchange(pair.b, ib[on])
            partners["random"][on] = random_partner(pair.b, ib[on], rng, ablated)
    partners["random_direction"] = ib
    return {name: (everyone[indices >= 0], indices[indices >= 0]) for name, indices in partners.items()}


def _substituted(
    sides: tuple[EffectSide, EffectSide], indices: tuple[np.ndarray, np.ndarray], rows: np.ndarray, some: np.ndarray,
    sources: np.ndarray, name: str,
) -> SubstitutedLosses:  # fmt: skip
    """Either latent in the other's place, both ways added up; NaN where there is nothing to run."""
    known = np.unique(sources)
    sums = np.full((2, indices[0].size, known.size), np.nan)
    if any(side.predictions is None for side in sides) or name in UNSUBSTITUTED:
        return SubstitutedLosses(*sums)
    sums[:] = 0.0
    here = np.searchsorted(known, np.unique(sources[some]))
    for (own, other), (i, j) in ((sides, indices), (sides[::-1], indices[::-1])):
        assert own.predictions is not None
        factors = scaling_factors(own.dictionary.fit, other.dictionary.fit, i, j)
        acts, partners = (side.dictionary.acts[rows[some]] for side in (own, other))
        lost = substituted_losses(
            own.predictions, acts, partners, own.loss[some], own.directions, i, j, factors, sources[some],
            scale=own.scale,
        )  # fmt: skip
        sums[:, :, here] += np.stack([lost.substituted, lost.ablated])
    return SubstitutedLosses(*sums)


def drawn_interval(draws: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles over the last axis; NaN where any draw is."""
    low, high = percentile_interval(np.nan_to_num(draws), confidence)
    undefined = np.isnan(draws).any(axis=-1)
    return np.where(undefined, np.nan, low), np.where(undefined, np.nan, high)


def effect_classes(table: pd.DataFrame, tau: float) -> np.ndarray:
    """(n_rows,) object: whether the effects of an edge agree, judged where both latents fire; None without an edge.

    ``same_effect``: the interval of r_effect_both lies at tau / 2 or above, as an interval of r must where a level is
    decided; ``other_effect``: it lies below; ``undecided``: it does neither, or is not defined.
    """
    low, high = (table[f"r_effect_both_{end}"].to_numpy(float) for end in ("low", "high"))
    classes = np.select([low >= tau / 2, high < tau / 2], CLASSES[:2], CLASSES[2]).astype(object)
    classes[~table["edge"].to_numpy(bool)] = None
    return classes
