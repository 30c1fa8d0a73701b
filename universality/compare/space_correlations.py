"""All correlations of one kind of coordinates of two models, as they are and beyond document, token and position.

Coordinates along directions of the raw activations need only these activations' second moments: whatever is linear in
a row, the projection onto documents, tokens and places too, changes places with the directions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from universality.correlation.inputs import correlation_matrix
from universality.correlation.nested import NestedRows
from universality.correlation.nested_kernels import EXPLAINED
from universality.correlation.threads import blocks
from universality.matching import match

#: Random subsets of both sides where there are more candidates than are to be compared.
N_SUBSETS = 20
_ROWS, _COLUMNS = 4096, 256


class Assigned(NamedTuple):
    """Assigned pairs: columns of a and of b, the sign of r on fit rows, and with it r on fit rows, held out, joint."""

    ia: np.ndarray
    ib: np.ndarray
    sign: np.ndarray
    fit: np.ndarray
    score: np.ndarray
    joint: np.ndarray


class SpaceCorrelations(NamedTuple):
    """One kind of coordinates of two models.

    Attributes:
        fit, score: (n_a, n_b) Pearson correlations on fit and on score rows; 0 for what does not vary.
        joint: (n_a, n_b) of what domain, document, token and position together leave on score rows; 0 where they leave
            nothing, NaN without token ids.
        signed: whether a coordinate is as good as its negative, and pairs are matched by the size of r.
        columns: ``columns(side, chosen)``: (n_score_rows, m) float32 coordinates of side 0 or 1, for resampling.
    """

    fit: np.ndarray
    score: np.ndarray
    joint: np.ndarray
    signed: bool
    columns: Callable[[int, np.ndarray], np.ndarray]

    def assign(self, sizes: tuple[int, int], unmatched: float, random: np.random.Generator) -> Assigned:
        """One-to-one pairs of maximum weight on fit rows.

        Args:
            sizes: candidates of either side; where there are more, :data:`N_SUBSETS` random subsets of both sides are
                assigned one after the other, and their pairs put together.
            unmatched: r (or its size) below which a coordinate stays alone.
            random: source of the subsets.
        """
        every = self.fit.shape
        n = tuple(min(size, there) for size, there in zip(sizes, every, strict=True))
        if n == every:
            return self._assign(np.arange(n[0]), np.arange(n[1]), unmatched)
        parts = []
        for _ in range(N_SUBSETS):
            a, b = (np.sort(random.choice(there, size, replace=False)) for there, size in zip(every, n, strict=True))
            parts.append(self._assign(a, b, unmatched))
        return Assigned(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def best(self, n_a: int, n_b: int) -> float:
        """Median over coordinates of the highest held-out r to any of the other model, mean of both directions.

        The first ``n_a`` and ``n_b`` coordinates alone: random ones, where that are not all.
        """
        r = self.score[:n_a, :n_b]
        r = np.abs(r) if self.signed else r
        return float(np.mean([np.median(r.max(axis=axis)) for axis in (0, 1)])) if r.size else 0.0

    def _assign(self, a: np.ndarray, b: np.ndarray, unmatched: float) -> Assigned:
        among = self.fit[np.ix_(a, b)]
        chosen = match(np.abs(among) if self.signed else among, unmatched=unmatched)
        ia, ib = a[chosen.indices_a], b[chosen.indices_b]
        sign = np.where(self.fit[ia, ib] < 0, -1.0, 1.0)
        return Assigned(ia, ib, sign, *(sign * r[ia, ib] for r in (self.fit, self.score, self.joint)))


class RawMoments:
    """Second moments of the raw activations of two models, for any directions of either.

    Args:
        raw: (n_rows, d) of both: arrays, memory maps, or anything that takes integer-array indices.
        nested: their rows, prepared.
    """

    def __init__(self, raw: tuple[Any, Any], nested: NestedRows) -> None:
        self.known = bool(nested.known[2])
        self.scored = [np.asarray(x[nested.score]) for x in raw]
        fitted = [np.asarray(x[nested.fit]) for x in raw]
        #: Whether any neuron takes negative values.
        self.signed = any(bool((x < 0).any()) for x in fitted)
        self._fit, self._score = _second_moments(*fitted), _second_moments(*self.scored)
        (sums_a, effects_a), (sums_b, effects_b) = (_explained(x, nested) for x in self.scored)
        explained = sums_a.T @ effects_b, sums_a.T @ effects_a, sums_b.T @ effects_b
        self._left = tuple(whole - part for whole, part in zip(self._score, explained, strict=True))

    def along(self, a: np.ndarray | None, b: np.ndarray | None, *, signed: bool) -> SpaceCorrelations:
        """Coordinates along directions (d_a, n_a) and (d_b, n_b); None: the neurons themselves."""
        (fit, *_), (score, *full), (left, *rest) = (_turned(m, a, b) for m in (self._fit, self._score, self._left))
        fit_variances = _turned(self._fit, a, b)[1:]
        joint = (
            _scaled(left, rest, [EXPLAINED * variance for variance in full])
            if self.known
            else np.full_like(left, np.nan)
        )

        def columns(side: int, chosen: np.ndarray) -> np.ndarray:
            directions = (a, b)[side]
            x = self.scored[side]
            picked = x[:, chosen] if directions is None else x @ directions[:, chosen].astype(x.dtype)
            return picked.astype(np.float32, copy=False)

        return SpaceCorrelations(_scaled(fit, fit_variances), _scaled(score, full), joint, signed, columns)


def code_correlations(codes: tuple[sparse.csr_matrix, sparse.csr_matrix], nested: NestedRows) -> SpaceCorrelations:
    """Sparse codes (n_rows, n_a) and (n_rows, n_b) of two models; latents that never fire should be left out."""
    fit = correlation_matrix(*(code[nested.fit] for code in codes))
    scored = [sparse.csc_matrix(code[nested.score], dtype=np.float64) for code in codes]
    joint = np.full_like(fit, np.nan)
    if nested.known[2]:
        (sums_a, effects_a), (sums_b, effects_b) = (nested.halves[1].explained(code) for code in scored)
        left = (scored[0].T @ scored[1]).toarray() - sums_a.T @ effects_b
        squares = [np.asarray(code.multiply(code).sum(axis=0)).ravel() for code in scored]
        explained = [(s * e).sum(axis=0) for s, e in ((sums_a, effects_a), (sums_b, effects_b))]
        rest = [whole - part for whole, part in zip(squares, explained, strict=True)]
        joint = _scaled(left, rest, [EXPLAINED * whole for whole in squares])

    def columns(side: int, chosen: np.ndarray) -> np.ndarray:
        return scored[side][:, chosen].toarray().astype(np.float32)

    return SpaceCorrelations(fit, correlation_matrix(*scored), joint, False, columns)


def _second_moments(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centred sums of products xy (d_x, d_y), xx and yy, float64."""
    means = [side.mean(axis=0, dtype=np.float64) for side in (x, y)]
    xy, xx, yy = np.zeros((x.shape[1], y.shape[1])), np.zeros((x.shape[1],) * 2), np.zeros((y.shape[1],) * 2)
    for first, last in blocks(len(x), _ROWS):
        a, b = (side[first:last] - mean for side, mean in zip((x, y), means, strict=True))
        xy += a.T @ b
        xx += a.T @ a
        yy += b.T @ b
    return xy, xx, yy


def _explained(x: np.ndarray, nested: NestedRows) -> tuple[np.ndarray, np.ndarray]:
    """Sums and effects (labels, d) of centred columns, as :meth:`_Half.explained` gives them."""
    parts = []
    for first, last in blocks(x.shape[1], _COLUMNS):
        values = x[:, first:last].astype(np.float64)
        parts.append(nested.halves[1].explained(values - values.mean(axis=0)))
    sums, effects = zip(*parts, strict=True)
    return np.concatenate(sums, axis=1), np.concatenate(effects, axis=1)


def _turned(
    moments: tuple[np.ndarray, ...], a: np.ndarray | None, b: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Products (n_a, n_b) and squares (n_a,), (n_b,) along directions, from moments xy, xx, yy."""
    xy, xx, yy = moments
    left = xy if a is None else a.T @ xy
    return left if b is None else left @ b, _squares(xx, a), _squares(yy, b)


def _squares(moments: np.ndarray, directions: np.ndarray | None) -> np.ndarray:
    return np.diag(moments) if directions is None else np.einsum("ij,ij->j", directions, moments @ directions)


def _scaled(products: np.ndarray, squares: Any, least: Any = (0.0, 0.0)) -> np.ndarray:
    """Correlations from centred products and squares; 0 where a square is no more than ``least``, or rounding."""
    scales = []
    for square, floor in zip(squares, least, strict=True):
        varies = square > np.maximum(floor, 1e-20 * max(float(square.max(initial=0.0)), 0.0))
        scales.append(np.where(varies, 1.0 / np.sqrt(np.where(varies, square, 1.0)), 0.0))
    return np.clip(products * np.outer(*scales), -1.0, 1.0)
