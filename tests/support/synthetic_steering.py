"""What the models of a synthetic run write with features turned up: shares that follow the strength, and noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from results.schema import MADE

STRENGTHS = (0.0, 1.0, 2.0, 4.0)
N_CLUSTERS = 2


def choice_of(rng: np.random.Generator, features: pd.DataFrame, domains: Sequence[str]) -> pd.DataFrame:
    """The table ``steering_clusters``: two domains are steered, the others are left out for every reason."""
    rows = []
    universal = features[features["class"] == "universal"].sort_values(["cluster", "model", "latent"])
    for domain in domains:
        own = universal[universal["top_domain"] == domain]
        row = {"domain": domain, "hit": rng.uniform(0.85, 1), "false_alarm": rng.uniform(0, 0.02)}
        if own.empty:
            rows.append({**row, "left_out": "no_cluster"})
            continue
        members = universal[universal["cluster"] == own["cluster"].iloc[0]].drop_duplicates("model")
        listed = ";".join(
            f"{model}:{latent}" for model, latent in zip(members["model"], members["latent"], strict=True)
        )
        rows.append({**row, "cluster": own["cluster"].iloc[0], "mcc": rng.uniform(0.4, 0.9), "members": listed})
    schema = MADE["steering_clusters"]
    table = schema.typed(pd.DataFrame(rows, columns=pd.Index(schema.names)))
    table = table.sort_values(["mcc", "domain"], ascending=[False, True], ignore_index=True)
    fitting = np.flatnonzero(table["left_out"].isna())
    table.loc[fitting[N_CLUSTERS : N_CLUSTERS + 1], ["left_out", "hit"]] = ["not_told", 0.5]
    table.loc[fitting[N_CLUSTERS + 1 :], "left_out"] = "beyond"
    return table


def probes_of(rng: np.random.Generator, pairs: Sequence[tuple[str, str, str]], n_latents: int) -> pd.DataFrame:
    """The table ``probes`` for pairs of dictionaries (kind, a, b): partners tell as much as their kind lets them."""
    told = {"matched": 0.7, "hard_exchange": 0.2, "ceiling": 0.9, "floor": 0.4}
    rows = []
    for kind, a, b in pairs:
        kinds = (kind, "hard_exchange") if kind == "matched" else (kind,)
        for name in ("digit", "line_start"):
            for of, (one, other) in ((of, sides) for of in kinds for sides in ((a, b), (b, a))):
                transfer = told[of] + rng.normal(0, 0.05)
                own, partner, best = rng.integers(0, n_latents, 3)
                rows.append({
                    "label": name, "kind": of, "model_a": one, "latent_a": own, "model_b": other, "latent_b": partner,
                    "best_latent": best, "n_rows": 400, "mcc": 0.6, "auc": 0.9, "auc_best": 0.9,
                    "auc_partner": 0.5 + 0.4 * transfer, "transfer": transfer, "low": transfer - 0.1,
                    "high": transfer + 0.1,
                })  # fmt: skip
    rows[0] |= dict.fromkeys(("latent_b", "auc_partner", "transfer", "low", "high"))
    return MADE["probes"].typed(pd.DataFrame(rows, columns=pd.Index(MADE["probes"].names)))


def explanations_of(
    rng: np.random.Generator, pairs: Sequence[tuple[str, str, str]], n_latents: int
) -> dict[str, pd.DataFrame]:
    """The tables ``explanations`` and ``explanation_transfer``: what carries over is what the kind of partner lets."""
    carried = {"matched": 0.75, "hard_exchange": 0.5, "ceiling": 0.8, "floor": 0.3}
    rows, means, n = [], [], n_latents // 2
    for kind, a, b in pairs:
        for of in (kind, "hard_exchange") if kind == "matched" else (kind,):
            for one, other in ((a, b), (b, a)):
                own = rng.uniform(0.1, 0.5, n)
                rows.append(pd.DataFrame({
                    "model_a": one, "latent_a": rng.permutation(n_latents)[:n], "model_b": other,
                    "latent_b": rng.permutation(n_latents)[:n], "kind": of, "level": "token",
                    "edge": np.arange(n) % 3 > 0,
                    "own": own, "score": own * carried[of] + rng.normal(0, 0.02, n),
                }))  # fmt: skip
    for kind, share in carried.items():
        for level, fewer in (("all_pairs", 1), ("edges", 2), ("context", 10), ("token", 3)):
            means.append({
                "kind": kind, "level": level, "n": n // fewer, "own": 0.3, "score": 0.3 * share,
                "score_low": 0.3 * share - 0.02, "score_high": 0.3 * share + 0.02, "transfer": share,
                "transfer_low": share - 0.05, "transfer_high": share + 0.05,
            })  # fmt: skip
    made = {"explanations": pd.concat(rows, ignore_index=True), "explanation_transfer": pd.DataFrame(means)}
    return {name: MADE[name].typed(table[MADE[name].names]) for name, table in made.items()}


def steered_of(rng: np.random.Generator, model: str, chosen: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables ``steering_doses`` and ``steering_transfer`` of one model; the last cluster of m1 has a problem."""
    doses, transfer = [], []
    chosen = chosen[chosen["left_out"].isna()].reset_index(drop=True)
    for number, row in chosen.iterrows():
        latents = {name: int(latent) for name, _, latent in (m.partition(":") for m in row["members"].split(";"))}
        subject = {"cluster": row["cluster"], "domain": row["domain"], "model": model, "latent": latents[model]}
        if model == "m1" and number == len(chosen) - 1:
            problem = {**subject, "draw": 0, "problem": "norm of the direction must be above 1e-12; got 0."}
            doses.append({**problem, "kind": "own"})
            transfer.append({**problem, "arm": "own"})
            continue
        for kind, draw, top in (("own", 0, 0.8), ("random", 0, 0.04), ("random", 1, 0.1), ("other", 0, 0.03)):
            for strength in STRENGTHS:
                share = 0.01 + (top - 0.01) * strength / 4 * rng.uniform(0.8, 1)
                doses.append({
                    **subject, "kind": kind, "draw": draw, "strength": strength, "share": share,
                    "share_se": 0.2 * share, "distinct": 0.9, "norm_ratio": 1 + 0.2 * strength, "kl": 0.3 * strength,
                    "ce_rise": 0.25 * strength,
                })  # fmt: skip
        others = [(name, latent) for name, latent in latents.items() if name != model]
        arms = [("own", 0, None, None, 1.0)]
        arms += [("partner", 0, name, latent, 0.7) for name, latent in others]
        arms += [("hard_exchange", 0, name, latent + 1, 0.4) for name, latent in others]
        arms += [("random", 0, None, None, 0.0)]
        for arm, draw, other_model, other_latent, mean in arms:
            cosine = 1.0 if arm == "own" else float(np.clip(rng.normal(mean, 0.08), -1, 1))
            transfer.append({
                **subject, "arm": arm, "draw": draw, "other_model": other_model, "other_latent": other_latent,
                "r2": 0.6 if other_model else None, "beta": 2.0, "cosine": cosine, "kl": 0.6, "norm_ratio": 1.2,
                "matched_strength": 2.0, "matched_kl": 0.6, "ratio": 1.0 if arm == "own" else 0.2 + 0.8 * mean,
            })  # fmt: skip
    parts = {"steering_doses": doses, "steering_transfer": transfer}
    return {
        name: MADE[name].typed(pd.DataFrame(rows, columns=pd.Index(MADE[name].names))) for name, rows in parts.items()
    }


def unseen_of(rng: np.random.Generator, models: Sequence[str], domains: Sequence[str]) -> pd.DataFrame:
    """The table ``unseen_domains``: the last model never saw the first domain, and nothing is known of one loss."""
    rows = []
    for domain in domains:
        for model in models:
            seen = (domain, model) != (domains[0], models[-1])
            counts = rng.multinomial(12, [0.6, 0.2, 0.05, 0.1, 0.05] if seen else [0.1, 0.2, 0.5, 0.15, 0.05])
            names = ("partnered", "rearranged", "missing", "unstable", "undecided")
            r = (0.5 if seen else 0.15) + rng.normal(0, 0.02)
            rows.append({
                "domain": domain, "model": model, "seen": seen, "loss": rng.uniform(2, 4) + 4 * (not seen),
                "n_features": 12, **{f"n_{name}": n for name, n in zip(names, counts, strict=True)},
                "r": r, "low": r - 0.04, "high": r + 0.04,
                **({} if seen else {"did": -0.3, "did_low": -0.36, "did_high": -0.22}),
            })  # fmt: skip
    rows[0]["loss"] = None
    return MADE["unseen_domains"].typed(pd.DataFrame(rows, columns=pd.Index(MADE["unseen_domains"].names)))
