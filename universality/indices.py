"""Published indices of similarity, each under the name of what it computes, each with its chance level.

Indices of raw activations (CKA, SVCCA, RSA, mutual nearest neighbours) are context:
they say how alike two models are before any dictionary. Those of neurons: :mod:`universality.neuron_indices`, of
weights: :mod:`universality.weight_indices`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from universality.arguments import SEEDED, checked, instance, matrix, number, vector, whole
from universality.errors import require

#: Rows that pairwise-distance indices are computed on; they grow with the square.
N_SAMPLED_ROWS = 512
#: Rows that covariances are taken over, evenly spread where there are more: far more than coordinates.
MAX_ROWS = 32_768
#: Coordinates up to which covariance indices are computed (dense d x d matrices).
MAX_WIDTH = 4096
_ROWS = 16_384
_GENERATOR = instance(np.random.Generator, remedy=SEEDED)


@dataclass(frozen=True)
class Index:
    """One index. ``chance`` is its value when rows (or directions) are unrelated; NaN bounds are not computed."""

    name: str
    value: float
    chance: float
    n: int
    low: float = float("nan")
    high: float = float("nan")
    low_models: float = float("nan")
    high_models: float = float("nan")


@checked(partner_a=vector("iu"), partner_b=vector("iu"), n_a=whole(0), n_b=whole(0))
def mutual_nearest(partner_a: np.ndarray, partner_b: np.ndarray, n_a: int, n_b: int) -> Index:
    """Share of the smaller side's latents whose best partner has them as its best partner.

    Chance: for independent, exchangeable similarities ``n_a n_b / (n_a + n_b - 1)`` pairs are mutual, about
    half of equal sides. Mutual nearest neighbours alone prove nothing.

    Args:
        partner_a: (d_a,) best latent of b, -1 if none. partner_b: (d_b,) best latent of a.
        n_a, n_b: alive latents.
    """
    has = np.flatnonzero(partner_a >= 0)
    mutual = int((partner_b[partner_a[has]] == has).sum())
    smaller = max(min(n_a, n_b), 1)
    chance = n_a * n_b / max(n_a + n_b - 1, 1) / smaller
    return Index("mutual_nearest_fraction", mutual / smaller, chance, smaller)


@dataclass(frozen=True, eq=False)
class Covariances:
    """Centred second moments of two raw activations over the same rows, and over rows that do not belong together.

    Attributes:
        xx: (d_x, d_x). yy: (d_y, d_y). xy: (d_x, d_y). unrelated: (d_x, d_y) with y rolled by half of the rows.
        n_rows: rows behind them, :data:`MAX_ROWS` at most.
    """

    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray
    unrelated: np.ndarray
    n_rows: int


@checked(x=matrix, y=matrix)
def covariances(x: np.ndarray, y: np.ndarray) -> Covariances:
    """Covariances of (n_rows, d_x) and (n_rows, d_y) in float64, by blocks of rows.

    Raises:
        InputError: other rows, or values that are not finite.
    """
    _check_rows(x, y)
    step = -(-x.shape[0] // MAX_ROWS)
    x, y = x[::step], y[::step]
    n = x.shape[0]
    mean_x, mean_y = x.mean(axis=0, dtype=np.float64), y.mean(axis=0, dtype=np.float64)
    xx, yy = np.zeros((x.shape[1],) * 2), np.zeros((y.shape[1],) * 2)
    xy, unrelated = np.zeros((x.shape[1], y.shape[1])), np.zeros((x.shape[1], y.shape[1]))
    for first in range(0, n, _ROWS):
        index = np.arange(first, min(n, first + _ROWS))
        a, b = x[index] - mean_x, y[index] - mean_y
        xx += a.T @ a
        yy += b.T @ b
        xy += a.T @ b
        unrelated += a.T @ (y[(index + n // 2) % n] - mean_y)
    for moments, name in ((xx, "x"), (yy, "y")):
        require(np.isfinite(moments).all(), "every value", name, "finite", "others", "Replace or drop them.")
    return Covariances(xx / n, yy / n, xy / n, unrelated / n, n)


def _check_rows(x: np.ndarray, y: np.ndarray) -> None:
    remedy = "Give activations of the same tokens in the same order."
    require(len(x) == len(y), "number of rows", "y", f"{len(x)}, as in x", len(y), remedy)


_COVARIANCES = instance(Covariances, remedy="Make them with covariances(x, y).")


@checked(c=_COVARIANCES)
def linear_cka(c: Covariances) -> Index:
    """Linear centred kernel alignment, ``|Cxy|² / (|Cxx| |Cyy|)`` in Frobenius norms, 0..1.

    Source: Kornblith et al. 2019.
    """
    scale = np.linalg.norm(c.xx) * np.linalg.norm(c.yy)
    value, chance = (float(np.sum(m**2) / scale) if scale > 0 else 0.0 for m in (c.xy, c.unrelated))
    return Index("raw_cka", value, chance, c.n_rows)


@checked(c=_COVARIANCES, variance=number(0, 1))
def svcca(c: Covariances, variance: float = 0.99) -> Index:
    """Mean canonical correlation of the principal components that hold ``variance`` of either side, 0..1.

    Source: Raghu et al. 2017.
    """
    left, right = _whitener(c.xx, variance), _whitener(c.yy, variance)
    size = max(min(left.shape[1], right.shape[1]), 1)
    value, chance = (
        float(np.clip(np.linalg.svd(left.T @ m @ right, compute_uv=False), 0, 1).sum() / size)
        for m in (c.xy, c.unrelated)
    )
    return Index("raw_svcca", value, chance, c.n_rows)


def _whitener(covariance: np.ndarray, variance: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    positive = values > 1e-12 * max(float(values[0]), 1e-300)
    explained = np.cumsum(np.maximum(values, 0)) / max(float(np.maximum(values, 0).sum()), 1e-300)
    chosen = positive & (np.concatenate([[0.0], explained[:-1]]) < variance)
    return vectors[:, chosen] / np.sqrt(values[chosen])


@checked(x=matrix, y=matrix, generator=_GENERATOR, k=whole(1))
def representational(x: np.ndarray, y: np.ndarray, generator: np.random.Generator, k: int = 10) -> list[Index]:
    """RSA and mutual nearest neighbours of a sample of rows.

    ``raw_rsa`` is the Spearman correlation of the pairwise cosine distances; ``raw_mutual_knn`` the mean share
    of each row's k nearest rows (cosine) that both sides agree on. Chance: the same with one side's rows
    in another order.

    Source: Kriegeskorte et al. 2008; Huh et al. 2024.
    """
    _check_rows(x, y)
    n = min(N_SAMPLED_ROWS, x.shape[0])
    index = np.sort(generator.choice(x.shape[0], size=n, replace=False))
    sides = [_cosines(np.asarray(m[index], np.float64)) for m in (x, y)]
    other = generator.permutation(n)
    sides.append(sides[1][np.ix_(other, other)])
    ranks = [_ranks(side[np.triu_indices(n, 1)]) for side in sides]
    near = [_nearest(side, min(k, n - 1)) for side in sides]
    return [
        Index("raw_rsa", _pearson(ranks[0], ranks[1]), _pearson(ranks[0], ranks[2]), n),
        Index("raw_mutual_knn", _overlap(near[0], near[1]), _overlap(near[0], near[2]), n),
    ]


def _cosines(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(axis=0)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    x = x / np.where(norm > 0, norm, 1.0)
    return x @ x.T


def _ranks(values: np.ndarray) -> np.ndarray:
    ranks = np.empty(values.size)
    ranks[np.argsort(values, kind="stable")] = np.arange(values.size)
    return ranks


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _nearest(similarity: np.ndarray, k: int) -> np.ndarray:
    similarity = similarity.copy()
    np.fill_diagonal(similarity, -np.inf)
    chosen = np.zeros(similarity.shape, dtype=bool)
    np.put_along_axis(chosen, np.argpartition(-similarity, k - 1, axis=1)[:, :k], True, axis=1)
    return chosen


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(int(a.sum()), 1))


@checked(d=whole(1), generator=_GENERATOR)
def random_rotation(d: int, generator: np.random.Generator) -> np.ndarray:
    """A Haar-random rotation (d, d): the QR factor of a Gaussian matrix with the signs of R's diagonal fixed."""
    q, r = np.linalg.qr(generator.standard_normal((d, d)))
    return q * np.sign(np.diag(r))


@checked(k=vector(), y=vector())
def offset_power_law(k: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Fit ``y = c k^-alpha + offset`` by least squares; the offset is what would be left at many models.

    Args:
        k: (n,) numbers of models, n >= 4. y: (n,) share of features in at least k models.

    Returns:
        ``(alpha, offset)`` with alpha in 0.05..5 and ``c, offset >= 0``.
    """
    from scipy.optimize import nnls

    best = (np.inf, 0.0, 0.0)
    for alpha in np.linspace(0.05, 5.0, 200):
        design = np.stack([np.asarray(k, float) ** -alpha, np.ones(len(k))], axis=1)
        weights, residual = nnls(design, np.asarray(y, float))
        best = min(best, (residual, float(alpha), float(weights[1])))
    return best[1], best[2]
