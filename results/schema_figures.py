"""The numbers behind the figures of a report, by file: what a row is, and what every column holds."""

from __future__ import annotations

from collections.abc import Mapping

from results.schema import MODELS, SWEEPS
from universality import table_schemas as science
from universality.schema import Column, TableSchema, column, correlation, count, identity, share, word
from universality.table_schemas import table

_KIND = word("kind", "features, neurons, ceiling, untrained, chance", "what was correlated")
_MEASURE = word(
    "measure", "r_held_out, r_token", "held-out r, raw or with each token's and position's mean removed"
)
_SIDE = word("side", "run, or run/comparison", "the comparison")
_TAU = share("tau", "threshold at which features were clustered", "r")
_OF_ALIVE = share("fraction", "the same as a share of all alive features")
_N_PAIRS = count("n", "assigned pairs; each counts once for either latent")
#: Columns of the figure "domains" that are medians over models.
MEDIANS = tuple(
    of._replace(meaning="median over models of the column of the same name in `domains`")
    for of in science.DOMAINS.pick("mcc sensitivity specificity auroc r r_token neuron_r untrained_r")
)
_CASES = (
    word("case", "features, or a cluster", "the case study", "words"),
    word("remark", "any", "what is said of it", "words"),
    identity("context", "number of the context within the case"),
    word("note", "any", "why the context is shown", "words"),
    identity("place", "number of the token within the context"),
    word("token_text", "any", "the token, as JSON", "text"),
    column("peak", "bool", "yes or no", "true, false", "whether the context was chosen for this token"),
    word("feature", "m0:28", "model and latent", "id"),
    share("share", "activation as a share of the latent's largest"),
)


def _places(*names: str) -> tuple[Column, ...]:
    meaning = "place on the map; only distances to others mean something"
    return tuple(column(name, "float32", "none", "any", meaning) for name in names)


_SCHEMAS = (
    table(
        "correlation", "a bin of a distribution of r", "kind measure left",
        _KIND, _MEASURE,
        correlation("left", "lower end of the bin, within it"),
        correlation("right", "upper end, outside it but for the last one"),
        count("count?", "pairs in the bin; missing for chance, which is rebuilt from quantiles"),
        share("fraction", "share of the pairs of this kind"),
    ),
    table(
        "correlation.lines", "a line or number in the figure", "kind measure",
        _KIND, _MEASURE,
        correlation("value", "the statistic"),
        share("tau", "threshold of the run", "r"),
        share("at_least?", "share of the pairs at or above tau; missing for chance"),
        count("n?", "pairs; missing for chance"),
        word("statistic", "median, 95th percentile", "what value is", "words"),
    ),
    table(
        "classes", "a class and level at a threshold", "tau class level",
        _TAU, "class level", count("n_features", "alive features of that class and level"), _OF_ALIVE,
    ),
    table(
        "classes.matrix", "two models, in both orders", "model_a model_b",
        "model_a model_b",
        correlation("r?", "median held-out r of assigned pairs; a model with itself: its ceiling"),
        count("n", "assigned pairs; 0 where nothing was compared"),
        correlation("low?", "lower end of the 95 % interval, over resampled documents"),
        correlation("high?", "upper end of that interval"),
    ),
    table(
        "membership", "a set of models", "models",
        word("models", "m0 m1 …", "the set", "ids"),
        count("n_models", "models in the set", "1 and up"),
        count("n_clusters", "clusters with features of exactly these models"),
        count("n_features", "alive features in them"),
    ),
    table(
        "membership.k_of_m", "a number of models", "k",
        *science.K_OF_M.columns, share("at_least", "alive features in clusters of k models or more"),
    ),
    table(
        "r_by_rate", "a cell of firing rate and r that holds a pair", "left bottom",
        share("left", "lower end of the firing rate, within the cell"),
        share("right", "upper end, outside it"),
        correlation("bottom", "lower end of the held-out r, within the cell"),
        correlation("top", "upper end, outside it"),
        _N_PAIRS,
    ),
    table(
        "r_by_rate.median", "a bin of the firing rate", "rate",
        share("rate", "middle of the bin on a logarithmic axis"),
        correlation("r", "median held-out r of assigned pairs, from the cells"),
        _N_PAIRS,
    ),
    table("r_by_rate.chance", "a bin of the firing rate", "left", *science.NULL_RATES.columns),
    table(
        "dictionaries", "a dictionary", "model",
        *MODELS.pick("model role architecture d_sae sparsity fvu l0 ce_recovered kl_recovered n_alive n_dense "
                     "dead_fraction heldout_loss sae_tokens"),
    ),
    table(
        "firing_rates", "a bin of a model's firing rates; the first one holds latents that never fire",
        "model left right",
        "model",
        share("left", "lower end of the bin, within it"),
        share("right", "upper end, outside it but for the last one"),
        count("n", "latents"),
        share("fraction", "share of the model's latents"),
    ),
    table(
        "frontier", "a point of a sweep: means over its seeds that ended well", "point",
        *SWEEPS.pick("point"),
        word("series", "any", "architecture and size, a line of the figure", "words"),
        *SWEEPS.pick("architecture d_sae sparsity l0 fvu ce_recovered kl_recovered dead_fraction"),
        SWEEPS["n_dense"]._replace(dtype="float64"),
        *SWEEPS.pick("seed_cosine"),
        count("n_seeds", "seeds that ended well"),
        *SWEEPS.pick("frontier"),
    ),
    table("map", "an alive feature", "model latent", "model latent", *_places("x", "y"), "class cluster"),
    table(
        "map.links", "an assigned pair within one cluster", "latent_a latent_b",
        "latent_a latent_b r_held_out", *_places("x_a", "y_a", "x_b", "y_b"),
        column("drawn", "bool", "yes or no", "true, false", "whether the figure has room for its line"),
    ),
    table("cases", "a token of a context, by feature", "case context place feature", *_CASES),
    table("pinned", "a token of a context, by feature", "case context place feature", *_CASES),
    table(
        "domains", "a domain", "domain",
        "domain", count("n_models", "models in which a best latent was found", "1 and up"), "n_rows",
        *MEDIANS,
        correlation("r_low?", "least r over models"),
        correlation("r_high?", "largest r over models"),
        word("level", "domain, token, context, untested", "most frequent level over models"),
    ),
    table(
        "beside.headline", "a quantity of a comparison", "quantity side",
        *science.HEADLINE.pick("quantity"),
        word("label", "any", "what the figure calls the quantity", "words"),
        _SIDE, *science.HEADLINE.pick("value low high n"),
    ),
    table(
        "beside.classes", "a class and level of a comparison", "side class level",
        _SIDE, "class level", count("n", "alive features of all models of that class and level"), _OF_ALIVE,
    ),
    table(
        "beside.curves", "a class of a comparison at a threshold", "side tau class",
        _SIDE, _TAU, "class", share("fraction", "share of all alive features"),
    ),
)  # fmt: skip
#: By file below ``figures/``, without the comparison's name and the number of the page.
FIGURES: Mapping[str, TableSchema] = {schema.name: schema for schema in _SCHEMAS}
