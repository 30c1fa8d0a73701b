"""Verdicts: for every alive feature and every model missing from its cluster, the first reason that holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import sparse

from universality.compare.clusters import Clustering, Nodes
from universality.compare.stages import Side, Stages
from universality.compare.statistics import only
from universality.verdicts import (
    VERDICT_COLUMNS,
    Case,
    RawMoments,
    Splits,
    find_splits,
    judge,
    probe_correlations,
    raw_moments,
    splits_hold,
)


@dataclass
class Workbench:
    """What several pairs of models need, made once."""

    stages: Stages
    halves: dict[tuple[str, bool], sparse.csr_matrix] = field(default_factory=dict)
    moments: dict[str, RawMoments] = field(default_factory=dict)
    found: dict[tuple[str, str], Splits] = field(default_factory=dict)

    def half(self, model: str, fit: bool) -> sparse.csr_matrix:
        """Alive latents of a model on fit or score rows."""
        key = (model, fit)
        if key not in self.halves:
            rows = self.stages.rows.fit if fit else self.stages.rows.score
            self.halves[key] = only(self.stages.acts[model], self.stages.statistics[model].alive, rows)
        return self.halves[key]

    def splits(self, model: str, other: str) -> Splits:
        """Each latent of ``model`` as a combination of latents of ``other``."""
        key = (model, other)
        if key not in self.found:
            config = self.stages.config
            self.found[key] = find_splits(
                self.half(model, True),
                self.half(model, False),
                self.half(other, True),
                self.half(other, False),
                self.stages.similarity(model, other),
                n_candidates=config.split_candidates,
                n_pieces=config.split_pieces,
                piece_share=config.split_piece_share,
                threads=self.stages.threads,
            )
        return self.found[key]

    def probe(self, model: str, targets: np.ndarray, source: str) -> np.ndarray | None:
        """Held-out r of probes for latents of ``model`` on the raw activations of ``source``; None without them."""
        raw = self.stages.raw.get(source, self.stages.untrained_raw.get(source))
        if raw is None:
            return None
        if source not in self.moments:
            self.moments[source] = raw_moments(raw, self.stages.rows.fit)
        return probe_correlations(
            self.stages.acts[model],
            targets,
            raw,
            self.moments[source],
            self.stages.rows.fit,
            self.stages.config.probe_ridge,
        )


def verdict_table(stages: Stages, nodes: Nodes, clustering: Clustering) -> pd.DataFrame:
    """model, latent, other_model, verdict, statistic; one row per alive feature and model missing from its cluster."""
    bench = Workbench(stages)
    holds = np.zeros((len(clustering.table), len(nodes.models)), dtype=bool)
    holds[clustering.row_of, nodes.model_of] = True
    replicate = {model: _replicate_r(stages, model) for model in stages.models}
    parts = []
    for model in stages.models:
        place = nodes.models.index(model)
        own = np.flatnonzero(nodes.model_of == place)
        for other in stages.models:
            lacking = own[~holds[clustering.row_of[own], nodes.models.index(other)]]
            if other == model or not lacking.size:
                continue
            parts.append(_judge_pair(bench, model, other, nodes.latent[lacking], replicate[model]))
    if not parts:
        return pd.DataFrame(columns=list(VERDICT_COLUMNS))
    order = {model: rank for rank, model in enumerate(stages.models)}
    table = pd.concat(parts, ignore_index=True)
    by = np.lexsort((table["other_model"].map(order), table["latent"], table["model"].map(order)))
    return table.iloc[by].reset_index(drop=True)


def _replicate_r(stages: Stages, model: str) -> np.ndarray | None:
    """(n,) best held-out r in any replicate of the model, or None without one."""
    found = [stages.matchings[pair].best_a.r for pair in stages.plan.ceiling if pair[0] == model]
    return np.maximum.reduce(found) if found else None


def _judge_pair(
    bench: Workbench, model: str, other: str, latents: np.ndarray, replicate: np.ndarray | None
) -> pd.DataFrame:
    config = bench.stages.config
    side = bench.stages.side(model, other)
    split = bench.splits(model, other)
    split_r2 = np.where((split.pieces >= 0).sum(axis=1) >= 2, split.r2, 0.0)
    case = Case(
        replicate_r=None if replicate is None else replicate[latents],
        best_r=side.best.r[latents],
        best_high=side.best.high[latents],
        best_is_insignificant=_insignificant(side, config.alpha)[latents],
        assigned_q=side.q[latents],
        split_r2=split_r2[latents],
        whole_r2=_whole_r2(bench, model, other)[latents],
        probe_own=None,
        probe_other=None,
        probe_untrained=None,
    )
    limits = {
        "tau": config.tau,
        "alpha": config.alpha,
        "gain": config.split_gain,
        "probe_share": config.probe_share,
        "probe_floor": config.probe_floor,
    }
    # Probes are the dear part: only features that no earlier test has decided need one.
    verdict, _ = judge(case, **limits)
    undecided = ~np.isin(verdict, ("unstable", "contested", "split", "part_of"))
    case = _with_probes(bench, case, model, other, latents, undecided)
    verdict, statistic = judge(case, **limits)
    return pd.DataFrame(
        {
            "model": model,
            "latent": latents,
            "other_model": other,
            "verdict": verdict,
            "statistic": statistic,
        }
    ).astype({"model": object, "other_model": object})


def _insignificant(side: Side, alpha: float) -> np.ndarray:
    return (side.best.partner >= 0) & (side.best.partner == side.partner) & (side.q >= alpha)


def _whole_r2(bench: Workbench, model: str, other: str) -> np.ndarray:
    """(n,) highest R² of a latent of ``other`` that is split into latents of ``model``, this one among them."""
    config = bench.stages.config
    split = bench.splits(other, model)
    best = bench.stages.side(other, model).best.r
    whole = splits_hold(split.r2, best, config.tau, config.split_gain) & ((split.pieces >= 0).sum(axis=1) >= 2)
    out = np.zeros(bench.stages.statistics[model].alive.size)
    at, slot = np.nonzero(whole[:, None] & (split.pieces >= 0))
    np.maximum.at(out, split.pieces[at, slot], split.r2[at])
    return out


def _with_probes(
    bench: Workbench, case: Case, model: str, other: str, latents: np.ndarray, undecided: np.ndarray
) -> Case:
    stages = bench.stages
    if model not in stages.raw or other not in stages.raw:
        return case
    sources = {"probe_own": model, "probe_other": other}
    if stages.untrained_raw:
        # An untrained model stands for the model of the same place; with fewer of them they take turns.
        ghosts = tuple(stages.untrained_raw)
        place = sorted(stages.models).index(other)
        sources["probe_untrained"] = sorted(ghosts)[place % len(ghosts)]
    found = {}
    for name, source in sources.items():
        r = np.zeros(latents.size)
        probed = bench.probe(model, latents[undecided], source)
        if probed is None:
            return case
        r[undecided] = probed
        found[name] = r
    return replace(case, **found)
