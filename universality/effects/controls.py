"""With whom else a latent is compared: partners that a good measure of function must tell from the matched one."""

from __future__ import annotations

import numpy as np

from universality.compare.pair import Dictionary
from universality.correlation import TopSimilarity
from universality.domains import top_domains

#: Strata of firing rates from which random partners come.
_STRATA = 10


def runner_up(similarity: TopSimilarity, indices_a: np.ndarray, indices_b: np.ndarray) -> np.ndarray:
    """The candidate of each latent of a that has the highest fit r but for its partner; -1 where there is none."""
    candidates, _ = similarity.top_a(2)
    first, second = candidates[indices_a].T
    return np.where(first == indices_b, second, first).astype(np.int64)


def hard_exchange(b: Dictionary, indices_b: np.ndarray) -> np.ndarray:
    """Another assigned latent of b with the partner's top domain and the nearest firing rate; -1 where there is none.

    Args:
        b: the partners' dictionary; without labels all rows count as one domain.
        indices_b: (n_pairs,) partners.
    """
    rate, domain = np.log(np.maximum(b.statistics.firing_rate, 1e-30)), top_domains(b.acts, b.rows)
    away = np.abs(rate[indices_b][:, None] - rate[indices_b][None, :])
    away[domain[indices_b][:, None] != domain[indices_b][None, :]] = np.inf
    np.fill_diagonal(away, np.inf)
    if not len(away):
        return np.zeros(0, np.int64)
    nearest = away.argmin(axis=1)
    found = np.isfinite(away[np.arange(len(away)), nearest])
    return np.where(found, indices_b[nearest], -1)


def random_partner(
    b: Dictionary, indices_b: np.ndarray, rng: np.random.Generator, among: np.ndarray | None = None
) -> np.ndarray:
    """A random alive latent of b that fires about as often as the partner, and is not it; -1 where there is none.

    Args:
        b: the partners' dictionary. indices_b: (n_pairs,) partners. rng: draws them.
        among: (d_sae,) bool, latents that may be drawn, the partners among them; all by default.
    """
    alive = np.flatnonzero(b.alive if among is None else b.alive & among)
    order = alive[np.argsort(b.statistics.firing_rate[alive], kind="stable")]
    stratum = np.empty(b.d_sae, dtype=np.int64)
    strata = np.array_split(order, min(_STRATA, max(1, order.size // 2)))
    for number, members in enumerate(strata):
        stratum[members] = number
    drawn = np.full(indices_b.size, -1, dtype=np.int64)
    for place, latent in enumerate(indices_b):
        others = strata[stratum[latent]]
        others = others[others != latent]
        if others.size:
            drawn[place] = others[rng.integers(others.size)]
    return drawn


def random_directions(directions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many directions (n, d_in) float32, drawn at random, each of the norm of the one whose place it takes."""
    drawn = rng.standard_normal(directions.shape)
    norms = np.linalg.norm(directions, axis=1) / np.linalg.norm(drawn, axis=1)
    return (drawn * norms[:, None]).astype(np.float32)
