"""Exact one-to-one assignment with the option to stay alone, and the proof that it is exact."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from universality.compiled import njit
from universality.correlation.threads import n_threads, over_blocks
from universality.matching import solver
from universality.matching.candidates import Candidates, missing_excess

_BIDS = 8
_ROWS_PER_GROUP = 2048


@dataclass(frozen=True)
class Assignment:
    """An optimal matching of the candidate graph, with duals.

    Attributes:
        mate_a: (n_a,) partner in b, negative where a stays alone.
        duals_a: (n_a,) >= 0. duals_b: (n_b,) >= 0; feasible for every candidate pair.
        certificate: see :class:`~universality.matching.result.MatchResult`.
    """

    mate_a: np.ndarray
    duals_a: np.ndarray
    duals_b: np.ndarray
    certificate: float


def assign(graph: Candidates, threads: int | None = None) -> Assignment:
    """Maximise the total weight of a one-to-one matching.

    Args:
        graph: candidate pairs and ceilings.
        threads: threads over connected components; no byte of the result depends on it.

    Returns:
        An optimum of the candidate graph; how far the full problem can be above it, its certificate says.
    """
    if graph.n_a > graph.n_b:  # paths start on the smaller side: fewer end alone
        flipped = assign(_transposed(graph), threads)
        mate_a = np.full(graph.n_a, solver.ALONE, dtype=np.int32)
        at = np.flatnonzero(flipped.mate_a >= 0)
        mate_a[flipped.mate_a[at]] = at
        return Assignment(mate_a, flipped.duals_b, flipped.duals_a, flipped.certificate)
    u, v = np.zeros(graph.n_a), np.zeros(graph.n_b)
    mate_a = np.full(graph.n_a, solver.OPEN, dtype=np.int32)
    mate_b = np.full(graph.n_b, solver.OPEN, dtype=np.int32)
    arrays = (graph.indptr, graph.partner, graph.weight)
    rows, groups = _groups(graph)
    states = [_scratch(graph.n_b) for _ in range(min(n_threads(threads), max(1, len(groups))))]

    # Components share no latent, so threads write to different places of u, v and both mates.
    def work(state: tuple[np.ndarray, ...], first: int, last: int) -> None:
        left = solver.bid(*arrays, rows[first:last], _BIDS, u, v, mate_a, mate_b)
        solver.augment(*arrays, left, u, v, mate_a, mate_b, *state)

    over_blocks(work, groups, states)
    duals_a = _tight(*arrays, v)
    return Assignment(mate_a, duals_a, v, certificate(graph, mate_a, duals_a, v))


def certificate(graph: Candidates, mate_a: np.ndarray, duals_a: np.ndarray, duals_b: np.ndarray) -> float:
    """Upper bound of ``optimum - objective`` over all one-to-one matchings of the full problem.

    Any duals ``u, v >= 0`` with ``u_i + v_j >= w_ij`` for all pairs bound the optimum by their sum. These
    are feasible for the candidates; what pairs never formed can violate is added on the cheaper side.

    Args:
        graph: candidates and ceilings.
        mate_a: (n_a,) the matching to judge.
        duals_a: (n_a,) >= 0. duals_b: (n_b,) >= 0; feasible for all candidates.

    Returns:
        The bound, >= 0, with an allowance for rounding (about 1e-15 per latent).
    """
    missing = min(
        math.fsum(missing_excess(graph, duals_a, duals_b)),
        math.fsum(missing_excess(_transposed(graph, edges=False), duals_b, duals_a)),
    )
    weight = graph.weight[matched_edges(graph, mate_a)]
    gap = math.fsum(duals_a) + math.fsum(duals_b) - math.fsum(weight)
    largest = max(1.0, abs(graph.unmatched), float(graph.weight.max(initial=0.0)))
    rounding = 4 * np.finfo(np.float64).eps * largest * (1 + weight.size)
    return max(gap, 0.0) + missing + rounding


def matched_edges(graph: Candidates, mate_a: np.ndarray) -> np.ndarray:
    """Edge number of each matched pair, in the order of a."""
    return np.flatnonzero(graph.partner == mate_a[graph.of])


@njit(nogil=True)
def _tight(indptr, partner, weight, v):
    """The least feasible duals of a for given duals of b."""
    u = np.zeros(indptr.size - 1)
    for i in range(u.size):
        for s in range(indptr[i], indptr[i + 1]):
            u[i] = max(u[i], weight[s] - v[partner[s]])
    return u


def _scratch(n_b: int) -> tuple[np.ndarray, ...]:
    """``dist, via, heap, place, seen`` of :func:`~universality.matching.solver.augment`."""
    via, heap, seen = (np.empty(n_b, np.int32) for _ in range(3))
    return np.full(n_b, np.inf), via, heap, np.full(n_b, -1, np.int32), seen


def _groups(graph: Candidates) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Rows ordered by connected component, and ranges of whole components to solve on their own."""
    if graph.n_a == 0:
        return np.zeros(0, np.int32), []
    links = sparse.csr_array(
        (np.ones(graph.partner.size, np.int8), graph.partner, graph.indptr), shape=(graph.n_a, graph.n_b)
    )
    square = sparse.block_array([[None, links], [sparse.csr_array((graph.n_b, graph.n_a), dtype=np.int8), None]])
    label = csgraph.connected_components(square, directed=False)[1][: graph.n_a]
    rows = np.argsort(label, kind="stable").astype(np.int32)
    starts = np.append(np.flatnonzero(np.diff(label[rows], prepend=-1)), rows.size)
    groups, first = [], 0
    for last in starts[1:].tolist():
        if last - first >= _ROWS_PER_GROUP or last == rows.size:
            groups.append((first, last))
            first = last
    return rows, groups


def _transposed(graph: Candidates, edges: bool = True) -> Candidates:
    """The same graph seen from b (without its edges if only the ceilings are wanted)."""
    indptr, partner, weight = np.zeros(graph.n_b + 1, np.int64), graph.partner[:0], graph.weight[:0]
    if edges:
        links = sparse.csr_array((graph.weight, graph.partner, graph.indptr), shape=(graph.n_a, graph.n_b))
        by_b = links.tocsc()
        indptr, partner, weight = by_b.indptr.astype(np.int64), by_b.indices.astype(np.int32), by_b.data
    return replace(
        graph, n_a=graph.n_b, n_b=graph.n_a, indptr=indptr, partner=partner, weight=weight,
        ceiling_a=graph.ceiling_b, ceiling_b=graph.ceiling_a,
    )  # fmt: skip
