"""How much two dictionaries agree, in a few numbers: the fast way for studies, whose pairs are counted in hundreds.

The same partners, held-out r and levels as in a comparison; no null of its own (one pair per relation has one), no
other halves of the sources, no rearrangements.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from universality.compare.compare_config import EDGE_SLACK
from universality.compare.levels import LEVELS, decide_levels, drawn_levels, is_complete, parts_of
from universality.compare.pair import DictionaryPair
from universality.compare.pairing import assign, pair_similarity
from universality.intervals import percentile_interval
from universality.studies.unseen import domain_of_latents
from universality.table_schemas import TABLES

#: Share of the smaller side's alive latents that have a partner; the same at each level; mean r and r_joint over them,
#: 0 without a partner.
MEASURES = ("shared", *(f"shared_{level}" for level in LEVELS), "r", "r_joint")
PARTNERS = TABLES["study_partners"]


class Agreement(NamedTuple):
    """What :func:`pair_agreement` finds.

    Attributes:
        measures: (measures, 1 + n_resamples) as in :data:`MEASURES`: the value, then that of each resample.
        by_domain: (n_domains, 1 + n_resamples), likewise: mean r of both sides' alive latents that are of it
            (:func:`~universality.studies.unseen.domain_of_latents`), 0 without a partner; NaN where there are none,
            without rows where no domains are known.
        partners: model_a, latent_a, model_b, latent_b, r (fit rows), r_held_out, r_joint, level, edge of every assigned
            pair, as a comparison's table ``matched`` has them; edge: it counts, but for chance.
    """

    measures: np.ndarray
    by_domain: np.ndarray
    partners: pd.DataFrame


def pair_agreement(pair: DictionaryPair) -> Agreement:
    """Agreement of two dictionaries, and the same in every resample of the sources.

    A latent has a partner where the one that the assignment gave it on fit rows reaches tau on score rows, and tau -
    0.1 on fit rows and without its strongest source, as edges of a comparison do. All pairs over the same rows see the
    same resamples, so that their differences have an interval too.

    Args:
        pair: the dictionaries; which of them is a does not matter.
    """
    if pair.names[0] > pair.names[1]:  # ties and last digits depend on which side is walked
        return pair_agreement(pair.swapped())
    tau, n = pair.config.tau, max(min(pair.a.n_alive, pair.b.n_alive), 1)
    assigned = assign(pair, pair_similarity(pair))
    parts = parts_of(pair, assigned.indices_a.astype(np.int64), assigned.indices_b.astype(np.int64))
    # (n_pairs, 1 + n_resamples), the data first.
    r, joint = (np.column_stack([parts.r[:, step], parts.draws[..., step]]).astype(np.float64) for step in (0, 3))
    low, _ = percentile_interval(parts.draws[..., 3], pair.config.confidence)
    level = decide_levels(
        parts.r, parts.parts, tau, complete=is_complete(pair.rows), joint_low=low, repeated=parts.r_repeated
    )
    levels = np.column_stack([level, drawn_levels(parts, pair.rows, pair.config)])
    lucky = (assigned.score < tau - EDGE_SLACK) | (parts.r_loo < tau - EDGE_SLACK)  # a missing r_loo says nothing
    held = (r >= tau) & ~lucky[:, None]
    of_level = [(held & (levels == name)).sum(axis=0) for name in LEVELS]
    measures = np.array([held.sum(axis=0), *of_level, r.sum(axis=0), np.nan_to_num(joint).sum(axis=0)]) / n
    partners = pd.DataFrame(
        {
            "model_a": pair.names[0], "latent_a": assigned.indices_a.astype(np.int64), "model_b": pair.names[1],
            "latent_b": assigned.indices_b.astype(np.int64), "r": assigned.score.astype(np.float64),
            "r_held_out": r[:, 0], "r_joint": joint[:, 0], "level": level, "edge": held[:, 0],
        }
    )  # fmt: skip
    by_domain = _by_domain(pair, (assigned.indices_a, assigned.indices_b), r)
    return Agreement(measures, by_domain, PARTNERS.typed(partners))


def _by_domain(pair: DictionaryPair, latents: tuple[np.ndarray, np.ndarray], r: np.ndarray) -> np.ndarray:
    """(n_domains, 1 + n_resamples) mean r of the latents of each domain, both sides together."""
    n_domains = len(pair.rows.domain_names or ())
    total, count = np.zeros((n_domains, r.shape[1])), np.zeros(n_domains)
    if n_domains:
        for side, chosen in zip((pair.a, pair.b), latents, strict=True):
            domain = domain_of_latents(side.acts, pair.rows)
            count += np.bincount(domain[side.alive & (domain >= 0)], minlength=n_domains)
            known = domain[chosen] >= 0
            np.add.at(total, domain[chosen][known], r[known])
    with np.errstate(invalid="ignore"):
        return total / count[:, None]
