"""Ablation fingerprints: what a prediction loses, row by row, where one latent is held at its mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from universality.effects.predictions import Predictions
from universality.errors import require

#: Entries that are worked on at one time: 24 bytes each.
_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """What ablating each latent of a dictionary does to the predictions, one latent at a time.

    Attributes:
        loss: CSR float32 (n_rows, d_sae), nats: loss with the latent at its mean minus loss as it is, on rows where it
            fires and a token follows; positive where the latent helped. Exact zeros are kept here, not on disk.
        divergence: the same of the Kullback–Leibler divergence of the ablated prediction from the model's own.
    """

    loss: sparse.csr_matrix
    divergence: sparse.csr_matrix

    def summary(self, chances: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """``n_rows, loss_change, divergence, helps`` of each latent (d_sae,): counts, means over its rows, and the
        share of them on which it lowers the loss; NaN where it never fires.

        Args:
            chances: (nnz,) of each entry, where they are a sample (:class:`universality.effects.sampling.EntrySample`):
                means are then estimates of those over all firings.
        """
        n = np.bincount(self.loss.indices, minlength=self.loss.shape[1])
        weights = np.ones(self.loss.nnz) if chances is None else 1.0 / chances
        total = np.bincount(self.loss.indices, weights, minlength=self.loss.shape[1])
        defined = np.where(n > 0, total, np.nan)

        def mean(values: np.ndarray) -> np.ndarray:
            return np.bincount(self.loss.indices, values * weights, minlength=self.loss.shape[1]) / defined

        means = {"loss_change": self.loss.data, "divergence": self.divergence.data, "helps": self.loss.data > 0}
        return {"n_rows": n, **{name: mean(values.astype(np.float64)) for name, values in means.items()}}


def fingerprints(
    predictions: Predictions,
    acts: sparse.csr_matrix,
    directions: np.ndarray,
    means: np.ndarray,
    *,
    scale: np.ndarray | None = None,
) -> Fingerprints:
    """Hold every latent at its mean, on every row where it fires, and see what the prediction loses.

    What the dictionary leaves unexplained stays in the activations: only ``(mean - a) * direction`` is added.

    Args:
        predictions: of the model, at the rows of ``acts``.
        acts: CSR (n_rows, d_sae).
        directions: (d_sae, d_in), rows of the decoder, or others to put in their place.
        means: (d_sae,) mean activations, zeros included.
        scale: (n_rows,) by which the dictionary scales what it adds at each row; 1 by default.

    Returns:
        :class:`Fingerprints`.

    Raises:
        InputError: shapes that do not belong together, or values that are not finite.

    Source: Bricken et al. 2023 (ablation of features); the fingerprint over all rows is ours.
    """
    fits = np.shape(directions)[0] == np.size(means) == acts.shape[1]
    got = f"{np.shape(directions)[0]} directions and {np.size(means)} means"
    require(
        fits, "directions and means", "ablation", f"{acts.shape[1]} each, one per latent", got, "Use one dictionary."
    )
    finite = bool(np.isfinite(directions).all() and np.isfinite(means).all() and np.isfinite(acts.data).all())
    require(finite, "values", "ablation", "finite", "NaN or infinity", "Look at the dictionary: its weights overflow.")
    if not acts.data.all():
        acts = acts.copy()
        acts.eliminate_zeros()
    rows = np.repeat(np.arange(acts.shape[0]), np.diff(acts.indptr))
    loss, divergence = np.zeros(acts.nnz), np.zeros(acts.nnz)
    for first in range(0, acts.nnz, _ENTRIES):
        here = slice(first, first + _ENTRIES)
        latents = acts.indices[here]
        amounts = means[latents] - acts.data[here].astype(np.float64)
        if scale is not None:
            amounts *= scale[rows[here]]
        loss[here], divergence[here] = predictions.changes(rows[here], latents, amounts, directions)
    told = ~np.isnan(loss)
    counts = np.bincount(rows[told], minlength=acts.shape[0])
    indptr, indices = np.concatenate([[0], np.cumsum(counts)]), acts.indices[told]
    made = (
        sparse.csr_matrix((values[told].astype(np.float32), indices, indptr), shape=acts.shape)
        for values in (loss, divergence)
    )
    return Fingerprints(*made)
