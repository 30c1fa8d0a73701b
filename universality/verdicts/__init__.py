"""Why a feature is missing from a model: split, part of another, decodable, unstable, contested, weak, absent."""

from universality.verdicts.probe import probe_correlations
from universality.verdicts.rules import (
    VERDICTS,
    VerdictEvidence,
    first_verdict,
    judge,
    splits_hold,
)

__all__ = [
    "VERDICTS",
    "VerdictEvidence",
    "first_verdict",
    "judge",
    "probe_correlations",
    "splits_hold",
]
