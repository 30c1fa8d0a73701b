"""Pairs, clusters and curves of a synthetic comparison."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from synthetic_world import Dictionary, Material, Node, Pairing, Pairings

from universality.table_schemas import K_OF_M

TAU = 0.5


def pair_rows(m: Material, model_a: str, model_b: str, p: Pairing) -> pd.DataFrame:
    rng, dictionaries, world = m.rng, m.dictionaries, m.world
    a, b, n = p.latent_a, p.latent_b, len(p.r)
    concept_a, concept_b = dictionaries[model_a].concept[a], dictionaries[model_b].concept[b]
    kind = np.array([world.level[i] if i == j else "" for i, j in zip(concept_a, concept_b, strict=True)])
    held = p.r_held_out
    share = np.select([kind == "context", kind == "domain", kind == "token"], [0.85, 0.8, 0.15], 0.4)
    r_token = held * np.clip(share + rng.normal(0, 0.05, n), 0, 1)
    chance = np.where(held > 0.15, 1 / 4001, rng.uniform(0.01, 1, n))
    q_domain = np.where(
        (kind == "domain") & (rng.random(n) < 0.5), rng.uniform(0.05, 0.9, n), np.minimum(1, chance * 2)
    )
    # Drawn from its own generator, so that no other table changes with it.
    beyond = np.random.default_rng(n).normal(np.where(kind == "domain", 0.3, 0.9), 0.05)
    r_document = held * np.clip(beyond, 0, 1)
    coarse = (q_domain >= 0.05) | (r_document < TAU)
    level = np.where(coarse, "domain", np.where(r_token < TAU, "token", "context"))
    fires_a, fires_b = dictionaries[model_a].acts[:, a] > 0, dictionaries[model_b].acts[:, b] > 0
    both = np.asarray(fires_a.multiply(fires_b).sum(0)).ravel()
    count_a, count_b = np.asarray(fires_a.sum(0)).ravel(), np.asarray(fires_b.sum(0)).ravel()
    best = np.sort(p.similarity, axis=1)[a], np.sort(p.similarity, axis=0)[:, b].T
    runner_up = [np.where(s[:, -1] <= p.r + 1e-12, s[:, -2], s[:, -1]) for s in best]
    return pd.DataFrame(
        {
            "model_a": model_a,
            "latent_a": a,
            "model_b": model_b,
            "latent_b": b,
            "r": p.r,
            "r_held_out": held,
            "p": chance,
            "q": np.minimum(1, chance * 1.5),
            "q_min": 0.01,
            "q_domain": q_domain,
            "edge": (np.minimum(1, chance * 1.5) < 0.05) & (held >= TAU),
            "r_token": r_token,
            **_taken_apart(held, r_document, r_token),
            "level": level,
            "level_probability": 0.5 + 0.5 * (np.arange(n) % 7) / 7,
            "r_loo": held - 0.02,
            "n_eff_sources": 2.0 + np.arange(n) % 40,
            "few_sources": np.arange(n) % 40 < 3,
            "top_rows_share": 0.1 + 0.3 * (np.arange(n) % 3),
            "margin_a": p.r - runner_up[0],
            "margin_b": p.r - runner_up[1],
            "family": np.arange(n) % 9 == 0,
            "method": "assignment",
            "r_low": held - rng.uniform(0.01, 0.08, n),
            "r_high": np.minimum(1, held + rng.uniform(0.01, 0.08, n)),
            "phi": held * 0.9,
            "r_log": held * 0.95,
            "jaccard": both / np.maximum(count_a + count_b - both, 1),
            "n_both": both,
            "p_b_given_a": both / np.maximum(count_a, 1),
            "p_a_given_b": both / np.maximum(count_b, 1),
            "cos_procrustes": np.clip(held + rng.normal(0, 0.1, n), -1, 1),
            "r_logits": np.clip(held + rng.normal(0, 0.1, n), -1, 1),
            "r_attribution": np.clip(held - rng.uniform(0, 0.3, n), -1, 1),
        }
    )


def _taken_apart(held: np.ndarray, r_document: np.ndarray, r_token: np.ndarray) -> dict[str, np.ndarray]:
    """Columns that say what each r is made of; they add up to it."""
    joint = np.minimum(r_document, r_token)
    parts = {
        "from_domain": 0.6 * (held - r_document),
        "from_document": 0.4 * (held - r_document),
        "from_token": r_document - joint,
        "from_token_x_domain": 0.05 * joint,
        "from_bigram": 0.05 * joint,
    }
    return {
        "r_domain": held - parts["from_domain"],
        "r_document": r_document,
        "r_joint": joint,
        "r_token_x_domain": 0.95 * joint,
        "r_bigram": 0.9 * joint,
        **parts,
        "from_rest": held - sum(parts.values()),
        "r_joint_low": joint - 0.05,
        "r_joint_high": joint + 0.05,
        "r_repeated": joint,
    }


def cluster_up(pairs: pd.DataFrame, pairings: Pairings, tau: float, alive: list[Node]) -> list[list[Node]]:
    """Edges in falling order join clusters if no model doubles and their mean cross r reaches tau."""
    edges = pairs[(pairs["q"] < 0.05) & (pairs["r_held_out"] >= tau)].sort_values("r_held_out", ascending=False)
    home: dict[Node, list[Node]] = {}
    for row in edges.itertuples():
        a, b = (str(row.model_a), int(row.latent_a)), (str(row.model_b), int(row.latent_b))
        left, right = home.setdefault(a, [a]), home.setdefault(b, [b])
        if left is right or {m for m, _ in left} & {m for m, _ in right}:
            continue
        if np.mean([_r(pairings, x, y) for x in left for y in right]) >= tau:
            left += right
            home.update(dict.fromkeys(right, left))
    for node in alive:
        home.setdefault(node, [node])
    return sorted({id(group): sorted(group) for group in home.values()}.values())


def _r(pairings: Pairings, x: Node, y: Node) -> float:
    (a, i), (b, j) = sorted((x, y))
    return float(pairings[a, b].held_out[i, j])


def _level(group: list[Node], levels: list[str]) -> str:
    """The coarsest of the pairs; a single feature's stands for that of its pair with the second dictionary."""
    coarsest = [name for name in ("domain", "token", "context") if name in levels]
    return coarsest[0] if coarsest else ("context", "token", "domain", "untested")[group[0][1] % 4]


def cluster_table(groups: list[list[Node]], pairs: pd.DataFrame, pairings: Pairings, n_models: int) -> pd.DataFrame:
    level_of = {
        frozenset([(a, i), (b, j)]): level
        for a, i, b, j, level in pairs[["model_a", "latent_a", "model_b", "latent_b", "level"]].itertuples(index=False)
    }
    rows = []
    for number, group in enumerate(groups):
        edges = [frozenset(pair) for pair in combinations(group, 2)]
        levels = [level_of[edge] for edge in edges if edge in level_of]
        rows.append(
            {
                "cluster": number,
                "class": "universal" if len(group) == n_models else "shared" if len(group) > 1 else "specific",
                "level": _level(group, levels),
                "n_models": len(group),
                "completeness": len(levels) / len(edges) if edges else 1.0,
                "cohesion": float(np.mean([_r(pairings, *edge) for edge in edges])) if edges else 1.0,
                "r_joint": 0.7 * float(np.mean([_r(pairings, *edge) for edge in edges])) if edges else np.nan,
                "members": ";".join(f"{model}:{latent}" for model, latent in group),
            }
        )
    columns = ["cluster", "class", "level", "n_models", "completeness", "cohesion", "r_joint", "members"]
    return pd.DataFrame(rows, columns=columns)


def best_r(pairings: Pairings, node: Node, other: str, alive: np.ndarray) -> float:
    return float(_held_out(pairings, node, other)[alive].max(initial=0.0))


def nearest(pairings: Pairings, node: Node, other: str, alive: np.ndarray, n: int = 1) -> list[str]:
    """The alive latents of another model of highest held-out r, best first."""
    held = np.where(alive, _held_out(pairings, node, other), -2.0)
    return [f"{other}:{latent}" for latent in np.argsort(-held, kind="stable")[:n]]


def _held_out(pairings: Pairings, node: Node, other: str) -> np.ndarray:
    model, latent = node
    return pairings[model, other].held_out[latent] if model < other else pairings[other, model].held_out[:, latent]


def tau_curve(m: Material, pairs: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for tau in np.round(np.arange(0.2, 0.91, 0.1), 2):
        table = cluster_table(cluster_up(pairs, m.main, float(tau), m.alive), pairs, m.main, len(m.trained))
        counted = table.groupby(["class", "level"])["n_models"].sum()
        rows += [(tau, *key, int(n)) for key, n in counted.items()]  # type: ignore[misc]
    return pd.DataFrame(rows, columns=["tau", "class", "level", "n_features"])


def k_of_m(clusters: pd.DataFrame, n_models: int) -> pd.DataFrame:
    counts = clusters["n_models"].value_counts()
    rows = [(k, int(counts.get(k, 0)), k * int(counts.get(k, 0))) for k in range(1, n_models + 1)]
    total = sum(n for _, _, n in rows)
    table = pd.DataFrame(rows, columns=["k", "n_clusters", "n_features"])
    table["fraction"] = table["n_features"] / total
    table["fraction_low"], table["fraction_high"] = 0.95 * table["fraction"], 0.05 + 0.95 * table["fraction"]
    table["untrained"] = np.where(table["k"] == 1, 0.7, 0.3 / max(n_models - 1, 1))
    table["homogeneous"] = 1 / n_models
    for end, bound in (("low", 0.1), ("high", 0.6)):
        table[f"identical_{end}"] = np.where(table["k"].isin([1, n_models]), bound, np.nan)
    return table[K_OF_M.names]


def candidates(pairings: Pairings, dictionaries: dict[str, Dictionary]) -> pd.DataFrame:
    parts = []
    for (a, b), p in pairings.items():
        for one, two, similarity in ((a, b, p.similarity), (b, a, p.similarity.T)):
            alive = np.flatnonzero(dictionaries[one].alive)
            other = np.flatnonzero(dictionaries[two].alive)
            block = similarity[np.ix_(alive, other)]
            order = np.argsort(-block, axis=1, kind="stable")[:, :5]
            parts.append(
                pd.DataFrame(
                    {
                        "model_a": one,
                        "latent_a": np.repeat(alive, order.shape[1]),
                        "model_b": two,
                        "latent_b": other[order].ravel(),
                        "rank": np.tile(np.arange(1, order.shape[1] + 1), len(alive)),
                        "r": np.take_along_axis(block, order, axis=1).ravel(),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)
