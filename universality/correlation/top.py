"""The best candidates of two dictionaries, both ways, with a bound on everything left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from universality.arguments import checked, whole
from universality.brief_repr import brief_repr


@brief_repr
@dataclass(frozen=True)
class TopSimilarity:
    """Similarities of the best pairs of latents, and cut-offs that bound every other pair.

    Invariants: pairs are unique and sorted by ``(indices_a, indices_b)``; every pair that is not listed has
    ``r <= min(cutoff_a[a], cutoff_b[b])``; every listed pair has ``r >= min(cutoff_a[a], cutoff_b[b])``.
    A latent without a defined correlation (dead or constant) has r = 0 with everything and is never listed.

    Attributes:
        n_a: latents of side a.
        n_b: latents of side b.
        n_rows: rows the similarities were computed from.
        indices_a: (n_pairs,) int32.
        indices_b: (n_pairs,) int32.
        r: (n_pairs,) float64 in [-1, 1].
        cutoff_a: (n_a,) float64.
        cutoff_b: (n_b,) float64.
        top: length of the lists that were asked for; ``top_a(k)`` is complete for ``k <= top``.
    """

    n_a: int
    n_b: int
    n_rows: int
    indices_a: np.ndarray
    indices_b: np.ndarray
    r: np.ndarray
    cutoff_a: np.ndarray
    cutoff_b: np.ndarray
    top: int

    @checked(k=whole(1))
    def top_a(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Best k partners of each latent of a.

        Args:
            k: length of the lists; complete for ``k <= top``, and for larger k as far as pairs are listed.

        Returns:
            ``(indices (n_a, k), r (n_a, k))``, falling in r, ties by index; padded with -1 and 0.
        """
        return best_of(self.indices_a, self.indices_b, self.r, self.n_a, k)

    @checked(k=whole(1))
    def top_b(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Best k partners of each latent of b; see :meth:`top_a`."""
        return best_of(self.indices_b, self.indices_a, self.r, self.n_b, k)

    def swapped(self) -> TopSimilarity:
        """The same similarities with the sides exchanged."""
        order = np.lexsort((self.indices_a, self.indices_b))
        return replace(
            self, n_a=self.n_b, n_b=self.n_a, indices_a=self.indices_b[order], indices_b=self.indices_a[order],
            r=self.r[order], cutoff_a=self.cutoff_b, cutoff_b=self.cutoff_a,
        )  # fmt: skip

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All content as named arrays, for storage."""
        return {
            "shape": np.array([self.n_a, self.n_b, self.n_rows, self.top], dtype=np.int64),
            "indices_a": self.indices_a,
            "indices_b": self.indices_b,
            "r": self.r,
            "cutoff_a": self.cutoff_a,
            "cutoff_b": self.cutoff_b,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> TopSimilarity:
        """The inverse of :meth:`to_arrays`."""
        n_a, n_b, n_rows, top = (int(x) for x in arrays["shape"])
        names = ("indices_a", "indices_b", "r", "cutoff_a", "cutoff_b")
        return cls(n_a, n_b, n_rows, *(np.asarray(arrays[name]) for name in names), top=top)


def best_of(of: np.ndarray, partner: np.ndarray, r: np.ndarray, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists of ``n`` latents from pairs: (n, k) partners and r, falling in r, ties by index; padded with -1 and 0."""
    order = np.lexsort((partner, -r, of))
    rank = np.arange(of.size) - np.searchsorted(of[order], of[order])
    order, rank = order[rank < k], rank[rank < k]
    indices = np.full((n, k), -1, dtype=np.int32)
    values = np.zeros((n, k))
    indices[of[order], rank] = partner[order]
    values[of[order], rank] = r[order]
    return indices, values


def with_pairs(similarity: TopSimilarity, indices_a: np.ndarray, indices_b: np.ndarray, r: np.ndarray) -> TopSimilarity:
    """The same similarity with more pairs listed; pairs that are listed already stay as they are."""
    n_b = np.int64(max(similarity.n_b, 1))
    key = np.concatenate([similarity.indices_a * n_b + similarity.indices_b, indices_a * n_b + indices_b])
    key, first = np.unique(key, return_index=True)
    return replace(
        similarity,
        indices_a=(key // n_b).astype(np.int32),
        indices_b=(key % n_b).astype(np.int32),
        r=np.concatenate([similarity.r, r])[first],
    )
