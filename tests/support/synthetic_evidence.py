"""Domains, contexts, histograms and logits of a synthetic comparison."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from synthetic_world import Dictionary, Material

_PAIR_COLUMNS = {"r": "r_held_out", "r_token": "r_token", "level": "level"}


def evidence_tables(m: Material, model: str, n_top: int) -> dict[str, pd.DataFrame]:
    """contexts, histograms, logits and latent_domains of one model's alive latents."""
    rng, text, dictionary = m.rng, m.text, m.dictionaries[model]
    columns = dictionary.acts.tocsc()
    contexts, histograms, logits = [], [], []
    for latent in np.flatnonzero(dictionary.alive):
        part = slice(columns.indptr[latent], columns.indptr[latent + 1])
        rows, values = columns.indices[part], columns.data[part]
        contexts += [(model, latent, *rest) for rest in _contexts(rng, text, rows, values, n_top)]
        counts, edges = np.histogram(values.astype(float), bins=40, range=(0, float(values.max())))
        histograms.append(
            pd.DataFrame({"latent": latent, "bin": range(40), "left": edges[:-1], "right": edges[1:], "count": counts})
        )
        tokens = rng.choice(len(text.vocabulary), 20, replace=False)
        effects = np.sort(rng.normal(size=20))[::-1]
        logits += [(model, latent, "top", i, tokens[i], effects[i]) for i in range(10)]
        logits += [(model, latent, "bottom", i, tokens[-1 - i], effects[-1 - i]) for i in range(10)]
    tables = {
        "contexts": pd.DataFrame(contexts, columns=["model", "latent", "kind", "group", "rank", "row", "value"]).astype(
            {"value": np.float32}
        ),
        "histograms": pd.concat(histograms, ignore_index=True).assign(model=model)[
            ["model", "latent", "bin", "left", "right", "count"]
        ],
        "logits": pd.DataFrame(logits, columns=["model", "latent", "side", "rank", "token", "value"]),
        "latent_domains": _latent_domains(text, model, dictionary),
    }
    return {name: with_comparison(table, m.comparison) for name, table in tables.items()}


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


def _latent_domains(text: Any, model: str, dictionary: Dictionary) -> pd.DataFrame:
    mass = mass_by_domain(text, dictionary)
    alive = np.flatnonzero(dictionary.alive)
    share = mass[alive] / np.maximum(mass[alive].sum(1, keepdims=True), 1e-12)
    share = share.astype(float)
    index = pd.MultiIndex.from_product([alive, text.domains], names=["latent", "domain"])
    frame = pd.DataFrame({"auroc": 0.5 + share.ravel() / 2, "share": share.ravel()}, index=index).reset_index()
    return frame.assign(model=model)[["model", "latent", "domain", "auroc", "share"]]


def mass_by_domain(text: Any, dictionary: Dictionary) -> np.ndarray:
    domain = text.arrays["row_domain"]
    return np.stack([np.asarray(dictionary.acts[domain == d].sum(0)).ravel() for d in range(len(text.domains))], axis=1)


def domain_rows(m: Material, pairs: pd.DataFrame) -> pd.DataFrame:
    rng, text, dictionaries, trained = m.rng, m.text, m.dictionaries, m.trained
    rows = []
    for code, domain in enumerate(text.domains):
        inside = text.arrays["row_domain"] == code
        n_sources = np.unique(text.arrays["row_source"][inside & ~text.arrays["row_fit"]]).size
        for index, model in enumerate(trained):
            d = dictionaries[model]
            hits = np.asarray((d.acts[inside] > 0).sum(0)).ravel()
            false = np.asarray((d.acts[~inside] > 0).sum(0)).ravel()
            n, others = int(inside.sum()), int((~inside).sum())
            spread = np.sqrt(np.maximum((hits + false) * (n + others - hits - false), 1.0) * n * others)
            mcc = np.where(d.alive, (hits * (others - false) - false * (n - hits)) / spread, -1)
            latent = int(mcc.argmax())
            other = trained[(index + 1) % len(trained)]
            found = _pair_of(pairs, model, latent, other)
            sensitivity, specificity = hits[latent] / n, 1 - false[latent] / others
            row = {"domain": domain, "model": model, "latent": latent, "n_rows": n, "n_sources": n_sources}
            row |= {"mcc": mcc[latent]}
            row |= {"sensitivity": sensitivity, "specificity": specificity}
            row |= {"auroc": (sensitivity + specificity) / 2}
            row |= {"partner_model": other if found is not None else None}
            row |= {"partner_latent": None if found is None else found["partner"]}
            row |= {k: None if found is None else found[v] for k, v in _PAIR_COLUMNS.items()}
            row |= {"nearest_neuron": int(rng.integers(64)), "neuron_r": rng.uniform(0.1, 0.6)}
            rows.append({**row, "untrained_r": rng.uniform(0.0, 0.08), "proxy_r": rng.uniform(0.5, 0.8)})
    frame = pd.DataFrame(rows).astype({"partner_latent": "Int64", "r": float, "r_token": float})
    return frame


def _pair_of(pairs: pd.DataFrame, model: str, latent: int, other: str) -> dict[str, Any] | None:
    for side, far in (("a", "b"), ("b", "a")):
        here = (
            (pairs[f"model_{side}"] == model) & (pairs[f"latent_{side}"] == latent) & (pairs[f"model_{far}"] == other)
        )
        if here.any():
            row = pairs[here].iloc[0]
            return {**row.to_dict(), "partner": int(row[f"latent_{far}"])}
    return None


def with_comparison(table: pd.DataFrame, comparison: str) -> pd.DataFrame:
    table = table.reset_index(drop=True)
    table.insert(0, "comparison_id", comparison)
    return table
