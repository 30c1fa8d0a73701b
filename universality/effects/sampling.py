"""Which rows effects are measured on, where not all of them can be: drawn once, so that dictionaries share them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from universality.rows import Rows
from universality.seeds import generator

#: Share of a latent's firings that are its strongest, and of those that are weak: between them lie the middle ones.
_TOP, _LOW = 0.1, 0.5


def usable_rows(rows: Rows) -> np.ndarray:
    """Numbers of the score rows that a token follows, in rising order."""
    assert rows.next_tokens is not None
    return np.flatnonzero(rows.score & (rows.next_tokens >= 0))


def effect_rows(rows: Rows, n: int, root_seed: int) -> np.ndarray:
    """Numbers of at most ``n`` score rows that a token follows, drawn at random, in rising order."""
    return some_of(usable_rows(rows), n, generator(root_seed, "effect-rows"))


def some_of(values: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """At most ``n`` of sorted values, drawn without replacement, still sorted."""
    return values if values.size <= n else np.sort(rng.permutation(values)[:n])


def context_rows(context: np.ndarray, usable: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Of some rows those of contexts drawn at random, as many whole ones as hold at most ``n`` of them, at least one.

    Args:
        context: (n_all_rows,) int, context of every row. usable: numbers of the rows wanted, rising.
    """
    of = context[usable]
    drawn = rng.permutation(np.unique(of))
    held = np.cumsum(np.bincount(of, minlength=drawn.max(initial=-1) + 1)[drawn])
    return usable[np.isin(of, drawn[: max(1, int((held <= n).sum()))])]


@dataclass(frozen=True, eq=False)
class EntrySample:
    """Which firings of a dictionary are measured, and how likely each was to be.

    Every row has one lot, the same for all dictionaries. A firing is measured where the row's lot lies below the
    firing's chance. So two latents are both measured on a row with the smaller of their chances, and a sum over the
    rows where both fire is estimated without bias by weighting the rows measured in both with one over it.

    Attributes:
        lots: (n_rows,) float64, uniform in [0, 1).
        chances: CSR float64 (n_rows, d_sae), on every firing, in (0, 1].
        core: (n_rows,) bool, rows on which every firing is measured.

    Source: permanent random numbers (Ohlsson 1995); order samples conditioned on the other rows' lots, which makes them
    as good as independent draws (Cohen & Kaplan 2009).
    """

    lots: np.ndarray
    chances: sparse.csr_matrix
    core: np.ndarray

    @property
    def measured(self) -> np.ndarray:
        """(nnz,) bool, which of the firings are measured, in the order of ``chances``."""
        return np.repeat(self.lots, np.diff(self.chances.indptr)) < self.chances.data

    def only(self, acts: sparse.csr_matrix) -> sparse.csr_matrix:
        """The sampled activations (n_rows, d_sae) with firings that are not measured left out."""
        measured = self.chances.copy()
        measured.data = self.measured.astype(acts.dtype)
        return sparse.csr_matrix(acts.multiply(measured))


def sample_entries(acts: sparse.csr_matrix, per_latent: int, n_core: int, lots: np.ndarray) -> EntrySample:
    """Choose firings by quantile of activation: of every latent some strong, some middling and some weak ones.

    The budget of a latent is shared alike by its strongest tenth, what lies between that and its median, and what lies
    below; what a part does not need goes to the next. In each part the rows of the lowest lots are taken. A latent
    that fires no more often than its budget has every firing measured.

    Args:
        acts: CSR (n_rows, d_sae), at the rows that may be measured.
        per_latent: firings of each latent, at least 3.
        n_core: rows on which every firing is measured besides: those of the lowest lots.
        lots: (n_rows,) uniform in [0, 1), no two alike.

    Returns:
        :class:`EntrySample`.
    """
    acts = acts.copy()
    acts.eliminate_zeros()
    acts.sort_indices()
    rows = np.repeat(np.arange(acts.shape[0]), np.diff(acts.indptr))
    fires = np.bincount(acts.indices, minlength=acts.shape[1])
    starts = np.concatenate([[0], np.cumsum(fires)[:-1]])
    strongest = np.lexsort((-acts.data, acts.indices))
    of = acts.indices[strongest]
    rank = np.arange(strongest.size) - starts[of]
    sizes, quotas = _parts(fires, per_latent)
    part = (rank >= sizes[0][of]).astype(np.int64) + (rank >= (sizes[0] + sizes[1])[of])
    entries = strongest[np.lexsort((lots[rows[strongest]], part, of))]
    # Of each part the first lot that was not drawn is the chance of those that were, whatever theirs were.
    begins = starts + np.cumsum(sizes, axis=0) - sizes
    chances = np.ones((3, acts.shape[1]))
    short = quotas < sizes
    chances[short] = lots[rows[entries[(begins + quotas)[short]]]]
    n_core = min(n_core, acts.shape[0])
    least = 1.0 if n_core == acts.shape[0] else np.partition(lots, n_core)[n_core]
    chance = np.empty(acts.nnz)
    chance[strongest] = np.maximum(chances[part, of], least)
    return EntrySample(lots, sparse.csr_matrix((chance, acts.indices, acts.indptr), shape=acts.shape), lots < least)


def _parts(fires: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """(3, n) sizes of the parts of latents that fire so often, from the strongest, and how much of each is measured."""
    low = (fires * _LOW).astype(np.int64)
    top = np.minimum(np.ceil(fires * _TOP).astype(np.int64), fires - low)
    middle = fires - low - top
    of_top = np.minimum(top, budget // 3)
    of_middle = np.minimum(middle, (budget - of_top) // 2)
    quotas = np.stack([of_top, of_middle, np.minimum(low, budget - of_top - of_middle)])
    sizes = np.stack([top, middle, low])
    return sizes, np.where(fires <= budget, sizes, quotas)
