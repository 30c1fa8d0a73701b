"""One dictionary over the rows of a comparison, and two of them side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from universality.brief_repr import brief_repr
from universality.compare.compare_config import CompareConfig
from universality.compare.pair_plan import Pair
from universality.compare.statistics import LatentStatistics
from universality.correlation.pairs import Prepared
from universality.matrices import as_csr
from universality.rows import Rows


@brief_repr
@dataclass(frozen=True, eq=False)
class Dictionary:
    """The activations of one dictionary over the rows of a comparison, and what is counted of each latent alone.

    Attributes:
        name: its id.
        acts: CSR (n_rows, d_sae), both halves.
        rows: the rows of ``acts``.
        statistics: :func:`~universality.compare.statistics.latent_statistics` of ``acts``.
        min_firings: firings in each half that make a latent alive.
    """

    name: str
    acts: sparse.csr_matrix
    rows: Rows
    statistics: LatentStatistics
    min_firings: int

    @property
    def d_sae(self) -> int:
        """Number of latents."""
        return self.acts.shape[1]

    @cached_property
    def alive(self) -> np.ndarray:
        """(d_sae,) bool: fires ``min_firings`` times or more in both halves; only these are compared."""
        counts = self.statistics
        return (counts.firings_fit >= self.min_firings) & (counts.firings_score >= self.min_firings)

    @property
    def n_alive(self) -> int:
        """Number of alive latents."""
        return int(self.alive.sum())

    @property
    def status(self) -> np.ndarray:
        """(d_sae,) str: alive, dead (never fires) or rare (fires, but not often enough to compare)."""
        fires = self.statistics.firing_rate > 0
        return np.where(self.alive, "alive", np.where(fires, "rare", "dead")).astype(object)

    @cached_property
    def fit(self) -> sparse.csr_matrix:
        """(n_fit_rows, d_sae) activations from which partners are chosen; latents that are not alive are silent."""
        return alive_rows(self.acts, self.alive, self.rows.fit)

    @cached_property
    def score(self) -> sparse.csr_matrix:
        """(n_score_rows, d_sae) activations on which every figure is measured, as :attr:`fit`."""
        return alive_rows(self.acts, self.alive, self.rows.score)

    @cached_property
    def score_side(self) -> Prepared:
        """The same, for correlations that are asked for pair by pair."""
        return Prepared(as_csr(self.score, self.name))


@brief_repr
@dataclass(frozen=True, eq=False)
class DictionaryPair:
    """Two dictionaries over the same rows, with all that their comparison depends on.

    Attributes:
        a, b: the dictionaries.
        config: settings.
        root_seed: seed of the comparison; draws depend on it and on both names, not on which is a.
        threads: threads of the kernels; no byte of any result depends on it.
    """

    a: Dictionary
    b: Dictionary
    config: CompareConfig
    root_seed: int
    threads: int | None = None

    @property
    def names(self) -> Pair:
        """Ids of a and of b."""
        return self.a.name, self.b.name

    @property
    def rows(self) -> Rows:
        """The rows of both."""
        return self.a.rows

    @property
    def fit(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Fit rows of both, see :attr:`Dictionary.fit`."""
        return self.a.fit, self.b.fit

    @property
    def score(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Score rows of both, see :attr:`Dictionary.score`."""
        return self.a.score, self.b.score

    def swapped(self) -> DictionaryPair:
        """The same pair with b as a."""
        return replace(self, a=self.b, b=self.a)


def alive_rows(acts: sparse.csr_matrix, alive: np.ndarray, rows: np.ndarray) -> sparse.csr_matrix:
    """Some rows (n_rows,) bool of ``acts``, without the entries of latents that are not alive; d_sae stays."""
    part = acts[np.flatnonzero(rows)]
    compared = alive[part.indices]
    if compared.all():
        return part
    # Entries keep their order, so row pointers move down by the number of entries dropped before them.
    before = np.concatenate([[0], np.cumsum(compared)])
    pointer = before[part.indptr].astype(part.indptr.dtype)
    return sparse.csr_matrix((part.data[compared], part.indices[compared], pointer), shape=part.shape)
