"""Cross moments of two dictionaries as a thing to keep: computed per shard of rows, added up, read out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from universality.correlation.inputs import Matrix, as_csr, check_same_rows, latent_moments, shifted
from universality.errors import InputError, must_be


@dataclass(frozen=True)
class CrossMoments:
    """Moments of all pairs over some rows, every latent measured from its pivot.

    ``merge`` is associative and commutative up to rounding, with :meth:`empty` as its unit, so rows may be
    cut and joined in any way; r then agrees to 1e-12. All shards of one comparison share the pivots.
    Products are kept for pairs that co-fire: for whole dictionaries use blocks of latents.

    Attributes:
        n_rows: rows seen.
        pivot_a: (n_a,) value each latent of a is measured from. pivot_b: (n_b,) the same for b.
        total_a: (n_a,) sums. total_b: (n_b,) sums.
        square_a: (n_a,) centred sums of squares. square_b: (n_b,) the same for b.
        products: sparse (n_a, n_b), ``sum_i (a_i - pivot_a)(b_i - pivot_b)``.
    """

    n_rows: int
    pivot_a: np.ndarray
    pivot_b: np.ndarray
    total_a: np.ndarray
    total_b: np.ndarray
    square_a: np.ndarray
    square_b: np.ndarray
    products: sparse.csr_array

    @classmethod
    def empty(cls, pivot_a: np.ndarray, pivot_b: np.ndarray) -> CrossMoments:
        """Moments of no rows."""
        n_a, n_b = pivot_a.size, pivot_b.size
        zeros = (np.zeros(n_a), np.zeros(n_b), np.zeros(n_a), np.zeros(n_b))
        return cls(0, pivot_a, pivot_b, *zeros, sparse.csr_array((n_a, n_b), dtype=np.float64))

    @classmethod
    def of(
        cls,
        A: Matrix,
        B: Matrix,
        pivot_a: np.ndarray | None = None,
        pivot_b: np.ndarray | None = None,
    ) -> CrossMoments:
        """Moments of one shard of rows.

        Args:
            A: (n_rows, n_a) scipy sparse. B: (n_rows, n_b), the same rows.
            pivot_a: (n_a,) from :func:`pivots` of any shard or of all rows; 0 by default. pivot_b: for b.
        """
        n = check_same_rows(A, B)
        pivot_a = np.zeros(A.shape[1]) if pivot_a is None else pivot_a
        pivot_b = np.zeros(B.shape[1]) if pivot_b is None else pivot_b
        a, b = (
            shifted(as_csr(m, where).astype(np.float64), pivot)
            for m, where, pivot in ((A, "A", pivot_a), (B, "B", pivot_b))
        )
        ma, mb = latent_moments(a), latent_moments(b)
        square_a, square_b = (np.where(m.alive, m.square, 0.0) for m in (ma, mb))
        return cls(n, pivot_a, pivot_b, ma.total, mb.total, square_a, square_b, sparse.csr_array(a.T @ b))

    def merge(self, other: CrossMoments) -> CrossMoments:
        """Moments of the rows of both.

        Raises:
            InputError: the shards were measured from different pivots.
        """
        same = np.array_equal(self.pivot_a, other.pivot_a) and np.array_equal(self.pivot_b, other.pivot_b)
        if not same:
            raise InputError(
                must_be(
                    "pivots", "merged moments", "equal", "different pivots", "Use one set for all shards."
                )
            )
        n = self.n_rows + other.n_rows
        weight = self.n_rows * other.n_rows / max(n, 1)

        def centred(square: str, total: str) -> np.ndarray:
            gap = getattr(self, total) / max(self.n_rows, 1) - getattr(other, total) / max(other.n_rows, 1)
            return getattr(self, square) + getattr(other, square) + weight * gap**2

        return replace(
            self,
            n_rows=n,
            total_a=self.total_a + other.total_a,
            total_b=self.total_b + other.total_b,
            square_a=centred("square_a", "total_a"),
            square_b=centred("square_b", "total_b"),
            products=sparse.csr_array(self.products + other.products),
        )

    def correlation(self) -> np.ndarray:
        """Dense (n_a, n_b) Pearson correlation; 0 for latents that never vary. For blocks of latents."""
        scale_a, scale_b = self._scale(self.square_a, self.total_a), self._scale(self.square_b, self.total_b)
        centred = self.products.toarray() - np.outer(self.total_a, self.total_b) / max(self.n_rows, 1)
        return np.clip(centred * np.outer(scale_a, scale_b), -1.0, 1.0)

    def _scale(self, square: np.ndarray, total: np.ndarray) -> np.ndarray:
        # Shards of one constant value have means that differ by rounding: that is no variance.
        varies = square > 1e-20 * total**2 / max(self.n_rows, 1)
        return np.where(varies, 1.0 / np.sqrt(np.where(varies, square, 1.0)), 0.0)
