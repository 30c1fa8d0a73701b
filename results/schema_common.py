"""What a column of a table holds, and the columns that mean the same in every table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Entry(NamedTuple):
    """What a column holds.

    Attributes:
        unit: unit of its numbers; "id", "word", "count", "share", "r" (a Pearson correlation) and the like.
        range: values that may stand there.
        meaning: one sentence without a full stop.
    """

    unit: str
    range: str
    meaning: str


R, ID, COUNT, SHARE = "-1 to 1", "0 and up", "0 and up", "0 to 1"
MODEL = Entry(
    "id", "m0, m1, …; m0r; u0", "model: m0, m1, … compared; m0r its second dictionary; u0, u1 untrained"
)
LATENT = Entry("id", ID, "number of the latent in its dictionary, from 0")
LEVEL = "domain, token, context, untested"
CLASS = "universal, shared, specific"
VERDICT = "unstable, contested, split, part_of, decodable, near_threshold, weak, absent, untested"

COMMON: Mapping[str, Entry] = {
    "comparison_id": Entry("id", "as in the recipe", "the comparison that the row belongs to"),
    "model": MODEL,
    "latent": LATENT,
    "model_a": MODEL,
    "latent_a": LATENT,
    "model_b": MODEL,
    "latent_b": LATENT,
    "domain": Entry("word", "labels of the corpus", "domain of the text"),
    "class": Entry(
        "word",
        CLASS,
        "universal: a feature of every model is in the cluster; shared: of some; specific: of one. Missing for latents "
        "that are not alive",
    ),
    "level": Entry(
        "word",
        LEVEL,
        "what explains a pair: its domain or documents, its token or position, or neither (context); of a cluster the "
        "coarsest of its edges, of a single feature that of its pair with the replicate of its model; untested without "
        "such a pair or without labels",
    ),
    "cluster": Entry("id", ID, "number of the cluster; larger, then more cohesive clusters first"),
    "n_models": Entry(
        "count", "0 to the number of models", "models with a feature in the cluster; 0 if not alive"
    ),
    "r": Entry("r", R, "Pearson correlation on the fit rows, from which pairs were chosen"),
    "r_held_out": Entry("r", R, "Pearson correlation on the score rows, which chose nothing"),
    "r_token": Entry("r", R, "held-out r after each token id's and each position's mean is removed"),
    "pair": Entry("id", "m0-m1, …, or overall", "the two dictionaries, or all pairs of models together"),
    "low": Entry(
        "as value", "as value", "lower end of the interval, over resampled documents; of null_p95 over shifts"
    ),
    "high": Entry("as value", "as value", "upper end of that interval"),
    "n": Entry("count", COUNT, "what the value was computed from: pairs, latents, null values or rows"),
    "n_rows": Entry("count", COUNT, "score rows of the domain"),
    "verdict": Entry(
        "word", VERDICT, "first reason that holds for a missing partner; missing where none is missing"
    ),
    "architecture": Entry("word", "topk, relu, …", "what decides which latents of the dictionary fire"),
    "d_sae": Entry("count", "1 and up", "latents of the dictionary"),
    "sparsity": Entry("words", "for example k 16", "the setting that makes the dictionary sparse"),
    "fvu": Entry(
        "share",
        "0 and up",
        "variance unexplained on score rows, about the mean (of the domain, where one is named)",
    ),
    "l0": Entry("latents", "0 to d_sae", "mean number of active latents per score row"),
    "dead_fraction": Entry("share", SHARE, "latents that fire on no score row"),
    "ce_clean": Entry("nats per token", COUNT, "cross-entropy of the transformer as it is"),
    "ce_spliced": Entry(
        "nats per token", COUNT, "the same with the reconstruction in place of the activations"
    ),
    "ce_zero": Entry("nats per token", COUNT, "the same with zeros in their place"),
    "ce_recovered": Entry("share", SHARE, "share of ce_zero - ce_clean that the reconstruction wins back"),
    "kl_spliced": Entry(
        "nats per token", COUNT, "divergence from the clean predictions with the reconstruction spliced in"
    ),
    "kl_zero": Entry("nats per token", COUNT, "the same with zeros"),
    "kl_recovered": Entry("share", SHARE, "share of kl_zero that the reconstruction wins back"),
    "n_dense": Entry("count", COUNT, "latents that fire on more than dense_rate of the rows"),
    "rank": Entry("rank", ID, "place in the list, best first"),
    "auroc": Entry(
        "share",
        SHARE,
        "area under the ROC curve of the activation as a detector of the domain; 0.5 by chance",
    ),
    "x": Entry("map units", "any", "place on the map; a picture, never evidence"),
    "y": Entry("map units", "any", "place on the map"),
    "token": Entry("id", ID, "token id"),
    "n_features": Entry("count", COUNT, "alive features"),
}
