"""What is counted of each latent alone: how often it fires and where, and what token and position explain of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from universality.brief_repr import brief_repr
from universality.compare.compare_config import CompareConfig
from universality.rows import Rows

FLAGS = ("dense", "single_token", "positional")


@brief_repr
@dataclass(frozen=True, eq=False)
class LatentStatistics:
    """One entry per latent of one dictionary; what depends on no setting, so that it can be stored with the latents.

    Attributes:
        firings_fit, firings_score: (n,) rows of each half in which the latent fires.
        documents_score: (n,) sources (documents, where no sources are known) of the score half in which it fires.
        max_activation: (n,) largest activation over all rows, 0 if it never fires.
        mass: (n,) sum of the absolute activations over the score rows.
        token_share: (n,) largest share of the activation mass on one token id; 0 without token ids.
        position_share: (n,) share of variance explained by the mean of each position; 0 without positions.
        n_rows: rows of both halves.
    """

    firings_fit: np.ndarray
    firings_score: np.ndarray
    documents_score: np.ndarray
    max_activation: np.ndarray
    mass: np.ndarray
    token_share: np.ndarray
    position_share: np.ndarray
    n_rows: int

    @property
    def firing_rate(self) -> np.ndarray:
        """(n,) share of all rows in which the latent fires, 0..1."""
        return (self.firings_fit + self.firings_score) / max(self.n_rows, 1)

    def flags(self, config: CompareConfig) -> np.ndarray:
        """(n,) str: those of ``dense``, ``single_token``, ``positional`` that hold, joined by ';'."""
        holds = (
            self.firing_rate > config.dense_rate,
            self.token_share >= config.single_token_share,
            self.position_share >= config.positional_share,
        )
        words = [";".join(flag for flag, on in zip(FLAGS, row, strict=True) if on) for row in zip(*holds, strict=True)]
        return np.array(words, dtype=object)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All content as named arrays, for storage."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> LatentStatistics:
        """The inverse of :meth:`to_arrays`."""
        return cls(**{**arrays, "n_rows": int(arrays["n_rows"])})


def latent_statistics(acts: sparse.csr_matrix, rows: Rows) -> LatentStatistics:
    """Count firings by half and source, and measure what token identity and position explain.

    "Fires" means a value other than 0. The share explained by position is
    ``sum_p n_p (mean_p - mean)^2 / sum_i (a_i - mean)^2``.

    Args:
        acts: CSR (n_rows, n) without stored zeros.
        rows: the rows of ``acts``.

    Returns:
        A :class:`LatentStatistics`; never NaN, zeros where a latent never fires.

    Source: ours.
    """
    n_rows, n = acts.shape
    row_of = np.repeat(np.arange(n_rows), np.diff(acts.indptr))
    latents, values = acts.indices.astype(np.int64), acts.data.astype(np.float64)
    in_fit = rows.fit[row_of]
    peak = np.zeros(n)
    np.maximum.at(peak, latents, values)
    return LatentStatistics(
        firings_fit=np.bincount(latents[in_fit], minlength=n),
        firings_score=np.bincount(latents[~in_fit], minlength=n),
        documents_score=_sums_by(rows.groups[rows.score], acts[np.flatnonzero(rows.score)]).getnnz(axis=0),
        max_activation=peak,
        mass=np.bincount(latents[~in_fit], np.abs(values[~in_fit]), minlength=n),
        token_share=_token_share(acts, rows.tokens),
        position_share=_position_share(latents, values, row_of, rows.positions, n),
        n_rows=n_rows,
    )


def _sums_by(labels: np.ndarray, acts: sparse.csr_matrix) -> sparse.csr_matrix:
    """(n_labels, n) sums of the absolute activations over the rows of each label."""
    _, code = np.unique(labels, return_inverse=True)
    gather = sparse.csr_matrix((np.ones(code.size), (code, np.arange(code.size))))
    return sparse.csr_matrix(gather @ abs(acts))


def _token_share(acts: sparse.csr_matrix, tokens: np.ndarray | None) -> np.ndarray:
    if tokens is None or not acts.nnz:
        return np.zeros(acts.shape[1])
    mass = _sums_by(tokens, acts)
    total = np.asarray(mass.sum(axis=0)).ravel()
    return mass.max(axis=0).toarray().ravel() / np.where(total > 0, total, 1.0)


def _position_share(
    latents: np.ndarray, values: np.ndarray, row_of: np.ndarray, positions: np.ndarray | None, n: int
) -> np.ndarray:
    if positions is None:
        return np.zeros(n)
    _, position, counts = np.unique(positions, return_inverse=True, return_counts=True)
    n_rows = position.size
    sums = np.zeros((counts.size, n))
    np.add.at(sums, (position[row_of], latents), values)
    mean = sums.sum(axis=0) / n_rows
    between = (counts[:, None] * (sums / counts[:, None] - mean) ** 2).sum(axis=0)
    square = np.bincount(latents, (values - mean[latents]) ** 2, minlength=n)
    silent = n_rows - np.bincount(latents, minlength=n)
    total = square + silent * mean**2
    return between / np.where(total > 0, total, 1.0) * (total > 0)
