"""Why a feature is missing from a model: split, part of another, decodable, unstable, contested, weak, absent."""

from universality.verdicts.groups import GROUPS, group_features
from universality.verdicts.probe import probe_correlations
from universality.verdicts.rules import (
    VERDICTS,
    VerdictEvidence,
    first_verdict,
    judge,
    splits_hold,
)

__all__ = [
    "GROUPS",
    "VERDICTS",
    "VerdictEvidence",
    "first_verdict",
    "group_features",
    "judge",
    "probe_correlations",
    "splits_hold",
]
