"""The tables that the science makes: every column declared once.

Functions that build a frame take the order of its columns from here (``PAIRS.names``); steps check the frames that they
write; the data dictionary, the screens' help texts and the tests are read from here.
"""

from __future__ import annotations

from universality.schema import (
    COUNT,
    Column,
    TableSchema,
    column,
    correlation,
    count,
    identity,
    measure,
    share,
    word,
)  # fmt: skip

_MODELS = "m0, m1, …; m0r; u0"
_MODEL_MEANING = "model: m0, m1, … compared; m0r its second dictionary; u0, u1 untrained"
_LATENT_MEANING = "number of the latent in its dictionary, from 0"
_PAIR = "model_a latent_a model_b latent_b"

#: Columns that mean the same in every table that has no other column of that name.
SHARED = (
    *(word(name, _MODELS, _MODEL_MEANING, "id") for name in ("model", "model_a", "model_b")),
    *(identity(name, _LATENT_MEANING) for name in ("latent", "latent_a", "latent_b")),
    word("domain", "labels of the corpus", "domain of the text"),
    word("class", "universal, shared, specific",
         "universal: a feature of every model is in the cluster; shared: of some; specific: of one. Missing for "
         "latents that are not alive"),
    word("level", "domain, token, context, untested",
         "what explains a pair: its domain or documents, its token or position, or neither (context); of a cluster the "
         "coarsest of its edges, of a single feature that of its pair with the replicate of its model; untested "
         "without such a pair or without labels"),
    identity("cluster", "number of the cluster; larger, then more cohesive clusters first"),
    count("n_models", "models with a feature in the cluster; 0 if not alive", "0 to the number of models"),
    correlation("r", "Pearson correlation on the fit rows, from which pairs were chosen"),
    correlation("r_held_out", "Pearson correlation on the score rows, which chose nothing"),
    correlation("r_token", "held-out r after each token id's and each position's mean is removed"),
    correlation("r_low", "lower end of the interval of r_held_out, over resampled documents"),
    correlation("r_high", "upper end of that interval"),
    word("pair", "m0-m1, …, or overall", "the two dictionaries, or all pairs of models together", "id"),
    measure("low", "as value", "lower end of the interval, over resampled documents; of null_p95 over shifts",
            "as value"),
    measure("high", "as value", "upper end of that interval", "as value"),
    count("n", "what the value was computed from: pairs, latents, null values or rows"),
    count("n_rows", "score rows of the domain"),
    word("verdict", "unstable, contested, split, part_of, decodable, near_threshold, weak, absent, untested",
         "first reason that holds for a missing partner; missing where none is missing"),
    count("rank", "place in the list, best first", unit="rank"),
    share("auroc", "area under the ROC curve of the activation as a detector of the domain; 0.5 by chance"),
    identity("token", "token id"),
    count("n_features", "alive features"),
)  # fmt: skip


def table(name: str, meaning: str, key: str, *columns: Column | str) -> TableSchema:
    """A schema; a text among its columns names some of :data:`SHARED`, with "?" where a value may be missing.

    Args:
        name: the table's name in a run.
        meaning: what a row is, a phrase without a full stop.
        key: columns that together tell any two rows apart, with blanks between them.
        *columns: its columns in their order.
    """
    shared = {column.name: column for column in SHARED}
    declared: list[Column] = []
    for entry in columns:
        if isinstance(entry, Column):
            declared.append(entry)
        else:
            names = entry.split()
            declared += [shared[name.removesuffix("?")]._replace(nullable="?" in name) for name in names]
    return TableSchema(name, meaning, tuple(key.split()), tuple(declared))


HEADLINE = table(
    "headline", "median held-out r of assigned pairs, one row per quantity and pair of models", "quantity pair",
    word("quantity", "features, token_conditional, neurons, ceiling, untrained, null_p95", "what was measured"),
    "pair",
    correlation("value", "median held-out r of assigned pairs (token_conditional: of r_token); null_p95: 95th "
                "percentile of the maximum over candidates under shifted documents"),
    "low high",
    count("n", "assigned pairs; null_p95: null values"),
)  # fmt: skip
FEATURES = table(
    "features", "one row per latent of every model: status, class, level, best r, verdict", "model latent",
    "model latent",
    word("status", "alive, rare, dead",
         "fires often enough on fit and on score rows; fires, but too seldom; never fires"),
    word("flags", "dense, single_token, positional", "marks, joined by semicolons; empty for none", "words"),
    share("firing_rate", "evaluation rows on which the latent fires"),
    identity("cluster?", "cluster of the feature; missing for latents that are not alive"),
    "class? level? n_models",
    correlation("best_r", "highest held-out r to any latent of any other model"),
    "verdict?",
    measure("max_activation", "activation", "largest activation on the evaluation rows"),
    word("top_domain?", "labels of the corpus", "domain with most of the latent's activation; missing if dead"),
)  # fmt: skip
#: The pairs that one matching assigned; ``pairs`` has them of all pairs of models, with what they read and write.
MATCHED = table(
    "matched", "one row per assigned pair of latents of two dictionaries", _PAIR,
    _PAIR, "r r_held_out",
    column("p", "float64", "probability", "above 0, to 1",
           "chance of such a held-out r as a maximum over candidates, the larger of both sides"),
    share("q", "false-discovery rate of p (Benjamini-Hochberg, within the pair of models)", "rate"),
    share("q_domain?", "the same against shifts within each domain; missing without domains", "rate"),
    correlation("r_document", "held-out r after each document's mean is removed, and with it that of its domain"),
    "r_token? level",
    correlation("margin_a", "r minus what latent_a's best other partner is worth (0 if nothing), on the fit rows",
                span="-2 to 2"),
    correlation("margin_b", "the same for latent_b", span="-2 to 2"),
    word("method", "assignment, max, mutual, sinkhorn", "how partners were chosen"),
    "r_low r_high",
    share("jaccard", "score rows on which both fire over those on which either does"),
    count("n_both", "score rows on which both fire", unit="rows"),
    share("p_b_given_a", "score rows with b firing among those with a firing"),
    share("p_a_given_b", "score rows with a firing among those with b firing"),
)  # fmt: skip
#: What two assigned latents read and write; they chose no pair.
EFFECTS = (
    correlation("cos_procrustes?", "of decoder directions after the rotation that best maps raw activations of "
                "fit rows; missing without weights", "cosine"),
    correlation("r_logits?", "over the vocabulary, of the direct effects on the logits; missing without weights"),
    correlation("r_attribution?", "held-out, of activation x effect on the token that came next"),
)  # fmt: skip
PAIRS = TableSchema(
    "pairs", "one row per assigned pair of latents, with its chance level and margins", MATCHED.key,
    (*MATCHED.columns, *EFFECTS),
)  # fmt: skip
CLUSTERS = table(
    "clusters", "one row per group of features of different models that count as one", "cluster",
    "cluster class level n_models",
    share("completeness", "edges among the members over possible pairs; 1 for a single feature"),
    correlation("cohesion", "mean held-out r over all pairs of members; 1 for a single feature"),
    word("members", "m0:28;m1:41", "members as model:latent", "ids"),
)  # fmt: skip
VERDICTS = table(
    "verdicts", "why a feature has no partner in a model, one row per feature and missing model",
    "model latent other_model",
    "model latent",
    word("other_model", "m0, m1, …", "model that lacks the feature", "id"),
    "verdict",
    correlation("statistic", "what the verdict rests on: R² for split and part_of, else an r", "r or R²"),
)  # fmt: skip
#: Each domain's best latent of one model; ``domains`` has them of all models, with partners and controls.
BEST_LATENTS = table(
    "best_latents", "one row per domain of the text: the latent of a model that goes with it best", "domain",
    "domain",
    identity("latent", "the model's best latent for the domain, by Matthews correlation on fit rows"),
    "n_rows",
    correlation("mcc", "Matthews correlation of firing with the domain, on score rows", "correlation"),
    share("sensitivity", "rows of the domain on which it fires"),
    share("specificity", "rows of other domains on which it does not"),
    "auroc",
    correlation("proxy_r?", "held-out r with the log-likelihood ratio of the token under the domain"),
)  # fmt: skip
DOMAINS = table(
    "domains", "each model's best latent per domain of the text, its partner, and controls", "domain model",
    "domain model",
    *BEST_LATENTS.pick("latent n_rows mcc sensitivity specificity auroc"),
    word("partner_model?", "m0, m1, …", "model of its best assigned partner; missing without one", "id"),
    identity("partner_latent?", "that partner's latent"),
    correlation("r?", "held-out r with that partner"),
    "r_token? level?",
    identity("nearest_neuron?", "raw coordinate of the same model with the highest r on fit rows; missing without raw "
             "activations"),
    correlation("neuron_r?", "held-out r of the latent with that neuron"),
    correlation("untrained_r?", "the same as r for the best latents of untrained models, highest; the floor"),
    *BEST_LATENTS.pick("proxy_r"),
)  # fmt: skip
INDICES = table(
    "indices", "published similarity indices, each with its chance level", "name pair",
    word("name", "see the method", "the index"),
    "pair",
    measure("value", "as the index", "its value", "as the index"),
    measure("chance", "as value", "its value where nothing is shared", "as value"),
    measure("low?", "as value", "lower end of its interval; missing where it has none", "as value"),
    "high? n",
)  # fmt: skip
RAW_INDICES = TableSchema(
    "raw_indices", "indices of the raw activations of two models", INDICES.key, INDICES.columns
)
NEURON_PAIRS = table(
    "neuron_pairs", "one row per assigned pair of neurons (raw coordinates) of two models", _PAIR,
    "model_a", identity("latent_a", "number of the neuron"), "model_b", identity("latent_b", "number of the neuron"),
    "r r_held_out r_low r_high",
)  # fmt: skip
TAU_CURVE = table(
    "tau_curve", "features by class and level, over the threshold tau", "tau class level",
    share("tau", "threshold at which features were clustered", "r"),
    "class level n_features",
)  # fmt: skip
K_OF_M = table(
    "k_of_m", "clusters and features by number of models", "k",
    count("k", "number of models in a cluster", "1 to the number of models"),
    count("n_clusters", "clusters of exactly k models"),
    count("n_features", "alive features in them"),
    share("fraction", "their share of all alive features"),
)  # fmt: skip
BASELINES = table(
    "baselines", "assigned pairs of features, neurons, second dictionaries and untrained models", f"kind {_PAIR}",
    word("kind", "features, neurons, ceiling, untrained", "what was paired"),
    "model_a", identity("latent_a", "number of the latent, or of the neuron"),
    "model_b", identity("latent_b", "number of the latent, or of the neuron"),
    "r_held_out",
    correlation("r_token?", "as in pairs; missing for neurons"),
)  # fmt: skip
NULL_QUANTILES = table(
    "null_quantiles", "quantiles of the chance level (the maximum over candidates) per pair of models",
    "pair kind quantile",
    "pair",
    word("kind", "plain, domain", "shifts of whole documents anywhere, or within each domain"),
    measure("quantile", "share", "which quantile of the chance maxima", "above 0, below 1"),
    correlation("value", "the maximum over candidates at that quantile"),
)  # fmt: skip
NULL_RATES = table(
    "null_rates", "quantiles of the chance level by the firing rate of the latent, all pairs of models together",
    "left",
    share("left", "lowest firing rate of the bin"),
    share("right", "firing rate at which the bin ends; it belongs to the next, but for 1"),
    count("n", "null values: alive latents of the bin times shifts, over all pairs of models"),
    correlation("p05", "5th percentile of the maximum over candidates under shifted documents"),
    correlation("p50", "its median"),
    correlation("p95", "its 95th percentile"),
)  # fmt: skip
CANDIDATES = table(
    "candidates", "each latent's five best candidates in every other model, on the fit rows",
    "model_a latent_a model_b rank",
    _PAIR,
    count("rank", "place among latent_a's candidates in model_b", "1 to 5", "rank"),
    "r",
)  # fmt: skip
#: Tables of a :class:`universality.compare.assembly.Comparison`, by name.
COMPARISON = {
    schema.name: schema
    for schema in (
        FEATURES, PAIRS, VERDICTS, CLUSTERS, INDICES, HEADLINE, BASELINES, NULL_QUANTILES, NULL_RATES, TAU_CURVE,
        K_OF_M, CANDIDATES, DOMAINS,
    )
}  # fmt: skip

LATENT_DOMAINS = table(
    "latent_domains", "what share of a latent's activation lies in each domain", "latent domain",
    "latent domain auroc",
    share("share", "of the latent's activation that lies in the domain"),
)  # fmt: skip
CONTEXTS = table(
    "contexts", "evaluation rows where a latent is strongest, at each tenth of its range, and at random",
    "latent kind group rank",
    "latent",
    word("kind", "top, quantile, random", "why the context was taken"),
    count("group", "of quantile contexts: tenth of the contexts by their peaks, 9 the highest; else 0", "0 to 9",
          "rank"),
    "rank",
    identity("row", "evaluation row of the peak"),
    column("value", "float32", "activation", COUNT, "activation there"),
)  # fmt: skip
HISTOGRAMS = table(
    "histograms", "histogram of each latent's activations", "latent bin",
    "latent",
    identity("bin", "number of the bin, open at its lower edge and closed at its upper one"),
    measure("left", "activation", "lower edge"),
    measure("right", "activation", "upper edge"),
    count("count", "evaluation rows on which the activation lies in the bin", unit="rows"),
)  # fmt: skip
LOGITS = table(
    "logits", "tokens that a latent raises and lowers most", "latent side rank",
    "latent",
    word("side", "top, bottom", "raised or lowered"),
    "rank token",
    measure("value", "logit", "direct effect on the token's logit per unit of activation, centred over the vocabulary",
            "any"),
)  # fmt: skip
