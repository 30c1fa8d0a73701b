"""Verdicts: for every alive feature and every model missing from its cluster, the first reason that holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations

import numpy as np
import pandas as pd
from scipy import sparse

from universality.compare.clusters import Clustering
from universality.compare.compare_config import CompareConfig
from universality.compare.nodes import Nodes
from universality.compare.pair_plan import Pair
from universality.compare.stages import Stages
from universality.correlation.pairs import prepared_pairs
from universality.matching import Gram, KToOne, gram_of, k_to_1
from universality.table_schemas import VERDICTS
from universality.verdicts import (
    VerdictEvidence,
    judge,
    probe_correlations,
    splits_hold,
)

#: Share of the rows of a piece on which a whole fires too, at least.
_PIECE_INSIDE = 0.7


@dataclass
class Splits:
    """Combinations of latents of one model that make up latents of another, each computed once."""

    stages: Stages
    grams: dict[str, tuple[Gram, Gram]] = field(default_factory=dict)
    computed: dict[Pair, KToOne] = field(default_factory=dict)

    def of(self, model: str, other: str) -> KToOne:
        """Each latent of ``model`` as a combination of latents of ``other``."""
        if (model, other) not in self.computed:
            config, threads = self.stages.config, self.stages.threads
            whole, piece = (self.stages.dictionaries[name] for name in (model, other))
            if other not in self.grams:
                self.grams[other] = gram_of(piece.fit, threads), gram_of(piece.score, threads)
            self.computed[model, other] = k_to_1(
                whole.fit,
                whole.score,
                piece.fit,
                piece.score,
                self.stages.similarity(model, other),
                n_candidates=config.split_candidates,
                n_pieces=config.split_pieces,
                piece_share=config.split_piece_share,
                grams=self.grams[other],
                threads=threads,
            )
        return self.computed[model, other]


def verdict_table(splits: Splits, nodes: Nodes, clustering: Clustering) -> pd.DataFrame:
    """The table ``verdicts``: one row per alive feature and model missing from its cluster."""
    stages, has_model = splits.stages, _has_model(nodes, clustering)
    missing: dict[Pair, np.ndarray] = {}
    evidence: dict[Pair, VerdictEvidence] = {}
    for model, other in permutations(stages.models, 2):
        own = np.flatnonzero(nodes.model_of == nodes.models.index(model))
        lacking = own[~has_model[clustering.row_of[own], nodes.models.index(other)]]
        if lacking.size:
            missing[model, other] = nodes.latent[lacking]
            evidence[model, other] = _evidence_without_probes(splits, model, other, nodes.latent[lacking])
    if not evidence:
        return pd.DataFrame(columns=VERDICTS.names)
    probe_r = _probes(stages, missing, evidence)
    order = {model: rank for rank, model in enumerate(stages.models)}
    parts = []
    for (model, other), latents in missing.items():
        full = _with_probes(stages, probe_r, evidence[model, other], model, other, latents)
        verdict, statistic = judge(full, **_limits(stages.config))
        names = {"model": model, "latent": latents, "other_model": other}
        about = _about(splits, model, other, latents, verdict)
        parts.append(pd.DataFrame({**names, "verdict": verdict, "statistic": statistic, "about": about}))
    table = pd.concat(parts, ignore_index=True).astype({"model": object, "other_model": object})
    by = np.lexsort((table["other_model"].map(order), table["latent"], table["model"].map(order)))
    return table.iloc[by].reset_index(drop=True)


def _about(splits: Splits, model: str, other: str, latents: np.ndarray, verdicts: np.ndarray) -> list[str | None]:
    """The latents that each verdict is about, as the table has them; None where there is none."""
    stages, pieces, wholes = splits.stages, splits.of(model, other).pieces, _wholes(splits, model, other)
    nearest = stages.partners(model, other).best.partner
    replicates = [pair for pair in stages.plan.replicate_pairs if pair[0] == model]
    again = [stages.matchings[pair].best_a for pair in replicates]
    closest = np.argmax([best.r for best in again], axis=0) if again else None
    about = []
    for latent, verdict in zip(latents, verdicts, strict=True):
        there, numbers = other, [nearest[latent]]
        if verdict == "unstable" and closest is not None:
            there, numbers = replicates[closest[latent]][1], [again[closest[latent]].partner[latent]]
        elif verdict == "split":
            numbers = pieces[latent]
        elif verdict == "part_of":
            numbers = [wholes[latent]]
        about.append(";".join(f"{there}:{number}" for number in numbers if number >= 0) or None)
    return about


def dominant_wholes(splits: Splits, nodes: Nodes, clustering: Clustering) -> np.ndarray:
    """(n_nodes,) bool: partnered features of which every partner is only the largest of the pieces that make them up.

    The pieces add what a split has to add, and fire where the whole does: each on a share of its own rows of at least
    0.7. (Sums of latents that merely resemble a feature add as much, by averaging their noise.)
    """
    stages, has_model = splits.stages, _has_model(nodes, clustering)
    whole = clustering.table["n_models"].to_numpy()[clustering.row_of] > 1
    for model, other in permutations(stages.models, 2):
        own = np.flatnonzero(nodes.model_of == nodes.models.index(model))
        own = own[has_model[clustering.row_of[own], nodes.models.index(other)]]
        latents, split = nodes.latent[own], splits.of(model, other)
        best_r, config = stages.partners(model, other).best.r, stages.config
        holds = splits_hold(split.r2, best_r, config.tau, config.split_gain)[latents] & _has_pieces(split)[latents]
        at, slot = np.nonzero(holds[:, None] & (split.pieces[latents] >= 0))
        a, b = stages.dictionaries[model].score_side, stages.dictionaries[other].score_side
        pieces = split.pieces[latents[at], slot]
        inside = prepared_pairs(a, b, latents[at], pieces, threads=stages.threads).p_a_given_b
        holds[at[inside < _PIECE_INSIDE]] = False
        whole[own[~holds]] = False
    return whole


def _has_model(nodes: Nodes, clustering: Clustering) -> np.ndarray:
    """(n_clusters, n_models) bool, which models are in each cluster."""
    has_model = np.zeros((len(clustering.table), len(nodes.models)), dtype=bool)
    has_model[clustering.row_of, nodes.model_of] = True
    return has_model


def _limits(config: CompareConfig) -> dict[str, float]:
    return {
        "tau": config.tau,
        "alpha": config.alpha,
        "gain": config.split_gain,
        "probe_share": config.probe_share,
        "probe_floor": config.probe_floor,
    }


def _evidence_without_probes(splits: Splits, model: str, other: str, latents: np.ndarray) -> VerdictEvidence:
    stages, split = splits.stages, splits.of(model, other)
    partners = stages.partners(model, other)
    replicates = [stages.matchings[pair].best_a.r for pair in stages.plan.replicate_pairs if pair[0] == model]
    wholes = _wholes(splits, model, other)
    best_is_assigned = (partners.best.partner >= 0) & (partners.best.partner == partners.partner)
    return VerdictEvidence(
        replicate_r=np.maximum.reduce(replicates)[latents] if replicates else None,
        best_r=partners.best.r[latents],
        best_high=partners.best.high[latents],
        best_is_insignificant=(best_is_assigned & (partners.q >= stages.config.alpha))[latents],
        assigned_q=partners.q[latents],
        split_r2=np.where(_has_pieces(split), split.r2, 0.0)[latents],
        whole_r2=np.where(wholes >= 0, splits.of(other, model).r2[wholes], 0.0)[latents],
        probe_own=None,
        probe_other=None,
        probe_untrained=None,
    )


def _has_pieces(split: KToOne) -> np.ndarray:
    """(n,) whether a combination has two pieces or more: one alone is a partner, not a split."""
    return (split.pieces >= 0).sum(axis=1) >= 2


def _wholes(splits: Splits, model: str, other: str) -> np.ndarray:
    """(n,) latent of ``other`` of highest R² that is split into latents of ``model``, this one among them, else -1."""
    stages, split = splits.stages, splits.of(other, model)
    best_r = stages.partners(other, model).best.r
    whole = splits_hold(split.r2, best_r, stages.config.tau, stages.config.split_gain) & _has_pieces(split)
    out = np.full(stages.dictionaries[model].d_sae, -1)
    at, slot = np.nonzero(whole[:, None] & (split.pieces >= 0))
    for place in np.argsort(split.r2[at], kind="stable"):  # the last one stays
        out[split.pieces[at[place], slot[place]]] = at[place]
    return out


def _probes(
    stages: Stages, missing: Mapping[Pair, np.ndarray], evidence: Mapping[Pair, VerdictEvidence]
) -> dict[Pair, np.ndarray]:
    """Held-out r of linear probes by (source of raw activations, model): (d_sae,), 0 for latents without a probe.

    Probes cost more than all other tests together: only features that no earlier test has decided get one, and each
    source is read once for all of them.
    """
    targets: dict[str, np.ndarray] = {}
    for (model, other), latents in missing.items():
        if model in stages.raw and other in stages.raw:
            verdict, _ = judge(evidence[model, other], **_limits(stages.config))
            undecided = latents[~np.isin(verdict, ("unstable", "contested", "split", "part_of"))]
            targets[model] = np.union1d(targets.get(model, np.zeros(0, np.int64)), undecided)
    sizes = [latents.size for latents in targets.values()]
    if not sum(sizes):
        return {}
    columns = [stages.dictionaries[model].acts.tocsc()[:, latents] for model, latents in targets.items()]
    acts = sparse.csr_matrix(sparse.hstack(columns, format="csr"))
    probe_r = {}
    for source, raw in {**stages.raw, **stages.untrained_raw}.items():
        r = probe_correlations(acts, raw, stages.rows.fit, stages.config.probe_ridge)
        for (model, latents), part in zip(targets.items(), np.split(r, np.cumsum(sizes)[:-1]), strict=True):
            probe_r[source, model] = np.zeros(stages.dictionaries[model].d_sae)
            probe_r[source, model][latents] = part
    return probe_r


def _with_probes(
    stages: Stages,
    probe_r: Mapping[Pair, np.ndarray],
    evidence: VerdictEvidence,
    model: str,
    other: str,
    latents: np.ndarray,
) -> VerdictEvidence:
    if model not in stages.raw or other not in stages.raw:
        return evidence
    sources = {"probe_own": model, "probe_other": other}
    if stages.untrained_raw:
        # An untrained model stands for the model of the same place; with fewer of them they take turns.
        untrained = sorted(stages.untrained_raw)
        sources["probe_untrained"] = untrained[sorted(stages.models).index(other) % len(untrained)]
    no_probe = np.zeros(stages.dictionaries[model].d_sae)
    r = {name: probe_r.get((source, model), no_probe)[latents] for name, source in sources.items()}
    return replace(evidence, **r)
