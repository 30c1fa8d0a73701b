"""Is one latent here a few latents there? Non-negative combinations, fitted and judged on different rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from universality.brief_repr import brief_repr
from universality.compiled import njit
from universality.correlation.inputs import correlation_matrix, latent_moments
from universality.correlation.pairs import correlate_pairs
from universality.correlation.top import TopSimilarity

#: Coordinate descent ends when no weight moves by more, or after so many rounds (near-copies converge slowly).
_STEP = 1e-9
_ROUNDS = 1000
_TARGETS_PER_BLOCK = 4096
#: Latents up to which a dictionary's correlations with itself are kept whole (32 MB).
_DENSE_LATENTS = 2048

#: Maps candidates (m, k), -1 padded, to their correlations (m, k, k).
Gram = Callable[[np.ndarray], np.ndarray]


@brief_repr
@dataclass(frozen=True, eq=False)
class KToOne:
    """The best small combination found for each latent of the target side.

    Attributes:
        r2: (n,) held-out R² of the combination, at most 1; 0 where there is none. It may be negative.
        pieces: (n, n_pieces) latents of the other side, -1 padded, by falling share.
        shares: (n, n_pieces) share of the explained variance on fit rows that each piece carries.
        weights: (n, n_pieces) what a unit of each piece's activation counts; 0 for padding.
    """

    r2: np.ndarray
    pieces: np.ndarray
    shares: np.ndarray
    weights: np.ndarray


def k_to_1(
    target_fit: sparse.csr_matrix,
    target_score: sparse.csr_matrix,
    other_fit: sparse.csr_matrix,
    other_score: sparse.csr_matrix,
    similarity: TopSimilarity,
    *,
    n_candidates: int,
    n_pieces: int,
    piece_share: float,
    grams: tuple[Gram, Gram] | None = None,
    threads: int | None = None,
) -> KToOne:
    r"""Explain each latent of the target side by at most ``n_pieces`` latents of the other side.

    .. math:: R^2 = 1 - \frac{Var(a - \sum_j w_j b_j)}{Var(a)},\qquad w_j \ge 0

    Weights are fitted on fit rows among the best candidates; the ``n_pieces`` with the largest share of
    the explained variance are kept, those below ``piece_share`` dropped, and the rest is fitted again. R² is
    taken on score rows with those weights. Only correlations of listed pairs are needed (the Gram matrix of
    the candidates), so nothing grows with the square of the dictionary.

    Args:
        target_fit, target_score: CSR of the target side on fit and on score rows.
        other_fit, other_score: the same of the other side.
        similarity: candidates on fit rows, target side as side a.
        n_candidates: candidates per target, the best by fit r above 0.
        n_pieces: latents in a combination, at most.
        piece_share: least share of the explained variance that makes a latent a piece, 0..1.
        grams: :func:`gram_of` the other side on fit and on score rows, if made before.
        threads: threads to use; no byte of the result depends on it.

    Source: the notion of a split is ours; non-negative least squares as in Lawson and Hanson 1974.
    """
    n_target = similarity.n_a
    shape = n_target, n_pieces
    out = KToOne(np.zeros(n_target), np.full(shape, -1, np.int64), np.zeros(shape), np.zeros(shape))
    candidates, r_fit = similarity.top_a(n_candidates)
    candidates = np.where(r_fit > 0, candidates, -1)
    targets = np.flatnonzero((candidates >= 0).any(axis=1))
    gain_target = _growth(target_fit, target_score)
    gain_other = _growth(other_fit, other_score)
    norm_target = np.sqrt(latent_moments(sparse.csr_array(target_fit)).square)
    scale_other = latent_moments(sparse.csr_array(other_fit)).scale
    gram_of_fit, gram_of_score = grams or (gram_of(other_fit, threads), gram_of(other_score, threads))
    for first in range(0, targets.size, _TARGETS_PER_BLOCK):
        block = targets[first : first + _TARGETS_PER_BLOCK]
        index = candidates[block]
        listed = index >= 0
        c_fit = np.where(listed, r_fit[block], 0.0)
        gram_fit = gram_of_fit(index)
        weight = nonnegative(gram_fit, c_fit)
        weight, share = _prune(gram_fit, c_fit, weight, n_pieces, piece_share)
        c_score = np.zeros(index.shape)
        at, slot = np.nonzero(listed)
        pairs = block[at], index[at, slot]
        c_score[at, slot] = correlate_pairs(target_score, other_score, *pairs, threads=threads).r
        # Weights of standardised fit columns, carried over to standardised score columns.
        grown = gain_other[np.maximum(index, 0)] / np.maximum(gain_target[block], 1e-300)[:, None]
        scaled = weight * grown
        explained = np.einsum("ni,nij,nj->n", scaled, gram_of_score(index), scaled)
        out.r2[block] = 2.0 * (scaled * c_score).sum(axis=1) - explained
        order = np.argsort(-share, axis=1, kind="stable")[:, :n_pieces]
        # Of standardised columns; a unit of the piece is worth the ratio of the two norms.
        unit = weight * scale_other[np.maximum(index, 0)] * norm_target[block, None]
        shares, pieces, units = (np.take_along_axis(values, order, axis=1) for values in (share, index, unit))
        out.pieces[block, : order.shape[1]] = np.where(shares > 0, pieces, -1)
        out.shares[block, : order.shape[1]] = shares
        out.weights[block, : order.shape[1]] = units
    return out


def _growth(fit: sparse.csr_matrix, score: sparse.csr_matrix) -> np.ndarray:
    """(n,) standard deviation on score rows over that on fit rows; 0 where the latent does not vary."""
    one, two = latent_moments(sparse.csr_array(fit)), latent_moments(sparse.csr_array(score))
    before, after = one.square / max(one.n_rows, 1), two.square / max(two.n_rows, 1)
    return np.where(before > 0, np.sqrt(after / np.where(before > 0, before, 1.0)), 0.0)


def gram_of(other: sparse.csr_matrix, threads: int | None = None) -> Gram:
    """Correlations among each target's candidates: (m, k, k), rows and columns of padding are zero.

    A small dictionary is correlated with itself once; of a large one only the listed pairs are.
    """
    if other.shape[1] <= _DENSE_LATENTS:
        dense = correlation_matrix(other, other)
        np.fill_diagonal(dense, 1.0)

        def lookup(index: np.ndarray) -> np.ndarray:
            listed = index >= 0
            return dense[index[:, :, None], index[:, None, :]] * (listed[:, :, None] & listed[:, None, :])

        return lookup
    return lambda index: _listed_gram(other, index, threads)


def _listed_gram(other: sparse.csr_matrix, index: np.ndarray, threads: int | None) -> np.ndarray:
    m, k = index.shape
    gram = np.zeros((m, k, k))
    i, j = np.triu_indices(k, 1)
    left, right = index[:, i].astype(np.int64), index[:, j].astype(np.int64)
    listed = (left >= 0) & (right >= 0)
    n = other.shape[1]
    low, high = np.minimum(left, right)[listed], np.maximum(left, right)[listed]
    # Neighbours share candidates, so a pair is asked for by many targets and correlated once.
    keys, inverse = np.unique(low * n + high, return_inverse=True)
    r = correlate_pairs(other, other, keys // n, keys % n, threads=threads).r[inverse]
    at, pair = np.nonzero(listed)
    gram[at, i[pair], j[pair]] = r
    gram[at, j[pair], i[pair]] = r
    at, slot = np.nonzero(index >= 0)
    gram[at, slot, slot] = 1.0
    return gram


def nonnegative(gram: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Minimise ``w'Gw - 2 c'w`` over ``w >= 0`` for many small problems at once.

    Cyclic coordinate descent, each problem on its own: its outcome does not depend on its neighbours.

    Args:
        gram: (m, k, k) correlations, ones on the diagonal (zeros for padding).
        c: (m, k) correlations with the target.

    Returns:
        (m, k) weights, 0 for padding.
    """
    weight = np.zeros(c.shape)
    _descend(np.ascontiguousarray(gram, np.float64), np.ascontiguousarray(c, np.float64), weight)
    return weight


@njit(nogil=True)
def _descend(gram, c, weight):
    """Set each weight in turn to its best value given the others, until nothing moves; padding stays 0."""
    m, k = c.shape
    for i in range(m):
        for _ in range(_ROUNDS):
            largest = 0.0
            for j in range(k):
                if gram[i, j, j] <= 0.0:
                    continue
                rest = c[i, j]
                for other in range(k):
                    if other != j:
                        rest -= gram[i, j, other] * weight[i, other]
                value = max(rest, 0.0)
                largest = max(largest, abs(value - weight[i, j]))
                weight[i, j] = value
            if largest < _STEP:
                break


def _prune(
    gram: np.ndarray, c: np.ndarray, weight: np.ndarray, n_pieces: int, piece_share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Keep the largest shares, fit them again, drop what carries too little, fit once more."""
    for keep_small in (True, False):
        share = _shares(c, weight)
        rank = np.argsort(np.argsort(-share, axis=1, kind="stable"), axis=1, kind="stable")
        is_piece = (share > 0) & (rank < n_pieces) & (keep_small | (share >= piece_share))
        weight = nonnegative(gram * (is_piece[:, :, None] & is_piece[:, None, :]), c * is_piece)
    return weight, _shares(c, weight)


def _shares(c: np.ndarray, weight: np.ndarray) -> np.ndarray:
    part = np.maximum(c * weight, 0.0)
    total = part.sum(axis=1, keepdims=True)
    return part / np.where(total > 0, total, 1.0)
