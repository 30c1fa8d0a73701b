"""Every column of every table that a run writes: unit, range and meaning, said once."""

from __future__ import annotations

from collections.abc import Mapping

from results.schema_common import COMMON, COUNT, ID, SHARE, Entry, R

#: Columns of a single table; they win over those that tables have in common.
TABLES: Mapping[str, Mapping[str, Entry]] = {
    "headline": {
        "quantity": Entry(
            "word", "features, token_conditional, neurons, ceiling, untrained, null_p95", "what was measured"
        ),
        "value": Entry(
            "r",
            R,
            "median held-out r of assigned pairs (token_conditional: of r_token); null_p95: 95th "
            "percentile of the maximum over candidates under shifted documents",
        ),
        "n": Entry("count", COUNT, "assigned pairs; null_p95: null values"),
    },
    "models": {
        "role": Entry(
            "word", "primary, replicate, untrained", "compared; second dictionary of a compared model; floor"
        ),
        "replicate_of": Entry("id", "m0, m1, …", "model whose second dictionary this is; missing for others"),
        "model_seed": Entry(
            "word", "number, untrained-0, or name", "seed of the transformer, or where it comes from"
        ),
        "sae_seed": Entry("word", "any", "seed of the dictionary; missing where it is not known"),
        "sae_source": Entry("word", "trained, path or hub name", "where the dictionary comes from"),
        "hook_point": Entry("name", "of TransformerLens", "where the dictionary reads"),
        "d_in": Entry("count", "1 and up", "width of the activations"),
        "k": Entry(
            "latents", "1 to d_sae", "latents that may fire per row; missing for architectures without"
        ),
        "train_tokens": Entry(
            "tokens", COUNT, "tokens that the transformer was trained on here; missing if elsewhere"
        ),
        "heldout_loss": Entry("nats per token", COUNT, "cross-entropy of the transformer on validation text"),
        "sae_tokens": Entry("rows", COUNT, "activations that the dictionary was trained on here"),
        "n_alive": Entry("count", COUNT, "latents with status alive"),
        "n_rare": Entry("count", COUNT, "latents with status rare"),
        "n_dead": Entry("count", COUNT, "latents with status dead"),
        "max_init_cosine": Entry("cosine", R, "largest cosine of a decoder row to its own initial value"),
        "decoder_norm_min": Entry("norm", COUNT, "smallest norm of a decoder row"),
        "decoder_norm_max": Entry("norm", COUNT, "largest norm of a decoder row"),
    },
    "features": {
        "status": Entry(
            "word",
            "alive, rare, dead",
            "fires often enough on fit and on score rows; fires, but too seldom; never fires",
        ),
        "flags": Entry(
            "words", "dense, single_token, positional", "marks, joined by semicolons; empty for none"
        ),
        "firing_rate": Entry("share", SHARE, "evaluation rows on which the latent fires"),
        "cluster": Entry("id", ID, "cluster of the feature; missing for latents that are not alive"),
        "best_r": Entry("r", R, "highest held-out r to any latent of any other model"),
        "max_activation": Entry("activation", COUNT, "largest activation on the evaluation rows"),
        "top_domain": Entry(
            "word", "labels of the corpus", "domain with most of the latent's activation; missing if dead"
        ),
    },
    "pairs": {
        "p": Entry(
            "probability",
            "above 0, to 1",
            "chance of such a held-out r as a maximum over candidates, the larger of both sides",
        ),
        "q": Entry(
            "rate", SHARE, "false-discovery rate of p (Benjamini-Hochberg, within the pair of models)"
        ),
        "q_domain": Entry(
            "rate", SHARE, "the same against shifts within each domain; missing without domains"
        ),
        "r_document": Entry(
            "r", R, "held-out r after each document's mean is removed, and with it that of its domain"
        ),
        "margin_a": Entry(
            "r",
            "-2 to 2",
            "r minus what latent_a's best other partner is worth (0 if nothing), on the fit rows",
        ),
        "margin_b": Entry("r", "-2 to 2", "the same for latent_b"),
        "method": Entry("word", "assignment, max, mutual, sinkhorn", "how partners were chosen"),
        "r_low": Entry("r", R, "lower end of the interval of r_held_out, over resampled documents"),
        "r_high": Entry("r", R, "upper end of that interval"),
        "jaccard": Entry("share", SHARE, "score rows on which both fire over those on which either does"),
        "n_both": Entry("rows", COUNT, "score rows on which both fire"),
        "p_b_given_a": Entry("share", SHARE, "score rows with b firing among those with a firing"),
        "p_a_given_b": Entry("share", SHARE, "score rows with a firing among those with b firing"),
        "cos_procrustes": Entry(
            "cosine",
            R,
            "of decoder directions after the rotation that best maps raw activations of "
            "fit rows; missing without weights",
        ),
        "r_logits": Entry(
            "r", R, "over the vocabulary, of the direct effects on the logits; missing without weights"
        ),
        "r_attribution": Entry("r", R, "held-out, of activation x effect on the token that came next"),
    },
    "clusters": {
        "completeness": Entry(
            "share", SHARE, "edges among the members over possible pairs; 1 for a single feature"
        ),
        "cohesion": Entry("r", R, "mean held-out r over all pairs of members; 1 for a single feature"),
        "members": Entry("ids", "m0:28;m1:41", "members as model:latent"),
    },
    "verdicts": {
        "other_model": Entry("id", "m0, m1, …", "model that lacks the feature"),
        "statistic": Entry("r or R²", R, "what the verdict rests on: R² for split and part_of, else an r"),
    },
    "domains": {
        "latent": Entry(
            "id", ID, "the model's best latent for the domain, by Matthews correlation on fit rows"
        ),
        "mcc": Entry("correlation", R, "Matthews correlation of firing with the domain, on score rows"),
        "sensitivity": Entry("share", SHARE, "rows of the domain on which it fires"),
        "specificity": Entry("share", SHARE, "rows of other domains on which it does not"),
        "partner_model": Entry("id", "m0, m1, …", "model of its best assigned partner; missing without one"),
        "partner_latent": Entry("id", ID, "that partner's latent"),
        "r": Entry("r", R, "held-out r with that partner"),
        "nearest_neuron": Entry(
            "id",
            ID,
            "raw coordinate of the same model with the highest r on fit rows; missing without raw activations",
        ),
        "neuron_r": Entry("r", R, "held-out r of the latent with that neuron"),
        "untrained_r": Entry(
            "r", R, "the same as r for the best latents of untrained models, highest; the floor"
        ),
        "proxy_r": Entry("r", R, "held-out r with the log-likelihood ratio of the token under the domain"),
    },
    "indices": {
        "name": Entry("word", "see the method", "the index"),
        "value": Entry("as the index", "as the index", "its value"),
        "chance": Entry("as value", "as value", "its value where nothing is shared"),
        "low": Entry("as value", "as value", "lower end of its interval; missing where it has none"),
    },
    "tau_curve": {
        "tau": Entry("r", SHARE, "threshold at which features were clustered"),
    },
    "k_of_m": {
        "k": Entry("count", "1 to the number of models", "number of models in a cluster"),
        "n_clusters": Entry("count", COUNT, "clusters of exactly k models"),
        "n_features": Entry("count", COUNT, "alive features in them"),
        "fraction": Entry("share", SHARE, "their share of all alive features"),
    },
    "baselines": {
        "kind": Entry("word", "features, neurons, ceiling, untrained", "what was paired"),
        "latent_a": Entry("id", ID, "number of the latent, or of the neuron"),
        "latent_b": Entry("id", ID, "number of the latent, or of the neuron"),
        "r_token": Entry("r", R, "as in pairs; missing for neurons"),
    },
    "null_quantiles": {
        "kind": Entry("word", "plain, domain", "shifts of whole documents anywhere, or within each domain"),
        "quantile": Entry("share", "above 0, below 1", "which quantile of the chance maxima"),
        "value": Entry("r", R, "the maximum over candidates at that quantile"),
    },
    "null_rates": {
        "left": Entry("share", SHARE, "lowest firing rate of the bin"),
        "right": Entry(
            "share", SHARE, "firing rate at which the bin ends; it belongs to the next, but for 1"
        ),
        "n": Entry(
            "count", COUNT, "null values: alive latents of the bin times shifts, over all pairs of models"
        ),
        "p05": Entry("r", R, "5th percentile of the maximum over candidates under shifted documents"),
        "p50": Entry("r", R, "its median"),
        "p95": Entry("r", R, "its 95th percentile"),
    },
    "candidates": {
        "rank": Entry("rank", "1 to 5", "place among latent_a's candidates in model_b"),
    },
    "sweeps": {
        "sweep": Entry("id", "as in the recipe", "the sweep that the row belongs to"),
        "point": Entry("words", "for example k 8, d_sae 512", "the settings of the point"),
        "seed": Entry("id", ID, "number of the SAE seed; points share seeds"),
        "status": Entry(
            "word", "ok, diverged, dead", "how the training ended; the measures of others than ok are missing"
        ),
        "seed_cosine": Entry(
            "cosine", R, "mean over latents of the largest decoder cosine to another seed's dictionary"
        ),
        "frontier": Entry(
            "yes or no", "true, false", "whether no other point is as sparse (within 1 %) and explains more"
        ),
    },
    "cluster_links": {
        "cluster_a": Entry("id", ID, "a cluster of two and more models"),
        "cluster_b": Entry("id", ID, "another one"),
        "r": Entry(
            "r", "0.3 to 1", "highest r over all evaluation rows of two members that are near each other"
        ),
    },
    "latent_domains": {
        "share": Entry("share", SHARE, "of the latent's activation that lies in the domain"),
    },
    "contexts": {
        "kind": Entry("word", "top, quantile, random", "why the context was taken"),
        "group": Entry(
            "rank",
            "0 to 9",
            "of quantile contexts: tenth of the contexts by their peaks, 9 the highest; else 0",
        ),
        "row": Entry("id", ID, "evaluation row of the peak"),
        "value": Entry("activation", COUNT, "activation there"),
    },
    "histograms": {
        "bin": Entry("id", ID, "number of the bin, open at its lower edge and closed at its upper one"),
        "left": Entry("activation", COUNT, "lower edge"),
        "right": Entry("activation", COUNT, "upper edge"),
        "count": Entry("rows", COUNT, "evaluation rows on which the activation lies in the bin"),
    },
    "logits": {
        "side": Entry("word", "top, bottom", "raised or lowered"),
        "value": Entry(
            "logit",
            "any",
            "direct effect on the token's logit per unit of activation, centred over the vocabulary",
        ),
        "token_text": Entry("text", "any", "the token as text"),
    },
    "documents": {
        "document": Entry("id", ID, "number of the document"),
        "source": Entry("word", "any", "where in its source the document stood"),
        "part": Entry(
            "word", "sae_a, sae_b, validation, fit, score", "what it was used for; training is both halves"
        ),
        "n_tokens": Entry("tokens", COUNT, "length of the document"),
        "digest": Entry("digest", "hexadecimal", "of the document's text"),
    },
    "vocabulary": {
        "bytes": Entry("bytes", "hexadecimal", "the token's bytes"),
        "text": Entry("text", "any", "the same as text; bytes that are no UTF-8 as a replacement character"),
        "special": Entry("yes or no", "true, false", "whether it is a special token, such as the separator"),
    },
}


def entry(table: str, column: str) -> Entry | None:
    """What a column of a table holds, or None where nobody said."""
    own = TABLES.get("pairs" if table == "pinned" else table, {})
    return own.get(column) or COMMON.get(column)
