"""Every table of a run and of its report: what a row is, and of every column its type, unit, range and meaning.

The science's tables are declared in :mod:`universality.table_schemas`. Here stand those that only steps of the
pipelines make, and how a run stores all of them: with the comparison (and the model) whose rows they are in front.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from universality import table_schemas as science
from universality.errors import InputError, must_be
from universality.schema import ID, TableSchema, column, correlation, count, identity, measure, share, word
from universality.table_schemas import SHARED, table

if TYPE_CHECKING:
    from pandas import DataFrame

COMPARISON_ID = word("comparison_id", "as in the recipe", "the comparison that the row belongs to", "id")
_BY_NAME = {column.name: column for column in SHARED}
_PLACE = (
    column("x", "float32", "map units", "any", "place on the map; a picture, never evidence"),
    column("y", "float32", "map units", "any", "place on the map"),
)
_DIGEST = word("digest", "hexadecimal", "of the document's text", "digest")

MODELS = table(
    "models", "one row per dictionary: seeds, sizes, quality, alive, rare and dead latents", "model",
    "model",
    word("role", "primary, replicate, untrained", "compared; second dictionary of a compared model; floor"),
    word("replicate_of?", "m0, m1, …", "model whose second dictionary this is; missing for others", "id"),
    word("model_seed", "number, untrained-0, or name", "seed of the transformer, or where it comes from"),
    word("sae_seed?", "any", "seed of the dictionary; missing where it is not known"),
    word("sae_source", "trained, path or hub name", "where the dictionary comes from"),
    word("hook_point", "of TransformerLens", "where the dictionary reads", "name"),
    count("d_in", "width of the activations", "1 and up"),
    word("architecture", "topk, relu, …", "what decides which latents of the dictionary fire"),
    count("d_sae", "latents of the dictionary", "1 and up"),
    count("k?", "latents that may fire per row; missing for architectures without", "1 to d_sae", "latents"),
    word("sparsity?", "for example k 16", "the setting that makes the dictionary sparse", "words"),
    count("train_tokens?", "tokens that the transformer was trained on here; missing if elsewhere", unit="tokens"),
    measure("heldout_loss?", "nats per token", "cross-entropy of the transformer on validation text"),
    count("sae_tokens?", "activations that the dictionary was trained on here", unit="rows"),
    measure("fvu", "share",
            "variance unexplained on score rows, about the mean (of the domain, where one is named)"),
    measure("l0", "latents", "mean number of active latents per score row", "0 to d_sae"),
    share("dead_fraction", "latents that fire on no score row"),
    measure("ce_clean", "nats per token", "cross-entropy of the transformer as it is"),
    measure("ce_spliced", "nats per token", "the same with the reconstruction in place of the activations"),
    measure("ce_zero", "nats per token", "the same with zeros in their place"),
    share("ce_recovered", "share of ce_zero - ce_clean that the reconstruction wins back"),
    measure("kl_spliced", "nats per token",
            "divergence from the clean predictions with the reconstruction spliced in"),
    measure("kl_zero", "nats per token", "the same with zeros"),
    share("kl_recovered", "share of kl_zero that the reconstruction wins back"),
    count("n_alive", "latents with status alive"),
    count("n_rare", "latents with status rare"),
    count("n_dead", "latents with status dead"),
    count("n_dense", "latents that fire on more than dense_rate of the rows"),
    correlation("max_init_cosine?", "largest cosine of a decoder row to its own initial value", "cosine"),
    measure("decoder_norm_min", "norm", "smallest norm of a decoder row"),
    measure("decoder_norm_max", "norm", "largest norm of a decoder row"),
)  # fmt: skip
DICTIONARY_DOMAINS = table(
    "dictionary_domains", "fraction of variance unexplained of every dictionary in every domain of the text",
    "model domain",
    "model domain n_rows",
    *MODELS.pick("fvu"),
)  # fmt: skip
SWEEPS = table(
    "sweeps", "one row per dictionary of a sweep: setting, sparsity, unexplained variance, whether nothing beats it",
    "sweep point seed",
    word("sweep", "as in the recipe", "the sweep that the row belongs to", "id"),
    word("point", "for example k 8, d_sae 512", "the settings of the point", "words"),
    *MODELS.pick("architecture d_sae sparsity"),
    correlation("seed_cosine?", "mean over latents of the largest decoder cosine to another seed's dictionary",
                "cosine"),
    identity("seed", "number of the SAE seed; points share seeds"),
    word("status", "ok, diverged, dead",
         "how the training ended; the measures of others than ok are missing"),
    *(of._replace(nullable=True)
      for of in MODELS.pick("l0 fvu dead_fraction n_dense ce_recovered kl_recovered")),
    column("frontier", "bool", "yes or no", "true, false",
           "whether no other point is as sparse (within 1 %) and explains more"),
)  # fmt: skip
POSITIONS = table(
    "positions", "where alive features stand on the map; of very many features a sample of whole clusters",
    "model latent",
    "model latent", *_PLACE,
)  # fmt: skip
CLUSTER_POSITIONS = table(
    "cluster_positions",
    "where clusters of two and more models stand on the map",
    "cluster",
    "cluster",
    *_PLACE,
)
CLUSTER_LINKS = table(
    "cluster_links",
    "clusters with members among each other's nearest features, and the highest r of two members",
    "cluster_a cluster_b",
    identity("cluster_a", "a cluster of two and more models"),
    identity("cluster_b", "another one"),
    correlation("r", "highest r over all evaluation rows of two members that are near each other", span="0.3 to 1"),
)  # fmt: skip
DOCUMENTS = table(
    "documents", "the documents of the corpus by domain, part and digest, without their text", "document",
    identity("document", "number of the document"),
    "domain",
    word("source", "any", "where in its source the document stood"),
    word("part", "sae_a, sae_b, validation, fit, score", "what it was used for; training is both halves"),
    count("n_tokens", "length of the document", unit="tokens"),
    _DIGEST,
)  # fmt: skip
VOCABULARY = table(
    "vocabulary", "the tokenizer's tokens as bytes (hexadecimal) and text", "token",
    column("token", "int32", "id", ID, "token id"),
    word("bytes", "hexadecimal", "the token's bytes", "bytes"),
    word("text", "any", "the same as text; bytes that are no UTF-8 as a replacement character", "text"),
    column("special", "bool", "yes or no", "true, false",
           "whether it is a special token, such as the separator"),
)  # fmt: skip
TEXTS = table(
    "texts", "the documents of the corpus with their text", "document",
    identity("document", "number of the document"),
    word("text", "any", "the document", "text"),
    "domain",
    *DOCUMENTS.pick("source"),
    word("origin", "any", "the source in the recipe that gave it"),
    identity("unit", "number of the file, row or catalogue that it was cut from"),
    count("n_bytes", "length of the document", unit="bytes"),
    _DIGEST,
    identity("group", "documents that are dealt to parts together"),
    *DOCUMENTS.pick("part"),
    count("repeats", "how often training reads it", "1 and up"),
)  # fmt: skip


def _of_comparisons(*schemas: TableSchema) -> list[TableSchema]:
    return [schema.under(COMPARISON_ID) for schema in schemas]


def _of_models(*schemas: TableSchema) -> list[TableSchema]:
    return [schema.under(COMPARISON_ID, _BY_NAME["model"]) for schema in schemas]


_INNER = (TEXTS, science.MATCHED, science.NEURON_PAIRS, science.RAW_INDICES)
_STORED = (
    *_of_comparisons(
        science.HEADLINE, MODELS, DICTIONARY_DOMAINS, science.FEATURES, science.PAIRS, science.CLUSTERS,
        science.VERDICTS, science.DOMAINS, science.INDICES, science.TAU_CURVE, science.K_OF_M, science.BASELINES,
        science.NULL_QUANTILES, science.NULL_RATES, science.CANDIDATES,
    ),
    SWEEPS,
    *_of_comparisons(POSITIONS, CLUSTER_POSITIONS, CLUSTER_LINKS),
    *_of_models(science.LATENT_DOMAINS, science.CONTEXTS, science.HISTOGRAMS, science.LOGITS),
    DOCUMENTS, VOCABULARY, *_INNER,
)  # fmt: skip
#: Every table that a run stores, by name.
TABLES: Mapping[str, TableSchema] = {schema.name: schema for schema in _STORED}
#: Those among them that one step hands to another, and no report holds.
INNER = frozenset(schema.name for schema in _INNER)


def describe(name: str) -> DataFrame:
    """What every column of a table means, for notebooks.

    Args:
        name: the table's name in a run, for example "pairs".

    Returns:
        column, type, unit, range, meaning, missing (whether a value may be); one row per column, in their order.

    Raises:
        InputError: no run stores a table of that name.
    """
    import pandas as pd

    if name not in TABLES:
        near = get_close_matches(name, TABLES) or list(TABLES)
        raise InputError(must_be("table", "a run", f"one of {', '.join(TABLES)}", name, f"Try {near[0]!r}."))
    names = ["column", "type", "unit", "range", "meaning", "missing"]
    return pd.DataFrame(TABLES[name].columns, columns=names)
