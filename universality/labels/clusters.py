"""The rule of a member that says most of all members of a cluster, and of how many it says anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from universality.labels.rules import Rules, rule_r
from universality.labels.views import LEAST_R, TOLERANCE, View
from universality.rows import Rows


def cluster_rules(
    members: pd.DataFrame,
    rules: Mapping[str, Rules],
    views: Sequence[View],
    acts: Mapping[str, sparse.csr_matrix],
    rows: Rows,
) -> pd.DataFrame:
    """One rule for every cluster, chosen on fit rows among those of its members, and tried on score rows.

    Args:
        members: cluster, model, latent; one row per member.
        rules: by model, of all members.
        views: what the rules were learned from.
        acts: CSR (n_rows, d_sae) by model.
        rows: the rows.

    Returns:
        cluster; model, latent: the member whose rule it is; r, mean over members of Pearson's r of the rule with their
        activation on score rows; r_least, the least of these; n_members; n_models, models with a member;
        n_explained, models with a member of r 0.3 or more. One row per cluster, rising.
    """
    both = members.merge(members, on="cluster", suffixes=("", "_of"))  # whose rule, and of whom it says something
    fit, score = np.zeros(len(both)), np.zeros(len(both))
    for names, pairs in both.groupby(["model", "model_of"]).indices.items():
        source, target = names  # pyright: ignore[reportGeneralTypeIssues]
        of, latents = rules[source], both["latent_of"].to_numpy()[pairs]
        which = np.searchsorted(of.latents, both["latent"].to_numpy()[pairs])
        for out, on in ((fit, rows.fit), (score, rows.score)):
            out[pairs] = rule_r(of, views, acts[target], on, which, latents)
    both = both.assign(fit=fit, r=score, said=both["model_of"].where(score >= LEAST_R))
    of_rule = both.groupby(["cluster", "model", "latent"], as_index=False).agg(
        fit=("fit", "mean"), r=("r", "mean"), r_least=("r", "min"), n_members=("r", "size"),
        n_models=("model_of", "nunique"), n_explained=("said", "nunique"),
    )  # fmt: skip
    order = {
        (model, latent): number
        for model, of in rules.items()
        for latent, number in zip(of.latents.tolist(), of.view.tolist(), strict=True)
    }
    number = [order[key] for key in zip(of_rule["model"], of_rule["latent"], strict=True)]
    best = of_rule.groupby("cluster")["fit"].transform("max")
    near = of_rule.assign(number=number)[of_rule["fit"] >= best - TOLERANCE]
    first = near.sort_values(["cluster", "number", "fit"], ascending=[True, True, False], kind="stable")
    return first.drop_duplicates("cluster").drop(columns=["fit", "number"]).reset_index(drop=True)
