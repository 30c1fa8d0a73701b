"""The tables of the steps ``comparison`` and ``evidence`` of a synthetic run, in the shapes of the real ones."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from synthetic_world import Dictionary, Pairing, World

TAU = 0.5
VERDICTS = (
    "unstable",
    "contested",
    "split",
    "part_of",
    "decodable",
    "near_threshold",
    "weak",
    "absent",
    "untested",
)
QUANTILES = [*(np.arange(1, 100) / 100), 0.999]
Node = tuple[str, int]
Pairings = dict[tuple[str, str], Pairing]


def comparison_tables(
    rng: np.random.Generator,
    comparison: str,
    text: Any,
    world: World,
    dictionaries: dict[str, Dictionary],
    pairings: Pairings,
    trained: list[str],
    untrained: list[str],
) -> dict[str, pd.DataFrame]:
    """All tables of a comparison, ``comparison_id`` first in each."""
    main = {pair: p for pair, p in pairings.items() if set(pair) <= set(trained)}
    pairs = pd.concat(
        [_pairs(rng, *pair, p, dictionaries, world) for pair, p in main.items()], ignore_index=True
    )
    groups = _clusters(pairs, main, TAU)
    clusters = _cluster_table(groups, pairs, main, len(trained))
    verdicts = _verdicts(rng, groups, dictionaries, main, trained)
    features = _features(dictionaries, main, groups, clusters, verdicts, text, trained)
    baselines = _baselines(rng, pairings, pairs, trained, untrained)
    nulls = _nulls(rng, list(main))
    tables = {
        "models": _models(rng, dictionaries, trained),
        "features": features,
        "pairs": pairs,
        "verdicts": verdicts,
        "clusters": clusters,
        "indices": _indices(rng, list(main)),
        "headline": _headline(baselines, nulls),
        "baselines": baselines,
        "null_quantiles": nulls,
        "tau_curve": _tau_curve(pairs, main, dictionaries, trained),
        "k_of_m": _k_of_m(clusters, len(trained)),
        "candidates": _candidates(main, dictionaries),
        "domains": _domains(rng, text, dictionaries, pairs, trained),
    }
    return {name: _first(table, comparison) for name, table in tables.items()}


def evidence_tables(
    rng: np.random.Generator, comparison: str, text: Any, model: str, dictionary: Dictionary, n_top: int
) -> dict[str, pd.DataFrame]:
    """contexts, histograms, logits and latent_domains of one model's alive latents."""
    columns = dictionary.acts.tocsc()
    contexts, histograms, logits = [], [], []
    for latent in np.flatnonzero(dictionary.alive):
        part = slice(columns.indptr[latent], columns.indptr[latent + 1])
        rows, values = columns.indices[part], columns.data[part]
        contexts += [(model, latent, *rest) for rest in _contexts(rng, text, rows, values, n_top)]
        counts, edges = np.histogram(values, bins=40, range=(0, float(values.max())))
        histograms.append(
            pd.DataFrame(
                {"latent": latent, "bin": range(40), "left": edges[:-1], "right": edges[1:], "count": counts}
            )
        )
        tokens = rng.choice(len(text.vocabulary), 20, replace=False)
        effects = np.sort(rng.normal(size=20))[::-1]
        logits += [(model, latent, "top", i, tokens[i], effects[i]) for i in range(10)]
        logits += [(model, latent, "bottom", i, tokens[-1 - i], effects[-1 - i]) for i in range(10)]
    tables = {
        "contexts": pd.DataFrame(
            contexts, columns=["model", "latent", "kind", "group", "rank", "row", "value"]
        ),
        "histograms": pd.concat(histograms, ignore_index=True).assign(model=model)[
            ["model", "latent", "bin", "left", "right", "count"]
        ],
        "logits": pd.DataFrame(logits, columns=["model", "latent", "side", "rank", "token", "value"]),
        "latent_domains": _latent_domains(text, model, dictionary),
    }
    return {name: _first(table, comparison) for name, table in tables.items()}


def _first(table: pd.DataFrame, comparison: str) -> pd.DataFrame:
    table = table.reset_index(drop=True)
    table.insert(0, "comparison_id", comparison)
    return table


def _pairs(
    rng: np.random.Generator,
    model_a: str,
    model_b: str,
    p: Pairing,
    dictionaries: dict[str, Dictionary],
    world: World,
) -> pd.DataFrame:
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
    level = np.where(q_domain >= 0.05, "domain", np.where(r_token < TAU, "token", "context"))
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
            "q_domain": q_domain,
            "r_token": r_token,
            "level": level,
            "margin_a": p.r - runner_up[0],
            "margin_b": p.r - runner_up[1],
            "method": "assignment",
            "r_low": held - rng.uniform(0.01, 0.08, n),
            "r_high": np.minimum(1, held + rng.uniform(0.01, 0.08, n)),
            "jaccard": both / np.maximum(count_a + count_b - both, 1),
            "n_both": both,
            "p_b_given_a": both / np.maximum(count_a, 1),
            "p_a_given_b": both / np.maximum(count_b, 1),
        }
    )


def _clusters(pairs: pd.DataFrame, pairings: Pairings, tau: float) -> list[list[Node]]:
    """Edges in falling order; clusters join if no model doubles and their mean cross r reaches tau."""
    edges = pairs[(pairs["q"] < 0.05) & (pairs["r_held_out"] >= tau)].sort_values(
        "r_held_out", ascending=False
    )
    home: dict[Node, list[Node]] = {}
    for row in edges.itertuples():
        a, b = (str(row.model_a), int(row.latent_a)), (str(row.model_b), int(row.latent_b))
        left, right = home.setdefault(a, [a]), home.setdefault(b, [b])
        if left is right or {m for m, _ in left} & {m for m, _ in right}:
            continue
        if np.mean([_r(pairings, x, y) for x in left for y in right]) >= tau:
            left += right
            home.update(dict.fromkeys(right, left))
    return sorted({id(group): sorted(group) for group in home.values() if len(group) > 1}.values())


def _r(pairings: Pairings, x: Node, y: Node) -> float:
    (a, i), (b, j) = sorted((x, y))
    return float(pairings[a, b].held_out[i, j])


def _cluster_table(
    groups: list[list[Node]], pairs: pd.DataFrame, pairings: Pairings, n_models: int
) -> pd.DataFrame:
    level_of = {
        frozenset([(a, i), (b, j)]): level
        for a, i, b, j, level in pairs[["model_a", "latent_a", "model_b", "latent_b", "level"]].itertuples(
            index=False
        )
    }
    rows = []
    for number, group in enumerate(groups):
        edges = [frozenset(pair) for pair in combinations(group, 2)]
        levels = [level_of[edge] for edge in edges if edge in level_of]
        rows.append(
            {
                "cluster": number,
                "class": "universal" if len(group) == n_models else "shared",
                "level": next(name for name in ("domain", "token", "context") if name in levels),
                "n_models": len(group),
                "completeness": len(levels) / len(edges),
                "cohesion": float(np.mean([_r(pairings, *edge) for edge in edges])),
                "members": ";".join(f"{model}:{latent}" for model, latent in group),
            }
        )
    columns = ["cluster", "class", "level", "n_models", "completeness", "cohesion", "members"]
    return pd.DataFrame(rows, columns=columns)


def _verdicts(
    rng: np.random.Generator,
    groups: list[list[Node]],
    dictionaries: dict[str, Dictionary],
    pairings: Pairings,
    trained: list[str],
) -> pd.DataFrame:
    """A reason per alive feature and model missing from its cluster; drawn, but never against the numbers."""
    home = {node: group for group in groups for node in group}
    rows = []
    for model in trained:
        for latent in np.flatnonzero(dictionaries[model].alive):
            node = (model, int(latent))
            for other in trained:
                if other in {m for m, _ in home.get(node, [node])}:
                    continue
                best = _best(pairings, node, other, dictionaries[other].alive)
                near = ("contested", "split") if best >= TAU else ("near_threshold", "weak")
                allowed = (
                    ("unstable", "part_of", "decodable", "absent", "untested", *near) if best < 0.9 else near
                )
                rows.append((model, latent, other, allowed[int(rng.integers(len(allowed)))], best))
    return pd.DataFrame(rows, columns=["model", "latent", "other_model", "verdict", "statistic"])


def _best(pairings: Pairings, node: Node, other: str, alive: np.ndarray) -> float:
    model, latent = node
    held = (
        pairings[model, other].held_out[latent]
        if model < other
        else pairings[other, model].held_out[:, latent]
    )
    return float(held[alive].max(initial=0.0))


def _features(
    dictionaries: dict[str, Dictionary],
    pairings: Pairings,
    groups: list[list[Node]],
    clusters: pd.DataFrame,
    verdicts: pd.DataFrame,
    text: Any,
    trained: list[str],
) -> pd.DataFrame:
    number_of = {node: number for number, group in enumerate(groups) for node in group}
    order = {name: i for i, name in enumerate(VERDICTS)}
    first: dict[Node, str] = {}
    for row in verdicts.itertuples():
        node = (str(row.model), int(row.latent))
        first[node] = min(first.get(node, row.verdict), row.verdict, key=order.__getitem__)
    rows = []
    for model in trained:
        d = dictionaries[model]
        counts = np.asarray((d.acts > 0).sum(0)).ravel()
        peak = np.asarray(d.acts.max(axis=0).todense()).ravel()
        mass = _mass_by_domain(text, d)
        for latent in range(d.acts.shape[1]):
            node, alive = (model, latent), bool(d.alive[latent])
            number = number_of.get(node)
            known = None if number is None else clusters.iloc[number]
            rate = counts[latent] / text.n_rows
            rows.append(
                {
                    "model": model,
                    "latent": latent,
                    "status": "alive" if alive else "rare" if counts[latent] else "dead",
                    "flags": "dense" if rate > 0.1 else "single_token" if alive and latent % 7 == 0 else "",
                    "firing_rate": rate,
                    "cluster": number,
                    "class": None if not alive else "specific" if known is None else known["class"],
                    "level": None if not alive else "untested" if known is None else known["level"],
                    "n_models": 0 if not alive else 1 if known is None else int(known["n_models"]),
                    "best_r": max(
                        _best(pairings, node, o, dictionaries[o].alive) for o in trained if o != model
                    )
                    if alive
                    else 0.0,
                    "verdict": first.get(node) if alive else None,
                    "max_activation": float(peak[latent]),
                    "top_domain": text.domains[int(mass[latent].argmax())] if counts[latent] else None,
                }
            )
    return pd.DataFrame(rows).astype({"cluster": "Int64"})


def _baselines(
    rng: np.random.Generator,
    pairings: Pairings,
    pairs: pd.DataFrame,
    trained: list[str],
    untrained: list[str],
) -> pd.DataFrame:
    kept = ["model_a", "latent_a", "model_b", "latent_b", "r_held_out", "r_token"]
    parts = [pairs[kept].assign(kind="features")]
    for (a, b), p in pairings.items():
        kind = "untrained" if a in untrained else "ceiling" if b.endswith("r") else None
        if kind:
            token = p.r_held_out * rng.uniform(0.1 if kind == "untrained" else 0.5, 0.9, len(p.r))
            parts.append(_assigned(kind, a, p.latent_a, b, p.latent_b, p.r_held_out, token))
    for a, b in combinations(trained, 2):
        r = rng.beta(3.0, 5.0, 64)
        parts.append(
            _assigned("neurons", a, np.arange(64), b, rng.permutation(64), r, r * rng.uniform(0.2, 0.7, 64))
        )
    return pd.concat(parts, ignore_index=True)[["kind", *kept]]


def _assigned(
    kind: str, a: str, latent_a: np.ndarray, b: str, latent_b: np.ndarray, r: np.ndarray, r_token: np.ndarray
) -> pd.DataFrame:
    columns = {"model_a": a, "latent_a": latent_a, "model_b": b, "latent_b": latent_b}
    return pd.DataFrame({"kind": kind, **columns, "r_held_out": r, "r_token": r_token})


def _nulls(rng: np.random.Generator, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    parts = []
    for a, b in pairs:
        for kind, scale in (("plain", 0.02), ("domain", 0.05)):
            values = np.quantile(rng.gamma(2.0, scale, 4000), QUANTILES)
            parts.append(
                pd.DataFrame({"pair": f"{a}-{b}", "kind": kind, "quantile": QUANTILES, "value": values})
            )
    return pd.concat(parts, ignore_index=True)


def _headline(baselines: pd.DataFrame, nulls: pd.DataFrame) -> pd.DataFrame:
    rows = []
    chosen = [
        ("features", "features", "r_held_out"),
        ("neurons", "neurons", "r_held_out"),
        ("ceiling", "ceiling", "r_held_out"),
        ("untrained", "untrained", "r_held_out"),
        ("token_conditional", "features", "r_token"),
    ]
    for quantity, kind, measure in chosen:
        part = baselines[baselines["kind"] == kind]
        for pair, group in [("overall", part), *part.groupby(part["model_a"] + "-" + part["model_b"])]:
            if len(group):
                value = float(group[measure].median())
                rows.append((quantity, pair, value, value - 0.03, value + 0.03, len(group)))
    tail = nulls[(nulls["kind"] == "plain") & np.isclose(nulls["quantile"], 0.95)].set_index("pair")["value"]
    rows += [("null_p95", pair, float(value), np.nan, np.nan, 4000) for pair, value in tail.items()]
    rows.append(("null_p95", "overall", float(tail.median()), np.nan, np.nan, 4000 * len(tail)))
    return pd.DataFrame(rows, columns=["quantity", "pair", "value", "low", "high", "n"])


def _models(
    rng: np.random.Generator, dictionaries: dict[str, Dictionary], trained: list[str]
) -> pd.DataFrame:
    rows = []
    for number, (model, d) in enumerate(dictionaries.items()):
        source = model.removesuffix("r")
        role = (
            "untrained"
            if model not in trained and source == model
            else "primary"
            if source == model
            else "replicate"
        )
        fires = np.asarray((d.acts > 0).sum(0)).ravel() > 0
        rows.append(
            {
                "model": model,
                "role": role,
                "replicate_of": source if role == "replicate" else None,
                "model_seed": int(source[1:]),
                "sae_seed": 1000 + number,
                "hook_point": "blocks.0.mlp.hook_post",
                "d_in": 64,
                "d_sae": d.acts.shape[1],
                "k": 8,
                "train_tokens": 0 if role == "untrained" else 1_000_000,
                "heldout_loss": 6.2 if role == "untrained" else 3.4 + rng.uniform(0, 0.05),
                "sae_tokens": 300_000,
                "fvu": rng.uniform(0.2, 0.3),
                "l0": 8.0,
                "dead_fraction": float((~fires).mean()),
                "ce_clean": 3.4,
                "ce_spliced": 3.6,
                "ce_zero": 5.0,
                "ce_recovered": rng.uniform(0.85, 0.9),
                "n_alive": int(d.alive.sum()),
                "n_rare": int((fires & ~d.alive).sum()),
                "n_dead": int((~fires).sum()),
                "max_init_cosine": rng.uniform(0.2, 0.4),
            }
        )
    return pd.DataFrame(rows)


def _indices(rng: np.random.Generator, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    rows = []
    for name in ("mppc", "mean_matched_signed_cos", "excess_correlation", "cka", "cycle_consistency"):
        for pair in ["overall"] if name == "cycle_consistency" else [f"{a}-{b}" for a, b in pairs]:
            value = rng.uniform(0.3, 0.7)
            rows.append(
                (name, pair, value, value * 0.2, value - 0.04, value + 0.04, int(rng.integers(100, 300)))
            )
    return pd.DataFrame(rows, columns=["name", "pair", "value", "chance", "low", "high", "n"])


def _tau_curve(
    pairs: pd.DataFrame, pairings: Pairings, dictionaries: dict[str, Dictionary], trained: list[str]
) -> pd.DataFrame:
    n_alive = sum(int(dictionaries[m].alive.sum()) for m in trained)
    rows = []
    for tau in np.round(np.arange(0.2, 0.91, 0.1), 2):
        groups = _clusters(pairs, pairings, float(tau))
        table = _cluster_table(groups, pairs, pairings, len(trained))
        counted = table.groupby(["class", "level"])["n_models"].sum() if len(table) else pd.Series(dtype=int)
        rows += [(tau, *key, int(n)) for key, n in counted.items()]  # type: ignore[misc]
        rows.append((tau, "specific", "untested", n_alive - int(table["n_models"].sum())))
    return pd.DataFrame(rows, columns=["tau", "class", "level", "n_features"])


def _k_of_m(clusters: pd.DataFrame, n_models: int) -> pd.DataFrame:
    counts = clusters["n_models"].value_counts()
    rows = [(k, int(counts.get(k, 0)), k * int(counts.get(k, 0))) for k in range(2, n_models + 1)]
    rows.insert(0, (1, 120, 120))
    total = sum(n for _, _, n in rows)
    return pd.DataFrame(
        [(*row, row[2] / total) for row in rows], columns=["k", "n_clusters", "n_features", "fraction"]
    )


def _candidates(pairings: Pairings, dictionaries: dict[str, Dictionary]) -> pd.DataFrame:
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


def _mass_by_domain(text: Any, dictionary: Dictionary) -> np.ndarray:
    domain = text.arrays["row_domain"]
    return np.stack(
        [np.asarray(dictionary.acts[domain == d].sum(0)).ravel() for d in range(len(text.domains))], axis=1
    )


def _domains(
    rng: np.random.Generator,
    text: Any,
    dictionaries: dict[str, Dictionary],
    pairs: pd.DataFrame,
    trained: list[str],
) -> pd.DataFrame:
    rows = []
    for code, domain in enumerate(text.domains):
        inside = text.arrays["row_domain"] == code
        for index, model in enumerate(trained):
            d = dictionaries[model]
            hits = np.asarray((d.acts[inside] > 0).sum(0)).ravel()
            false = np.asarray((d.acts[~inside] > 0).sum(0)).ravel()
            n, m = int(inside.sum()), int((~inside).sum())
            spread = np.sqrt(np.maximum((hits + false) * (n + m - hits - false), 1.0) * n * m)
            mcc = np.where(d.alive, (hits * (m - false) - false * (n - hits)) / spread, -1)
            latent = int(mcc.argmax())
            other = trained[(index + 1) % len(trained)]
            found = _pair_of(pairs, model, latent, other)
            sensitivity, specificity = hits[latent] / n, 1 - false[latent] / m
            row = {"domain": domain, "model": model, "latent": latent, "n_rows": n, "mcc": mcc[latent]}
            row |= {"sensitivity": sensitivity, "specificity": specificity}
            row |= {"auroc": (sensitivity + specificity) / 2}
            row |= {"partner_model": other if found is not None else None}
            row |= {"partner_latent": None if found is None else found["partner"]}
            row |= {k: None if found is None else found[v] for k, v in _PAIR_COLUMNS.items()}
            row |= {"nearest_neuron": int(rng.integers(64)), "neuron_r": rng.uniform(0.1, 0.6)}
            rows.append({**row, "untrained_r": rng.uniform(0.0, 0.08)})
    frame = pd.DataFrame(rows).astype({"partner_latent": "Int64", "r": float, "r_token": float})
    return frame


_PAIR_COLUMNS = {"r": "r_held_out", "r_token": "r_token", "level": "level"}


def _pair_of(pairs: pd.DataFrame, model: str, latent: int, other: str) -> dict[str, Any] | None:
    for side, far in (("a", "b"), ("b", "a")):
        here = (
            (pairs[f"model_{side}"] == model)
            & (pairs[f"latent_{side}"] == latent)
            & (pairs[f"model_{far}"] == other)
        )
        if here.any():
            row = pairs[here].iloc[0]
            return {**row.to_dict(), "partner": int(row[f"latent_{far}"])}
    return None


def _latent_domains(text: Any, model: str, dictionary: Dictionary) -> pd.DataFrame:
    mass = _mass_by_domain(text, dictionary)
    alive = np.flatnonzero(dictionary.alive)
    share = mass[alive] / np.maximum(mass[alive].sum(1, keepdims=True), 1e-12)
    index = pd.MultiIndex.from_product([alive, text.domains], names=["latent", "domain"])
    frame = pd.DataFrame(
        {"auroc": 0.5 + share.ravel() / 2, "share": share.ravel()}, index=index
    ).reset_index()
    return frame.assign(model=model)[["model", "latent", "domain", "auroc", "share"]]


def _contexts(
    rng: np.random.Generator, text: Any, rows: np.ndarray, values: np.ndarray, n_top: int
) -> Iterable[tuple[str, int, int, int, float]]:
    """kind, group, rank, row, value: the strongest (one per context), two per tenth of the range, five at random."""
    order = np.argsort(-values, kind="stable")
    _, first = np.unique(text.arrays["row_context"][rows[order]], return_index=True)
    for rank, i in enumerate(order[np.sort(first)][:n_top]):
        yield "top", 0, rank, int(rows[i]), float(values[i])
    tenth = np.minimum((values / values.max() * 10).astype(int), 9)
    for group in range(10):
        inside = np.flatnonzero(tenth == group)
        for rank, i in enumerate(rng.choice(inside, min(2, len(inside)), replace=False)):
            yield "quantile", group, rank, int(rows[i]), float(values[i])
    for rank, i in enumerate(rng.choice(len(rows), min(5, len(rows)), replace=False)):
        yield "random", 0, rank, int(rows[i]), float(values[i])
