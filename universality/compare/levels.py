"""The level at which a pair, or a cluster of features, agrees: what explains it, or that nothing known does."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from universality.compare.compare_config import EDGE_SLACK, SHRINKAGE, CompareConfig
from universality.compare.pair import DictionaryPair
from universality.correlation.nested import STEPS, NestedParts, NestedRows, nested_parts
from universality.intervals import percentile_interval
from universality.rows import Rows
from universality.seeds import generator

#: From what explains most to what explains least, in the order in which it is taken off.
LEVELS = (*STEPS, "context", "untested")
#: Held-out r that is left after each step, as columns of ``pairs``; the first after none.
R_COLUMNS = ("r_held_out", "r_domain", "r_document", "r_joint", "r_token_x_domain", "r_bigram")
#: Parts of held-out r, as columns of ``pairs``; they add up to it.
PART_COLUMNS = (*(f"from_{step}" for step in STEPS), "from_rest")


def decide_levels(
    r: np.ndarray,
    parts: np.ndarray,
    tau: float,
    *,
    complete: bool,
    joint_low: np.ndarray | float = np.inf,
    repeated: np.ndarray | float = np.nan,
) -> np.ndarray:
    """The level of agreements, each a pair or the mean over the pairs of a cluster.

    With :data:`STEPS` taken off one after the other, *jointly* the third:

    * r beyond domain, document, token and position together stays at tau or more, and its interval excludes tau / 2:
      ``token_x_domain`` or ``bigram`` where that step takes it below tau after all, else ``context``. It is
      ``token_x_domain`` too where a token that its document repeats counts as one: where r within such repeats falls
      below tau - 0.1. (That a token is special to single documents, rows of other documents cannot say.)
    * Otherwise the first of ``domain``, ``document``, ``token`` that leaves less than half of r; or, where none does,
      that takes r below tau.
    * ``untested`` where nothing can be said: r is below tau and no step takes half of it; what would be needed to say
      ``context`` was not given; or too few sources vouch for it.

    Args:
        r: (..., 6) correlations left, as :class:`NestedParts` has them, NaN for steps that could not be taken.
        parts: (..., 6) likewise.
        tau: threshold of r.
        complete: whether domains, documents of several rows, tokens and positions were all given.
        joint_low: (...,) lower end of the interval of the fourth r.
        repeated: (...,) r within tokens that their document repeats, NaN where it could not be measured.

    Returns:
        (...,) str of :data:`LEVELS`.
    """
    left = r.copy()
    for step in range(1, 6):  # a step that could not be taken leaves what there was
        left[..., step] = np.where(np.isnan(left[..., step]), left[..., step - 1], left[..., step])
    taken = np.cumsum(np.nan_to_num(parts[..., :5]), axis=-1)
    half_gone = (taken[..., :3] > 0.5 * left[..., :1]) & (left[..., :1] > 0)
    crosses = (left[..., 1:4] < tau) & (left[..., 3:4] < tau) & (left[..., :1] >= tau)
    out = np.full(r.shape[:-1], "untested", dtype=object)
    for holds in (crosses, half_gone):  # the second is written over the first
        for step in (2, 1, 0):
            out[holds[..., step]] = STEPS[step]
    beyond = (left[..., 3] >= tau) & (joint_low > tau / 2)
    if not complete:
        out[beyond & ~half_gone.any(axis=-1)] = "untested"
        return out
    out[beyond] = "context"
    for step in (4, 3):
        out[beyond & (left[..., step + 1] < tau)] = STEPS[step]
    out[beyond & (repeated < tau - EDGE_SLACK)] = "token_x_domain"
    return out


@lru_cache(maxsize=2)
def nested_rows(rows: Rows) -> NestedRows:
    """The rows of a comparison prepared once for all its pairs."""
    return NestedRows(rows, SHRINKAGE)


def is_complete(rows: Rows) -> bool:
    """Whether the rows say enough for ``context`` to be decided."""
    return bool(nested_rows(rows).known.all() and rows.positions is not None)


def parts_of(pair: DictionaryPair, indices_a: np.ndarray, indices_b: np.ndarray) -> NestedParts:
    """What r of given pairs of latents is made of; all pairs of a comparison see the same resamples."""
    nested = nested_rows(pair.rows)
    weights = generator(pair.root_seed, "document-bootstrap").multinomial(
        nested.n_groups, np.full(nested.n_groups, 1.0 / nested.n_groups), size=pair.config.n_resamples
    )
    return nested_parts(pair.fit, pair.score, indices_a, indices_b, nested, weights, threads=pair.threads)


def drawn_levels(parts: NestedParts, rows: Rows, config: CompareConfig) -> np.ndarray:
    """(n_pairs, n_resamples) str, the level of each pair in each resample of the sources."""
    return decide_levels(
        parts.draws.astype(np.float64), parts.part_draws.astype(np.float64), config.tau,
        complete=is_complete(rows), repeated=parts.r_repeated[:, None],
    )  # fmt: skip


def level_columns(parts: NestedParts, drawn: np.ndarray, rows: Rows, config: CompareConfig) -> pd.DataFrame:
    """Columns of ``pairs`` that say what each r is made of, its level, and how sure that is by :func:`drawn_levels`."""
    complete, (low, high) = is_complete(rows), percentile_interval(parts.draws[..., 3], config.confidence)
    level = decide_levels(parts.r, parts.parts, config.tau, complete=complete, joint_low=low, repeated=parts.r_repeated)
    return pd.DataFrame(
        {
            **{name: parts.r[:, place] for place, name in enumerate(R_COLUMNS) if place},
            **{name: parts.parts[:, place] for place, name in enumerate(PART_COLUMNS)},
            "r_joint_low": low,
            "r_joint_high": high,
            "r_repeated": parts.r_repeated,
            "level": level,
            "level_probability": (drawn == level[:, None]).mean(axis=1),
            "r_loo": parts.r_loo,
            "n_eff_sources": parts.n_eff_sources,
            "top_rows_share": parts.strongest,
        }
    )


def levels_of(pairs: pd.DataFrame, tau: float, complete: bool) -> np.ndarray:
    """The level of each row of a table of pairs, at any tau."""
    r, parts = pairs[[*R_COLUMNS]].to_numpy(float), pairs[[*PART_COLUMNS]].to_numpy(float)
    low, repeated = (pairs[name].to_numpy(float) for name in ("r_joint_low", "r_repeated"))
    return decide_levels(r, parts, tau, complete=complete, joint_low=low, repeated=repeated)


def is_edge(pairs: pd.DataFrame, tau: float, alpha: float) -> np.ndarray:
    """Which assigned pairs count as one feature, (n,) bool.

    Beyond chance, ``r_held_out >= tau``, and neither by luck of the score half (``r`` on the fit rows) nor by one
    source (``r_loo``): both reach ``tau - 0.1``.

    Args:
        pairs: q, r_held_out, r, r_loo. tau: threshold of r. alpha: false-discovery rate.
    """
    alone = pairs["r_loo"].isna() | (pairs["r_loo"] >= tau - EDGE_SLACK)
    held = (pairs["q"] < alpha) & (pairs["r_held_out"] >= tau) & (pairs["r"] >= tau - EDGE_SLACK)
    return (held & alone).to_numpy(bool)
