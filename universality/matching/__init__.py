"""One-to-one assignment of latents with proofs, and the simpler matchers it is compared with."""

from universality.matching.match import match
from universality.matching.result import MatchResult, is_matching

__all__ = ["MatchResult", "is_matching", "match"]
