"""Exact Pearson correlation between the latents of two dictionaries, from sparse or dense activations.

Names are looked up when they are asked for: screens use one that needs no compiled kernel, and must not wait for those.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from universality.correlation.conditional import conditional_correlation
    from universality.correlation.inputs import LatentMoments, latent_moments, pivots
    from universality.correlation.moments import correlation_matrix
    from universality.correlation.neurons import correlate_dense
    from universality.correlation.one_latent import ColumnMoments, column_moments, correlate_column
    from universality.correlation.pairs import PairStatistics, correlate_pairs
    from universality.correlation.sparse_pairwise import correlate, correlation_maxima, pairs_above
    from universality.correlation.top import TopSimilarity

_HOMES = {
    "conditional": ("conditional_correlation",),
    "inputs": ("LatentMoments", "latent_moments", "pivots"),
    "moments": ("correlation_matrix",),
    "neurons": ("correlate_dense",),
    "one_latent": ("ColumnMoments", "column_moments", "correlate_column"),
    "pairs": ("PairStatistics", "correlate_pairs"),
    "sparse_pairwise": ("correlate", "correlation_maxima", "pairs_above"),
    "top": ("TopSimilarity",),
}
__all__ = [
    "ColumnMoments",
    "LatentMoments",
    "PairStatistics",
    "TopSimilarity",
    "column_moments",
    "conditional_correlation",
    "correlate",
    "correlate_column",
    "correlate_dense",
    "correlate_pairs",
    "correlation_matrix",
    "correlation_maxima",
    "latent_moments",
    "pairs_above",
    "pivots",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
