"""The candidate graph of a matcher: pairs worth more than staying alone, and a bound on all others."""

from dataclasses import dataclass

import numpy as np

from universality.correlation.top import TopSimilarity
from universality.errors import require
from universality.matrices import as_dense, is_dense


@dataclass(frozen=True)
class Candidates:
    """Edges with ``weight = similarity - unmatched > 0``, grouped by a.

    Attributes:
        n_a: latents of a. n_b: latents of b. top: list length behind it, 0 for a full matrix.
        indptr: (n_a + 1,) int64. partner: (n_edges,) int32, rising within a. weight: (n_edges,) float64.
        ceiling_a: (n_a,) upper bound of the weight of a's pairs that were never formed. ceiling_b: (n_b,).
        unmatched: value of staying alone.
    """

    n_a: int
    n_b: int
    top: int
    indptr: np.ndarray
    partner: np.ndarray
    weight: np.ndarray
    ceiling_a: np.ndarray
    ceiling_b: np.ndarray
    unmatched: float

    @property
    def of(self) -> np.ndarray:
        """(n_edges,) latent of a of each edge."""
        return np.repeat(np.arange(self.n_a, dtype=np.int32), np.diff(self.indptr))


def candidates(similarity: TopSimilarity | np.ndarray, unmatched: float) -> Candidates:
    """Build the candidate graph of a similarity.

    Args:
        similarity: candidate pairs with cut-offs, or a full matrix (n_a, n_b), finite.
        unmatched: value of staying alone.

    Raises:
        InputError: a matrix that is not two-dimensional or not finite.
    """
    if isinstance(similarity, TopSimilarity):
        _check(similarity)
        n_a, n_b, top = similarity.n_a, similarity.n_b, similarity.top
        at_a, at_b, value = similarity.indices_a, similarity.indices_b, similarity.r
        ceiling_a, ceiling_b = similarity.cutoff_a - unmatched, similarity.cutoff_b - unmatched
        worth = value > unmatched
        at_a, at_b, value = at_a[worth], at_b[worth], value[worth]
    else:
        remedy = "Give a dense matrix, or what correlate returns."
        require(is_dense(similarity), "similarity", "match", "a numpy array", type(similarity).__name__, remedy)
        matrix = np.asarray(as_dense(similarity, "similarity"), dtype=np.float64)
        fits, got = matrix.ndim == 2 and np.isfinite(matrix).all(), f"shape {matrix.shape}"
        remedy = "Put 0 where a similarity is undefined."
        require(fits, "similarity", "match", "a finite (n_a, n_b) matrix", got, remedy)
        n_a, n_b, top = *matrix.shape, 0
        at_a, at_b = np.nonzero(matrix > unmatched)
        value = matrix[at_a, at_b]
        ceiling_a, ceiling_b = np.full(n_a, -np.inf), np.full(n_b, -np.inf)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(at_a, minlength=n_a))]).astype(np.int64)
    partner = at_b.astype(np.int32)
    return Candidates(n_a, n_b, top, indptr, partner, value - unmatched, ceiling_a, ceiling_b, unmatched)


def _check(similarity: TopSimilarity) -> None:
    """What follows reads and writes where its indices point.

    Raises:
        InputError: arrays of unequal length, latents that there are not, or r that are not finite.
    """
    at_a, at_b, r = similarity.indices_a, similarity.indices_b, similarity.r
    remedy = "Take it from correlate, or from_arrays of what it gave."
    sizes = {np.shape(part) for part in (at_a, at_b, r)}
    require(len(sizes) == 1, "indices_a, indices_b and r", "similarity", "of one length", sorted(sizes), remedy)
    for name, index, size in (("indices_a", at_a, similarity.n_a), ("indices_b", at_b, similarity.n_b)):
        fits = not len(index) or (index.min() >= 0 and index.max() < size)
        got = "none" if fits else f"{index.min()}..{index.max()}"
        require(fits, name, "similarity", f"in 0..{size - 1}", got, remedy)
    require(np.isfinite(r).all(), "r", "similarity", "finite", "NaN or infinite values", remedy)


def missing_excess(graph: Candidates, duals_a: np.ndarray, duals_b: np.ndarray) -> np.ndarray:
    """By how much the pairs never formed can violate the duals of each latent of a.

    ``excess_i = max_j min(ceiling_a[i], ceiling_b[j]) - duals_a[i] - duals_b[j]``, over *all* j, by sorting
    the ceilings: those of b above a's own cost the least dual, those below their own best.

    Returns:
        (n_a,) excess, >= 0; raising ``duals_a`` by it makes them feasible for the full problem.
    """
    if graph.n_a == 0 or graph.n_b == 0:
        return np.zeros(graph.n_a)
    order = np.argsort(graph.ceiling_b, kind="stable")
    ceiling, dual = graph.ceiling_b[order], duals_b[order]
    cheapest_above = np.append(np.minimum.accumulate(dual[::-1])[::-1], np.inf)
    best_below = np.append(-np.inf, np.maximum.accumulate(ceiling - dual))
    at = np.searchsorted(ceiling, graph.ceiling_a, side="left")
    return np.maximum(np.maximum(graph.ceiling_a - cheapest_above[at], best_below[at]) - duals_a, 0.0)
