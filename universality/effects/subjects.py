"""Which features are steered: chosen from what they fire on, before any model is steered."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from scipy import sparse

from universality.domains import domain_counts
from universality.effects.domain_judge import DomainJudge
from universality.table_schemas import TABLES

#: Share of a domain's held-out tokens that the judge must find, and of all others that it may take for the domain: else
#: no share of the domain says anything.
TOLD, MISTAKEN = 0.8, 0.05


def choose_subjects(
    latents: Mapping[str, sparse.csc_matrix],
    features: pd.DataFrame,
    domains: Int[np.ndarray, " n_rows"],
    fit: Bool[np.ndarray, " n_rows"],
    judge: DomainJudge,
    most: int,
) -> pd.DataFrame:
    """For every domain that its tokens tell, the universal cluster that is most selective for it.

    A cluster's selectivity for a domain is the Matthews correlation of firing with the label on fit rows, the mean over
    models of each model's best member. A cluster stands for the domain for which it is most selective.

    Args:
        latents: activations (n_rows, n_latents) of every compared model.
        features: model, latent, cluster, class of the comparison.
        domains: code of each row's domain, below 0 where it has none.
        fit: fit rows.
        judge: what tells domains apart.
        most: clusters that are chosen at most: those of the highest selectivity.

    Returns:
        The columns of the table ``steering_clusters``, one row per domain, the most selective clusters first.
    """
    universal = features[(features["class"] == "universal") & features["cluster"].notna()]
    rows = np.flatnonzero(fit & (domains >= 0))
    best: dict[tuple[int, str], tuple[np.ndarray, np.ndarray]] = {}  # by cluster and model: selectivities, latents
    for model, acts in latents.items():
        mcc = domain_counts(sparse.csr_matrix(acts[rows]), domains[rows], len(judge.domains)).matthews()
        own = universal[universal["model"] == model]
        for cluster, members in own.groupby("cluster")["latent"]:
            numbers = members.to_numpy(np.int64)
            found = mcc[numbers]
            best[int(cluster), model] = found.max(axis=0), numbers[found.argmax(axis=0)]  # pyright: ignore[reportArgumentType]
    chosen: dict[int, tuple[float, int]] = {}
    for cluster in sorted({cluster for cluster, _ in best}):
        mean = np.mean([best[cluster, model][0] for model in latents if (cluster, model) in best], axis=0)
        code = int(mean.argmax())
        if mean[code] > chosen.get(code, (0.0, -1))[0]:
            chosen[code] = float(mean[code]), cluster
    table = [_row(code, judge, chosen.get(code), best, list(latents)) for code in range(len(judge.domains))]
    schema = TABLES["steering_clusters"]
    frame = schema.typed(pd.DataFrame(table, columns=pd.Index(schema.names)))
    frame = frame.sort_values(["mcc", "domain"], ascending=[False, True], ignore_index=True)
    left = frame["left_out"].isna()
    frame.loc[left & (left.cumsum() > most), "left_out"] = "beyond"
    return frame


def _row(
    code: int,
    judge: DomainJudge,
    found: tuple[float, int] | None,
    best: Mapping[tuple[int, str], tuple[np.ndarray, np.ndarray]],
    models: list[str],
) -> dict[str, object]:
    row: dict[str, object] = {
        "domain": judge.domains[code], "hit": judge.hit[code], "false_alarm": judge.false_alarm[code], "cluster": None,
        "mcc": None, "members": None, "left_out": None,
    }  # fmt: skip
    if found is None:
        return {**row, "left_out": "no_cluster"}
    mcc, cluster = found
    members = [f"{model}:{best[cluster, model][1][code]}" for model in models if (cluster, model) in best]
    told = judge.hit[code] >= TOLD and judge.false_alarm[code] <= MISTAKEN
    return {**row, "cluster": cluster, "mcc": mcc, "members": ";".join(members),
            "left_out": None if told else "not_told"}  # fmt: skip
