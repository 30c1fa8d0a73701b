"""Substitution: the activation of another model's latent in the place of a latent's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from universality.brief_repr import brief_repr
from universality.correlation.pairs import check_pairs, pair_products
from universality.effects.predictions import Predictions
from universality.errors import require

#: Entries that are worked on at one time.
_ENTRIES = 1 << 21


@brief_repr
@dataclass(frozen=True, eq=False)
class SubstitutedLosses:
    """Sums over the rows of each source, so that pairs can be pooled and sources resampled.

    Attributes:
        substituted: (n_pairs, n_groups) float64, nats: loss with the partner in place minus loss as it is.
        ablated: (n_pairs, n_groups) the same with the latent at its mean where it fires.
    """

    substituted: np.ndarray
    ablated: np.ndarray

    def recovered(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Share of the loss of ablation that the partner makes good, of every pair alone.

        Args:
            weights: (n_draws, n_groups) how often each source counts; once by default.

        Returns:
            (n_pairs,), or (n_pairs, n_draws) with weights: 1 as good as the latent itself, 0 no better than its mean,
            below 0 worse; NaN where ablation costs nothing.
        """
        if weights is None:
            return _share(self.substituted.sum(axis=1), self.ablated.sum(axis=1))
        return _share(self.substituted @ weights.T, self.ablated @ weights.T)

    def pooled(self, pairs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(n_draws,) share of the summed losses of some pairs (numbers or mask)."""
        return _share(*(part[pairs].sum(axis=0) @ weights.T for part in (self.substituted, self.ablated)))


def _share(substituted: np.ndarray, ablated: np.ndarray) -> np.ndarray:
    costs = ablated > 0
    return np.where(costs, 1.0 - substituted / np.where(costs, ablated, 1.0), np.nan)


def scaling_factors(
    acts: sparse.csr_matrix, partners: sparse.csr_matrix, indices: np.ndarray, partner_indices: np.ndarray
) -> np.ndarray:
    """The factor by which each partner comes nearest to its latent: least squares without a constant, at least 0.

    Args:
        acts: CSR (n_rows, n), fit rows. partners: CSR (n_rows, m), the same rows.
        indices, partner_indices: (n_pairs,) latents of either.

    Returns:
        (n_pairs,) float64 ``max(<a, b> / <b, b>, 0)``; 0 for a partner that never fires.
    """
    products, _ = pair_products(acts, partners, indices, partner_indices, 1)
    squares = np.asarray(partners.multiply(partners).sum(axis=0), np.float64).ravel()[partner_indices]
    return np.where(squares > 0, np.maximum(products, 0.0) / np.where(squares > 0, squares, 1.0), 0.0)


def substituted_losses(
    predictions: Predictions,
    acts: sparse.csr_matrix,
    partners: sparse.csr_matrix,
    loss: sparse.csr_matrix,
    directions: np.ndarray,
    indices: np.ndarray,
    partner_indices: np.ndarray,
    factors: np.ndarray,
    groups: np.ndarray,
    *,
    scale: np.ndarray | None = None,
) -> SubstitutedLosses:
    """Put each partner, scaled, in the place of its latent, one pair at a time, on every row where either fires.

    Args:
        predictions: of the latents' model, at the rows of ``acts``.
        acts: CSR (n_rows, n), activations of the latents.
        partners: CSR (n_rows, m), those of another dictionary on the same rows.
        loss: CSR (n_rows, n), the fingerprints of ``acts`` (:func:`universality.effects.ablation.fingerprints`).
        directions: (n, d_in), rows of the latents' decoder.
        indices, partner_indices: (n_pairs,) latents and their partners.
        factors: (n_pairs,) from :func:`scaling_factors` on other rows.
        groups: (n_rows,) int, the source of each row.
        scale: (n_rows,) by which the latents' dictionary scales what it adds; 1 by default.

    Returns:
        :class:`SubstitutedLosses`, sources in rising order of their number.

    Source: functional substitution of features between models; the scale from other rows and the share of the
    ablation's loss are ours.
    """
    ia, ib = check_pairs(indices, partner_indices, acts.shape[1], partners.shape[1])
    require(factors.shape == ia.shape, "factors", "substitution", f"({ia.size},)", factors.shape, "Give one per pair.")
    code = np.unique(groups, return_inverse=True)[1].ravel()
    n_groups = int(code.max(initial=-1)) + 1
    left, right = acts.tocsc(), partners.tocsc()
    firings = np.diff(left.indptr)[ia] + np.diff(right.indptr)[ib]
    batch = np.cumsum(firings) // _ENTRIES
    out = np.zeros((ia.size, n_groups))
    for number in np.unique(batch):
        pairs = np.flatnonzero(batch == number)
        changed = (right[:, ib[pairs]].multiply(factors[pairs][None, :]) - left[:, ia[pairs]]).tocsr()
        rows = np.repeat(np.arange(changed.shape[0]), np.diff(changed.indptr))
        amounts = changed.data if scale is None else changed.data * scale[rows]
        lost, _ = predictions.changes(rows, ia[pairs][changed.indices], amounts, directions)
        cell = pairs[changed.indices] * n_groups + code[rows]
        out += np.bincount(cell, np.nan_to_num(lost), minlength=out.size).reshape(out.shape)
    return SubstitutedLosses(out, _sums_by_group(loss, ia, code, n_groups))


def substitution_curve(
    predictions: Predictions,
    rows: np.ndarray,
    acts: sparse.csr_matrix,
    partners: sparse.csr_matrix,
    directions: np.ndarray,
    means: np.ndarray,
    indices: np.ndarray,
    partner_indices: np.ndarray,
    factors: np.ndarray,
    counts: np.ndarray,
    *,
    scale: np.ndarray | None = None,
) -> np.ndarray:
    """Put the first n partners in the places of their latents at once, for several n.

    Args:
        predictions: of the latents' model.
        rows: (n_rows,) which rows of ``predictions`` are looked at.
        acts, partners: CSR (n_rows, n) and (n_rows, m), activations at these rows.
        directions, factors: as in :func:`substituted_losses`.
        means: (n,) mean activations, which ablation puts in the latents' place where they fire.
        indices, partner_indices: (n_pairs,) latents and partners, the best first.
        counts: (n_counts,) int, 1 to n_pairs, rising.
        scale: (n_rows,) by which the latents' dictionary scales what it adds; 1 by default.

    Returns:
        (n_counts,) share of the loss of ablating the n latents at once that their partners make good; NaN where that
        costs nothing.
    """
    left, right, lost = acts.tocsc(), partners.tocsc(), np.zeros((counts.size, 2))
    added = [np.zeros((rows.size, directions.shape[1]), np.float32) for _ in range(2)]
    clean = predictions.losses(rows, None)
    for step, (first, last) in enumerate(zip(np.concatenate([[0], counts[:-1]]), counts, strict=True)):
        ia, ib = indices[first:last], partner_indices[first:last]
        own = left[:, ia]
        replaced = right[:, ib].multiply(factors[first:last][None, :]) - own
        at_mean = np.repeat(means[ia], np.diff(own.indptr)) - own.data
        held = sparse.csc_matrix((at_mean, own.indices, own.indptr), shape=own.shape)
        for number, change in enumerate((replaced, held)):
            moved = np.asarray(change.tocsr() @ directions[ia], np.float32)
            added[number] += moved if scale is None else moved * scale[:, None].astype(np.float32)
            lost[step, number] = np.nansum(predictions.losses(rows, added[number]) - clean)
    return _share(lost[:, 0], lost[:, 1])


def _sums_by_group(loss: sparse.csr_matrix, latents: np.ndarray, code: np.ndarray, n_groups: int) -> np.ndarray:
    """(n_pairs, n_groups) sums of each latent's column over the rows of each source."""
    rows = np.repeat(np.arange(loss.shape[0]), np.diff(loss.indptr))
    cell = loss.indices.astype(np.int64) * n_groups + code[rows]
    sums = np.bincount(cell, loss.data, minlength=loss.shape[1] * n_groups).reshape(loss.shape[1], n_groups)
    return sums[latents]
