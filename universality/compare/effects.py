"""What matched latents read and write: decoder directions after a rotation, effects on the logits.

Correlation says that two latents fire together. These columns say whether they also do the same: none of
them chose a pair, so each is measured on pairs that are given, and its chance level is that of the same
latents with their partners exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import sparse

from universality.compare.pair_plan import Pair, pair_name
from universality.compare.stages import Stages
from universality.correlation import correlate_pairs
from universality.indices import MAX_ROWS, MAX_WIDTH, Index, covariances
from universality.seeds import generator
from universality.table_schemas import EFFECTS

_NAMES = tuple(column.name for column in EFFECTS)
#: Entries of a block of logit effects, and rows in which raw activations are read.
_BLOCK = 1 << 24


@dataclass(eq=False)
class Functions:
    """Computes what matched latents do, and keeps rotations and attributions that several pairs of models need.

    Attributes:
        stages: the comparison. ``logits`` and ``rows.next_tokens`` unlock the effects, ``raw`` the rotation.
    """

    stages: Stages
    _attributions: dict[str, sparse.csc_matrix] = field(default_factory=dict)
    _rotations: dict[Pair, tuple[np.ndarray, Index] | None] = field(default_factory=dict)

    def columns(self, pair: Pair, indices_a: np.ndarray, indices_b: np.ndarray) -> dict[str, np.ndarray]:
        r"""Values of :data:`universality.table_schemas.EFFECTS` of given pairs; NaN where an input is missing.

        ``cos_procrustes``: cosine of decoder directions after the rotation R that best maps the raw
        activations of a to those of b on fit rows (orthogonal Procrustes); without R it means nothing between
        models. ``r_logits``: Pearson r over the vocabulary of the effects on the logits,
        ``W_dec[a] @ logits``. ``r_attribution``: Pearson r over score rows of activation x effect on the token
        that came next, both centred over the vocabulary, as the softmax does not see a constant.

        Args:
            pair: names of both models.
            indices_a, indices_b: (n_pairs,) latents.

        Returns:
            (n_pairs,) float64 by column, each in [-1, 1].

        Source: Schönemann 1966 (Procrustes); Bricken et al. 2023 (logit-weight and attribution similarity).
        """
        columns = {name: np.full(indices_a.size, np.nan) for name in _NAMES}
        fitted = self._rotation(pair)
        if fitted is not None:
            columns["cos_procrustes"] = self._cosines(pair, fitted[0], indices_a, indices_b)
        if all(name in self.stages.logits and name in self.stages.weights for name in pair):
            columns["r_logits"] = self._logit_correlations(pair, indices_a, indices_b)
            if self.stages.rows.next_tokens is not None:
                left, right = (self._attribution(name) for name in pair)
                columns["r_attribution"] = correlate_pairs(
                    left, right, indices_a, indices_b, threads=self.stages.threads
                ).r
        return columns

    def table_and_indices(self, pairs: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[Index, str]]]:
        """The pairs with their functional columns, and each column's median with its chance level."""
        parts, indices = [], []
        for pair in self.stages.plan.model_pairs:
            part = pairs[(pairs["model_a"] == pair[0]) & (pairs["model_b"] == pair[1])]
            # Models and pairs in one order, whatever order they were given in: products round by place.
            one, two = sorted(pair)
            sides = ("a", "b") if pair == (one, two) else ("b", "a")
            ia, ib = (part[f"latent_{side}"].to_numpy(np.int64) for side in sides)
            order = np.argsort(ia)
            ia, ib = ia[order], ib[order]
            measured = self.columns((one, two), ia, ib)
            parts.append(part.assign(**{name: value[np.argsort(order)] for name, value in measured.items()}))
            if ia.size < 2:
                continue
            # Every latent keeps its values and only its partner changes; nobody keeps the own one.
            rng = generator(self.stages.root_seed, "function-chance", one, two)
            chance = self.columns((one, two), ia, np.roll(ib, int(rng.integers(1, ia.size))))
            for name in _NAMES:
                if not np.isnan(measured[name]).any():
                    value, by_chance = (float(np.median(values[name])) for values in (measured, chance))
                    indices.append((Index(f"matched_{name}", value, by_chance, ia.size), pair_name(pair)))
            fitted = self._rotation((one, two))
            if fitted is not None:
                indices.append((fitted[1], pair_name(pair)))
        return pd.concat(parts, ignore_index=True), indices

    def _rotation(self, pair: Pair) -> tuple[np.ndarray, Index] | None:
        """The rotation fitted on fit rows, and how well it maps score rows; None without what it needs."""
        if pair not in self._rotations:
            self._rotations[pair] = self._fitted_rotation(pair)
        return self._rotations[pair]

    def _fitted_rotation(self, pair: Pair) -> tuple[np.ndarray, Index] | None:
        stages = self.stages
        if not all(name in stages.raw and name in stages.weights for name in pair):
            return None
        if max(stages.raw[name].shape[1] for name in pair) > MAX_WIDTH:
            return None
        halves = [
            covariances(*(np.asarray(stages.raw[name][_evenly(mask)]) for name in pair))
            for mask in (stages.rows.fit, stages.rows.score)
        ]
        rotation = _procrustes(halves[0].xy)
        scale = float(np.sqrt(np.trace(halves[1].xx) * np.trace(halves[1].yy)))
        value, chance = (
            float(np.sum(r * moved)) / scale if scale > 0 else 0.0
            for r, moved in (
                (rotation, halves[1].xy),
                (_procrustes(halves[0].unrelated), halves[1].unrelated),
            )
        )
        return rotation, Index("raw_procrustes_r", value, chance, halves[1].n_rows)

    def _cosines(self, pair: Pair, rotation: np.ndarray, ia: np.ndarray, ib: np.ndarray) -> np.ndarray:
        left, right = (self.stages.weights[name][0] for name in pair)
        moved, target = np.asarray(left[ia], np.float64) @ rotation, np.asarray(right[ib], np.float64)
        return _row_cosines(moved, target)

    def _logit_correlations(self, pair: Pair, ia: np.ndarray, ib: np.ndarray) -> np.ndarray:
        step = max(1, _BLOCK // self.stages.logits[pair[0]].shape[1])
        r = np.zeros(ia.size)
        for first in range(0, ia.size, step):
            block = slice(first, first + step)
            r[block] = _row_cosines(self._effects(pair[0], ia[block]), self._effects(pair[1], ib[block]))
        return r

    def _effects(self, name: str, latents: np.ndarray) -> np.ndarray:
        """(n, d_vocab) float32 effects on the logits, centred over the vocabulary."""
        effects = self.stages.weights[name][0][latents].astype(np.float32) @ np.asarray(
            self.stages.logits[name], np.float32
        )
        return effects - effects.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)

    def _attribution(self, name: str) -> sparse.csc_matrix:
        """Activation x effect on the next token, score rows, CSC; 0 where no token came next."""
        if name in self._attributions:
            return self._attributions[name]
        stages = self.stages
        acts = stages.dictionaries[name].score.tocsc()
        assert stages.rows.next_tokens is not None
        following = stages.rows.next_tokens[stages.rows.score]
        values = acts.data.astype(np.float32)
        step = max(1, _BLOCK // stages.logits[name].shape[1])
        for first in range(0, acts.shape[1], step):
            last = min(acts.shape[1], first + step)
            here = slice(acts.indptr[first], acts.indptr[last])
            latent = np.repeat(np.arange(last - first), np.diff(acts.indptr[first : last + 1]))
            token = following[acts.indices[here]]
            effects = self._effects(name, np.arange(first, last))
            values[here] *= np.where(token >= 0, effects[latent, np.maximum(token, 0)], 0)
        self._attributions[name] = sparse.csc_matrix((values, acts.indices, acts.indptr), shape=acts.shape)
        return self._attributions[name]


def _evenly(mask: np.ndarray) -> np.ndarray:
    """At most ``MAX_ROWS`` rows of the mask, evenly spread, in order."""
    rows = np.flatnonzero(mask)
    return rows[:: -(-rows.size // MAX_ROWS)]


def _procrustes(cross: np.ndarray) -> np.ndarray:
    """The matrix with orthonormal rows or columns that maximises ``<R, cross>``."""
    u, _, vt = np.linalg.svd(cross, full_matrices=False)
    return u @ vt


def _row_cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    xy, xx, yy = (np.einsum("ij,ij->i", u, v, dtype=np.float64) for u, v in ((x, y), (x, x), (y, y)))
    scale = np.sqrt(xx * yy)
    return np.clip(np.where(scale > 0, xy / np.where(scale > 0, scale, 1.0), 0.0), -1.0, 1.0)
