"""The last stage: from all matchings to clusters, classes, verdicts, and every table of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from universality.blas import on_one_blas_thread
from universality.brief_repr import brief_repr
from universality.compare.agreement import agreement_table
from universality.compare.clusters import (
    Clustering,
    assigned_pairs,
    cluster_at,
    cross_similarity,
    tau_curve,
    untrained_fractions,
)
from universality.compare.compare_config import CompareConfig
from universality.compare.cross_agreement import CrossAgreement
from universality.compare.effects import Functions
from universality.compare.headline import (
    baseline_table,
    headline_table,
    index_rows,
    null_quantile_table,
    null_rate_table,
)
from universality.compare.k_of_m import k_of_m_table
from universality.compare.nodes import Nodes, number_nodes
from universality.compare.pairing import candidate_table
from universality.compare.probabilities import Resplits, resplit_features
from universality.compare.shares import ceiling_share
from universality.compare.space_table import space_table
from universality.compare.spaces import index_table
from universality.compare.stages import Stages
from universality.compare.verdict_inputs import Splits, dominant_wholes, verdict_table
from universality.domains import best_latents, domain_table, nearest_neurons, top_domains
from universality.graph import build_graph, cycle_consistency
from universality.indices import Index
from universality.seeds import generator
from universality.table_schemas import FEATURES
from universality.verdicts import first_verdict, group_features

if TYPE_CHECKING:
    import networkx as nx


@brief_repr
@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that a comparison found.

    Its tables are those of :data:`universality.table_schemas.COMPARISON`, where every column is explained.

    Attributes:
        features, pairs, verdicts, clusters, indices, headline, agreement, spaces, baselines, null_quantiles,
            null_rates, tau_curve, k_of_m, candidates, domains: the tables. Quantities without input have no rows in
            ``headline``; ``domains`` is empty without labels, ``spaces`` without raw activations.
        graph: nodes ``(model, latent)``, edges of the clusters.
        counts: features by status, group, class, level, and level within group and within class.
        config: the settings used.
    """

    features: pd.DataFrame
    pairs: pd.DataFrame
    verdicts: pd.DataFrame
    clusters: pd.DataFrame
    graph: nx.Graph
    indices: pd.DataFrame
    headline: pd.DataFrame
    agreement: pd.DataFrame
    spaces: pd.DataFrame
    baselines: pd.DataFrame
    null_quantiles: pd.DataFrame
    null_rates: pd.DataFrame
    tau_curve: pd.DataFrame
    k_of_m: pd.DataFrame
    candidates: pd.DataFrame
    domains: pd.DataFrame
    counts: Mapping[str, Mapping[str, Any]]
    config: CompareConfig

    def to_tables(self) -> dict[str, pd.DataFrame]:
        """Every table by its name in a run."""
        return {name: value for name, value in vars(self).items() if isinstance(value, pd.DataFrame)}


@on_one_blas_thread
def assemble(stages: Stages) -> Comparison:
    """Make every table of a comparison from its stages; a pure function of them.

    Args:
        stages: inputs and results of the pairwise stages.

    Returns:
        A :class:`Comparison`.
    """
    nodes = number_nodes(stages)
    pairs = assigned_pairs(stages)
    similarity = cross_similarity(stages, nodes)
    # The curve first: its lowest tau asks for nearly all cross pairs that any other tau needs.
    agreement = CrossAgreement(stages, nodes, pairs)
    curve = tau_curve(stages, nodes, pairs, similarity, agreement)
    clustering = cluster_at(stages, nodes, pairs, similarity, agreement, stages.config.tau)
    splits = Splits(stages)
    verdicts, wholes = verdict_table(splits, nodes, clustering), dominant_wholes(splits, nodes, clustering)
    resplits = resplit_features(stages, nodes, similarity)
    features = feature_table(stages, nodes, clustering, verdicts, wholes, resplits)
    k_table = k_of_m_table(
        clustering.table["n_models"].to_numpy(), len(stages.models), ceiling_share(stages), resplits,
        untrained_fractions(stages), stages.config.confidence,
    )  # fmt: skip
    pairs, functional = Functions(stages).table_and_indices(pairs)
    tables = [index_rows(stages, k_table), index_table(functional), _cycles(stages, nodes, clustering)]
    indices = pd.concat([table for table in tables if len(table)], ignore_index=True)
    candidates = [candidate_table(stages.similarities[pair], pair) for pair in stages.plan.model_pairs]
    return Comparison(
        features=features,
        pairs=pairs,
        verdicts=verdicts,
        clusters=clustering.table,
        graph=build_graph(features, pairs.loc[pairs["edge"]]),
        indices=indices,
        headline=headline_table(stages),
        agreement=agreement_table(stages),
        spaces=space_table(stages),
        baselines=baseline_table(stages),
        null_quantiles=null_quantile_table(stages),
        null_rates=null_rate_table(stages),
        tau_curve=curve,
        k_of_m=k_table,
        candidates=pd.concat(candidates, ignore_index=True),
        domains=domains_of(stages),
        counts=count(features),
        config=stages.config,
    )


def feature_table(
    stages: Stages,
    nodes: Nodes,
    clustering: Clustering,
    verdicts: pd.DataFrame,
    wholes: np.ndarray,
    resplits: Resplits,
) -> pd.DataFrame:
    """One row per latent, models in the order given; columns :data:`universality.table_schemas.FEATURES`."""
    first = first_verdict(verdicts).set_index(["model", "latent"])["verdict"]
    parts = []
    for model in stages.models:
        dictionary, alive = stages.dictionaries[model], stages.dictionaries[model].alive
        row = clustering.row_of[nodes.number[model][alive]]
        table = pd.DataFrame(
            {
                "model": model,
                "latent": np.arange(alive.size),
                "status": dictionary.status,
                "flags": dictionary.statistics.flags(stages.config),
                "firing_rate": dictionary.statistics.firing_rate,
                "max_activation": dictionary.statistics.max_activation,
            }
        )
        for column, nothing in (("cluster", pd.NA), ("class", None), ("level", None), ("n_models", 0)):
            values = np.full(alive.size, nothing, dtype=object)
            values[alive] = clustering.table[column].to_numpy()[row]
            table[column] = pd.Series(values, dtype=object)
        others = [stages.partners(model, other).best.r for other in stages.models if other != model]
        table["best_r"] = np.where(alive, np.maximum.reduce(others), 0.0)
        keys = pd.MultiIndex.from_arrays([np.full(alive.size, model), np.arange(alive.size)])
        table["verdict"] = pd.Series(first.reindex(keys).to_numpy(), dtype=object)
        table["group"] = None
        found = table.loc[alive].set_index(["model", "latent"])["n_models"].astype(int)
        group = group_features(found, verdicts, wholes[nodes.number[model][alive]])
        table.loc[alive, "group"] = group
        sure = resplits.probabilities(nodes.number[model][alive], found.to_numpy(), group, len(stages.models))
        for column, values in zip(("class_probability", "group_probability"), sure, strict=True):
            table[column] = np.nan
            table.loc[alive, column] = values
        names = stages.rows.domain_names or ()
        table["top_domain"] = pd.Series(
            [names[code] if code >= 0 else None for code in top_domains(dictionary.acts, stages.rows)], dtype=object
        )
        parts.append(table[FEATURES.names])
    types = {"model": object, "cluster": "Int64", "n_models": "int64"}
    return pd.concat(parts, ignore_index=True).astype(types)


def _cycles(stages: Stages, nodes: Nodes, clustering: Clustering) -> pd.DataFrame:
    if len(stages.models) < 3:
        return index_table([])
    rng = generator(stages.root_seed, "cycle-consistency")
    cycles = cycle_consistency(nodes.model_of, clustering.edges, rng)
    index = Index("cycle_consistency", cycles.value, cycles.chance, cycles.n_paths)
    return index_table([(index, "overall")])


def count(features: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Features by status; alive ones by group, class and level, and by level within group and within class."""
    alive = features.loc[features["status"] == "alive"]

    def counted(column: pd.Series) -> dict[str, int]:
        return {str(name): int(n) for name, n in column.value_counts().sort_index().items()}

    def levels_by(column: str) -> dict[str, dict[str, int]]:
        return {str(name): counted(part["level"]) for name, part in alive.groupby(column)}

    of_alive = {column: counted(alive[column]) for column in ("group", "class", "level")}
    return {
        "status": counted(features["status"]),
        **of_alive,
        "group_by_level": levels_by("group"),
        "class_by_level": levels_by("class"),
    }


def domains_of(stages: Stages) -> pd.DataFrame:
    """The table ``domains``: each model's best latent per domain; empty without labels."""
    best = {model: _best_latents(stages, model) for model in stages.models}
    neurons = {}
    for model, table in best.items():
        if model in stages.raw and len(table):
            latents = table["latent"].to_numpy()
            acts = stages.dictionaries[model].acts
            neurons[model] = nearest_neurons(acts, stages.raw[model], stages.rows, latents)
    return domain_table(best, _partners(stages), neurons, _untrained_r(stages))


def _best_latents(stages: Stages, name: str) -> pd.DataFrame:
    dictionary = stages.dictionaries[name]
    return best_latents(dictionary.acts, stages.rows, dictionary.alive)


def _partners(stages: Stages) -> pd.DataFrame:
    """Each feature's assigned partner of highest held-out r, beside means of r and r_token over all other models.

    The highest of M - 1 partners would grow with the number of models; a model without a partner counts as 0.
    """
    columns = ["model", "latent", "partner_model", "partner_latent", "r", "r_token", "level"]
    parts = []
    for pair in stages.plan.model_pairs:
        pairs = stages.matchings[pair].pairs
        for own, other in (("a", "b"), ("b", "a")):
            names = [f"model_{own}", f"latent_{own}", f"model_{other}", f"latent_{other}"]
            names += ["r_held_out", "r_token", "level"]
            parts.append(pairs[names].set_axis(columns, axis=1))
    table = pd.concat(parts, ignore_index=True)
    best = table.sort_values(["r", "partner_model"], ascending=[False, True], kind="stable")
    best = best.drop_duplicates(["model", "latent"]).set_index(["model", "latent"])
    # Without token ids r_token is missing of all pairs, and stays so.
    sums = table.groupby(["model", "latent"])[["r", "r_token"]].sum(min_count=1)
    best[["r", "r_token"]] = sums.reindex(best.index) / (len(stages.models) - 1)
    return best.reset_index()


def _untrained_r(stages: Stages) -> pd.DataFrame | None:
    """domain, r: mean over untrained models and their pairs of held-out r that a best latent has with its partner."""
    plan, pairs = stages.plan, stages.plan.untrained_pairs
    if not pairs or stages.rows.domains is None:
        return None
    parts = []
    for name in plan.untrained:
        others = [other for other in plan.dictionaries if (name, other) in pairs or (other, name) in pairs]
        if not others:
            continue
        best = _best_latents(stages, name)
        partner_r = [stages.partners(name, other).r for other in others]
        r = np.mean(partner_r, axis=0)[best["latent"].to_numpy(dtype=np.int64)]
        parts.append(pd.DataFrame({"domain": best["domain"], "r": r}))
    return pd.concat(parts, ignore_index=True).groupby("domain", as_index=False)["r"].mean()
