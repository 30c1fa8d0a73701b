"""Intervals for the correlation of given pairs: documents are resampled, the matching stays as it is.

Tokens are not independent, documents nearly are. So the unit is the document: every pair's moments are
summed per document once, and each resample is a weighted sum of these.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from universality.correlation.inputs import (
    Matrix,
    as_csr,
    check_same_rows,
    is_dense,
    latent_moments,
    pivots,
    shifted,
)
from universality.correlation.pairs import check_pairs
from universality.correlation.threads import blocks
from universality.errors import InputError, must_be

_PAIRS = 256


def document_bootstrap(
    A: Matrix,
    B: Matrix,
    indices_a: np.ndarray,
    indices_b: np.ndarray,
    documents: np.ndarray,
    *,
    n_resamples: int = 200,
    generator: np.random.Generator,
    level: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of each pair's correlation over resampled documents.

    Args:
        A: (n_rows, n_a), scipy sparse or dense.
        B: (n_rows, n_b), the same rows in the same order.
        indices_a: (n_pairs,) latents of A.
        indices_b: (n_pairs,) latents of B.
        documents: (n_rows,) document of each row.
        n_resamples: resamples, >= 1; the same ones for every pair.
        generator: source of the document weights (multinomial).
        level: coverage aimed at, in (0, 1).

    Returns:
        ``(low (n_pairs,), high (n_pairs,))`` in [-1, 1], ``low <= high``; 0 in resamples where a latent does
        not vary, hence both 0 for dead latents.

    Raises:
        InputError: different rows, labels of another length, indices or level out of range.

    Source: Efron 1979, with the document as the unit (Davison & Hinkley 1997, section 3.8).
    """
    if not 0 < level < 1:
        raise InputError(must_be("level", "document_bootstrap", "in (0, 1)", level, "0.95 is usual."))
    r = resampled_correlations(
        A, B, indices_a, indices_b, documents, n_resamples=n_resamples, generator=generator
    )
    return percentile_interval(r, level)


def percentile_interval(resampled: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles that leave out ``1 - level``, half at each end, over the last axis (n_resamples)."""
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(resampled, [tail, 100.0 - tail], axis=-1)
    return low, high


def resampled_correlations(
    A: Matrix,
    B: Matrix,
    indices_a: np.ndarray,
    indices_b: np.ndarray,
    documents: np.ndarray,
    *,
    n_resamples: int = 200,
    generator: np.random.Generator,
) -> np.ndarray:
    """Correlation of each pair in each resample of documents; see :func:`document_bootstrap`.

    Generators in the same state draw the same documents, so that statistics over pairs, and over several
    calls on the same rows, can be resampled together.

    Returns:
        (n_pairs, n_resamples) float64 in [-1, 1]; 0 where a latent does not vary in a resample.
    """
    n = check_same_rows(A, B)
    ia, ib = check_pairs(indices_a, indices_b, A.shape[1], B.shape[1])
    documents = np.asarray(documents)
    if documents.shape != (n,):
        raise InputError(
            must_be("shape", "documents", f"({n},)", documents.shape, "Give one document per row.")
        )
    if n_resamples < 1:
        raise InputError(must_be("n_resamples", "document_bootstrap", ">= 1", n_resamples, "200 are usual."))
    _, code, sizes = np.unique(documents, return_inverse=True, return_counts=True)
    weights = generator.multinomial(
        sizes.size, np.full(sizes.size, 1.0 / max(sizes.size, 1)), size=n_resamples
    )
    rows, weights = (weights @ sizes)[:, None].astype(np.float64), weights.astype(np.float64)
    left, right = _columns(A, "A"), _columns(B, "B")
    code = code.ravel()
    out = np.zeros((ia.size, n_resamples))
    for first, last in blocks(ia.size, _PAIRS):
        a, b = left[:, ia[first:last]], right[:, ib[first:last]]
        moments = [weights @ sums for sums in _by_document(a, b, code, sizes.size)]
        out[first:last] = _correlation(moments, rows).T
    return out


def _by_document(a, b, code: np.ndarray, n_documents: int) -> np.ndarray:
    """(5, n_documents, n_pairs) sums of a, b, a², b² and ab over each document's rows."""
    sums = np.zeros((5, n_documents, a.shape[1]))
    if isinstance(a, np.ndarray):
        order = np.argsort(code, kind="stable")
        starts = np.searchsorted(code[order], np.arange(n_documents))
        a, b = a[order], b[order]
        for k, values in enumerate((a, b, a * a, b * b, a * b)):
            sums[k] = np.add.reduceat(values, starts, axis=0)
        return sums
    left, right = ((x.indptr, x.indices, x.data) for x in (a, b))
    _sparse_sums(left, right, code, np.zeros(code.size), sums)
    return sums


@njit(nogil=True, cache=True)
def _sparse_sums(a, b, code, column, sums):
    (a_indptr, a_rows, a_values), (b_indptr, b_rows, b_values) = a, b
    for pair in range(sums.shape[2]):
        for s in range(a_indptr[pair], a_indptr[pair + 1]):
            row, x = a_rows[s], a_values[s]
            column[row] = x
            sums[0, code[row], pair] += x
            sums[2, code[row], pair] += x * x
        for s in range(b_indptr[pair], b_indptr[pair + 1]):
            row, y = b_rows[s], b_values[s]
            sums[1, code[row], pair] += y
            sums[3, code[row], pair] += y * y
            sums[4, code[row], pair] += column[row] * y
        for s in range(a_indptr[pair], a_indptr[pair + 1]):
            column[a_rows[s]] = 0.0


def _columns(matrix: Matrix, where: str):
    """Float64 columns, measured from a pivot where that saves digits."""
    if is_dense(matrix):
        dense = np.asarray(matrix, dtype=np.float64)
        return dense - dense.mean(axis=0)
    csr = as_csr(matrix, where)
    return shifted(csr.astype(np.float64), pivots(csr, latent_moments(csr))).tocsc()


def _correlation(moments: list[np.ndarray], n: np.ndarray) -> np.ndarray:
    """Pearson r from sums of a, b, a², b² and ab over n rows."""
    a, b, aa, bb, ab = moments
    n = np.maximum(n, 1.0)
    variance_a, variance_b = aa - a * a / n, bb - b * b / n
    defined = (variance_a > 1e-12 * aa) & (variance_b > 1e-12 * bb)
    scale = np.sqrt(np.where(defined, variance_a * variance_b, 1.0))
    return np.clip(np.where(defined, (ab - a * b / n) / scale, 0.0), -1.0, 1.0)
