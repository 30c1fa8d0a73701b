"""Nearest neighbours: each a's best b, and the pairs that choose each other."""

import numpy as np

from universality.matching.candidates import Candidates

NOBODY = -2


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
