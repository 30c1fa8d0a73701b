"""Is a feature there in the raw activations although no latent stands for it? Linear ridge probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

_ROWS = 16_384


@dataclass(frozen=True, eq=False)
class RawMoments:
    """Centred second moments of raw activations on both halves.

    Attributes:
        mean_fit, mean_score: (d_in,). gram_fit, gram_score: (d_in, d_in) sums of centred products, float64.
    """

    mean_fit: np.ndarray
    gram_fit: np.ndarray
    mean_score: np.ndarray
    gram_score: np.ndarray


def raw_moments(raw: Any, fit: np.ndarray) -> RawMoments:
    """Moments of (n_rows, d_in) raw activations, read in blocks of rows.

    Args:
        raw: array, memory map, or anything that takes integer-array indices.
        fit: (n_rows,) bool.
    """
    halves = []
    for mask in (fit, ~fit):
        index = np.flatnonzero(mask)
        mean, gram = np.zeros(raw.shape[1]), np.zeros((raw.shape[1], raw.shape[1]))
        for part in _blocks(index):
            mean += raw[part].sum(axis=0, dtype=np.float64)
        mean /= max(index.size, 1)
        for part in _blocks(index):
            centred = raw[part].astype(np.float64) - mean
            gram += centred.T @ centred
        halves += [mean, gram]
    return RawMoments(*halves)


def probe_correlations(
    acts: sparse.csr_matrix,
    targets: np.ndarray,
    raw: Any,
    moments: RawMoments,
    fit: np.ndarray,
    ridge: float,
) -> np.ndarray:
    r"""Held-out correlation of a linear probe for each target latent, all targets at once.

    .. math:: W = (X'X + \lambda I)^{-1} X'A,\quad \lambda = ridge \cdot tr(X'X) / d_{in}

    with centred fit rows; r is between ``XW`` and the latent on score rows, from second moments only.

    Args:
        acts: CSR (n_rows, n), both halves. targets: latents to probe for.
        raw: (n_rows, d_in) raw activations of any model on the same rows.
        moments: :func:`raw_moments` of ``raw``.
        fit: (n_rows,) bool.
        ridge: ridge in units of the mean variance of a raw coordinate.

    Returns:
        (n_targets,) in [-1, 1]; 0 where the latent or its prediction does not vary.
    """
    if not targets.size:
        return np.zeros(0)
    part = acts.tocsc()[:, targets].tocsr().astype(np.float64)
    d_in = moments.gram_fit.shape[0]
    penalty = ridge * np.trace(moments.gram_fit) / d_in
    regular = moments.gram_fit + max(penalty, 1e-30) * np.eye(d_in)
    weights = np.linalg.solve(regular, _cross(part, raw, np.flatnonzero(fit), moments.mean_fit))
    score = np.flatnonzero(~fit)
    cross = _cross(part, raw, score, moments.mean_score)
    held_out = part[score]
    total = np.asarray(held_out.sum(axis=0)).ravel()
    square = np.asarray(held_out.multiply(held_out).sum(axis=0)).ravel() - total**2 / max(score.size, 1)
    predicted = np.einsum("dt,dt->t", weights, moments.gram_score @ weights)
    scale = np.sqrt(np.maximum(predicted, 0.0) * np.maximum(square, 0.0))
    shared = np.einsum("dt,dt->t", weights, cross)
    return np.clip(np.where(scale > 0, shared / np.where(scale > 0, scale, 1.0), 0.0), -1.0, 1.0)


def _cross(part: sparse.csr_matrix, raw: Any, index: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(d_in, n_targets) sums of centred raw times activation (centring one side is enough)."""
    out = np.zeros((mean.size, part.shape[1]))
    for rows in _blocks(index):
        out += (part[rows].T @ (raw[rows].astype(np.float64) - mean)).T
    return out


def _blocks(index: np.ndarray) -> list[np.ndarray]:
    return [index[first : first + _ROWS] for first in range(0, index.size, _ROWS)]
