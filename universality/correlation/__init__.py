"""Exact Pearson correlation between the latents of two dictionaries, from sparse or dense activations.

Names are looked up when they are asked for: screens use one that needs no compiled kernel, and must not wait for those.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from universality.correlation.conditional import conditional_correlation
    from universality.correlation.neurons import correlate_dense
    from universality.correlation.pairs import correlate_pairs
    from universality.correlation.sparse_pairwise import correlate, pairs_above
    from universality.correlation.stream import PairSums, correlate_stream
    from universality.correlation.top import TopSimilarity

_HOMES = {
    "PairSums": "stream",
    "TopSimilarity": "top",
    "conditional_correlation": "conditional",
    "correlate": "sparse_pairwise",
    "correlate_dense": "neurons",
    "correlate_pairs": "pairs",
    "correlate_stream": "stream",
    "pairs_above": "sparse_pairwise",
}
__all__ = [
    "PairSums", "TopSimilarity", "conditional_correlation", "correlate", "correlate_dense", "correlate_pairs",
    "correlate_stream", "pairs_above",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
