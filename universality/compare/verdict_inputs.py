"""Verdicts: for every alive feature and every model missing from its cluster, the first reason that holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import permutations

import numpy as np
import pandas as pd
from scipy import sparse

from universality.compare.clusters import Clustering, Nodes
from universality.compare.compare_config import CompareConfig
from universality.compare.stages import Side, Stages
from universality.compare.statistics import only
from universality.matching import Gram, KToOne, gram_of, k_to_1
from universality.verdicts import (
    VERDICT_COLUMNS,
    Case,
    judge,
    probe_correlations,
    splits_hold,
)


@dataclass
class Workbench:
    """What several pairs of models need, made once."""

    stages: Stages
    halves: dict[tuple[str, bool], sparse.csr_matrix] = field(default_factory=dict)
    grams: dict[str, tuple[Gram, Gram]] = field(default_factory=dict)
    found: dict[tuple[str, str], KToOne] = field(default_factory=dict)

    def half(self, model: str, fit: bool) -> sparse.csr_matrix:
        """Alive latents of a model on fit or score rows."""
        key = (model, fit)
        if key not in self.halves:
            rows = self.stages.rows.fit if fit else self.stages.rows.score
            self.halves[key] = only(self.stages.acts[model], self.stages.statistics[model].alive, rows)
        return self.halves[key]

    def splits(self, model: str, other: str) -> KToOne:
        """Each latent of ``model`` as a combination of latents of ``other``."""
        key = (model, other)
        if key not in self.found:
            config, threads = self.stages.config, self.stages.threads
            if other not in self.grams:
                halves = (self.half(other, True), self.half(other, False))
                self.grams[other] = gram_of(halves[0], threads), gram_of(halves[1], threads)
            self.found[key] = k_to_1(
                self.half(model, True),
                self.half(model, False),
                self.half(other, True),
                self.half(other, False),
                self.stages.similarity(model, other),
                n_candidates=config.split_candidates,
                n_pieces=config.split_pieces,
                piece_share=config.split_piece_share,
                grams=self.grams[other],
                threads=threads,
            )
        return self.found[key]


def verdict_table(stages: Stages, nodes: Nodes, clustering: Clustering) -> pd.DataFrame:
    """model, latent, other_model, verdict, statistic; one row per alive feature and model missing from its cluster."""
    bench = Workbench(stages)
    holds = np.zeros((len(clustering.table), len(nodes.models)), dtype=bool)
    holds[clustering.row_of, nodes.model_of] = True
    replicate = {model: _replicate_r(stages, model) for model in stages.models}
    lacking, cases = {}, {}
    for model, other in permutations(stages.models, 2):
        own = np.flatnonzero(nodes.model_of == nodes.models.index(model))
        missing = own[~holds[clustering.row_of[own], nodes.models.index(other)]]
        if missing.size:
            lacking[model, other] = nodes.latent[missing]
            cases[model, other] = _case(bench, model, other, nodes.latent[missing], replicate[model])
    if not cases:
        return pd.DataFrame(columns=list(VERDICT_COLUMNS))
    probes = _probes(stages, lacking, cases)
    order = {model: rank for rank, model in enumerate(stages.models)}
    parts = []
    for (model, other), case in cases.items():
        verdict, statistic = judge(
            _with_probes(stages, probes, case, model, other, lacking[model, other]), **_limits(stages.config)
        )
        names = {"model": model, "latent": lacking[model, other], "other_model": other}
        parts.append(pd.DataFrame({**names, "verdict": verdict, "statistic": statistic}))
    table = pd.concat(parts, ignore_index=True).astype({"model": object, "other_model": object})
    by = np.lexsort((table["other_model"].map(order), table["latent"], table["model"].map(order)))
    return table.iloc[by].reset_index(drop=True)


def _replicate_r(stages: Stages, model: str) -> np.ndarray | None:
    """(n,) best held-out r in any replicate of the model, or None without one."""
    found = [stages.matchings[pair].best_a.r for pair in stages.plan.ceiling if pair[0] == model]
    return np.maximum.reduce(found) if found else None


def _limits(config: CompareConfig) -> dict[str, float]:
    return {
        "tau": config.tau,
        "alpha": config.alpha,
        "gain": config.split_gain,
        "probe_share": config.probe_share,
        "probe_floor": config.probe_floor,
    }


def _case(
    bench: Workbench, model: str, other: str, latents: np.ndarray, replicate: np.ndarray | None
) -> Case:
    """What is known without probes."""
    side = bench.stages.side(model, other)
    split = bench.splits(model, other)
    split_r2 = np.where((split.pieces >= 0).sum(axis=1) >= 2, split.r2, 0.0)
    return Case(
        replicate_r=None if replicate is None else replicate[latents],
        best_r=side.best.r[latents],
        best_high=side.best.high[latents],
        best_is_insignificant=_insignificant(side, bench.stages.config.alpha)[latents],
        assigned_q=side.q[latents],
        split_r2=split_r2[latents],
        whole_r2=_whole_r2(bench, model, other)[latents],
        probe_own=None,
        probe_other=None,
        probe_untrained=None,
    )


def _insignificant(side: Side, alpha: float) -> np.ndarray:
    return (side.best.partner >= 0) & (side.best.partner == side.partner) & (side.q >= alpha)


def _whole_r2(bench: Workbench, model: str, other: str) -> np.ndarray:
    """(n,) highest R² of a latent of ``other`` that is split into latents of ``model``, this one among them."""
    config = bench.stages.config
    split = bench.splits(other, model)
    best = bench.stages.side(other, model).best.r
    whole = splits_hold(split.r2, best, config.tau, config.split_gain) & (
        (split.pieces >= 0).sum(axis=1) >= 2
    )
    out = np.zeros(bench.stages.statistics[model].alive.size)
    at, slot = np.nonzero(whole[:, None] & (split.pieces >= 0))
    np.maximum.at(out, split.pieces[at, slot], split.r2[at])
    return out


def _probes(
    stages: Stages, lacking: dict[tuple[str, str], np.ndarray], cases: dict[tuple[str, str], Case]
) -> dict[str, dict[str, np.ndarray]]:
    """Held-out r by source of raw activations and model, (d_sae,) each; 0 for latents that need no probe.

    Probes are the dear part: only features that no earlier test has decided get one, and each source is read
    once for all of them.
    """
    wanted: dict[str, np.ndarray] = {}
    for (model, other), case in cases.items():
        verdict, _ = judge(case, **_limits(stages.config))
        open_ = lacking[model, other][~np.isin(verdict, ("unstable", "contested", "split", "part_of"))]
        if model in stages.raw and other in stages.raw:
            wanted[model] = np.union1d(wanted.get(model, np.zeros(0, np.int64)), open_)
    if not sum(targets.size for targets in wanted.values()):
        return {}
    columns = [stages.acts[model].tocsc()[:, targets] for model, targets in wanted.items()]
    part = sparse.csr_matrix(sparse.hstack(columns, format="csr"))
    bounds = np.cumsum([0, *(targets.size for targets in wanted.values())])
    out: dict[str, dict[str, np.ndarray]] = {}
    for source, raw in {**stages.raw, **stages.untrained_raw}.items():
        r = probe_correlations(part, raw, stages.rows.fit, stages.config.probe_ridge)
        out[source] = {}
        for (model, targets), first in zip(wanted.items(), bounds, strict=False):
            out[source][model] = np.zeros(stages.acts[model].shape[1])
            out[source][model][targets] = r[first : first + targets.size]
    return out


def _with_probes(
    stages: Stages,
    probes: dict[str, dict[str, np.ndarray]],
    case: Case,
    model: str,
    other: str,
    latents: np.ndarray,
) -> Case:
    if model not in stages.raw or other not in stages.raw:
        return case
    sources = {"probe_own": model, "probe_other": other}
    if stages.untrained_raw:
        # An untrained model stands for the model of the same place; with fewer of them they take turns.
        ghosts = sorted(stages.untrained_raw)
        sources["probe_untrained"] = ghosts[sorted(stages.models).index(other) % len(ghosts)]
    nothing = np.zeros(latents.size)
    found = {
        name: probes[source][model][latents] if source in probes and model in probes[source] else nothing
        for name, source in sources.items()
    }
    return replace(case, **found)
