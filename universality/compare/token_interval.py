"""An interval for token-conditional correlations: sources are resampled, token and position means stay."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from universality.compiled import njit
from universality.correlation.conditional import additive_effects
from universality.rows import Rows

_PAIRS = 256
#: Pairs that the interval of a median is computed from, evenly spread where there are more.
MAX_PAIRS = 1024


def resampled_conditional(
    left: sparse.csr_matrix,
    right: sparse.csr_matrix,
    indices_a: np.ndarray,
    indices_b: np.ndarray,
    rows: Rows,
    n_resamples: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Token-conditional r of each pair in each resample of sources (documents, where none are known).

    The effects of token ids and positions are those of all score rows: the interval shows how much the
    correlation of what they leave depends on the sources.

    Args:
        left, right: CSR of both sides on score rows. indices_a, indices_b: (n_pairs,) latents.
        rows: all rows, with token ids. n_resamples: resamples.
        generator: in the state that drew the sources of the other intervals.

    Returns:
        (n_pairs, n_resamples) float32 in [-1, 1]; 0 where nothing is left to vary.
    """
    score = rows.score
    _, document = np.unique(rows.groups[score], return_inverse=True)
    n_documents = int(document.max()) + 1
    weights = generator.multinomial(n_documents, np.full(n_documents, 1.0 / n_documents), size=n_resamples)
    tokens = rows.tokens[score] if rows.tokens is not None else np.zeros(document.size, np.int64)
    positions = np.zeros(document.size, np.int64) if rows.positions is None else rows.positions[score]
    _, token = np.unique(tokens, return_inverse=True)
    _, position = np.unique(positions, return_inverse=True)
    a, b = left.tocsc().astype(np.float64), right.tocsc().astype(np.float64)
    effects = additive_effects(tokens, positions)
    # (n_resamples, 1) score rows in each resample: documents differ in length.
    counts = (weights @ np.bincount(document, minlength=n_documents))[:, None].astype(np.float64)
    out = np.zeros((indices_a.size, n_resamples), np.float32)
    for first in range(0, indices_a.size, _PAIRS):
        one, two = a[:, indices_a[first : first + _PAIRS]], b[:, indices_b[first : first + _PAIRS]]
        sums = np.zeros((5, one.shape[1], n_documents))
        _document_sums(
            (one.indptr, one.indices, one.data, *effects(one)),
            (two.indptr, two.indices, two.data, *effects(two)),
            token, position, document, np.zeros(token.size), np.zeros(token.size), sums,
        )  # fmt: skip
        # A resample weighs documents, so its moments are weighted sums of theirs: (n_resamples, n_pairs) each.
        x, y, xx, yy, xy = (weights @ part.T for part in sums)
        left_x, left_y = xx - x * x / counts, yy - y * y / counts
        defined = (left_x > 1e-9 * xx.max(initial=0)) & (left_y > 1e-9 * yy.max(initial=0))
        r = (xy - x * y / counts) / np.sqrt(np.where(defined, left_x * left_y, 1.0))
        out[first : first + _PAIRS] = np.clip(np.where(defined, r, 0.0), -1.0, 1.0).T
    return out


@njit(nogil=True)
def _document_sums(a, b, token, position, document, column_a, column_b, sums):
    """Moments of both residuals by pair and document: x, y, xx, yy, xy."""
    for pair in range(sums.shape[1]):
        # Both latents spread out over all rows: what token and position explain of a silent row is not 0.
        for side, column in ((a, column_a), (b, column_b)):
            for s in range(side[0][pair], side[0][pair + 1]):
                column[side[1][s]] = side[2][s]
        token_a, token_b = a[3][pair], b[3][pair]
        position_a, position_b = a[4][pair], b[4][pair]
        for i in range(token.size):
            x = column_a[i] - token_a[token[i]] - position_a[position[i]]
            y = column_b[i] - token_b[token[i]] - position_b[position[i]]
            d = document[i]
            sums[0, pair, d] += x
            sums[1, pair, d] += y
            sums[2, pair, d] += x * x
            sums[3, pair, d] += y * y
            sums[4, pair, d] += x * y
        for side, column in ((a, column_a), (b, column_b)):
            for s in range(side[0][pair], side[0][pair + 1]):
                column[side[1][s]] = 0.0


def evenly(n: int, most: int = MAX_PAIRS) -> np.ndarray:
    """Places of all n pairs, or of as many evenly spread ones as there may be at most."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)
