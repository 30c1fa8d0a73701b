"""A matched world set against its truth: by class, by level, by group, and decoy by decoy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from universality.compare.clusters import Clustering, clustered
from universality.compare.nodes import Nodes
from universality.compare.pair import Dictionary
from universality.compare.stages import Stages
from universality.compare.verdict_inputs import Splits, dominant_wholes, verdict_table
from universality.planted.kinds import DECOYS, KINDS
from universality.planted.world import Planted
from universality.verdicts import GROUPS, group_features

CLASSES = ("universal", "shared", "specific")
#: Rank of the levels of a pair from coarse to fine; what decoys share must not be called any finer.
RANK = {
    "untested": 0, "domain": 1, "document": 2, "token": 3, "token_x_domain": 4, "bigram": 4, "context": 5,
}  # fmt: skip
LEVELS = tuple(level for level in RANK if level != "untested")
#: Kinds that have one class or another and are wrong in neither.
UNCLASSED = tuple(name for name, kind in KINDS.items() if kind.expected_class is None and not kind.decoy)


def judge(planted: Planted, stages: Stages) -> pd.DataFrame:
    """Set one matcher's outcome against the truth.

    Rows by ``class``, always over latents that are alive:

    - ``universal``, ``shared``: called so at the level ``context``, of all latents but pieces of a split
      (which are shared, in a way) and wholes with a dominant piece. Decoys and everything else called so is wrong.
    - ``specific``: called so, of all latents but these and decoys without a class.
    - ``pairs``: assigned pairs at ``q < alpha``. Correct: both sides hold the same feature, or two of one
      family (a whole and its piece, two twins, two copies), or two decoys (those do share something).
      ``n_true`` counts pairs of latents of one feature, ``recall`` how many are found at ``q < alpha``; none is
      asked for where any of a family will do.
    - ``twins``: the same of pairs of two twins of one family alone. Correct: the same twin, not the other.
    - ``decoy_domain``, ``decoy_token``, … by kind: ``n_called`` assigned pairs of two such decoys at
      ``q < alpha``; ``fdr`` is the share whose level is finer than what they share.
    - ``decoy_edges``: edges with a decoy on either side; ``fdr`` is the share at the level ``context``.
    - ``level_domain``, … ``level_context``: :func:`judge_levels`.
    - ``group_partnered``, … ``group_missing``: :func:`judge_groups`; only of stages with replicates.

    Args:
        planted: the world. stages: all its stages.

    Returns:
        class, n_called, n_true, n_correct, precision (1 where nothing is called), recall (1 where nothing is
        there to be found; the counts say so), fdr (1 - precision). Kinds that were not planted have no rows.
        For decoys ``n_true`` equals ``n_called``, and recall says no more than precision.
    """
    truth = planted.truth[planted.truth["model"].isin(stages.models)]
    nodes, assigned, clustering = clustered(stages)
    beyond = with_truth(assigned[assigned["q"] < stages.config.alpha], truth)
    edges = edge_table(assigned)
    parts = [
        _judge_classes(truth.merge(_classes(nodes, clustering), on=["model", "latent"])),
        _judge_pairs(beyond, true_pairs(truth, stages.dictionaries)),
        _judge_decoys(beyond, with_truth(edges, truth)),
        judge_levels(truth, edges),
    ]
    if stages.plan.replicate_pairs:
        parts.append(judge_groups(truth, group_table(stages, nodes, clustering)))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def judge_levels(truth: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    """Rows ``level_…``: how right the levels of edges are.

    The true level of an edge is ``context`` within a feature or family, and what they share of two decoys of
    one kind. Any other edge has none, and counts as wrong whatever it is called; of two decoys of different
    kinds only where it is called ``context``, since what they share is not known.

    Args:
        truth: of a world. edges: model_a, latent_a, model_b, latent_b, level; as :func:`edge_table`.

    Returns:
        The columns of :func:`judge`, a row for every level that is true or called anywhere.
    """
    edges = with_truth(edges, truth)
    decoy_a, decoy_b = (edges[f"kind_{side}"].isin(DECOYS) for side in "ab")
    both, same_kind = decoy_a & decoy_b, edges["kind_a"] == edges["kind_b"]
    shared = edges["kind_a"].map({name: KINDS[name].level for name in DECOYS})
    within = ~decoy_a & ~decoy_b & (edges["family_a"] == edges["family_b"])
    true = shared.where(both & same_kind).mask(within, "context")
    judged = ~both | same_kind | (edges["level"] == "context")
    return _by_name("level", LEVELS, edges.loc[judged, "level"], true[judged])


def judge_groups(truth: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Rows ``group_…``: how right the groups of alive latents are, where the truth promises one.

    Args:
        truth: of a world. groups: model, latent, group; as :func:`group_table`.

    Returns:
        The columns of :func:`judge`, a row for every group that is true or called anywhere.
    """
    latents = exchanged(truth.merge(groups, on=["model", "latent"]), "group")
    latents = latents[latents["expected_group"].notna()]
    return _by_name("group", GROUPS[:-1], latents["group"], latents["expected_group"])


def decoy_table(planted: Planted, stages: Stages) -> pd.DataFrame:
    """What became of every kind of decoy.

    Returns:
        kind, n (alive latents of all models), n_context (those in a cluster of two models or more at the level
        ``context``), n_edges (with such a decoy on either side), and of these edges how many got each level:
        untested, domain, document, token, token_x_domain, bigram, context. Kinds that were planted.
    """
    truth = planted.truth[planted.truth["model"].isin(stages.models)]
    nodes, assigned, clustering = clustered(stages)
    latents = truth.merge(_classes(nodes, clustering), on=["model", "latent"])
    edges = with_truth(edge_table(assigned), truth)
    records = []
    for kind in (kind for kind in DECOYS if (latents["kind"] == kind).any()):
        own = latents[latents["kind"] == kind]
        here = edges[(edges["kind_a"] == kind) | (edges["kind_b"] == kind)]
        n_context = int(((own["class"] != "specific") & (own["level"] == "context")).sum())
        levels = {level: int((here["level"] == level).sum()) for level in RANK}
        records.append({"kind": kind, "n": len(own), "n_context": n_context, "n_edges": len(here), **levels})
    return pd.DataFrame(records, columns=["kind", "n", "n_context", "n_edges", *RANK])


def _judge_classes(latents: pd.DataFrame) -> pd.DataFrame:
    latents = exchanged(latents[~latents["kind"].isin(UNCLASSED)], "class")
    decoy = latents["kind"].isin(DECOYS) & latents["expected_class"].isna()
    called = latents["class"].where((latents["level"] == "context") | (latents["class"] == "specific"))
    shared = _by_name("", CLASSES[:2], called, latents["expected_class"])
    specific = _by_name("", CLASSES[2:], called[~decoy], latents.loc[~decoy, "expected_class"])
    return pd.concat([shared, specific], ignore_index=True)


def _judge_pairs(beyond: pd.DataFrame, true: pd.DataFrame) -> pd.DataFrame:
    same = beyond["feature_a"] == beyond["feature_b"]
    both = beyond["kind_a"].isin(DECOYS) & beyond["kind_b"].isin(DECOYS)
    related = both | (beyond["family_a"] == beyond["family_b"])
    paired = beyond["kind_a"].isin([name for name, kind in KINDS.items() if kind.paired])
    records = [_record("pairs", len(beyond), len(true), related.sum(), (same & paired).sum())]
    twin = related & (beyond["kind_a"] == "twin") & (beyond["kind_b"] == "twin")
    if (n_true := int((true["kind_a"] == "twin").sum())) or twin.any():
        records.append(_record("twins", twin.sum(), n_true, (twin & same).sum()))
    return pd.DataFrame(records)


def _judge_decoys(beyond: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    records = []
    for kind in DECOYS:
        here = beyond[(beyond["kind_a"] == kind) & (beyond["kind_b"] == kind)]
        if len(here):
            right = here["level"].map(RANK) <= RANK[str(KINDS[kind].level)]
            records.append(_record(f"decoy_{kind}", len(here), len(here), right.sum()))
    here = edges[edges["kind_a"].isin(DECOYS) | edges["kind_b"].isin(DECOYS)]
    if len(here):
        records.append(_record("decoy_edges", len(here), len(here), (here["level"] != "context").sum()))
    return pd.DataFrame(records)


def _by_name(prefix: str, names: tuple[str, ...], called: pd.Series, true: pd.Series) -> pd.DataFrame:
    """A record of every name that is called or true anywhere, from two columns over the same things."""
    counts = {
        name: (
            int((called == name).sum()),
            int((true == name).sum()),
            int(((called == name) & (true == name)).sum()),
        )
        for name in names
    }
    return pd.DataFrame(
        [_record(f"{prefix}_{name}".lstrip("_"), *three) for name, three in counts.items() if any(three)]
    )


def _record(name: str, called: int, true: int, correct: int, recalled: int | None = None) -> dict[str, Any]:
    precision = int(correct) / int(called) if called else 1.0
    recall = int(correct if recalled is None else recalled) / int(true) if true else 1.0
    return {
        "class": name, "n_called": int(called), "n_true": int(true), "n_correct": int(correct),
        "precision": precision, "recall": recall, "fdr": 1.0 - precision,
    }  # fmt: skip


def exchanged(latents: pd.DataFrame, name: str) -> pd.DataFrame:
    """The same with ``expected_…`` dealt anew among the copies that one model has of one feature.

    Which copy is the partner, and which are left over, is not promised, only how many of either there are.
    """
    expected = latents[f"expected_{name}"].to_numpy(object).copy()
    copies = latents["kind"].isin(("copied", "copy")).to_numpy()
    family = latents["model"] + ":" + latents["whole"].astype(str)
    for places in pd.Series(np.flatnonzero(copies)).groupby(family.to_numpy()[copies]):
        at = places[1].to_numpy()
        left, wrong = expected[at].tolist(), []
        for place, called in zip(at, latents[name].to_numpy()[at], strict=True):
            if called in left:
                left.remove(called)
                expected[place] = called
            else:
                wrong.append(place)
        expected[wrong] = left
    return latents.assign(**{f"expected_{name}": expected})


def group_table(stages: Stages, nodes: Nodes, clustering: Clustering) -> pd.DataFrame:
    """model, latent, group of every alive latent; ``untested`` where nothing decides."""
    table = _classes(nodes, clustering)
    n_models = table.set_index(["model", "latent"])["n_models"]
    splits = Splits(stages)
    verdicts, wholes = verdict_table(splits, nodes, clustering), dominant_wholes(splits, nodes, clustering)
    return table.assign(group=group_features(n_models, verdicts, wholes))


def _classes(nodes: Nodes, clustering: Clustering) -> pd.DataFrame:
    """class, level, n_models, model and latent of every alive latent, without the tables that nobody asked for."""
    table = clustering.table[["class", "level", "n_models"]].iloc[clustering.row_of].reset_index(drop=True)
    return table.assign(model=np.array(nodes.models, object)[nodes.model_of], latent=nodes.latent)


def edge_table(assigned: pd.DataFrame) -> pd.DataFrame:
    """model_a, latent_a, model_b, latent_b, level of the edges that clusters are made of."""
    names = ["model_a", "latent_a", "model_b", "latent_b", "level"]
    return assigned.loc[assigned["edge"], names].reset_index(drop=True)


def with_truth(pairs: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Pairs with feature, kind and family (whole and pieces, or two twins, are one) of both sides."""
    family = np.where(truth["whole"] >= 0, truth["whole"], truth["feature"])
    of_latent = truth[["model", "latent", "feature", "kind"]].assign(family=family)
    for side in "ab":
        names = {column: f"{column}_{side}" for column in of_latent}
        pairs = pairs.merge(of_latent.rename(columns=names), on=[f"model_{side}", f"latent_{side}"])
    return pairs


def true_pairs(truth: pd.DataFrame, dictionaries: Mapping[str, Dictionary]) -> pd.DataFrame:
    """model_a, latent_a, model_b, latent_b of alive latents of one feature, of kinds with one right partner."""
    alive = [dictionaries[m].alive[latent] for m, latent in zip(truth["model"], truth["latent"], strict=True)]
    paired = truth["kind"].isin([name for name, kind in KINDS.items() if kind.paired])
    real = truth.loc[np.array(alive, bool) & paired, ["model", "latent", "feature", "kind"]]
    both = real.merge(real, on="feature", suffixes=("_a", "_b"))
    order = {model: place for place, model in enumerate(dictionaries)}
    return both[both["model_a"].map(order) < both["model_b"].map(order)]
