"""How good a dictionary is: what it leaves unexplained, how sparse it is, how much of it never fires."""

import numpy as np
from scipy import sparse

from universality.errors import refusal


class _Unexplained:
    """Squared errors and spread of rows, accumulated per group of rows in float64."""

    def __init__(self, n_groups: int, d_in: int):
        self.n = np.zeros(n_groups, dtype=np.int64)
        self._sum = np.zeros((n_groups, d_in))
        self._square, self._error = np.zeros(n_groups), np.zeros(n_groups)

    def update(self, x: np.ndarray, error: np.ndarray, groups: np.ndarray) -> None:
        squares, errors = (x**2).sum(axis=1), (error**2).sum(axis=1)
        for group in np.unique(groups):
            here = groups == group
            self.n[group] += here.sum()
            self._sum[group] += x[here].sum(axis=0)
            self._square[group] += squares[here].sum()
            self._error[group] += errors[here].sum()

    def fvu(self) -> np.ndarray:
        """``sum ||x - recon||² / sum ||x - mean||²`` per group; 0 where nothing varies."""
        spread = self._square - (self._sum**2).sum(axis=1) / np.maximum(self.n, 1)
        # What is left of equal rows is rounding, not spread.
        varies = spread > 1e-12 * self._square
        return np.where(varies, self._error / np.where(varies, spread, 1.0), 0.0)


class Quality:
    """Accumulates the quality of a dictionary over blocks of rows.

    Args:
        d_in: width of the activations.
        d_sae: number of latents.
        n_domains: number of domains, where :meth:`domain_fvu` is wanted.
    """

    def __init__(self, d_in: int, d_sae: int, n_domains: int = 0):
        self._all = _Unexplained(1, d_in)
        self._domains = _Unexplained(n_domains, d_in) if n_domains else None
        self._active = 0
        self._firings = np.zeros(d_sae, dtype=np.int64)

    def update(
        self, x: np.ndarray, recon: np.ndarray, acts: sparse.csr_matrix, domains: np.ndarray | None = None
    ) -> None:
        """Add a block: activations (n, d_in), reconstructions (n, d_in), latents CSR (n, d_sae), domains (n,).

        Raises:
            InputError: shapes that do not belong together.
        """
        if x.shape != recon.shape or acts.shape != (len(x), len(self._firings)):
            got = f"{x.shape}, {recon.shape}, {acts.shape}"
            legal = f"(n, d_in), (n, d_in), (n, {len(self._firings)})"
            raise refusal("shapes", "a block", legal, got, "Pass one block of the same rows.")
        exact = x.astype(np.float64)
        error = exact - recon
        self._all.update(exact, error, np.zeros(len(x), dtype=np.int64))
        if self._domains is not None:
            if domains is None:
                remedy = "Pass the domain of each row, or make the Quality without n_domains."
                raise refusal("domains", "a block", f"({len(x)},) integers", "nothing", remedy)
            self._domains.update(exact, error, np.asarray(domains))
        self._active += int(np.count_nonzero(acts.data))
        self._firings += np.bincount(acts.indices[acts.data != 0], minlength=len(self._firings))

    @property
    def n_rows(self) -> int:
        """Rows so far."""
        return int(self._all.n[0])

    def firing_rates(self) -> np.ndarray:
        """Share of the rows in which each latent fired, (d_sae,) in [0, 1]."""
        return self._firings / max(1, self.n_rows)

    def domain_rows(self) -> np.ndarray:
        """Rows of each domain so far, (n_domains,)."""
        return np.zeros(0, np.int64) if self._domains is None else self._domains.n

    def domain_fvu(self) -> np.ndarray:
        """fvu of each domain's rows about that domain's own mean, (n_domains,); 0 for a domain without rows."""
        return np.zeros(0) if self._domains is None else self._domains.fvu()

    def result(self) -> dict[str, float]:
        """The figures so far.

        Returns:
            ``fvu`` = sum ||x - recon||² / sum ||x - mean||² (0 perfect, 1 no better than the mean; 0 when nothing
            varies), ``l0`` = active latents per row, ``dead_fraction`` = share of latents that never fired, ``n_rows``.
        """
        return {
            "fvu": float(self._all.fvu()[0]),
            "l0": self._active / max(1, self.n_rows),
            "dead_fraction": float((self._firings == 0).mean()),
            "n_rows": self.n_rows,
        }


def frontier(l0: np.ndarray, fvu: np.ndarray, *, slack: float = 0.01) -> np.ndarray:
    """Which points nothing beats: no other has an l0 and an fvu at most theirs and one of them smaller, or a smaller
    fvu at nearly the same l0.

    Args:
        l0: (n,) active latents per row. fvu: (n,) fraction of variance unexplained. NaN: not measured.
        slack: by which share the other's l0 may be larger where its fvu is smaller. Two TopK dictionaries of one k have
            l0 that differ by chance, in latents that were chosen with nothing to add.

    Returns:
        bool (n,); points that were not measured are not on the frontier, and beat nobody.
    """
    sparser, better = l0[:, None] <= l0, fvu[:, None] <= fvu
    strictly = (l0[:, None] < l0) | (fvu[:, None] < fvu)
    beside = (l0[:, None] <= (1 + slack) * l0) & (fvu[:, None] < fvu)
    return ~((sparser & better & strictly) | beside).any(axis=0) & ~np.isnan(l0) & ~np.isnan(fvu)


def mean_max_cosine(decoder: np.ndarray, other: np.ndarray, *, block: int = 2048) -> float:
    """Mean over the rows of ``decoder`` (n, d_in) of the largest cosine to a row of ``other`` (m, d_in), in [-1, 1].

    Bases must be the same: dictionaries of one model, or a truth. Rows of norm 0 count as orthogonal to all.

    Source: Sharkey et al. 2022 ("mean max cosine similarity").
    """
    a, b = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30) for rows in (decoder, other))
    best = [(a[start : start + block] @ b.T).max(axis=1) for start in range(0, len(a), block)]
    return float(np.concatenate(best).mean())
