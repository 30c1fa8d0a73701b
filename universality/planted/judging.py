"""A matched world set against its truth, class by class and pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from universality.compare.clusters import assigned_pairs, cluster_at, cross_similarity, number_nodes
from universality.compare.pair import Dictionary
from universality.compare.stages import Stages
from universality.planted.world import Planted

CLASSES = ("universal", "shared", "specific")
#: Kinds whose latents have a partner of the same feature in every model that holds it.
REAL = ("universal", "shared", "twin")
#: Levels of a pair from coarse to fine; what a decoy of each kind shares must not be called any finer.
LEVELS = ("untested", "domain", "token", "context")
DECOYS = {"domain": "domain", "token": "token", "position": "token", "document": "domain"}


def judge(planted: Planted, stages: Stages) -> pd.DataFrame:
    """Set one matcher's outcome against the truth.

    Rows by ``class``, always over latents that are alive:

    - ``universal``, ``shared``: called so at the level ``context``, of all latents but pieces of a split
      (which are shared, in a way). Decoys and everything else called so is wrong.
    - ``specific``: called so, of all latents but pieces and decoys.
    - ``pairs``: assigned pairs at ``q < alpha``. Correct: both sides hold the same feature, or a whole and
      its piece, two pieces of one whole, two twins, or two decoys (those do share something). ``n_true`` counts
      pairs of latents of one universal, shared or twin feature, ``recall`` how many are found at ``q < alpha``.
    - ``twins``: the same of pairs of two twins of one family alone. Correct: the same twin, not the other.
    - ``decoy_domain``, ``decoy_token``, ``decoy_position``, ``decoy_document``: ``n_called`` assigned pairs
      of two such decoys at ``q < alpha``; ``fdr`` is the share whose level is finer than what they share.
      What shares only documents must be called ``domain`` too: that level covers documents.
    - ``decoy_edges``: edges (``q < alpha`` and ``r >= tau``) with a decoy on either side; ``fdr`` is the
      share at the level ``context``.

    Args:
        planted: the world. stages: all its stages.

    Returns:
        class, n_called, n_true, n_correct, precision (1 where nothing is called), recall (1 where nothing is
        there to be found; the counts say so), fdr (1 - precision). Kinds that were not planted have no rows.
        For decoys ``n_true`` equals ``n_called``, and recall says no more than precision.
    """
    truth = planted.truth[planted.truth["model"].isin(stages.models)]
    latents = truth.merge(_classes(stages), on=["model", "latent"])
    decoy, piece = latents["kind"].isin(list(DECOYS)), latents["kind"] == "piece"
    records = []
    for name in CLASSES:
        judged = latents[~piece & ~(decoy & (name == "specific"))]
        called = (judged["class"] == name) & ((judged["level"] == "context") | (name == "specific"))
        true = judged["expected_class"] == name
        if true.any() or called.any():
            records.append(_record(name, called.sum(), true.sum(), (called & true).sum()))
    pairs = _with_truth(stages, truth)
    beyond = pairs[pairs["q"] < stages.config.alpha]
    same = beyond["feature_a"] == beyond["feature_b"]
    both = beyond["kind_a"].isin(list(DECOYS)) & beyond["kind_b"].isin(list(DECOYS))
    related = same | both | (beyond["family_a"] == beyond["family_b"])
    real = beyond["kind_a"].isin(list(REAL))
    true = true_pairs(truth, stages.dictionaries)
    records.append(_record("pairs", len(beyond), len(true), related.sum(), (same & real).sum()))
    twin = related & (beyond["kind_a"] == "twin") & (beyond["kind_b"] == "twin")
    if (n_true := int((true["kind_a"] == "twin").sum())) or twin.any():
        records.append(_record("twins", twin.sum(), n_true, (twin & same).sum()))
    return pd.DataFrame([*records, *_decoy_records(beyond, stages.config.tau)])


def _decoy_records(beyond: pd.DataFrame, tau: float) -> list[dict[str, Any]]:
    fine = beyond["level"].map(LEVELS.index)
    records = []
    for kind, level in DECOYS.items():
        here = (beyond["kind_a"] == kind) & (beyond["kind_b"] == kind)
        if here.any():
            right = (here & (fine <= LEVELS.index(level))).sum()
            records.append(_record(f"decoy_{kind}", here.sum(), here.sum(), right))
    edge = (beyond["r_held_out"] >= tau) & (
        beyond["kind_a"].isin(list(DECOYS)) | beyond["kind_b"].isin(list(DECOYS))
    )
    if edge.any():
        right = (edge & (beyond["level"] != "context")).sum()
        records.append(_record("decoy_edges", edge.sum(), edge.sum(), right))
    return records


def _record(name: str, called: int, true: int, correct: int, recalled: int | None = None) -> dict[str, Any]:
    precision = int(correct) / int(called) if called else 1.0
    recall = int(correct if recalled is None else recalled) / int(true) if true else 1.0
    return {
        "class": name, "n_called": int(called), "n_true": int(true), "n_correct": int(correct),
        "precision": precision, "recall": recall, "fdr": 1.0 - precision,
    }  # fmt: skip


def _classes(stages: Stages) -> pd.DataFrame:
    """model, latent, class and level of every alive latent, without the tables that nobody asked for."""
    nodes = number_nodes(stages)
    similarity = cross_similarity(stages, nodes)
    clustering = cluster_at(stages, nodes, assigned_pairs(stages), similarity, stages.config.tau)
    table = clustering.table[["class", "level"]].iloc[clustering.row_of].reset_index(drop=True)
    return table.assign(model=np.array(nodes.models, object)[nodes.model_of], latent=nodes.latent)


def _with_truth(stages: Stages, truth: pd.DataFrame) -> pd.DataFrame:
    """All assigned pairs with feature, kind and family (whole and pieces, or two twins, are one) of both sides."""
    pairs = assigned_pairs(stages)
    family = np.where(truth["whole"] >= 0, truth["whole"], truth["feature"])
    of_latent = truth[["model", "latent", "feature", "kind"]].assign(family=family)
    for side in "ab":
        names = {column: f"{column}_{side}" for column in of_latent}
        pairs = pairs.merge(of_latent.rename(columns=names), on=[f"model_{side}", f"latent_{side}"])
    return pairs


def true_pairs(truth: pd.DataFrame, dictionaries: Mapping[str, Dictionary]) -> pd.DataFrame:
    """model_a, latent_a, model_b, latent_b of alive latents of one universal or shared feature."""
    alive = [dictionaries[m].alive[latent] for m, latent in zip(truth["model"], truth["latent"], strict=True)]
    real = truth[np.array(alive, bool) & truth["kind"].isin(list(REAL))]
    real = real[["model", "latent", "feature", "kind"]]
    both = real.merge(real, on="feature", suffixes=("_a", "_b"))
    order = {model: place for place, model in enumerate(dictionaries)}
    return both[both["model_a"].map(order) < both["model_b"].map(order)]
