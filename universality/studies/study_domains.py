"""Is it what a model never saw? Agreement by domain of pairs of models whose data differ, beside pairs whose do not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from universality.studies.design import DATA, MODEL, CellPair, Design
from universality.studies.estimates import Estimate
from universality.table_schemas import STUDY_DOMAINS

#: Who saw a domain, of two kinds of data; and the row of all domains that both saw.
BOTH, FIRST, SECOND, NEITHER = "both", "first only", "second only", "neither"
#: What pairs of which each model saw another kind are held against: those of models that saw the domain.
_BESIDE = {
    BOTH: ((0.5, "same first"), (0.5, "same second")),
    FIRST: ((1.0, "same first"),),
    SECOND: ((1.0, "same second"),),
    NEITHER: ((0.5, "same first"), (0.5, "same second")),
}
#: Stands for all domains of a kind together.
ALL = "(all)"


def study_domains(
    design: Design,
    by_domain: Mapping[str, np.ndarray],
    unseen: Mapping[str, frozenset[str]],
    domain_names: tuple[str, ...],
    confidence: float = 0.95,
) -> pd.DataFrame:
    """What other data cost, domain by domain: the table ``study_domains``; no row where all models saw the same.

    Of two kinds of data, the loss of a domain is the mean r of its latents over pairs of models that saw the same kind
    (the one that has the domain, or the mean of both) less that over pairs of which each saw another, all pairs of
    different model seeds. The difference in differences takes off what domains that both saw lose in the same pairs.

    Args:
        design: of the study.
        by_domain: by name of the pair, (n_domains, 1 + n_resamples) from
            :func:`~universality.studies.agreement.pair_agreement`.
        unseen: by level of data, the domains that models trained on it never saw.
        domain_names: (n_domains,).
        confidence: of the intervals.
    """
    rows = []
    levels = list(dict.fromkeys(cell.levels[DATA] for cell in design.cells if DATA in cell.levels))
    for first, second in combinations(levels, 2):
        saw = [np.array([name not in unseen.get(level, ()) for name in domain_names]) for level in (first, second)]
        strata = np.select([saw[0] & saw[1], saw[0], saw[1]], [BOTH, FIRST, SECOND], NEITHER)
        pairs, groups = _asked(design, first, second)
        if set(groups) != {"same first", "same second", "differ"}:
            continue
        values = np.array([by_domain[pair.name] for pair in pairs])
        kinds = [name for name in (BOTH, FIRST, SECOND, NEITHER) if (strata == name).any()]
        together = np.stack([_mean_of(values[:, strata == name]) for name in kinds], axis=1)
        control = _mean_of(values[:, strata == BOTH]) if BOTH in kinds else np.full(together.shape[::2], np.nan)
        shown = np.concatenate([together, values], axis=1)
        group_of = np.array(groups)
        means = {name: Estimate(pairs, shown, group_of, [(1.0, name)], confidence).value for name in set(groups)}
        did = {
            kind: Estimate(pairs, control[:, None] - shown, group_of, [*_BESIDE[kind], (-1.0, "differ")], confidence)
            for kind in kinds
        }
        names = [*((ALL, kind) for kind in kinds), *zip(domain_names, strata.tolist(), strict=True)]
        for number, (domain, kind) in enumerate(names):
            found = did[kind]
            (low, high), (low_sources, high_sources) = (
                [float(end[number]) for end in ends] for ends in (found.interval, found.over_sources)
            )
            rows.append({
                "domain": domain, "first": first, "second": second, "seen_by": kind,
                "r_first": means["same first"][number], "r_second": means["same second"][number],
                "r_differ": means["differ"][number], "did": found.value[number], "low": low, "high": high,
                "low_sources": low_sources, "high_sources": high_sources, "n_pairs": len(pairs),
                "n_models": len(found.models),
            })  # fmt: skip
    return STUDY_DOMAINS.typed(pd.DataFrame(rows, columns=pd.Index(STUDY_DOMAINS.names)))


def _asked(design: Design, first: str, second: str) -> tuple[list[CellPair], list[str]]:
    """Pairs of different model seeds that saw one of two kinds of data each, and what they saw."""
    pairs, groups = [], []
    for pair in design.pairs:
        factors = set(pair.relation.split(" + "))
        data = [cell.levels.get(DATA) for cell in (pair.a, pair.b)]
        if MODEL not in factors or not {*data} <= {first, second} or factors & set(design.curves):
            continue
        pairs.append(pair)
        groups.append("differ" if data[0] != data[1] else "same first" if data[0] == first else "same second")
    return pairs, groups


def _mean_of(values: np.ndarray) -> np.ndarray:
    """(n_pairs, 1 + n_resamples) mean over domains (n_pairs, n, 1 + n_resamples) that have latents; NaN for none."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
