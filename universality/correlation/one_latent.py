"""One latent against all latents of its own dictionary: for looking at it, so numpy alone and at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from universality.errors import require

#: Entries turned into float64 at a time.
_BLOCK = 1 << 22
#: Firings whose rows are looked up at a time.
_ROWS = 1 << 16


@dataclass(frozen=True)
class ColumnMoments:
    """What the correlation of any two latents of one dictionary needs of each.

    Attributes:
        mean: (n,) mean over all rows, zeros included.
        scale: (n,) reciprocal of the centred norm; 0 for a latent that never fires or is constant.
    """

    mean: np.ndarray
    scale: np.ndarray


def column_moments(csc: Any) -> ColumnMoments:
    """Moments of every column in float64, the squares centred.

    Args:
        csc: scipy CSC (n_rows, n), finite, without duplicates; memory maps will do.
    """
    n_rows, n = csc.shape
    indptr = np.asarray(csc.indptr, dtype=np.int64)
    count = np.diff(indptr)
    total, square = np.zeros(n), np.zeros(n)
    first = 0
    while first < n:
        last = max(int(np.searchsorted(indptr, indptr[first] + _BLOCK, side="right")) - 1, first + 1)
        here = slice(first, last)
        values = np.asarray(csc.data[indptr[first] : indptr[last]], dtype=np.float64)
        column = np.repeat(np.arange(last - first), count[here])
        total[here] = np.bincount(column, values, minlength=last - first)
        away = values - (total[here] / max(n_rows, 1))[column]
        square[here] = np.bincount(column, away * away, minlength=last - first)
        first = last
    mean = total / max(n_rows, 1)
    square += (n_rows - count) * mean**2
    # What is left of a constant column is rounding.
    alive = square > 1e-24 * np.maximum(n_rows * mean**2, 1e-300)
    return ColumnMoments(mean, np.where(alive, 1.0 / np.sqrt(np.where(alive, square, 1.0)), 0.0))


def correlate_column(csr: Any, csc: Any, latent: int, moments: ColumnMoments) -> np.ndarray:
    """Pearson r of one latent with every latent of the same dictionary, over all rows.

    ``r_j = (sum_i a_i b_ij - n mean_a mean_j) / (|a - mean_a| |b_j - mean_j|)``. Only the rows in which the latent
    fires are read.

    Args:
        csr: activations (n_rows, n) by row.
        csc: the same by column.
        latent: column of interest, 0..n-1.
        moments: from :func:`column_moments` of the same activations.

    Returns:
        (n,) r in [-1, 1]; 1 for the latent itself; 0 where either latent never fires or is constant.

    Raises:
        InputError: there is no such latent.

    Source: ours; the definition of :func:`universality.correlation.correlate_pairs`.
    """
    n_rows, n = csc.shape
    require(0 <= latent < n, "latent", "the dictionary", f"in [0, {n})", latent, "Choose one of its latents.")
    span = slice(int(csc.indptr[latent]), int(csc.indptr[latent + 1]))
    rows, values = np.asarray(csc.indices[span]), np.asarray(csc.data[span], dtype=np.float64)
    products = np.zeros(n)
    for first in range(0, len(rows), _ROWS):
        part = slice(first, first + _ROWS)
        products += csr[rows[part]].T @ values[part]
    covariance = products - n_rows * moments.mean[latent] * moments.mean
    return np.clip(covariance * moments.scale * moments.scale[latent], -1.0, 1.0)
