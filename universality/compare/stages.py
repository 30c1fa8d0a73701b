"""Everything the assembly needs, and the order in which models and pairs are named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from scipy import sparse

from universality.compare.chance import PairNull
from universality.compare.compare_config import CompareConfig
from universality.compare.neurons import NeuronMatching
from universality.compare.pairing import BestPartners, PairMatching, swapped_similarity
from universality.compare.statistics import LatentStatistics
from universality.correlation import TopSimilarity
from universality.errors import InputError, must_be
from universality.rows import Rows

Pair = tuple[str, str]


def pair_name(pair: Pair) -> str:
    """``"m0-m1"``."""
    return f"{pair[0]}-{pair[1]}"


@dataclass(frozen=True)
class PairPlan:
    """Which dictionaries are compared, in the order of the models as given.

    Attributes:
        features: pairs of primary dictionaries. ceiling: (model, its replicate). untrained: pairs of untrained.
    """

    features: tuple[Pair, ...]
    ceiling: tuple[Pair, ...]
    untrained: tuple[Pair, ...]

    @property
    def all(self) -> tuple[Pair, ...]:
        """Every pair that needs similarity, null and matching."""
        return self.features + self.ceiling + self.untrained


def plan_pairs(
    models: tuple[str, ...], replicate_of: Mapping[str, str], untrained: tuple[str, ...]
) -> PairPlan:
    """Pairs of a comparison: all models with each other, each replicate with its model, all untrained."""
    return PairPlan(
        tuple(combinations(models, 2)),
        tuple((model, replicate) for replicate, model in replicate_of.items()),
        tuple(combinations(untrained, 2)),
    )


def replicate_names(names: Any, models: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """What each replicate is called and which model it belongs to.

    A key is a model's id (its replicate is then called ``"<model>r"``) or a replicate's own id,
    ``"<model>r"`` or ``"<model>r<number>"``.

    Returns:
        ``{key: (replicate id, model id)}``.

    Raises:
        InputError: a key that names no model.
    """
    found = {}
    for key in names:
        match = re.fullmatch(r"(.+)r\d*", str(key))
        if key in models:
            found[key] = (f"{key}r", key)
        elif match and match[1] in models:
            found[key] = (str(key), match[1])
        else:
            legal = ", ".join(f"{model}r" for model in models)
            remedy = "Name a replicate after its model."
            raise InputError(must_be("names", "replicates", f"among {legal}", key, remedy))
    return found


@dataclass(frozen=True, eq=False)
class Side:
    """A matching seen from one of its two models.

    Attributes:
        best: best held-out partners of this model's latents.
        partner: (n,) assigned latent of the other model, -1 if none. r: its held-out r, 0 if none.
        q: (n,) of the assigned pair, 1 if none. level: (n,) of the assigned pair, "untested" if none.
    """

    best: BestPartners
    partner: np.ndarray
    r: np.ndarray
    q: np.ndarray
    level: np.ndarray


@dataclass(frozen=True, eq=False)
class Stages:
    """Inputs and results of all earlier stages, by model or by pair (in the order of the plan).

    Attributes:
        models, replicate_of, untrained: ids; ``replicate_of`` maps replicate to model.
        acts: CSR by model and by untrained model (replicates are not needed any more).
        rows: the rows of all of them.
        statistics: by every id.
        similarities, nulls, matchings: by pair of :func:`plan_pairs`.
        neurons: by pair of models; empty without raw activations.
        raw, untrained_raw: raw activations by id; empty where not given.
        logits: by model: (d_in, d_vocab), the linear map from raw activations to the logits; may be empty.
        weights: by model and replicate: (W_dec, W_enc transposed or None), both (d_sae, d_in); may be empty.
        config, root_seed, threads: settings.
    """

    models: tuple[str, ...]
    replicate_of: Mapping[str, str]
    untrained: tuple[str, ...]
    acts: Mapping[str, sparse.csr_matrix]
    rows: Rows
    statistics: Mapping[str, LatentStatistics]
    similarities: Mapping[Pair, TopSimilarity]
    nulls: Mapping[Pair, PairNull]
    matchings: Mapping[Pair, PairMatching]
    config: CompareConfig
    root_seed: int
    neurons: Mapping[Pair, NeuronMatching] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)
    untrained_raw: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, tuple[np.ndarray, np.ndarray | None]] = field(default_factory=dict)
    logits: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None

    @property
    def plan(self) -> PairPlan:
        """The pairs of the comparison."""
        return plan_pairs(self.models, self.replicate_of, self.untrained)

    def similarity(self, model: str, other: str) -> TopSimilarity:
        """Candidates with ``model`` as side a."""
        if (model, other) in self.similarities:
            return self.similarities[model, other]
        return swapped_similarity(self.similarities[other, model])

    def side(self, model: str, other: str) -> Side:
        """The matching of two dictionaries, seen from ``model``."""
        found = self.matchings.get((model, other))
        matching = self.matchings[other, model].swapped() if found is None else found
        n = self.statistics[model].alive.size
        partner, r, q = np.full(n, -1, np.int64), np.zeros(n), np.ones(n)
        level = np.full(n, "untested", dtype=object)
        pairs = matching.pairs
        at = pairs["latent_a"].to_numpy()
        for target, column in ((partner, "latent_b"), (r, "r_held_out"), (q, "q"), (level, "level")):
            target[at] = pairs[column].to_numpy()
        return Side(matching.best_a, partner, r, q, level)
