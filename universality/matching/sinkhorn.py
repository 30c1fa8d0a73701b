"""Entropic (soft) matching in the log domain, with the same option to stay alone."""

from typing import NamedTuple

import numpy as np

from universality.errors import require
from universality.matching.candidates import Candidates

MAX_ENTRIES = 1 << 24  # 4,096 x 4,096: 128 MiB per float64 array
_ANNEAL = (0.1, 0.05, 0.02, 0.01, 0.005)
_SWEEPS = 100
_TOLERANCE = 1e-2  # in units of epsilon: enough to tell who holds most of whose mass


class SoftMatching(NamedTuple):
    """A soft matching and its rounding.

    Attributes:
        mate_a: (n_a,) int32 partner, negative where alone.
        f, g: (n_a,), (n_b,) potentials >= 0.
        mass_a, mass_b: (n_a,), (n_b,) how much of a latent's unit of mass went to partners, in [0, 1] up to the
            tolerance of the last sweep; the rest stayed alone.
    """

    mate_a: np.ndarray
    f: np.ndarray
    g: np.ndarray
    mass_a: np.ndarray
    mass_b: np.ndarray


def sinkhorn(graph: Candidates) -> SoftMatching:
    r"""Soft matching, rounded to the pairs that hold the most of each other's mass.

    Maximises :math:`\sum_{ij} P_{ij} w_{ij} + \epsilon H(P)` with unit mass per latent, staying alone
    (weight 0) included. The potentials are

    .. math:: f_i = \epsilon \log\bigl(1 + \sum_j e^{(w_{ij} - g_j)/\epsilon}\bigr) \ge 0

    and likewise g; they tend to the duals of the exact problem as epsilon falls (0.1 to 0.005).

    Args:
        graph: candidates, at most ``MAX_ENTRIES`` pairs ``n_a * n_b``; pairs never formed take no mass.

    Returns:
        A :class:`SoftMatching`.

    Raises:
        InputError: more pairs than a dense plan should hold; use ``method="assignment"``.

    Source: Cuturi 2013; the private option to stay alone as in Sarlin et al. 2020 ("dustbin"), unbounded.
    """
    size, limit = graph.n_a * graph.n_b, f"at most {MAX_ENTRIES}"
    remedy = 'The plan is dense: use method="assignment", which is exact and sparse.'
    require(size <= MAX_ENTRIES, "n_a * n_b", "sinkhorn", limit, size, remedy)
    weight = np.full((graph.n_a, graph.n_b), -np.inf)
    weight[graph.of, graph.partner] = graph.weight
    f, g = np.zeros(graph.n_a), np.zeros(graph.n_b)
    if not graph.weight.size:
        return SoftMatching(np.full(graph.n_a, -2, np.int32), f, g, f, g)
    for epsilon in _ANNEAL:
        for _ in range(_SWEEPS):
            f = _potential(weight - g, epsilon, axis=1)
            following = _potential(weight - f[:, None], epsilon, axis=0)
            moved, g = np.abs(following - g).max(), following
            if moved < _TOLERANCE * epsilon:
                break
    plan = weight - f[:, None] - g
    mass = np.exp(plan / _ANNEAL[-1])
    best_a, best_b = plan.argmax(axis=1), plan.argmax(axis=0)
    mutual = (best_b[best_a] == np.arange(graph.n_a)) & np.isfinite(plan.max(axis=1))
    mate_a = np.where(mutual, best_a, -2).astype(np.int32)
    return SoftMatching(mate_a, f, g, mass.sum(axis=1), mass.sum(axis=0))


def _potential(gain: np.ndarray, epsilon: float, axis: int) -> np.ndarray:
    """``epsilon log(1 + sum exp(gain / epsilon))``, shifted by the largest gain so that nothing overflows."""
    largest = np.maximum(gain.max(axis=axis, keepdims=True), 0.0)
    summed = np.exp((gain - largest) / epsilon).sum(axis=axis) + np.exp(-largest.squeeze(axis) / epsilon)
    return largest.squeeze(axis) + epsilon * np.log(summed)
