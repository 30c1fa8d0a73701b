"""Why a feature is missing from a model: split, part of another, decodable, unstable, contested, weak, absent."""

from universality.verdicts.probe import probe_correlations
from universality.verdicts.rules import VERDICT_COLUMNS, VERDICTS, Case, first_verdict, judge, splits_hold
from universality.verdicts.split import Gram, Splits, find_splits, gram_of, nonnegative

__all__ = [
    "VERDICTS",
    "VERDICT_COLUMNS",
    "Case",
    "Gram",
    "Splits",
    "find_splits",
    "first_verdict",
    "gram_of",
    "judge",
    "nonnegative",
    "probe_correlations",
    "splits_hold",
]
