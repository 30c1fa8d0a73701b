"""Random dictionaries with every kind of latent that has broken a correlation, and the plain float64 truth."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def latents(rng: np.random.Generator, n_rows: int, n_latents: int, density: float) -> np.ndarray:
    """Dense float32 (n_rows, n_latents): sparse latents, and from 8 on also dead, constant, dense, rare ones."""
    x = rng.exponential(size=(n_rows, n_latents)) * (rng.random((n_rows, n_latents)) < density)
    if n_latents >= 8 and n_rows:
        wave = rng.normal(size=n_rows)
        x[:, 0] = 0.0
        x[:, 1] = 3.0
        x[:, 2] = 100.0 + wave  # mean / std of 100
        x[:, 3] = 100.0 - wave + 0.1 * rng.normal(size=n_rows)  # dense, negatively correlated
        x[:, 4] = np.maximum(wave, 0.0)
        x[:, 5] = 0.0
        x[rng.integers(n_rows), 5] = 2.0  # fires once
        x[:, 6] = x[:, 7]  # twins
    return x.astype(np.float32)


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``numpy.corrcoef`` in float64, with 0 for latents that never vary.

    The first row is taken off: of large values that differ in their last digit, the mean would round that digit away.
    """
    varies_x, varies_y = varies(x), varies(y)
    x, y = (values.astype(np.float64) - values[:1].astype(np.float64) for values in (x, y))
    out = np.zeros((x.shape[1], y.shape[1]))
    if varies_x.any() and varies_y.any():
        both = np.corrcoef(x[:, varies_x].T, y[:, varies_y].T)
        out[np.ix_(varies_x, varies_y)] = np.atleast_2d(both)[: varies_x.sum(), varies_x.sum() :]
    return out


def varies(x: np.ndarray) -> np.ndarray:
    """Which latents have a defined correlation."""
    return (x != x[:1]).any(axis=0)


def zipf_sparse(n_rows: int, n_latents: int, k: int, seed: int) -> sparse.csr_array:
    """About k active latents per row, rates falling like 1 / rank: the shape of a real dictionary."""
    rng = np.random.default_rng(seed)
    rate = 1.0 / (np.arange(n_latents) + 10.0)
    at = np.searchsorted(np.cumsum(rate / rate.sum()), rng.random((n_rows, k)))
    at = rng.permutation(n_latents)[np.minimum(at, n_latents - 1)].astype(np.int32)
    values = rng.exponential(size=(n_rows, k)).astype(np.float32)
    out = sparse.csr_array(
        (values.ravel(), at.ravel(), np.arange(n_rows + 1, dtype=np.int64) * k), shape=(n_rows, n_latents)
    )
    out.sum_duplicates()
    return out
