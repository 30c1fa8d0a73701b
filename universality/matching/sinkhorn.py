"""Entropic (soft) matching in the log domain, with the same option to stay alone."""

from __future__ import annotations

import numpy as np

from universality.errors import InputError, must_be
from universality.matching.candidates import Candidates

MAX_ENTRIES = 1 << 24  # 4,096 x 4,096: 128 MiB per float64 array
_ANNEAL = (0.1, 0.05, 0.02, 0.01, 0.005)
_SWEEPS = 100
_TOLERANCE = 1e-2  # in units of epsilon: enough to tell who holds most of whose mass


def sinkhorn(graph: Candidates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Soft matching, rounded to the pairs that hold the most of each other's mass.

    Maximises :math:`\sum_{ij} P_{ij} w_{ij} + \epsilon H(P)` with unit mass per latent, staying alone
    (weight 0) included. The potentials are

    .. math:: f_i = \epsilon \log\bigl(1 + \sum_j e^{(w_{ij} - g_j)/\epsilon}\bigr) \ge 0

    and likewise g; they tend to the duals of the exact problem as epsilon falls (0.1 to 0.005).

    Args:
        graph: candidates, at most ``MAX_ENTRIES`` pairs ``n_a * n_b``; pairs never formed take no mass.

    Returns:
        ``(mate_a (n_a,) negative where alone, f (n_a,), g (n_b,))``.

    Raises:
        InputError: more pairs than a dense plan should hold; use ``method="assignment"``.

    Source: Cuturi 2013; the private option to stay alone as in Sarlin et al. 2020 ("dustbin"), unbounded.
    """
    if graph.n_a * graph.n_b > MAX_ENTRIES:
        raise InputError(
            must_be("n_a * n_b", "sinkhorn", f"at most {MAX_ENTRIES}", graph.n_a * graph.n_b,
                    'The plan is dense: use method="assignment", which is exact and sparse.')
        )  # fmt: skip
    weight = np.full((graph.n_a, graph.n_b), -np.inf)
    weight[graph.of, graph.partner] = graph.weight
    f, g = np.zeros(graph.n_a), np.zeros(graph.n_b)
    if not graph.weight.size:
        return np.full(graph.n_a, -2, np.int32), f, g
    for epsilon in _ANNEAL:
        for _ in range(_SWEEPS):
            f = _potential(weight - g, epsilon, axis=1)
            following = _potential(weight - f[:, None], epsilon, axis=0)
            moved, g = np.abs(following - g).max(), following
            if moved < _TOLERANCE * epsilon:
                break
    plan = weight - f[:, None] - g
    best_a, best_b = plan.argmax(axis=1), plan.argmax(axis=0)
    mutual = (best_b[best_a] == np.arange(graph.n_a)) & np.isfinite(plan.max(axis=1))
    return np.where(mutual, best_a, -2).astype(np.int32), f, g


def _potential(gain: np.ndarray, epsilon: float, axis: int) -> np.ndarray:
    """``epsilon log(1 + sum exp(gain / epsilon))``, shifted by the largest gain so that nothing overflows."""
    largest = np.maximum(gain.max(axis=axis, keepdims=True), 0.0)
    summed = np.exp((gain - largest) / epsilon).sum(axis=axis) + np.exp(-largest.squeeze(axis) / epsilon)
    return largest.squeeze(axis) + epsilon * np.log(summed)
