"""Studies of a synthetic run: agreement by known effects, told by the functions that tell a real one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from synthetic_splitting import add_splitting

from results.schema import STUDY_CELLS
from storage import Run
from universality.studies.agreement import MEASURES, PARTNERS
from universality.studies.contrasts import study_contrasts, study_means, study_table
from universality.studies.design import CHECKPOINT, DATA, HALF, HOOK_POINT, MODEL, SAE_SEED, UNTRAINED, Cell, Design
from universality.studies.layers import study_layers
from universality.studies.study_domains import study_domains

#: Domains of the text.
NAMES = ("dna", "python")
#: What each factor takes away of what is shared.
LOSS = {
    SAE_SEED: 0.25,
    HALF: 0.02,
    MODEL: 0.2,
    DATA: 0.15,
    UNTRAINED: 0.7,
    "d_sae": 0.1,
    HOOK_POINT: 0.15,
    CHECKPOINT: 0.2,
}


def crossed(
    n_models: int = 3, data: Sequence[str] = ("all", "no-dna"), halves: str = "ab", n_untrained: int = 2
) -> Design:
    """Model seeds by kinds of data, two SAE seeds and some halves; untrained models."""
    models = [(str(seed), mix) for mix in data for seed in range(n_models)]
    cells = [
        Cell(f"m{i}s{s}{half}", f"m{i}", {SAE_SEED: str(s), HALF: half, MODEL: seed, DATA: mix})
        for i, (seed, mix) in enumerate(models)
        for s in range(2)
        for half in halves
    ]
    cells += [Cell(f"u{i}s0a", f"u{i}", {SAE_SEED: "0", HALF: "a"}, 0, True) for i in range(n_untrained)]
    return Design(cells, (DATA,))


def sized() -> Design:
    """Three model seeds with dictionaries of three sizes; two untrained models."""
    subjects = [(f"m{i}", s, {MODEL: str(i)}) for i in range(3) for s in range(2)]
    subjects += [(f"u{i}", 0, {}) for i in range(2)]
    cells = []
    for model, s, seed in subjects:
        for n in range(3):
            levels = {SAE_SEED: str(s), HALF: "a", "d_sae": str(64 << n), **seed}
            cells.append(Cell(f"{model}s{s}a-{n}", model, levels, n, model[0] == "u"))
    return Design(cells, settings=("d_sae",))


def layered(n_models: int = 3, n_layers: int = 2, site: str = "hook_resid_post") -> Design:
    """Model seeds with dictionaries at several layers, two SAE seeds; two untrained models."""
    subjects = [(f"m{i}", s, {MODEL: str(i)}) for i in range(n_models) for s in range(2)]
    subjects += [(f"u{i}", 0, {}) for i in range(2)]
    cells = []
    for model, s, seed in subjects:
        for n in range(n_layers):
            levels = {SAE_SEED: str(s), HALF: "a", HOOK_POINT: f"blocks.{n}.{site}", **seed}
            cells.append(Cell(f"{model}h{n}s{s}a", model, levels, 0, model[0] == "u"))
    return Design(cells, settings=(HOOK_POINT,))


def kept(n_models: int = 3, tokens: tuple[int, ...] = (0, 10_000, 100_000)) -> Design:
    """Model seeds at several places of their trainings, two SAE seeds."""
    cells = []
    for i in range(n_models):
        for n, at in enumerate(tokens):
            model = f"m{i}" + (f"c{n}" if n < len(tokens) - 1 else "")
            seeds = {HALF: "a", MODEL: str(i), CHECKPOINT: str(at)}
            cells += [Cell(f"{model}s{s}a", model, {SAE_SEED: str(s), **seeds}) for s in range(2)]
    return Design(cells, (CHECKPOINT,))


def measured(design: Design, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Agreement of every pair, with 40 resamples."""
    found = {}
    for pair in design.pairs:
        taken = sum(LOSS[name] for name in pair.relation.split(" + ")) + 0.05 * pair.a.setting
        shared = 1 - taken + rng.normal(0, 0.01)
        levels = shared * np.array([0.2, 0.05, 0.3, 0.1, 0.05, 0.25, 0.05])
        values = np.array([shared, *levels, 0.8 * shared, 0.6 * shared])
        drawn = values[:, None] * (1 + rng.normal(0, 0.02, size=(len(MEASURES), 40)))
        found[pair.name] = np.column_stack([values, drawn])
    return found


def by_domain(design: Design, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Agreement of every pair in two domains, the first of which one kind of data lacks."""
    found = {}
    for pair in design.pairs:
        lost = 0.3 * (DATA in pair.relation.split(" + ")) * np.array([1.0, 0.2])
        found[pair.name] = (0.6 - lost + rng.normal(0, 0.01, size=2))[:, None] + rng.normal(0, 0.01, size=(2, 41))
    return found


def add_studies(run: Run) -> None:
    """The steps ``study/data`` (a crossed design), ``study/size`` (a curve, with its splitting), ``study/layers`` and
    ``study/kept``."""
    rng, nodes = np.random.default_rng(0), {}
    for name, design in (("data", crossed()), ("size", sized()), ("layers", layered()), ("kept", kept())):
        found = measured(design, rng)
        cells = [
            {
                "cell": cell.id, "model": cell.transformer, "model_seed": cell.levels.get(MODEL),
                "data": cell.levels.get(DATA), "sae_seed": cell.levels[SAE_SEED], "half": cell.levels[HALF],
                "point": cell.point(design.curves), "untrained": cell.untrained,
                "d_sae": int(cell.levels.get("d_sae", 64)), "n_alive": 60, "l0": 8.0, "fvu": 0.3,
                "ce_recovered": 0.9, "ce_clean": 3.0,
            }
            for cell in design.cells
        ]  # fmt: skip
        tables = {
            "study": study_table(design, found),
            "study_means": study_means(design, found, dict.fromkeys(design.relations, 0.01)),
            "study_contrasts": study_contrasts(design, found),
            "study_domains": study_domains(design, by_domain(design, rng), {"no-dna": frozenset({"dna"})}, NAMES),
            "study_cells": STUDY_CELLS.typed(pd.DataFrame(cells)),
        }
        if HOOK_POINT in design.factors:
            tables["study_layers"] = study_layers(design, found)
        key = hashlib.blake2b(f"{run.name} study {name}".encode(), digest_size=16).hexdigest()
        with run.store.create(key, step="study", version=1, params={}, inputs={}) as out:
            for table, frame in tables.items():
                frame.insert(0, "study_id", name)
                out.table(table, frame)
        nodes[f"study/{name}"] = {"step": "study", "key": key, "status": "done"}
        nodes |= _partners(run, name, design, rng)
    run.update(nodes={**run.record["nodes"], **nodes})
    add_splitting(run)


def _partners(run: Run, study: str, design: Design, rng: np.random.Generator) -> dict[str, dict[str, str]]:
    """Assigned features of the pairs of the first relation, whose dictionaries are those of the compared models."""
    latents = [run.record["nodes"][f"latents/main/m{side}"] for side in (0, 1)]
    n, nodes = run.artifact("latents/main/m0").csr("acts").shape[1], {}
    for pair in [pair for pair in design.pairs if pair.relation == design.pairs[0].relation]:
        r = rng.uniform(0, 1, n)
        table = pd.DataFrame({
            "model_a": pair.a.id, "latent_a": np.arange(n), "model_b": pair.b.id, "latent_b": rng.permutation(n),
            "r": r, "r_held_out": r - 0.01, "r_joint": 0.4 * r, "level": "token", "edge": r > 0.5,
        })  # fmt: skip
        key = hashlib.blake2b(f"{run.name} {study} {pair.name}".encode(), digest_size=16).hexdigest()
        with run.store.create(key, step="study_pair", version=2, params={}, inputs={}) as out:
            out.table("study_partners", PARTNERS.typed(table))
        nodes[f"study_pair/{study}/{pair.name}"] = {"step": "study_pair", "key": key, "status": "done"}
        nodes |= {f"latents/{study}/{cell.id}": of for cell, of in zip((pair.a, pair.b), latents, strict=True)}
    return nodes
