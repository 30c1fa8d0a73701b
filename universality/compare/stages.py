"""A comparison on its way: its dictionaries, its pairs, and what each pairwise stage has made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from universality.brief_repr import brief_repr
from universality.compare.chance import PairNull, pair_null
from universality.compare.compare_config import CompareConfig
from universality.compare.coordinates import model_coordinates
from universality.compare.pair import Dictionary, DictionaryPair
from universality.compare.pair_plan import Pair, PairPlan
from universality.compare.pairing import BestPartners, PairMatching, pair_matching, pair_similarity
from universality.compare.spaces import SpaceMatching, pair_spaces
from universality.correlation import TopSimilarity
from universality.rows import Rows


@dataclass(frozen=True, eq=False)
class Partners:
    """The partners that the latents of one dictionary have in another, one entry per latent.

    Attributes:
        best: partners of highest held-out r.
        partner: (n,) assigned latent of the other dictionary, -1 if none.
        r: (n,) its held-out r, 0 if none.
        q: (n,) of the assigned pair, 1 if none.
        level: (n,) of the assigned pair, "untested" if none.
    """

    best: BestPartners
    partner: np.ndarray
    r: np.ndarray
    q: np.ndarray
    level: np.ndarray


@brief_repr
@dataclass(frozen=True, eq=False)
class Stages:
    """Inputs and results of all stages before the tables, by id or by pair (in the order of the plan).

    Attributes:
        plan: ids by role, and the pairs.
        dictionaries: every dictionary of the plan by id, all over the same rows.
        config, root_seed, threads: settings.
        raw, untrained_raw: raw activations (n_rows, d_in) by id; empty where not given.
        weights: by id of any dictionary: (W_dec, W_enc transposed or None), both (d_sae, d_in); may be empty.
        logits: by model: (d_in, d_vocab), the linear map from raw activations to the logits; may be empty.
        similarities, nulls, matchings: by pair; empty until that stage is done.
        spaces: by pair of models, and of untrained models; empty without raw activations.
    """

    plan: PairPlan
    dictionaries: Mapping[str, Dictionary]
    config: CompareConfig
    root_seed: int
    raw: Mapping[str, Any] = field(default_factory=dict)
    untrained_raw: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, tuple[np.ndarray, np.ndarray | None]] = field(default_factory=dict)
    logits: Mapping[str, Any] = field(default_factory=dict)
    similarities: Mapping[Pair, TopSimilarity] = field(default_factory=dict)
    nulls: Mapping[Pair, PairNull] = field(default_factory=dict)
    matchings: Mapping[Pair, PairMatching] = field(default_factory=dict)
    spaces: Mapping[Pair, SpaceMatching] = field(default_factory=dict)
    threads: int | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Ids of the models, in the order given."""
        return self.plan.models

    @property
    def rows(self) -> Rows:
        """The rows that all dictionaries share."""
        return self.dictionaries[self.models[0]].rows

    def pair(self, names: Pair) -> DictionaryPair:
        """Two dictionaries side by side, with the settings."""
        a, b = (self.dictionaries[name] for name in names)
        return DictionaryPair(a, b, self.config, self.root_seed, self.threads)

    def with_candidates(self) -> Stages:
        """The same with similarity and null of every pair computed."""
        pairs = {names: self.pair(names) for names in self.plan.all}
        return replace(
            self,
            similarities={names: pair_similarity(pair) for names, pair in pairs.items()},
            nulls={names: pair_null(pair) for names, pair in pairs.items()},
        )

    def with_matchings(self, *, token_interval: bool = True) -> Stages:
        """The same with every pair matched, from its similarity and null; see :func:`pair_matching`."""
        return replace(
            self,
            matchings={
                names: pair_matching(
                    self.pair(names), self.similarities[names], self.nulls[names],
                    token_interval=token_interval and names in self.plan.model_pairs,
                )
                for names in self.plan.all
            },
        )  # fmt: skip

    def with_spaces(self) -> Stages:
        """The same with other coordinates of the raw activations matched, of every two transformers that have these."""
        raw = {**self.raw, **self.untrained_raw}
        made = {
            name: model_coordinates(x, self.dictionaries[name], self.root_seed)
            for name, x in raw.items()
            if name in self.dictionaries
        }
        one = self.plan.same_transformer_pairs  # the very same coordinates
        pairs = [pair for pair in (*self.plan.model_pairs, *self.plan.untrained_pairs) if pair not in one]
        pairs = [pair for pair in pairs if made.keys() >= {*pair}]
        return replace(
            self,
            spaces={
                (a, b): pair_spaces((raw[a], raw[b]), (made[a], made[b]), self.pair((a, b)), intervals=a in self.raw)
                for a, b in pairs
            },
        )

    @property
    def neurons(self) -> dict[Pair, SpaceMatching]:
        """Of ``spaces`` the pairs of models, whose neurons are a baseline of their own."""
        return {pair: self.spaces[pair] for pair in self.plan.model_pairs if pair in self.spaces}

    def null_maxima(self, names: Pair) -> np.ndarray:
        """(n_shifts, alive latents of both sides) null maxima of a pair, rows shifted anywhere."""
        return self.nulls[names].pooled(*(self.dictionaries[name].alive for name in names))

    def similarity(self, name: str, other: str) -> TopSimilarity:
        """Candidates with the dictionary ``name`` as side a."""
        if (name, other) in self.similarities:
            return self.similarities[name, other]
        return self.similarities[other, name].swapped()

    def partners(self, name: str, other: str) -> Partners:
        """The partners of one dictionary's latents in another."""
        matching = self.matchings.get((name, other)) or self.matchings[other, name].swapped()
        n, pairs = self.dictionaries[name].d_sae, matching.pairs
        latents = pairs["latent_a"].to_numpy()

        def spread(column: str, unassigned: Any, dtype: Any) -> np.ndarray:
            values = np.full(n, unassigned, dtype=dtype)
            values[latents] = pairs[column].to_numpy()
            return values

        return Partners(
            matching.best_a,
            spread("latent_b", -1, np.int64),
            spread("r_held_out", 0.0, np.float64),
            spread("q", 1.0, np.float64),
            spread("level", "untested", object),
        )
