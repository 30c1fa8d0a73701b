"""Why is a feature not in model b? The first reason that holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from universality.brief_repr import brief_repr

#: Reasons in the order in which they are tried; ``untested`` stands where an input to decide was not given.
VERDICTS = (
    "unstable", "contested", "split", "part_of", "decodable", "near_threshold", "weak", "absent", "untested",
)  # fmt: skip


@brief_repr
@dataclass(frozen=True, eq=False)
class VerdictEvidence:
    """What was measured of features of one model against one model that lacks them, one entry per feature.

    Attributes:
        replicate_r: best held-out r in the own model's replicate dictionaries; None if there is none.
        best_r, best_high: best held-out r to any latent of the other model, and the upper end of its interval.
        best_is_insignificant: whether that best latent is the assigned partner and the pair is within chance.
        assigned_q: q of the assigned pair, 1 if unassigned.
        split_r2: held-out R² of at least two pieces in the other model; 0 if there is none.
        whole_r2: highest held-out R² of a latent of the other model that has this one as a piece and passes
            the test of a split itself; 0 if there is none.
        probe_own, probe_other: held-out r of the probe on the own model's and the other model's raw
            activations; None without raw activations of either.
        probe_untrained: the same on the untrained other model; None if not given.
    """

    replicate_r: np.ndarray | None
    best_r: np.ndarray
    best_high: np.ndarray
    best_is_insignificant: np.ndarray
    assigned_q: np.ndarray
    split_r2: np.ndarray
    whole_r2: np.ndarray
    probe_own: np.ndarray | None
    probe_other: np.ndarray | None
    probe_untrained: np.ndarray | None


def splits_hold(r2: np.ndarray, best_r: np.ndarray, tau: float, gain: float) -> np.ndarray:
    """Whether a combination reaches ``R² >= tau²`` and improves on the best single latent by ``gain``."""
    return (r2 >= tau**2) & (r2 - np.maximum(best_r, 0.0) ** 2 >= gain)


def judge(
    evidence: VerdictEvidence,
    *,
    tau: float,
    alpha: float,
    gain: float,
    probe_share: float,
    probe_floor: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The first reason that holds for each feature, and its statistic.

    * ``unstable``: replicate_r < tau. Statistic: replicate_r.
    * ``contested``: best_r >= tau, yet the latent went to another or the cluster rule refused it. best_r.
    * ``split``: the combination holds (:func:`splits_hold`). Its R².
    * ``part_of``: such a whole exists in the other model. Its R².
    * ``decodable``: the probe on the other model reaches ``probe_share`` of the probe on the own model and
      beats the probe on the untrained other model; an own probe below ``probe_floor`` is no evidence. r.
    * ``near_threshold``: the interval of best_r reaches tau. best_r.
    * ``weak``: beyond chance (assigned_q < alpha), interval below tau. best_r.
    * ``absent``: none of these, all of them tested. best_r.
    * ``untested``: none holds, and ``unstable`` or ``decodable`` could not be tested. best_r.

    Args:
        evidence: what was measured.
        tau, alpha, gain, probe_share, probe_floor: thresholds of :class:`CompareConfig`.

    Returns:
        ``(verdict (n,) str, statistic (n,) float64)``.
    """
    n = evidence.best_r.size
    no, nothing = np.zeros(n, bool), np.zeros(n)
    replicate = nothing if evidence.replicate_r is None else evidence.replicate_r
    decodable, undecided = _decodable(evidence, probe_share, probe_floor)
    tests = (
        (no if evidence.replicate_r is None else replicate < tau, replicate),
        ((evidence.best_r >= tau) & ~evidence.best_is_insignificant, evidence.best_r),
        (splits_hold(evidence.split_r2, evidence.best_r, tau, gain), evidence.split_r2),
        (evidence.whole_r2 > 0, evidence.whole_r2),
        (decodable, nothing if evidence.probe_other is None else evidence.probe_other),
        (evidence.best_high >= tau, evidence.best_r),
        (evidence.assigned_q < alpha, evidence.best_r),
    )
    undecided = undecided | (evidence.replicate_r is None)
    verdict = np.where(undecided, "untested", "absent").astype(object)
    statistic = evidence.best_r.astype(np.float64)
    for name, (holds, value) in reversed(list(zip(VERDICTS, tests, strict=False))):
        verdict = np.where(holds, name, verdict)
        statistic = np.where(holds, value, statistic)
    return verdict, statistic


def _decodable(evidence: VerdictEvidence, share: float, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Whether a probe shows the feature, and where that cannot be told."""
    if evidence.probe_own is None or evidence.probe_other is None:
        return np.zeros(evidence.best_r.size, bool), np.ones(evidence.best_r.size, bool)
    reaches = (evidence.probe_own >= floor) & (evidence.probe_other >= share * evidence.probe_own)
    if evidence.probe_untrained is None:
        return np.zeros(evidence.best_r.size, bool), reaches
    return reaches & (evidence.probe_other > evidence.probe_untrained), np.zeros(evidence.best_r.size, bool)


def first_verdict(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The first verdict in order of each feature over the models it is missing from.

    Args:
        verdicts: the table ``verdicts``.

    Returns:
        model, latent, verdict; one row per feature that is missing somewhere.
    """
    rank = verdicts["verdict"].map({name: place for place, name in enumerate(VERDICTS)})
    first = verdicts.assign(rank=rank).sort_values(["model", "latent", "rank"], kind="stable")
    first = first.drop_duplicates(["model", "latent"])
    return first[["model", "latent", "verdict"]].reset_index(drop=True)
