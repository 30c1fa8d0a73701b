"""Is a feature there in the raw activations although no latent stands for it? Linear ridge probes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

_ROWS = 16_384


def probe_correlations(targets: sparse.csr_matrix, raw: Any, fit: np.ndarray, ridge: float) -> np.ndarray:
    r"""Held-out correlation of a linear probe for each target, all targets at once.

    .. math:: W = (X'X + \lambda I)^{-1} X'A,\quad \lambda = ridge \cdot tr(X'X) / d_{in}

    with centred fit rows; r is between ``XW`` and the target on score rows, from second moments only.

    Args:
        targets: CSR (n_rows, n_targets), both halves; latents of any models.
        raw: (n_rows, d_in) raw activations of one model on the same rows: an array, a memory map, or anything
            that takes integer-array indices; read once, in blocks.
        fit: (n_rows,) bool.
        ridge: ridge in units of the mean variance of a raw coordinate.

    Returns:
        (n_targets,) in [-1, 1]; 0 where the target or its prediction does not vary.
    """
    if not targets.shape[1]:
        return np.zeros(0)
    gram, cross = _second_moments(targets, raw, np.flatnonzero(fit))
    d_in = gram.shape[0]
    weights = np.linalg.solve(gram + max(ridge * np.trace(gram) / d_in, 1e-30) * np.eye(d_in), cross)
    score = np.flatnonzero(~fit)
    gram, cross = _second_moments(targets, raw, score)
    held_out = targets[score].astype(np.float64)
    total = np.asarray(held_out.sum(axis=0)).ravel()
    square = np.asarray(held_out.multiply(held_out).sum(axis=0)).ravel() - total**2 / max(score.size, 1)
    predicted = np.einsum("dt,dt->t", weights, gram @ weights)
    scale = np.sqrt(np.maximum(predicted, 0.0) * np.maximum(square, 0.0))
    shared = np.einsum("dt,dt->t", weights, cross)
    return np.clip(np.where(scale > 0, shared / np.where(scale > 0, scale, 1.0), 0.0), -1.0, 1.0)


def _second_moments(targets: sparse.csr_matrix, raw: Any, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of centred products (d_in, d_in) and (d_in, n_targets) over the given rows, in float64.

    Rows are measured from the mean of the first block, which keeps the digits; the rest of the mean is taken
    off at the end.
    """
    pivot = raw[index[:_ROWS]].mean(axis=0, dtype=np.float64)
    total, sums = np.zeros(pivot.size), np.zeros(targets.shape[1])
    gram, cross = np.zeros((pivot.size, pivot.size)), np.zeros((targets.shape[1], pivot.size))
    for first in range(0, index.size, _ROWS):
        rows = index[first : first + _ROWS]
        x = raw[rows].astype(np.float64) - pivot
        acts = targets[rows].astype(np.float64)
        total += x.sum(axis=0)
        sums += np.asarray(acts.sum(axis=0)).ravel()
        gram += x.T @ x
        cross += acts.T @ x
    n = max(index.size, 1)
    return gram - np.outer(total, total) / n, (cross - np.outer(sums, total) / n).T
