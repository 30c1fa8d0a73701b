"""Exact Pearson correlation between the latents of two dictionaries, from sparse or dense activations.

Names are looked up when they are asked for: screens use one that needs no compiled kernel, and must not wait for those.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from universality.correlation.conditional import conditional_correlation
    from universality.correlation.inputs import LatentMoments, latent_moments, pivots
    from universality.correlation.moments import CrossMoments
    from universality.correlation.neurons import correlate_dense
    from universality.correlation.one_latent import ColumnMoments, column_moments, correlate_column
    from universality.correlation.pairs import PairStatistics, correlate_pairs
    from universality.correlation.sparse_pairwise import correlate, max_correlation, pairs_above
    from universality.correlation.top import TopSimilarity

_HOMES = {
    "ColumnMoments": "one_latent",
    "column_moments": "one_latent",
    "correlate_column": "one_latent",
    "conditional_correlation": "conditional",
    "correlate_dense": "neurons",
    "LatentMoments": "inputs",
    "latent_moments": "inputs",
    "pivots": "inputs",
    "CrossMoments": "moments",
    "PairStatistics": "pairs",
    "correlate_pairs": "pairs",
    "correlate": "sparse_pairwise",
    "max_correlation": "sparse_pairwise",
    "pairs_above": "sparse_pairwise",
    "TopSimilarity": "top",
}
__all__ = [
    "ColumnMoments",
    "CrossMoments",
    "LatentMoments",
    "PairStatistics",
    "TopSimilarity",
    "column_moments",
    "conditional_correlation",
    "correlate",
    "correlate_column",
    "correlate_dense",
    "correlate_pairs",
    "latent_moments",
    "max_correlation",
    "pairs_above",
    "pivots",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
