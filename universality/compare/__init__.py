"""People's own activations in, everything out; and the stages of it, one function each.

Nothing heavy is imported before it is asked for: ``from universality.compare import compare``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from universality.compare.api import compare
    from universality.compare.assembly import Comparison, assemble
    from universality.compare.chance import PairNull, pair_null
    from universality.compare.compare_config import CompareConfig
    from universality.compare.coordinates import Coordinates, model_coordinates
    from universality.compare.marks import ScatteredDocuments, SharedInitialisation, flagged_pairs
    from universality.compare.pair import Dictionary, DictionaryPair
    from universality.compare.pair_plan import PairPlan
    from universality.compare.pairing import PairMatching, pair_matching, pair_similarity
    from universality.compare.spaces import SpaceMatching, pair_spaces
    from universality.compare.stages import Stages
    from universality.compare.statistics import LatentStatistics, latent_statistics

__all__ = [
    "CompareConfig",
    "Comparison",
    "Coordinates",
    "Dictionary",
    "DictionaryPair",
    "LatentStatistics",
    "PairMatching",
    "PairNull",
    "PairPlan",
    "ScatteredDocuments",
    "SharedInitialisation",
    "SpaceMatching",
    "Stages",
    "assemble",
    "compare",
    "flagged_pairs",
    "latent_statistics",
    "model_coordinates",
    "pair_matching",
    "pair_null",
    "pair_similarity",
    "pair_spaces",
]

_HOMES = {
    "api": ("compare",),
    "assembly": ("Comparison", "assemble"),
    "chance": ("PairNull", "pair_null"),
    "compare_config": ("CompareConfig",),
    "coordinates": ("Coordinates", "model_coordinates"),
    "marks": ("ScatteredDocuments", "SharedInitialisation", "flagged_pairs"),
    "pair": ("Dictionary", "DictionaryPair"),
    "pair_plan": ("PairPlan",),
    "pairing": ("PairMatching", "pair_matching", "pair_similarity"),
    "spaces": ("SpaceMatching", "pair_spaces"),
    "stages": ("Stages",),
    "statistics": ("LatentStatistics", "latent_statistics"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"universality.compare.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
