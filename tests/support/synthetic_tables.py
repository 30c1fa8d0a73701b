"""The tables of the step ``comparison`` of a synthetic run, in the shapes of the real ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from synthetic_evidence import domain_rows, mass_by_domain, with_comparison
from synthetic_pairs import TAU, best_r, candidates, cluster_table, cluster_up, k_of_m, nearest, pair_rows, tau_curve
from synthetic_world import Material, Node

from universality.table_schemas import INDICES

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
#: Indices that papers are held against: value between models, and between untrained models.
PUBLISHED = {
    "bricken_median": (0.7, 0.4),
    "neuron_bricken_median": (0.45, 0.3),
    "paulo_shared_fraction": (0.4, 0.0),
}
QUANTILES = [*(np.arange(1, 100) / 100), 0.999]


def comparison_tables(m: Material) -> dict[str, pd.DataFrame]:
    """All tables of a comparison, ``comparison_id`` first in each."""
    pairs = pd.concat([pair_rows(m, *pair, p) for pair, p in m.main.items()], ignore_index=True)
    groups = cluster_up(pairs, m.main, TAU, m.alive)
    clusters = cluster_table(groups, pairs, m.main, len(m.trained))
    verdicts = _verdicts(m, groups)
    baselines = _baselines(m, pairs)
    nulls = _nulls(m.rng, list(m.main))
    tables = {
        "models": _models(m),
        "dictionary_domains": _dictionary_domains(m),
        "features": _features(m, groups, clusters, verdicts),
        "pairs": pairs,
        "verdicts": verdicts,
        "clusters": clusters,
        "indices": _indices(m.rng, list(m.main), m.untrained),
        "headline": _headline(baselines, nulls),
        "agreement": _agreement(baselines, pairs),
        "spaces": _spaces(baselines, len(m.untrained) > 1),
        "baselines": baselines,
        "null_quantiles": nulls,
        "null_rates": _null_rates(m),
        "tau_curve": tau_curve(m, pairs),
        "k_of_m": k_of_m(clusters, len(m.trained)),
        "candidates": candidates(m.main, m.dictionaries),
        "domains": domain_rows(m, pairs),
    }
    return {name: with_comparison(table, m.comparison) for name, table in tables.items()}


def _verdicts(m: Material, groups: list[list[Node]]) -> pd.DataFrame:
    """A reason per alive feature and model missing from its cluster; drawn, but never against the numbers."""
    home = {node: {model for model, _ in group} for group in groups for node in group}
    rows = []
    for node in m.alive:
        for other in m.trained:
            if other not in home[node]:
                best = best_r(m.main, node, other, m.dictionaries[other].alive)
                near = ("contested", "split") if best >= TAU else ("near_threshold", "weak")
                allowed = ("unstable", "part_of", "decodable", "absent", "untested", *near) if best < 0.9 else near
                verdict = allowed[int(m.rng.integers(len(allowed)))]
                about = nearest(m.main, node, other, m.dictionaries[other].alive, 2 if verdict == "split" else 1)
                if verdict == "unstable":  # the latent of its own number in the replicate, where there is one
                    about = [f"{node[0]}r:{node[1]}"] * (f"{node[0]}r" in m.dictionaries)
                rows.append((*node, other, verdict, best, ";".join(about) or None))
    return pd.DataFrame(rows, columns=["model", "latent", "other_model", "verdict", "statistic", "about"])


def _features(m: Material, groups: list[list[Node]], clusters: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    number_of = {node: number for number, group in enumerate(groups) for node in group}
    order = {name: i for i, name in enumerate(VERDICTS)}
    first: dict[Node, str] = {}
    for row in verdicts.itertuples():
        node = (str(row.model), int(row.latent))
        first[node] = min(first.get(node, row.verdict), row.verdict, key=order.__getitem__)
    text, trained = m.text, m.trained
    rows = []
    for model in trained:
        d = m.dictionaries[model]
        counts = np.asarray((d.acts > 0).sum(0)).ravel()
        peak = np.asarray(d.acts.max(axis=0).todense()).ravel()
        mass = mass_by_domain(text, d)
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
                    "best_r": max(best_r(m.main, node, o, m.dictionaries[o].alive) for o in trained if o != model)
                    if alive
                    else 0.0,
                    "verdict": first.get(node) if alive else None,
                    "max_activation": float(peak[latent]),
                    "top_domain": text.domains[int(mass[latent].argmax())] if counts[latent] else None,
                }
            )
    table = pd.DataFrame(rows).astype({"cluster": "Int64"})
    groups = _GROUP_OF[table["verdict"].fillna("none")].to_numpy(object)
    groups = np.where(table["n_models"] > 1, "partnered", groups)
    alive = table["status"] == "alive"
    table.insert(11, "group", np.where(alive, groups, None))
    for place, column in enumerate(("class_probability", "group_probability"), start=12):
        table.insert(place, column, np.where(alive, 1 - 0.05 * (table["latent"] % place), np.nan))
    return table


#: The group of a feature without a partner, by its first verdict.
_GROUP_OF = pd.Series(
    {
        "none": "untested",
        **dict.fromkeys(("contested", "split", "part_of", "decodable"), "rearranged"),
        **dict.fromkeys(("weak", "absent"), "missing"),
        **{"unstable": "unstable", "near_threshold": "untested", "untested": "untested"},
    }
)


def _agreement(baselines: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Every kind with all its pairs together and each alone; what edges are made of is that of pairs of features."""
    rows = []
    parts = pairs.loc[pairs["edge"], [name for name in pairs if name.startswith("from_")]].sum()
    for kind, of_kind in baselines.groupby("kind", sort=False):
        names = of_kind["model_a"] + "-" + of_kind["model_b"]
        for pair in ("overall", *names.unique()):
            r = of_kind["r_held_out"] if pair == "overall" else of_kind.loc[names == pair, "r_held_out"]
            row = {"kind": kind, "pair": pair, "n": len(r)}
            left = {"untrained": 0.05, "neurons": 0.3}.get(str(kind), 0.5)
            for name, of in (("r", 1.0), ("r_joint", left)):
                values = {"mean": (r * of).mean(), "share": (r * of >= TAU).mean() + 0 * of}
                for what, value in values.items():
                    ends = {"": value, "_low": value - 0.02, "_high": value + 0.02}
                    row |= {f"{what}_{name}{end}": float(number) for end, number in ends.items()}
            row |= {"n_edges": 0 if kind == "neurons" else int((r >= TAU).sum())}
            share = parts / parts.sum() if row["n_edges"] else parts * np.nan
            rows.append(row | share.to_dict())
    return pd.DataFrame(rows)


def _spaces(baselines: pd.DataFrame, floor: bool) -> pd.DataFrame:
    """Every kind of coordinates, features and neurons with the mean r that their pairs have."""
    mean = baselines.groupby("kind")["r_held_out"].mean()
    high = {"features": mean["features"], "features_subset": 0.4, "ica": 0.45, "haar": 0.38, "neurons": mean["neurons"]}
    rows = []
    for space, r in {**high, "initial_sae": 0.22, "random_sae": 0.18, "pca": 0.1}.items():
        for measure, of in (("r_held_out", 1.0), ("r_joint", 0.4)):
            haar = 0.0 if space == "haar" else 0.02
            ends = {"low": r * of - 0.01, "high": r * of + 0.01}
            random = {"haar": 0.38 * of - haar, "haar_floor": (0.1 if of == 1 else 0.005) if floor else np.nan}
            above = r * of - random["haar"]
            rows.append(
                {
                    "space": space, "measure": measure, "n": 64, "n_pairs": 64,
                    "value": r * of, **ends, "median": r * of - 0.02,
                    "floor": r * of / 4 if floor else np.nan, "floor_median": r * of / 5 if floor else np.nan,
                    "best": r + 0.05 if of == 1 else np.nan,
                    "best_floor": r / 3 if floor and of == 1 else np.nan,
                    "best_haar": 0.4 if of == 1 else np.nan,
                    **random, "above_haar": above, "above_haar_low": above - 0.02, "above_haar_high": above + 0.02,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _baselines(m: Material, pairs: pd.DataFrame) -> pd.DataFrame:
    rng, trained, untrained = m.rng, m.trained, m.untrained
    kept = ["model_a", "latent_a", "model_b", "latent_b", "r_held_out", "r_token"]
    parts = [pairs[kept].assign(kind="features")]
    for (a, b), p in m.pairings.items():
        kind = "untrained" if a in untrained else "ceiling" if b.endswith("r") else None
        if kind:
            token = p.r_held_out * rng.uniform(0.1 if kind == "untrained" else 0.5, 0.9, len(p.r))
            parts.append(_assigned(kind, (a, b), (p.latent_a, p.latent_b), p.r_held_out, token))
    for a, b in combinations(trained, 2):
        r = rng.beta(3.0, 5.0, 64)
        parts.append(
            _assigned("neurons", (a, b), (np.arange(64), rng.permutation(64)), r, r * rng.uniform(0.2, 0.7, 64))
        )
    return pd.concat(parts, ignore_index=True)[["kind", *kept]]


def _assigned(
    kind: str,
    models: tuple[str, str],
    latents: tuple[np.ndarray, np.ndarray],
    r: np.ndarray,
    r_token: np.ndarray,
) -> pd.DataFrame:
    (a, b), (latent_a, latent_b) = models, latents
    columns = {"model_a": a, "latent_a": latent_a, "model_b": b, "latent_b": latent_b}
    return pd.DataFrame({"kind": kind, **columns, "r_held_out": r, "r_token": r_token})


def _nulls(rng: np.random.Generator, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    parts = []
    for a, b in pairs:
        for kind, scale in (("plain", 0.02), ("domain", 0.05)):
            values = np.quantile(rng.gamma(2.0, scale, 4000), QUANTILES)
            parts.append(pd.DataFrame({"pair": f"{a}-{b}", "kind": kind, "quantile": QUANTILES, "value": values}))
    return pd.concat(parts, ignore_index=True)


def _null_rates(m: Material) -> pd.DataFrame:
    left = 10.0 ** (np.arange(-12, 0) / 4)
    middle = 0.02 / np.sqrt(left)
    columns = {"left": left, "right": 10.0 ** (np.arange(-11, 1) / 4), "n": 400}
    return pd.DataFrame({**columns, "p05": middle / 2, "p50": middle, "p95": middle * 1.5})


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
    rows += [("null_p95", pair, value, value - 0.01, value + 0.01, 4000) for pair, value in tail.items()]
    middle = float(tail.mean()) + 0.01
    rows.append(("null_p95", "overall", middle, middle - 0.01, middle + 0.01, 4000 * len(tail)))
    return pd.DataFrame(rows, columns=["quantity", "pair", "value", "low", "high", "n"])


def _models(m: Material) -> pd.DataFrame:
    rng, trained = m.rng, m.trained
    rows = []
    for number, (model, d) in enumerate(m.dictionaries.items()):
        source = model.removesuffix("r")
        role = (
            "untrained" if model not in trained and source == model else "primary" if source == model else "replicate"
        )
        fires = np.asarray((d.acts > 0).sum(0)).ravel() > 0
        rows.append(
            {
                "model": model,
                "role": role,
                "replicate_of": source if role == "replicate" else None,
                "model_seed": source[1:],
                "sae_seed": str(1000 + number),
                "sae_source": "trained",
                "hook_point": "blocks.0.mlp.hook_post",
                "d_in": 64,
                "architecture": "topk",
                "d_sae": d.acts.shape[1],
                "k": 8,
                "sparsity": "k 8",
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
                "kl_spliced": 0.15,
                "kl_zero": 1.5,
                "kl_recovered": 0.9,
                "n_alive": int(d.alive.sum()),
                "n_rare": int((fires & ~d.alive).sum()),
                "n_dead": int((~fires).sum()),
                "n_dense": 0,
                "max_init_cosine": rng.uniform(0.2, 0.4),
                "decoder_norm_min": 1.0,
                "decoder_norm_max": 1.0,
            }
        )
    return pd.DataFrame(rows)


def _dictionary_domains(m: Material) -> pd.DataFrame:
    """Each dictionary's unexplained variance by domain."""
    counts = np.bincount(m.text.arrays["row_domain"], minlength=len(m.text.domains))
    rows = [
        (name, domain, int(count), 0.1 + 0.02 * number)
        for name in m.dictionaries
        for number, (domain, count) in enumerate(zip(m.text.domains, counts, strict=True))
    ]
    return pd.DataFrame(rows, columns=["model", "domain", "n_rows", "fvu"])


def _indices(rng: np.random.Generator, pairs: list[tuple[str, str]], untrained: Sequence[str]) -> pd.DataFrame:
    rows = []
    for name in ("mppc", "mean_matched_signed_cos", "excess_correlation", "cka", "cycle_consistency"):
        for pair in ["overall"] if name == "cycle_consistency" else [f"{a}-{b}" for a, b in pairs]:
            value = rng.uniform(0.3, 0.7)
            ends = value - 0.04, value + 0.04, np.nan, np.nan
            kind = "ceiling" if pair.endswith("r") else "untrained" if pair.startswith("u") else "features"
            rows.append((name, kind, pair, value, value * 0.2, *ends, int(rng.integers(100, 300))))
    between = {"features": pairs, "untrained": list(combinations(untrained, 2))}
    for name, values in PUBLISHED.items():
        for kind, of in zip(between, values, strict=True):
            rows += [(name, kind, f"{a}-{b}", of, of / 10, *[np.nan] * 4, 100) for a, b in between[kind]]
    for kind, (together, of) in {"features": ("overall", 0.03), "untrained": ("untrained", 0.0)}.items():
        rows.append(("neuron_universal_fraction", kind, together, of, 0.0, of, of, np.nan, np.nan, 192))
    return pd.DataFrame(rows, columns=INDICES.names)
