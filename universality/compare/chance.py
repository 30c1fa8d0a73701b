"""Chance: what the best of many candidates reaches when two models read different documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from universality.brief_repr import brief_repr
from universality.compare.compare_config import CompareConfig
from universality.compare.pair import Dictionary, DictionaryPair
from universality.nulls import benjamini_hochberg, p_values, shift_null, strata
from universality.seeds import generator

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999)
#: Spread below which a latent's own null maxima count as equal; r is not known any better than that.
_SPREAD_FLOOR = 5e-3


@brief_repr
@dataclass(frozen=True, eq=False)
class PairNull:
    """Maxima of r over all candidates under shifts of whole sources, on the score rows.

    Attributes:
        plain_a: (n_shifts, n_a) each latent's maximum over the latents of b, rows shifted anywhere; 0 where
            the latent is not alive. plain_b: (n_shifts, n_b) the same for b.
        domain_a, domain_b: the same with rows shifted within their domain only, or None without at least two domains.
    """

    plain_a: np.ndarray
    plain_b: np.ndarray
    domain_a: np.ndarray | None = None
    domain_b: np.ndarray | None = None

    def swapped(self) -> PairNull:
        """The null of the pair named the other way round."""
        return PairNull(self.plain_b, self.plain_a, self.domain_b, self.domain_a)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All content as named arrays, for storage."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> PairNull:
        """The inverse of :meth:`to_arrays`."""
        return cls(**{name: np.asarray(arrays[name]) for name in cls.__dataclass_fields__ if name in arrays})

    def pooled(self, alive_a: np.ndarray, alive_b: np.ndarray) -> np.ndarray:
        """(n_shifts, alive latents of a and of b) plain maxima of both sides."""
        return np.concatenate([self.plain_a[:, alive_a], self.plain_b[:, alive_b]], axis=1)

    def quantiles(self, alive_a: np.ndarray, alive_b: np.ndarray) -> pd.DataFrame:
        """kind (plain|domain), quantile, value: the pooled maxima of both sides' alive latents."""
        pooled = {"plain": self.pooled(alive_a, alive_b)}
        if self.domain_a is not None and self.domain_b is not None:
            pooled["domain"] = PairNull(self.domain_a, self.domain_b).pooled(alive_a, alive_b)
        parts = [
            pd.DataFrame({"kind": kind, "quantile": QUANTILES, "value": np.quantile(values, QUANTILES)})
            for kind, values in pooled.items()
            if values.size
        ]
        return pd.concat(parts or [pd.DataFrame({"kind": [], "quantile": [], "value": []})], ignore_index=True)


def pair_null(pair: DictionaryPair, *, within_domains: bool = True) -> PairNull:
    """Shift one dictionary's score rows against the other's and record every latent's maximum.

    Args:
        pair: the dictionaries; ``config.n_shifts`` shifts, drawn by both names but not by their order.
        within_domains: whether to shift within domains too.

    Returns:
        A :class:`PairNull`, with the within-domain part where it is asked for and the rows have at least two domains.
    """
    if pair.names[0] > pair.names[1]:
        return pair_null(pair.swapped(), within_domains=within_domains).swapped()
    rows = pair.rows
    domains_of_kind: dict[str, np.ndarray | None] = {"plain": None}
    # A single label tells no domain from another: as without labels, no level can be tested.
    if within_domains and rows.domains is not None and np.unique(rows.domains[rows.score]).size > 1:
        domains_of_kind["domain"] = rows.domains[rows.score]
    maxima = {}
    for kind, domains in domains_of_kind.items():
        null = shift_null(
            *pair.score, rows.documents[rows.score], sources=rows.groups[rows.score], n_shifts=pair.config.n_shifts,
            generator=generator(pair.root_seed, f"null-{kind}", *pair.names), n_ctx=rows.n_ctx, domains=domains,
            threads=pair.threads,
        )  # fmt: skip
        maxima[f"{kind}_a"], maxima[f"{kind}_b"] = null.max_a, null.max_b
    return PairNull(**maxima)


@dataclass(frozen=True, eq=False)
class Significance:
    """p and q of assigned pairs, in their order.

    Attributes:
        p: (n_pairs,) max over both sides of P(null maximum >= r), in (0, 1].
        q: (n_pairs,) Benjamini–Hochberg over min(alive_a, alive_b) latents, unassigned ones having p = 1.
        q_min: (n_pairs,) q of such a pair were its r 1 and nothing else beyond chance: what could be reached at all.
        q_domain: (n_pairs,) q under shifts within domains; NaN without domains.
    """

    p: np.ndarray
    q: np.ndarray
    q_min: np.ndarray
    q_domain: np.ndarray


def significance(
    r: np.ndarray, indices_a: np.ndarray, indices_b: np.ndarray, null: PairNull, pair: DictionaryPair
) -> Significance:
    """Judge held-out correlations of assigned pairs against both sides' maximum-nulls.

    The plain null is pooled in strata of (firings x sources). Within domains that would compare unlike with
    unlike: a latent that marks a script keeps most of its r under a shift inside that script, its neighbour in
    the stratum keeps nothing, and pooled together the first looks significant and the second never does. So
    there each latent's maxima are measured in units of its own spread around its own mean (leave-one-out), and
    those are pooled in the same strata.

    Args:
        r: (n_pairs,) held-out r.
        indices_a, indices_b: (n_pairs,) latents.
        null: maxima of the pair.
        pair: the dictionaries, with the sizes of strata in their settings.
    """
    if not r.size:
        return Significance(*np.zeros((4, 0)))
    n_hypotheses = max(min(pair.a.n_alive, pair.b.n_alive), r.size)

    def larger_p(r: np.ndarray, maxima_a: np.ndarray, maxima_b: np.ndarray, studentised: bool) -> np.ndarray:
        needed = pair.config.alpha / n_hypotheses
        return np.maximum(
            side_p(r, indices_a, pair.a, maxima_a, pair.config, needed, studentised),
            side_p(r, indices_b, pair.b, maxima_b, pair.config, needed, studentised),
        )

    p = larger_p(r, null.plain_a, null.plain_b, False)
    q_min = np.minimum(n_hypotheses * larger_p(np.ones(r.size), null.plain_a, null.plain_b, False), 1.0)
    q_domain = np.full(r.size, np.nan)
    if null.domain_a is not None and null.domain_b is not None:
        q_domain = benjamini_hochberg(larger_p(r, null.domain_a, null.domain_b, True), m=n_hypotheses)
    return Significance(p, benjamini_hochberg(p, m=n_hypotheses), q_min, q_domain)


def side_p(
    r: np.ndarray,
    latents: np.ndarray,
    side: Dictionary,
    maxima: np.ndarray,
    config: CompareConfig,
    needed: float,
    studentised: bool = False,
) -> np.ndarray:
    """(n_pairs,) p of correlations of one side's latents against that side's maximum-null.

    Args:
        r: (n_pairs,) held-out r. latents: (n_pairs,) of the side, alive.
        side: the dictionary. maxima: (n_shifts, d_sae) its null maxima.
        config: sizes of strata. needed: p that must be within reach, see :func:`~universality.nulls.p_values`.
        studentised: whether maxima are measured in units of each latent's own null.
    """
    alive = np.flatnonzero(side.alive)
    stratum = strata(
        side.statistics.firings_score[alive],
        side.statistics.documents_score[alive],
        n_shifts=maxima.shape[0],
        min_latents=config.min_stratum_latents,
        min_values=config.min_stratum_values,
    )
    place = np.searchsorted(alive, latents)
    values = maxima[:, alive].astype(np.float64)
    if studentised:
        r, values = _studentise(r, values, place)
    return p_values(r, stratum[place], values, stratum, needed=needed)


def _studentise(r: np.ndarray, values: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """r and the null maxima in units of each latent's own null; each maximum against the other shifts."""
    n = values.shape[0]
    mean, square = values.mean(axis=0), values.var(axis=0) * n
    deviation = values - mean
    others_mean = -deviation / (n - 1)
    others_square = np.maximum(square - deviation**2 * n / (n - 1), 0.0)
    spread = np.maximum(np.sqrt(others_square / (n - 2)), _SPREAD_FLOOR)
    own = np.maximum(np.sqrt(square / (n - 1)), _SPREAD_FLOOR)
    return (r - mean[place]) / own[place], (deviation - others_mean) / spread
