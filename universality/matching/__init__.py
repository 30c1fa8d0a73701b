"""One-to-one assignment of latents with proofs, and the simpler matchers it is compared with."""

from universality.matching.match import match
from universality.matching.pieces import Gram, KToOne, gram_of, k_to_1, nonnegative
from universality.matching.result import MatchResult, is_matching

__all__ = ["Gram", "KToOne", "MatchResult", "gram_of", "is_matching", "k_to_1", "match", "nonnegative"]
