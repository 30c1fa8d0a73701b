"""Substitution curves: the n best-matched latents of a model replaced by their partners at once."""

from __future__ import annotations

import numpy as np
import pandas as pd

from universality.compare.pair import DictionaryPair
from universality.compare.pair_plan import Pair
from universality.effects.pair_effects import EffectSide
from universality.effects.substitution import scaling_factors, substitution_curve
from universality.table_schemas import TABLES

#: Points of a curve.
_POINTS = 12
#: Rows on which a curve is measured: every point is a prediction of all of them.
_ROWS = 4_096


def substitution_curves(
    pair: DictionaryPair,
    a: EffectSide,
    b: EffectSide,
    effects: pd.DataFrame,
    matched: pd.DataFrame,
    rows: np.ndarray,
) -> pd.DataFrame:
    """Curves of model a run with activations of b, with matched partners and two controls; and the other way round.

    Args:
        pair: the dictionaries.
        a, b: either side, with predictions at ``rows``.
        effects: the table of :func:`universality.effects.pair_effects.pair_effects`, for the partners.
        matched: assigned pairs with their fit r in ``r``; latents are replaced in its order.
        rows: (n_rows,) int, the evaluation rows of the predictions.

    Returns:
        Columns ``universality.table_schemas.TABLES["substitution_curve"]``.
    """
    fit_r = matched.set_index(["latent_a", "latent_b"])["r"]
    parts = []
    for kind in ("matched", "runner_up", "hard_exchange"):
        of = effects[effects["kind"] == kind]
        # Controls stand in the order of the assigned pairs that they belong to, not of their own r.
        ranked = of.assign(order=fit_r.groupby("latent_a").max().reindex(of["latent_a"]).to_numpy())
        ranked = ranked.sort_values(["order", "latent_a"], ascending=[False, True], kind="stable")
        ia, ib = (ranked[f"latent_{side}"].to_numpy(np.int64) for side in "ab")
        one, two = pair.names
        ways = [((one, two), (a, b), (ia, ib))]
        if kind == "matched":
            ways.append(((two, one), (b, a), (ib, ia)))
        for names, (own, other), (i, j) in ways:
            if i.size:
                parts.append(_curve(kind, names, own, other, i, j, rows))
    columns = TABLES["substitution_curve"].names
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _curve(
    kind: str,
    names: Pair,
    own: EffectSide,
    other: EffectSide,
    i: np.ndarray,
    j: np.ndarray,
    rows: np.ndarray,
) -> pd.DataFrame:
    assert own.predictions is not None
    n_alive = max(own.dictionary.n_alive, 1)
    counts = np.unique(np.geomspace(1, i.size, _POINTS).round().astype(np.int64))
    fit = own.dictionary.rows.fit
    means = np.asarray(own.dictionary.acts[fit].mean(axis=0)).ravel()
    some = np.arange(rows.size)[:: -(-rows.size // _ROWS)]
    scale = None if own.scale is None else own.scale[some]
    acts, partners = (side.dictionary.acts[rows[some]] for side in (own, other))
    recovered = substitution_curve(
        own.predictions, some, acts, partners, own.directions, means, i, j,
        scaling_factors(own.dictionary.fit, other.dictionary.fit, i, j), counts, scale=scale,
    )  # fmt: skip
    named = {"model_a": names[0], "model_b": names[1], "kind": kind}
    return pd.DataFrame({**named, "n_replaced": counts, "share": counts / n_alive, "recovered": recovered})
