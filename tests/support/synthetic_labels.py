"""Labels of a synthetic run: as many kinds as there are, some that explain nothing, and words that would be markup."""

import numpy as np
import pandas as pd
from synthetic_world import Dictionary

from results.schema import MADE
from results.words import LABEL_FAMILIES

#: Words of tokens that a page or a typesetter would take for its own.
HOSTILE = ("<img src=x onerror=alert(1)>", "**bold** $x_1$", "\\input{x} & 5%", "·the, ·a")


def labels_of(
    rng: np.random.Generator, dictionaries: dict[str, Dictionary], features: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The tables ``labels``, ``label_parts`` and ``cluster_labels``.

    Args:
        rng: source of chance.
        dictionaries: of every model that has labels, by id.
        features: the table ``features`` of the compared models.
    """
    trained, kinds, tables = set(features["model"]), list(LABEL_FAMILIES), []
    for name, dictionary in dictionaries.items():
        latents = np.flatnonzero(dictionary.alive)
        r = rng.uniform(0.2, 0.9, latents.size) * (1.0 if name in trained else 0.5)
        families = [kinds[latent % len(kinds)] for latent in latents]
        words = [f"{LABEL_FAMILIES[f]} {HOSTILE[latent % 4]}" for f, latent in zip(families, latents, strict=True)]
        tables.append(pd.DataFrame({
            "model": name, "latent": latents, "family": families, "label": words, "explained": r >= 0.3, "r": r,
            "r_crossed": r + 0.01, "n_parts": 2, "r_untrained": r / 3 if name in trained else None,
            "promotes": "script Greek (8 of 10)" if name in trained else None,
        }))  # fmt: skip
    labels = pd.concat(tables, ignore_index=True)
    parts = labels.loc[labels.index.repeat(2), ["model", "latent"]].assign(rank=np.tile([0, 1], len(labels)))
    parts = parts.assign(part=np.array(HOSTILE)[parts["latent"] % 4], weight=1.0 / (1 + parts["rank"]))
    members = features[features["cluster"].notna()].astype({"cluster": "int64"}).merge(labels, on=["model", "latent"])
    clusters = members.groupby("cluster", as_index=False).agg(
        model=("model", "first"), latent=("latent", "first"), family=("family", "first"), label=("label", "first"),
        r=("r", "mean"), r_least=("r", "min"), n_members=("r", "size"), n_models=("model", "nunique"),
        n_explained=("explained", "sum"),
    )  # fmt: skip
    made = {"labels": labels, "label_parts": parts, "cluster_labels": clusters}
    return {name: MADE[name].typed(table[MADE[name].names]) for name, table in made.items()}
