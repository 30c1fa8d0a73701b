"""Splitting in the study "size" of a synthetic run: three sizes, two seeds, three models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from results.schema import TABLES
from storage import Run

STUDY, SIZES, SEEDS, KINDS = "size", (64, 128, 256), (0, 1), ("split", "absorbed", "kept", "undecided", "lost")


def add_splitting(run: Run) -> None:
    """The steps ``splitting`` and ``split_agreement`` of study "size", and latents of its dictionaries."""
    rng, nodes, models = np.random.default_rng(1), {}, ["m0", "m1", "m2"]
    n_rows = len(run.artifact("tokens").array("row_context"))

    def put(node: str, fill: Callable[[Any], None]) -> None:
        key = hashlib.blake2b(f"{run.name} {node}".encode(), digest_size=16).hexdigest()
        step = node.split("/", maxsplit=1)[0]
        with run.store.create(key, step=step, version=1, params={}, inputs={}) as out:
            fill(out)
        nodes[node] = {"step": step, "key": key, "status": "done"}

    for model in models:
        tables = splitting_of(rng, model)
        put(f"splitting/{STUDY}/{model}", lambda out, tables=tables: [out.table(*one) for one in tables.items()])
        for (number, d_sae), seed in product(enumerate(SIZES), SEEDS):
            acts = sparse.random(n_rows, d_sae, density=0.02, format="csr", dtype=np.float32, rng=rng)
            put(f"latents/{STUDY}/{model}s{seed}a-{number}", lambda out, acts=acts: out.csr("acts", acts))
    put(f"split_agreement/{STUDY}/m0-m1", lambda out: out.table("split_agreement", split_agreement_of(rng, models)))
    run.update(nodes={**run.record["nodes"], **nodes})


def splitting_of(rng: np.random.Generator, model: str) -> dict[str, pd.DataFrame]:
    """The tables ``split_tree`` and ``splits_by_size`` of one model: children go to parents in turn, some to none."""
    tree, counts = [], []
    for small, large in combinations(SIZES, 2):
        sizes = {"study_id": STUDY, "point": "", "model": model}
        for seed, other in product(SEEDS, SEEDS):
            for latent in range(large if seed != other else 0):
                orphan, kind = latent % 5 == 4, KINDS[latent % small % 4]
                r, inside, share, r2 = (np.nan,) * 4 if orphan else rng.uniform((0.3, 0.5, 0, 0.3), (0.9, 1, 1, 0.9))
                tree.append({
                    **sizes, "d_sae": large, "sae_seed": seed, "latent": latent, "parent_d_sae": small,
                    "parent_sae_seed": other, "parent_latent": None if orphan else latent % small, "r_held_out": r,
                    "r_token": 0.7 * r, "inside": inside, "share": share, "r2": r2,
                    "best": not orphan and latent < small, "kind": "orphan" if orphan else kind,
                })  # fmt: skip
        shares, control = rng.dirichlet([4, 1, 5, 1, 3]), rng.dirichlet([1, 1, 8, 1, 4])
        for kind, share, equal in zip((*KINDS, "orphan"), [*shares, 0.2], [*control, 0.15], strict=True):
            ends = dict.fromkeys(("low", "high", "excess_low", "excess_high", "exchanged"), np.nan)
            if kind != "orphan":
                ends = {"low": share - 0.03, "high": share + 0.03, "excess_low": share - equal - 0.04}
                ends |= {"excess_high": share - equal + 0.04, "exchanged": float(kind == "lost")}
            counts.append({
                **sizes, "d_sae": small, "child_d_sae": large, "kind": kind, "n_asked": 300, "n": int(300 * share),
                "share": share, "control": equal, "excess": share - equal, **ends,
                "shifted": float(kind in ("lost", "orphan")),
            })  # fmt: skip
    frames = {"split_tree": tree, "splits_by_size": counts}
    return {name: _typed(name, rows) for name, rows in frames.items()}


def split_agreement_of(rng: np.random.Generator, models: Sequence[str]) -> pd.DataFrame:
    """The table ``split_agreement``; nothing was there to be rescued within a model."""
    rows = []
    for model, other, (small, large) in product(models, models, combinations(SIZES, 2)):
        for measure in ("same_parent", "rescued"):
            asked = not (measure == "rescued" and model == other)
            value = rng.uniform(0.4, 0.8)
            told = {"value": value, "low": value - 0.05, "high": value + 0.05, "control": value - 0.1}
            rows.append({
                "study_id": STUDY, "point": "", "model": model, "other_model": other, "d_sae": small,
                "child_d_sae": large, "measure": measure, "n_asked": 100 if asked else 0, **(told if asked else {}),
                "chance": 0.1 if measure == "same_parent" else None,
            })  # fmt: skip
    return _typed("split_agreement", rows)


def _typed(name: str, rows: list[dict[str, object]]) -> pd.DataFrame:
    return TABLES[name].typed(pd.DataFrame(rows, columns=pd.Index(TABLES[name].names)))
