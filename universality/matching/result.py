"""The outcome of a matcher, and the predicate that goes with it."""

from dataclasses import dataclass

import numpy as np

from universality.brief_repr import brief_repr


@brief_repr
@dataclass(frozen=True)
class MatchResult:
    """Pairs chosen by a matcher, sorted by ``indices_a`` (``max``: one entry per matched a, b may repeat).

    Attributes:
        indices_a: (n,) int32. indices_b: (n,) int32.
        score: (n,) similarity of each pair, above ``unmatched``.
        margin_a: (n,) score minus what a's best other partner is worth, 0 if none is worth more; where the
            list ends, its cut-off stands for what is not known. Negative where a would rather have another.
        margin_b: (n,) the same for b.
        certificate: upper bound on the total weight still to be gained by *any* one-to-one matching of all
            latents, pairs that were never formed included: ``optimum - objective <= certificate``.
        method: "assignment", "max", "mutual" or "sinkhorn".
        unmatched: value of staying alone.
        top: list length of the similarity that was finally used; 0 for a full matrix.
        duals_a: (n_a,) prices that prove the certificate, >= 0 (assignment only, else empty).
        duals_b: (n_b,) the same for b.
        mass_a: (n_a,) share of each latent that is matched at all, in [0, 1]: partial for "sinkhorn", where
            ``unmatched`` is the price of leaving mass alone; else 1 or 0.
        mass_b: (n_b,) the same for b.
    """

    indices_a: np.ndarray
    indices_b: np.ndarray
    score: np.ndarray
    margin_a: np.ndarray
    margin_b: np.ndarray
    certificate: float
    method: str
    unmatched: float
    top: int
    duals_a: np.ndarray
    duals_b: np.ndarray
    mass_a: np.ndarray
    mass_b: np.ndarray

    @property
    def objective(self) -> float:
        """Total weight: the sum of ``score - unmatched`` over the pairs."""
        return float((self.score - self.unmatched).sum())


def is_matching(indices_a: np.ndarray | MatchResult, indices_b: np.ndarray | None = None) -> bool:
    """Whether every latent occurs at most once on its side.

    Args:
        indices_a: a :class:`MatchResult`, or the indices of side a.
        indices_b: the indices of side b, in the same order.
    """
    if isinstance(indices_a, MatchResult):
        return is_matching(indices_a.indices_a, indices_a.indices_b)
    a, b = np.asarray(indices_a), np.asarray(indices_b)
    return a.shape == b.shape and np.unique(a).size == a.size and np.unique(b).size == b.size
