"""Baselines under one estimator: do features of two models agree better than other coordinates of their space?

Whatever the coordinates (see :mod:`universality.compare.coordinates`), they are assigned one to one on fit rows and
measured on score rows. More candidates agree better, so beside every kind stand as many random directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from universality.blas import on_one_blas_thread
from universality.brief_repr import brief_repr
from universality.compare.coordinates import CODES, DIRECTIONS, MAX_DIRECTIONS, Coordinates
from universality.compare.levels import nested_rows
from universality.compare.pair import DictionaryPair
from universality.compare.pair_plan import PairPlan
from universality.compare.space_correlations import Assigned, RawMoments, SpaceCorrelations, code_correlations
from universality.compare.token_interval import evenly
from universality.correlation.threads import blocks
from universality.indices import Index
from universality.intervals import resampled_correlations
from universality.neuron_indices import raw_indices
from universality.seeds import generator
from universality.table_schemas import INDICES, NEURON_PAIRS, SPACE_MEANS

#: Pairs of a kind whose resamples an interval is made of, evenly spread where there are more.
MAX_DRAWN = 128
#: Arrays of :class:`SpaceMatching` with a row per pair of neurons.
_DRAWS = ("resampled", "resampled_joint")
#: Arrays of the excess correlation of either side.
_EXCESS = ("excess_a", "excess_b")


@brief_repr
@dataclass(frozen=True, eq=False)
class SpaceMatching:
    """How well coordinates of two models agree, kind by kind.

    Attributes:
        pairs: one row per assigned pair of neurons (raw coordinates), the table ``neuron_pairs``.
        resampled, resampled_joint: (n_pairs, n_resamples) float32 their r and r_joint in each resample of sources; of a
            floor there are no resamples.
        means: the table ``space_means``: every kind of coordinates, and as many random directions.
        mean_draws: kind -> (2, n_resamples) float32 mean r and mean r_joint in each resample.
        indices: the table ``indices`` of the raw activations of this pair.
        excess: excess correlation of the neurons of model a (d_a,) and of model b (d_b,), each with the other model;
            empty where the spaces are too wide for it.
    """

    pairs: pd.DataFrame
    resampled: np.ndarray
    resampled_joint: np.ndarray
    means: pd.DataFrame
    mean_draws: Mapping[str, np.ndarray]
    indices: pd.DataFrame
    excess: tuple[np.ndarray, np.ndarray]

    def swapped(self) -> SpaceMatching:
        """The same, named the other way round (indices keep their own direction)."""
        names = {"model_a": "model_b", "latent_a": "latent_b", "model_b": "model_a", "latent_b": "latent_a"}
        pairs = self.pairs.rename(columns=names)[NEURON_PAIRS.names]
        order = np.lexsort((pairs["latent_b"], pairs["latent_a"]))
        drawn = {name: getattr(self, name)[order] for name in _DRAWS}
        return replace(self, pairs=pairs.iloc[order].reset_index(drop=True), excess=self.excess[::-1], **drawn)

    def to_tables(self) -> dict[str, pd.DataFrame]:
        """Tables for storage."""
        return {"neuron_pairs": self.pairs, "space_means": self.means, "raw_indices": self.indices}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays for storage."""
        means = {f"mean_{name}": draws for name, draws in self.mean_draws.items()}
        return {name: getattr(self, name) for name in _DRAWS} | means | dict(zip(_EXCESS, self.excess, strict=True))

    @classmethod
    def from_stored(cls, tables: Mapping[str, pd.DataFrame], arrays: Mapping[str, np.ndarray]) -> SpaceMatching:
        """The inverse of :meth:`to_tables` and :meth:`to_arrays`."""
        schemas = {"neuron_pairs": NEURON_PAIRS, "space_means": SPACE_MEANS, "raw_indices": INDICES}
        pairs, means, indices = (tables[n][schema.names].reset_index(drop=True) for n, schema in schemas.items())
        draws = {name[5:]: np.asarray(array) for name, array in arrays.items() if name.startswith("mean_")}
        resampled, joint = (np.asarray(arrays[name]) for name in _DRAWS)
        excess_a, excess_b = (np.asarray(arrays[name]) for name in _EXCESS)
        return cls(pairs, resampled, joint, means, draws, indices, (excess_a, excess_b))


@on_one_blas_thread
def pair_spaces(
    raw: tuple[Any, Any], coordinates: tuple[Coordinates, Coordinates], pair: DictionaryPair, *, intervals: bool = True
) -> SpaceMatching:
    """Assign every kind of coordinates of two models on fit rows, and measure them on score rows.

    Args:
        raw: (n_rows, d) raw activations of both: arrays, memory maps, or what takes integer-array indices.
        coordinates: of both.
        pair: their dictionaries, with rows and settings; the outcome does not depend on which of them is a.
        intervals: whether to resample sources; a floor needs no interval.

    Returns:
        A :class:`SpaceMatching`. Indices in one direction (excess correlation) are listed for both.
    """
    names, config, root_seed = pair.names, pair.config, pair.root_seed
    if names[0] > names[1]:
        (x, y), (of_x, of_y) = raw, coordinates
        return pair_spaces((y, x), (of_y, of_x), pair.swapped(), intervals=intervals).swapped()
    kinds = _kinds(raw, coordinates, pair)
    assigned = {
        name: kind.assign(sizes, config.unmatched, _random(pair, name)) for name, (kind, sizes) in kinds.items()
    }
    neurons, means = assigned["neurons"], _means(kinds, assigned, pair)
    columns = {
        "model_a": names[0], "latent_a": neurons.ia, "model_b": names[1], "latent_b": neurons.ib,
        "r": neurons.fit, "r_held_out": neurons.score, "r_joint": neurons.joint,
    }  # fmt: skip
    pairs = pd.DataFrame(columns).astype({"model_a": object, "model_b": object})[NEURON_PAIRS.names]
    x, y = (np.asarray(side[np.flatnonzero(pair.rows.score)]) for side in raw)
    of_raw = raw_indices(x, y, generator(root_seed, "raw-indices", *names), config.n_rotations)
    there, back = f"{names[0]}-{names[1]}", f"{names[1]}-{names[0]}"
    by_direction = ((there, of_raw.both), (there, of_raw.ways[0]), (back, of_raw.ways[1]))
    indices = index_table([(index, way) for way, part in by_direction for index in part])
    if not intervals:
        nothing = np.zeros((neurons.ia.size, 0), np.float32)
        return SpaceMatching(pairs, nothing, nothing, means, {}, indices, of_raw.excess)
    resampled, joint = _resampled(kinds["neurons"][0], neurons, np.arange(neurons.ia.size), pair)
    draws = {"neurons": (resampled, joint)}
    for name in kinds.keys() - draws.keys():
        draws[name] = _resampled(kinds[name][0], assigned[name], evenly(assigned[name].ia.size, MAX_DRAWN), pair)
    mean_draws = {
        name: np.stack([of_pairs.mean(axis=0) for of_pairs in draws[name]]) for name in kinds if len(draws[name][0])
    }
    return SpaceMatching(pairs, resampled, joint, means, mean_draws, indices, of_raw.excess)


def _means(
    kinds: Mapping[str, tuple[SpaceCorrelations, tuple[int, int]]],
    assigned: Mapping[str, Assigned],
    pair: DictionaryPair,
) -> pd.DataFrame:
    """The table ``space_means``."""
    rows = []
    for name, of in assigned.items():
        kind, n = kinds[name]
        rows.append(space_means(name, name, min(n), of.score, of.joint, kind.best(*n)))
    if "haar" in kinds:
        haar, own = kinds["haar"]
        limit, as_many = haar.fit.shape, {own: assigned["haar"]}
        for name, (_, (n_a, n_b)) in kinds.items():
            if name == "haar":
                continue
            n = min(n_a, limit[0]), min(n_b, limit[1])
            if n not in as_many:
                as_many[n] = haar.assign(n, pair.config.unmatched, _random(pair, "haar", *n))
            rows.append(space_means("haar", name, min(n), as_many[n].score, as_many[n].joint, haar.best(*n)))
    return pd.DataFrame(rows, columns=SPACE_MEANS.names)


def _random(pair: DictionaryPair, *purpose: str | int) -> np.random.Generator:
    return generator(pair.root_seed, "space-subsets", *pair.names, *purpose)


def _kinds(
    raw: tuple[Any, Any], coordinates: tuple[Coordinates, Coordinates], pair: DictionaryPair
) -> dict[str, tuple[SpaceCorrelations, tuple[int, int]]]:
    """Every kind of coordinates with the candidates of either side that are compared.

    Random directions are as many as features are, and features also as many as neurons are, where they are more.
    """
    nested = nested_rows(pair.rows)
    moments = RawMoments(raw, nested)
    kinds = {"neurons": moments.along(None, None, signed=moments.signed)}
    for name in DIRECTIONS if all(side.directions for side in coordinates) else ():
        kinds[name] = moments.along(*(side.directions[name] for side in coordinates), signed=True)
    for name in CODES:
        kinds[name] = code_correlations((coordinates[0].codes[name], coordinates[1].codes[name]), nested)
    sized = {name: (kind, kind.fit.shape) for name, kind in kinds.items()}
    n_features = pair.a.n_alive, pair.b.n_alive
    if "haar" in kinds:
        sized["haar"] = kinds["haar"], n_features
    width = min(x.shape[1] for x in raw)
    if width < min(n_features) and max(n_features) <= MAX_DIRECTIONS:
        alive = (sparse.csr_matrix(side.acts[:, np.flatnonzero(side.alive)]) for side in (pair.a, pair.b))
        sized["features_subset"] = code_correlations((next(alive), next(alive)), nested), (width, width)
    return {name: of for name, of in sized.items() if min(of[1]) or name == "neurons"}


def space_means(space: str, like: str, n: int, r: np.ndarray, joint: np.ndarray, best: float) -> tuple[object, ...]:
    """A row of the table ``space_means`` from held-out r and r_joint (n_pairs,) of assigned pairs."""
    values = [float(of(x)) if x.size else 0.0 for x in (r, joint) for of in (np.mean, np.median)]
    return space, like, n, r.size, *values, best


def _resampled(
    kind: SpaceCorrelations, of: Assigned, chosen: np.ndarray, pair: DictionaryPair
) -> tuple[np.ndarray, np.ndarray]:
    """r and r_joint (n_chosen, n_resamples) float32 of assigned pairs in each resample of sources."""
    nested = nested_rows(pair.rows)
    half, groups = nested.halves[1], pair.rows.groups[pair.rows.score]
    out = np.full((2, chosen.size, pair.config.n_resamples), np.nan, np.float32)
    for first, last in blocks(chosen.size, MAX_DRAWN):  # dense columns of all neurons would be many
        part = chosen[first:last]
        left, right = (kind.columns(side, index[part]) for side, index in enumerate((of.ia, of.ib)))
        for place in range(2 if nested.known[2] else 1):
            if place:
                left, right = half.residual(left), half.residual(right)
            r = resampled_correlations(
                left, right, np.arange(part.size), np.arange(part.size), groups,
                n_resamples=pair.config.n_resamples, generator=generator(pair.root_seed, "document-bootstrap"),
            )  # fmt: skip
            out[place, first:last] = of.sign[part, None] * r
    return out[0], out[1]


def index_table(indices: list[tuple[Index, str]], plan: PairPlan | None = None) -> pd.DataFrame:
    """The table ``indices``; bounds are missing where none are computed. Without a plan, all are of pairs of models."""
    rows = [
        {**asdict(index), "kind": "features" if plan is None else plan.kinds[pair], "pair": pair}
        for index, pair in indices
    ]  # fmt: skip
    numbers = dict.fromkeys(("value", "chance", "low", "high", "low_models", "high_models"), float)
    return pd.DataFrame(rows, columns=INDICES.names).astype({**numbers, "n": "int64"})
