"""What a model that never saw a domain lacks: features with a known truth, in real models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from universality.compare.pair_plan import Pair
from universality.compare.pairing import PairMatching
from universality.intervals import centred_interval
from universality.rows import Rows
from universality.table_schemas import UNSEEN_DOMAINS
from universality.verdicts.groups import MISSING, REARRANGED

#: Share of a latent's activation on fit rows that lies in the one domain that it is then said to be of.
DOMAIN_SHARE = 0.5


def domain_of_latents(acts: sparse.csr_matrix, rows: Rows) -> np.ndarray:
    """(d_sae,) number of the domain with at least half of each latent's activation on the fit rows, -1 if none has."""
    fit = np.flatnonzero(rows.fit)
    assert rows.domains is not None
    of_domain = sparse.csr_matrix((np.ones(fit.size), (rows.domains[fit], np.arange(fit.size))))
    mass = np.asarray((of_domain @ abs(acts[fit])).todense(), dtype=np.float64)
    total = mass.sum(axis=0)
    return np.where((total > 0) & (mass.max(axis=0) >= DOMAIN_SHARE * total), mass.argmax(axis=0), -1)


@dataclass(frozen=True, eq=False)
class _Asked:
    """Features of some models (rows) asked for in another: one entry per feature and model.

    Attributes:
        own, other: (n,) numbers of the models.
        domain: (n,) of the feature.
        group: (n,) partnered, missing, rearranged, unstable or undecided.
        r: (n, 1 + n_resamples) held-out r with its partner there, 0 without one; then in each resample.
        feature: (n,) number of the feature, the same wherever it is asked for.
    """

    own: np.ndarray
    other: np.ndarray
    domain: np.ndarray
    group: np.ndarray
    r: np.ndarray
    feature: np.ndarray


def unseen_domains(
    matchings: Mapping[Pair, PairMatching],
    alive: Mapping[str, np.ndarray],
    domain_of: Mapping[str, np.ndarray],
    verdicts: pd.DataFrame,
    seen: np.ndarray,
    losses: np.ndarray,
    domain_names: tuple[str, ...],
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Where features of each domain are looked for in each model, and what is found: table ``unseen_domains``.

    A feature of a domain (:func:`domain_of_latents`) counts where its own model was trained on that domain. In a model
    that never saw the domain it should be missing, in all others not.

    Args:
        matchings: of every pair of models.
        alive, domain_of: by model (d_sae,): whether a latent is compared, and its domain.
        verdicts: the table ``verdicts`` of the comparison.
        seen: (n_models, n_domains) bool, whether a model was trained on text of a domain; models in the order of
            ``alive``.
        losses: (n_models, n_domains) mean log-loss on score rows, nats per token, NaN without rows.
        domain_names: (n_domains,).
        confidence: of the intervals, over resampled sources.

    Returns:
        One row per domain and model. ``did`` is the difference in differences: what features of the domain lose of r
        on the way to this model beside other models that saw it, less what features of domains that all saw lose on
        the same way; only of models that never saw the domain, and where three models are compared.
    """
    models = list(alive)
    asked = _asked(models, matchings, alive, domain_of, verdicts)
    asked = _of(asked, (asked.domain >= 0) & seen[asked.own, asked.domain])
    control = np.flatnonzero(seen.all(axis=0))
    rows = []
    for code, domain in enumerate(domain_names):
        for number, model in enumerate(models):
            here = (asked.domain == code) & (asked.other == number)
            counts = {name: int((asked.group[here] == name).sum()) for name in _GROUPS}
            row = {
                "domain": domain,
                "model": model,
                "seen": bool(seen[number, code]),
                "loss": losses[number, code],
                "n_features": int(here.sum()),
                **{f"n_{name}": n for name, n in counts.items()},
            }
            nothing = (np.nan, np.nan, np.nan)
            row |= dict(zip(("r", "low", "high"), _summary(asked.r[here], confidence) or nothing, strict=True))
            change = None if seen[number, code] else _difference(asked, seen, number, code, control)
            interval = nothing if change is None else (change[0], *centred_interval(change[0], change[1:], confidence))
            rows.append(row | dict(zip(("did", "did_low", "did_high"), interval, strict=True)))
    return UNSEEN_DOMAINS.typed(pd.DataFrame(rows, columns=pd.Index(UNSEEN_DOMAINS.names)))


_GROUPS = ("partnered", "rearranged", "missing", "unstable", "undecided")


def _asked(
    models: list[str],
    matchings: Mapping[Pair, PairMatching],
    alive: Mapping[str, np.ndarray],
    domain_of: Mapping[str, np.ndarray],
    verdicts: pd.DataFrame,
) -> _Asked:
    group_of = dict.fromkeys(REARRANGED, "rearranged") | dict.fromkeys(MISSING, "missing") | {"unstable": "unstable"}
    parts: list[_Asked] = []
    first = 0
    for own, name in enumerate(models):
        latents = np.flatnonzero(alive[name])
        for other, other_name in enumerate(models):
            if own == other:
                continue
            one = matchings.get((name, other_name)) or matchings[other_name, name].swapped()
            r = np.zeros((alive[name].size, 1 + one.resampled.shape[1]))
            r[one.pairs["latent_a"].to_numpy()] = np.column_stack([one.pairs["r_held_out"], one.resampled])
            group = np.full(alive[name].size, "partnered", dtype=object)
            lacks = verdicts[(verdicts["model"] == name) & (verdicts["other_model"] == other_name)]
            group[lacks["latent"].to_numpy()] = lacks["verdict"].map(group_of).fillna("undecided").to_numpy()
            n = latents.size
            parts.append(
                _Asked(
                    np.full(n, own), np.full(n, other), domain_of[name][latents], group[latents], r[latents],
                    first + latents,
                )
            )  # fmt: skip
        first += alive[name].size
    return _Asked(*(np.concatenate([getattr(part, field) for part in parts]) for field in _Asked.__dataclass_fields__))


def _of(asked: _Asked, mask: np.ndarray) -> _Asked:
    return _Asked(*(getattr(asked, field)[mask] for field in _Asked.__dataclass_fields__))


def _summary(r: np.ndarray, confidence: float) -> tuple[float, float, float] | None:
    """Mean over features and its interval."""
    if not len(r):
        return None
    mean = r.mean(axis=0)
    return float(mean[0]), *centred_interval(float(mean[0]), mean[1:], confidence)


def _difference(asked: _Asked, seen: np.ndarray, model: int, code: int, control: np.ndarray) -> np.ndarray | None:
    """(1 + n_resamples,) difference in differences of a domain that a model never saw; None where nothing is left."""
    saw = seen[:, code]
    lost = _lost(asked, asked.domain == code, model, saw)
    usual = [_lost(asked, asked.domain == other, model, saw) for other in control]
    usual = [change for change in usual if change is not None]
    return None if lost is None or not usual else lost - np.mean(usual, axis=0)


def _lost(asked: _Asked, of_domain: np.ndarray, model: int, saw: np.ndarray) -> np.ndarray | None:
    """Mean over features of models that saw a domain: r with this model, less mean r with the others that saw it."""
    mine = of_domain & saw[asked.own]
    to_model, to_others = mine & (asked.other == model), mine & saw[asked.other]
    if not to_model.any() or not to_others.any():
        return None
    others = pd.DataFrame(asked.r[to_others]).groupby(asked.feature[to_others]).mean()
    here = pd.DataFrame(asked.r[to_model], index=asked.feature[to_model])
    both = here.index.intersection(others.index)
    return (here.loc[both] - others.loc[both]).to_numpy().mean(axis=0) if len(both) else None
