"""Published indices of similarity, each under the name of what it computes, each with its chance level.

Indices of raw activations (CKA, SVCCA, RSA, mutual nearest neighbours, excess correlation) are context:
they say how alike two models are before any dictionary. Indices of weights are legal only between
dictionaries of one model, whose decoders share a basis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from universality.correlation.top import TopSimilarity, from_lists
from universality.matching import match

#: Rows that pairwise-distance indices are computed on; they grow with the square.
N_SAMPLED_ROWS = 512
#: Rows that covariances are taken over, evenly spread where there are more: far more than coordinates.
MAX_ROWS = 32_768
#: Coordinates up to which covariance indices are computed (dense d x d matrices).
MAX_WIDTH = 4096
_ROWS = 16_384


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


def covariances(x: np.ndarray, y: np.ndarray) -> Covariances:
    """Covariances of (n_rows, d_x) and (n_rows, d_y) in float64, by blocks of rows."""
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
    return Covariances(xx / n, yy / n, xy / n, unrelated / n, n)


def linear_cka(c: Covariances) -> Index:
    """Linear centred kernel alignment, ``|Cxy|² / (|Cxx| |Cyy|)`` in Frobenius norms, 0..1.

    Source: Kornblith et al. 2019.
    """
    scale = np.linalg.norm(c.xx) * np.linalg.norm(c.yy)
    value, chance = (float(np.sum(m**2) / scale) if scale > 0 else 0.0 for m in (c.xy, c.unrelated))
    return Index("raw_cka", value, chance, c.n_rows)


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


def representational(x: np.ndarray, y: np.ndarray, generator: np.random.Generator, k: int = 10) -> list[Index]:
    """RSA and mutual nearest neighbours of a sample of rows.

    ``raw_rsa`` is the Spearman correlation of the pairwise cosine distances; ``raw_mutual_knn`` the mean share
    of each row's k nearest rows (cosine) that both sides agree on. Chance: the same with one side's rows
    in another order.

    Source: Kriegeskorte et al. 2008; Huh et al. 2024.
    """
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


def excess_correlation(
    c: Covariances, generator: np.random.Generator, n_rotations: int, threshold: float = 0.5
) -> list[Index]:
    """Gurnee's excess correlation: how much better a neuron's best partner is than in a rotated basis.

    For every neuron of x the highest r over the neurons of y, minus the mean of the same over Haar-random
    rotations of y's basis. ``neuron_excess`` is the mean over neurons, ``neuron_universal_fraction`` the share
    above ``threshold``. The chance of the excess is 0 by construction; low and high are its range over the
    single rotations. Where no neuron of x varies there are no indices.

    Source: Gurnee et al. 2024, "Universal neurons in GPT2 language models".
    """
    scale = np.sqrt(np.maximum(np.diag(c.xx), 0.0))
    alive = scale > 0
    if not alive.any():
        return []
    highest = _highest(c.xy[alive], scale[alive], np.diag(c.yy))
    d = c.yy.shape[0]
    rotated = np.zeros((n_rotations, int(alive.sum())))
    for draw in range(n_rotations):
        q = random_rotation(d, generator)
        rotated[draw] = _highest(c.xy[alive] @ q, scale[alive], np.einsum("ij,ij->j", q, c.yy @ q))
    excess = highest - rotated
    mean, share = excess.mean(axis=1), (excess > threshold).mean(axis=1)
    middle = highest - rotated.mean(axis=0)
    n, universal = int(alive.sum()), float((middle > threshold).mean())
    return [
        Index("neuron_excess", float(middle.mean()), 0.0, n, float(mean.min()), float(mean.max())),
        Index("neuron_universal_fraction", universal, 0.0, n, float(share.min()), float(share.max())),
    ]


def random_rotation(d: int, generator: np.random.Generator) -> np.ndarray:
    """A Haar-random rotation (d, d): the QR factor of a Gaussian matrix with the signs of R's diagonal fixed."""
    q, r = np.linalg.qr(generator.standard_normal((d, d)))
    return q * np.sign(np.diag(r))


def _highest(cross: np.ndarray, scale_x: np.ndarray, variance_y: np.ndarray) -> np.ndarray:
    alive = variance_y > 1e-12 * max(float(variance_y.max(initial=0.0)), 1e-300)
    r = cross[:, alive] / np.multiply.outer(scale_x, np.sqrt(variance_y[alive]))
    return r.max(axis=1, initial=0.0)


def raw_indices(
    x: np.ndarray, y: np.ndarray, generator: np.random.Generator, n_rotations: int
) -> tuple[list[Index], list[Index], list[Index]]:
    """Every index of raw activations on given rows; covariance indices up to :data:`MAX_WIDTH` coordinates.

    Returns:
        Those without a direction, those of x against y, those of y against x.
    """
    both = representational(x, y, generator)
    if max(x.shape[1], y.shape[1]) > MAX_WIDTH:
        return both, [], []
    c = covariances(x, y)
    back = Covariances(c.yy, c.xx, c.xy.T, c.unrelated.T, c.n_rows)
    one_way = [excess_correlation(way, generator, n_rotations) for way in (c, back)]
    return [linear_cka(c), svcca(c), *both], one_way[0], one_way[1]


def cosine_similarity(a: np.ndarray, b: np.ndarray, *, top: int = 64, absolute: bool = False) -> TopSimilarity:
    """Cosine of all rows of a with all rows of b, the best both ways, in blocks of rows.

    Only meaningful where both live in one basis: dictionaries of the same model.

    Args:
        a: (n_a, d) directions. b: (n_b, d).
        top: length of the lists.
        absolute: whether to take ``|cos|``.
    """
    units = []
    for side in (a, b):
        norm = np.linalg.norm(side, axis=1, keepdims=True)
        units.append(np.asarray(side, np.float64) / np.where(norm > 0, norm, 1.0))
    alive = [np.any(unit != 0, axis=1) for unit in units]
    lists = [_top_lists(units[0], units[1], alive[0], alive[1], top, absolute)]
    lists.append(_top_lists(units[1], units[0], alive[1], alive[0], top, absolute))
    return from_lists(lists[0], lists[1], alive[0], alive[1], a.shape[1], top)


def _top_lists(
    x: np.ndarray, y: np.ndarray, alive_x: np.ndarray, alive_y: np.ndarray, top: int, absolute: bool
) -> tuple[np.ndarray, np.ndarray]:
    n, others = x.shape[0], np.flatnonzero(alive_y)
    width = min(top, others.size)
    partner, value = np.full((n, top), -1, np.int32), np.zeros((n, top))
    chosen = np.flatnonzero(alive_x)
    for first in range(0, chosen.size if width else 0, 1024):
        part = chosen[first : first + 1024]
        cosine = x[part] @ y[others].T
        cosine = np.abs(cosine) if absolute else cosine
        best = np.argsort(-cosine, axis=1, kind="stable")[:, :width]
        partner[part, :width] = others[best]
        value[part, :width] = np.take_along_axis(cosine, best, axis=1)
    return partner, value


def decoder_indices(
    decoders: tuple[np.ndarray, np.ndarray],
    encoders: tuple[np.ndarray, np.ndarray] | None,
    alive: tuple[np.ndarray, np.ndarray],
    generator: np.random.Generator,
    threshold: float = 0.7,
) -> list[Index]:
    """Weight indices of two dictionaries of *one* model, on alive latents.

    ``mmcs``: mean over a of the highest decoder cosine. ``mean_max_abs_cos``: the same of ``|cos|``.
    ``mean_matched_signed_cos`` (Song's PW-MCC) and ``mean_matched_abs_cos``: mean cosine of the one-to-one
    assignment. ``paulo_shared_fraction``: share of latents whose decoder and encoder assignments name the
    same partner, both cosines at or above ``threshold``. Chance: the same with one side's basis rotated at
    random.

    Args:
        decoders: (d_sae, d_in) of both. encoders: (d_sae, d_in) rows of both (transposed W_enc), or None.
        alive: which latents of either side count.
        generator: source of the rotation.
        threshold: cosine of Paulo's definition.

    Source: Sharkey et al. 2022 (MMCS); Song et al. 2025; Paulo and Belrose 2025.
    """
    left = [np.asarray(m[0], np.float64)[alive[0]] for m in (decoders, encoders) if m is not None]
    right = [np.asarray(m[1], np.float64)[alive[1]] for m in (decoders, encoders) if m is not None]
    q = random_rotation(left[0].shape[1], generator)
    n = max(min(left[0].shape[0], right[0].shape[0]), 1)
    value = _cosine_figures(left, right, n, threshold)
    chance = _cosine_figures(left, [m @ q for m in right], n, threshold)
    return [Index(name, value[name], chance[name], n) for name in value]


def _cosine_figures(
    left: Sequence[np.ndarray], right: Sequence[np.ndarray], n: int, threshold: float
) -> dict[str, float]:
    signed, absolute = (cosine_similarity(left[0], right[0], absolute=flag) for flag in (False, True))
    chosen = match(signed)
    figures = {
        "mmcs": _mean(signed.top_a(1)[1][:, 0]),
        "mean_max_abs_cos": _mean(absolute.top_a(1)[1][:, 0]),
        "mean_matched_signed_cos": float(chosen.score.sum() / n),
        "mean_matched_abs_cos": float(match(absolute).score.sum() / n),
    }
    if len(left) > 1:
        by_encoder = match(cosine_similarity(left[1], right[1]))
        partner, cosine = np.full(len(left[1]), -1), np.zeros(len(left[1]))
        partner[by_encoder.indices_a], cosine[by_encoder.indices_a] = by_encoder.indices_b, by_encoder.score
        same = partner[chosen.indices_a] == chosen.indices_b
        both = np.minimum(cosine[chosen.indices_a], chosen.score) >= threshold
        figures["paulo_shared_fraction"] = int((same & both).sum()) / n
    return figures


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0


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
