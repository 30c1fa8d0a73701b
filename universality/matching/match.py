"""The front door: one call, four methods, one result."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from universality.arguments import checked, function, number, one_of, whole
from universality.compiled import njit
from universality.correlation.top import TopSimilarity, with_pairs
from universality.matching.assignment import Assignment, assign, certificate, matched_edges
from universality.matching.candidates import Candidates, candidates
from universality.matching.result import MatchResult
from universality.matching.sinkhorn import sinkhorn

#: Where a latent chooses no partner.
NOBODY = -2

Search = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
METHODS = ("assignment", "max", "mutual", "sinkhorn")
_CLOSED = 1e-9  # a certificate of this much per latent is rounding
_WIDEN = 4
_PRICE_ERROR = 1e-12


@checked(method=one_of(*METHODS), unmatched=number(), widen=function, search=function, threads=whole(1))
def match(
    similarity: TopSimilarity | np.ndarray,
    *,
    method: str = "assignment",
    unmatched: float = 0.0,
    widen: Callable[[int], TopSimilarity] | None = None,
    search: Search | None = None,
    threads: int | None = None,
) -> MatchResult:
    r"""Pair the latents of two dictionaries.

    The default maximises :math:`\sum (s_{ab} - unmatched)` over all one-to-one matchings in which any latent
    may stay alone; it is exact on the candidates, and the certificate bounds what any pair that was never
    formed could add. It closes (1e-9 per latent) once ``unmatched`` is at or above the cut-offs, or after
    widening.

    Args:
        similarity: candidates with cut-offs, or a full (n_a, n_b) matrix.
        method: ``"assignment"`` (exact, one-to-one), ``"max"`` (each a's best b; b may repeat), ``"mutual"``
            (pairs that choose each other), ``"sinkhorn"`` (soft, dense, up to 4,096 x 4,096).
        unmatched: value of staying alone; pairs at or below it are never formed.
        widen: ``widen(top)`` returns the same similarity with longer lists; called with growing ``top`` until
            the certificate closes (``method="assignment"`` only).
        search: ``search(floor_a, floor_b)`` returns all pairs above the sum of two floors, as
            :func:`~universality.correlation.pairs_above` makes it; the pairs that beat the current prices are
            added until there are none. Exact over all pairs for any ``unmatched``, with short lists. Wins over
            ``widen``.
        threads: threads over connected components; no byte of the result depends on it.

    Returns:
        A :class:`MatchResult`, sorted by ``indices_a``.

    Raises:
        InputError: unknown method, or a similarity that is not finite.

    Source: exact assignment as in Jonker & Volgenant 1987, sparse; the certificate over missing pairs is ours.
    """
    graph = candidates(similarity, unmatched)
    if method == "assignment":
        similarity, graph, solved = _exact(similarity, graph, widen, search, threads)
        return _result(similarity, graph, solved, method)
    duals_b, mass = np.zeros(graph.n_b), None
    if method == "sinkhorn":
        soft = sinkhorn(graph)
        mate_a, duals_b, mass = soft.mate_a, soft.g, (soft.mass_a, soft.mass_b)
    else:
        mate_a = best_partner(graph)[0] if method == "max" else mutual(graph)
    duals_a = np.zeros(graph.n_a)
    np.maximum.at(duals_a, graph.of, graph.weight - duals_b[graph.partner])
    bound = certificate(graph, mate_a, duals_a, duals_b)
    result = _result(similarity, graph, Assignment(mate_a, np.zeros(0), np.zeros(0), bound), method)
    return result if mass is None else replace(result, mass_a=mass[0], mass_b=mass[1])


def _exact(
    similarity: TopSimilarity | np.ndarray,
    graph: Candidates,
    widen: Callable[[int], TopSimilarity] | None,
    search: Search | None,
    threads: int | None,
) -> tuple[TopSimilarity | np.ndarray, Candidates, Assignment]:
    """Solve, and add candidates until the certificate closes or nobody can add any."""
    n = max(graph.n_a, graph.n_b)
    while True:
        solved = assign(graph, threads)
        if not isinstance(similarity, TopSimilarity) or solved.certificate <= _CLOSED * n:
            return similarity, graph, solved
        if search is not None:
            above = search(solved.duals_a + (graph.unmatched + _PRICE_ERROR), solved.duals_b)
            if above[2].size == 0:
                return similarity, graph, replace(solved, certificate=_proven(graph, solved))
            wider = with_pairs(similarity, *above)
            if wider.r.size == similarity.r.size:  # listed with other values: nothing more to learn from it
                return similarity, graph, solved
            similarity = wider
        elif widen is not None and graph.top < n:
            similarity = widen(min(n, graph.top * _WIDEN))
        else:
            return similarity, graph, solved
        graph = candidates(similarity, graph.unmatched)


def _proven(graph: Candidates, solved: Assignment) -> float:
    """The certificate once a search over all pairs has found none above the prices."""
    nothing = replace(graph, ceiling_a=np.full(graph.n_a, -np.inf), ceiling_b=np.full(graph.n_b, -np.inf))
    left_out = max(0.0, -graph.unmatched)  # undefined similarities are 0 and never searched
    bound = certificate(nothing, solved.mate_a, solved.duals_a, solved.duals_b)
    return bound + min(graph.n_a, graph.n_b) * (_PRICE_ERROR + left_out)


def _result(similarity: TopSimilarity | np.ndarray, graph: Candidates, solved: Assignment, method: str) -> MatchResult:
    """Read score and margins of the matched pairs off the similarity itself, so that they carry its very digits."""
    edges = matched_edges(graph, solved.mate_a)
    ia, ib = graph.of[edges], graph.partner[edges]
    if isinstance(similarity, TopSimilarity):
        of, partner, value = similarity.indices_a, similarity.indices_b, similarity.r
        score = similarity.r[np.flatnonzero(partner == solved.mate_a[of])]
        cutoff_a, cutoff_b = similarity.cutoff_a, similarity.cutoff_b
    else:
        matrix = np.asarray(similarity, dtype=np.float64)
        of, partner = np.nonzero(matrix > 0)
        value = matrix[of, partner]
        score, cutoff_a, cutoff_b = matrix[ia, ib], np.zeros(graph.n_a), np.zeros(graph.n_b)
    return MatchResult(
        indices_a=ia.astype(np.int32),
        indices_b=ib.astype(np.int32),
        score=score,
        margin_a=score - _alternative((of, partner, value), ia, ib, cutoff_a),
        margin_b=score - _alternative((partner, of, value), ib, ia, cutoff_b),
        certificate=solved.certificate,
        method=method,
        unmatched=float(graph.unmatched),
        top=graph.top,
        duals_a=solved.duals_a,
        duals_b=solved.duals_b,
        mass_a=_matched(ia, graph.n_a),
        mass_b=_matched(ib, graph.n_b),
    )


def _matched(indices: np.ndarray, n: int) -> np.ndarray:
    return np.isin(np.arange(n), indices).astype(np.float64)


def _alternative(
    listed: tuple[np.ndarray, np.ndarray, np.ndarray], at: np.ndarray, taken: np.ndarray, cutoff: np.ndarray
) -> np.ndarray:
    """Best value of each ``at`` with another partner than ``taken``: listed, or bounded by the cut-off, or 0."""
    best, who, second = _two_best(*listed, cutoff.size)
    other = np.where(who[at] == taken, second[at], best[at])
    return np.maximum(other, cutoff[at])


@njit(nogil=True)
def _two_best(of, partner, value, n):
    """Largest and second-largest value above 0 of each of n latents, and whose the largest is; 0 and -1 if none."""
    best, who, second = np.zeros(n), np.full(n, -1, np.int64), np.zeros(n)
    for s in range(of.size):
        i, x = of[s], value[s]
        if x > best[i]:
            best[i], second[i], who[i] = x, best[i], partner[s]
        elif x > second[i]:
            second[i] = x
    return best, who, second


def best_partner(graph: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Each latent's best candidate on the other side, ties to the smaller index.

    Returns:
        ``(best_of_a (n_a,), best_of_b (n_b,))`` int32, negative where staying alone is worth more.
    """
    best_of_a = _first(graph.of, graph.partner, graph.weight, graph.n_a)
    return best_of_a, _first(graph.partner, graph.of, graph.weight, graph.n_b)


def _first(of: np.ndarray, partner: np.ndarray, weight: np.ndarray, n: int) -> np.ndarray:
    order = np.lexsort((partner, -weight, of))
    out = np.full(n, NOBODY, dtype=np.int32)
    latents, first = np.unique(of[order], return_index=True)
    out[latents] = partner[order[first]]
    return out


def mutual(graph: Candidates) -> np.ndarray:
    """Pairs that are each other's best candidate; two random dictionaries agree on half of theirs.

    Returns:
        (n_a,) partner of each a, negative where there is none.
    """
    best_a, best_b = best_partner(graph)
    returned = np.where(best_a >= 0, best_b[np.maximum(best_a, 0)], NOBODY) if graph.n_b else best_a
    return np.where(returned == np.arange(graph.n_a), best_a, NOBODY).astype(np.int32)
