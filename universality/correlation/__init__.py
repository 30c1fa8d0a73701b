"""Exact Pearson correlation between the latents of two dictionaries, from sparse or dense activations."""

from universality.correlation.conditional import conditional_correlation
from universality.correlation.dense import correlate_dense
from universality.correlation.inputs import LatentMoments, latent_moments, pivots
from universality.correlation.moments import CrossMoments
from universality.correlation.pairs import PairStatistics, correlate_pairs
from universality.correlation.sparse_pairwise import correlate, max_correlation, pairs_above
from universality.correlation.top import TopSimilarity

__all__ = [
    "CrossMoments",
    "LatentMoments",
    "PairStatistics",
    "TopSimilarity",
    "conditional_correlation",
    "correlate",
    "correlate_dense",
    "correlate_pairs",
    "latent_moments",
    "max_correlation",
    "pairs_above",
    "pivots",
]
