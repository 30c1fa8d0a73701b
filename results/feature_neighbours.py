"""Which latents of a dictionary go with a latent of the same dictionary: read off the stored activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from results.remembering import remembered
from results.stored_comparison import StoredComparison
from universality.correlation.one_latent import ColumnMoments, column_moments, correlate_column

if TYPE_CHECKING:
    import scipy.sparse as sp

#: Neighbours listed.
LISTED = 10


@remembered(64)
def _prepared(stored: StoredComparison, model: str) -> tuple[sp.csr_array, Any, ColumnMoments]:
    by_column = stored.acts(model)
    return stored.acts_by_row(model), by_column, column_moments(by_column)


@remembered(512)
def neighbours(stored: StoredComparison, model: str, latent: int) -> pd.DataFrame:
    """The latents of the same dictionary that correlate most with one, over all evaluation rows.

    Returns:
        latent, r (Pearson, > 0), highest first, at most :data:`LISTED`; none for a latent that never fires. Shared:
        never write into it.

    Raises:
        StoreError: the activations have not been computed, or are damaged.
    """
    by_row, by_column, moments = _prepared(stored, model)
    r = correlate_column(by_row, by_column, latent, moments)
    r[latent] = 0.0
    best = np.argsort(-r, kind="stable")[:LISTED]
    best = best[r[best] > 0]
    return pd.DataFrame({"latent": best, "r": r[best]})
