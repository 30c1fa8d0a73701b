"""How good a dictionary is: what it leaves unexplained, how sparse it is, how much of it never fires."""

from __future__ import annotations

import numpy as np
from scipy import sparse


class Quality:
    """Accumulates the quality of a dictionary over blocks of rows.

    Args:
        d_in: width of the activations.
        d_sae: number of latents.
    """

    def __init__(self, d_in: int, d_sae: int):
        self._n = 0
        self._sum = np.zeros(d_in)
        self._square = 0.0
        self._error = 0.0
        self._active = 0
        self._firings = np.zeros(d_sae, dtype=np.int64)

    def update(self, x: np.ndarray, recon: np.ndarray, acts: sparse.csr_matrix) -> None:
        """Add a block: activations (n, d_in), reconstructions (n, d_in), latents CSR (n, d_sae)."""
        exact = x.astype(np.float64)
        self._n += len(x)
        self._sum += exact.sum(axis=0)
        self._square += float((exact**2).sum())
        self._error += float(((exact - recon) ** 2).sum())
        self._active += acts.nnz
        self._firings += np.bincount(acts.indices, minlength=len(self._firings))

    def result(self) -> dict[str, float]:
        """The figures so far.

        Returns:
            ``fvu`` = sum ||x - recon||² / sum ||x - mean||² (0 perfect, 1 no better than the mean; 0 when nothing
            varies), ``l0`` = active latents per row, ``dead_fraction`` = share of latents that never fired, ``n_rows``.
        """
        if not self._n:
            return {"fvu": 0.0, "l0": 0.0, "dead_fraction": 1.0, "n_rows": 0}
        variance = self._square - float((self._sum**2).sum()) / self._n
        return {
            "fvu": self._error / variance if variance > 0 else 0.0,
            "l0": self._active / self._n,
            "dead_fraction": float((self._firings == 0).mean()),
            "n_rows": self._n,
        }
