"""The tables of a run that a report writes, and what a row of each is."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

#: Tables in the order of the README, with what a row is.
TABLES: Mapping[str, str] = {
    "headline": "median held-out r of assigned pairs, one row per quantity and pair of models",
    "models": "one row per dictionary: seeds, sizes, quality, alive, rare and dead latents",
    "dictionary_domains": "fraction of variance unexplained of every dictionary in every domain of the text",
    "features": "one row per latent of every model: status, class, level, best r, verdict",
    "pairs": "one row per assigned pair of latents, with its chance level and margins",
    "clusters": "one row per group of features of different models that count as one",
    "pinned": "the pairs that were pinned, in their order",
    "verdicts": "why a feature has no partner in a model, one row per feature and missing model",
    "domains": "each model's best latent per domain of the text, its partner, and controls",
    "indices": "published similarity indices, each with its chance level",
    "tau_curve": "features by class and level, over the threshold tau",
    "k_of_m": "clusters and features by number of models",
    "baselines": "assigned pairs of features, neurons, second dictionaries and untrained models",
    "null_quantiles": "quantiles of the chance level (the maximum over candidates) per pair of models",
    "null_rates": "quantiles of the chance level by the firing rate of the latent, all pairs of models together",
    "candidates": "each latent's five best candidates in every other model, on the fit rows",
    "sweeps": "one row per dictionary of a sweep: setting, sparsity, unexplained variance, whether nothing beats it",
    "positions": "where alive features stand on the map; of very many features a sample of whole clusters",
    "cluster_positions": "where clusters of two and more models stand on the map",
    "cluster_links": "clusters with members among each other's nearest features, and the highest r of two members",
    "latent_domains": "what share of a latent's activation lies in each domain",
    "contexts": "evaluation rows where a latent is strongest, at each tenth of its range, and at random",
    "histograms": "histogram of each latent's activations",
    "logits": "tokens that a latent raises and lowers most",
    "documents": "the documents of the corpus by domain, part and digest, without their text",
    "vocabulary": "the tokenizer's tokens as bytes (hexadecimal) and text",
}
#: Evidence of single latents, many rows each: Parquet only.
EVIDENCE = frozenset(
    {
        "candidates",
        "positions",
        "cluster_positions",
        "cluster_links",
        "latent_domains",
        "contexts",
        "histograms",
        "logits",
    }
)
#: Tables with more rows come as Parquet only: a spreadsheet could not open them anyway.
MAX_CSV_ROWS = 200_000


def with_token_text(logits: pd.DataFrame, vocabulary: pd.DataFrame) -> pd.DataFrame:
    """The table ``logits`` with the text of each token."""
    text = vocabulary.set_index("token")["text"]
    return logits.assign(token_text=logits["token"].map(text))
