"""Every column of the numbers behind the figures of a report: unit, range and meaning, said once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from results.schema import TABLES
from results.schema_common import COMMON, COUNT, ID, SHARE, Entry, R


class Numbers(NamedTuple):
    """What a file behind a figure holds.

    Attributes:
        meaning: what a row of it is, a phrase without a full stop.
        columns: its columns; of those that are not named, the meaning is that of the run's tables.
    """

    meaning: str
    columns: Mapping[str, Entry]


_PLACE = Entry("none", "any", "place on the map; only distances to others mean something")
_RATE = Entry("share", SHARE, "firing rate")
_SIDE = Entry("word", "run, or run/comparison", "the comparison")
_OF_ALIVE = Entry("share", SHARE, "the same as a share of all alive features")
_KIND = Entry("word", "features, neurons, ceiling, untrained, chance", "what was correlated")
_MEASURE = Entry(
    "word", "r_held_out, r_token", "held-out r, raw or with each token's and position's mean removed"
)
_MEDIAN = "median over models of the column of the same name in `domains`"

_CASES = {
    "case": Entry("words", "features, or a cluster", "the case study"),
    "remark": Entry("words", "any", "what is said of it"),
    "context": Entry("id", ID, "number of the context within the case"),
    "note": Entry("words", "any", "why the context is shown"),
    "place": Entry("id", ID, "number of the token within the context"),
    "token_text": Entry("text", "any", "the token, as JSON"),
    "peak": Entry("yes or no", "true, false", "whether the context was chosen for this token"),
    "feature": Entry("id", "m0:28", "model and latent"),
    "share": Entry("share", SHARE, "activation as a share of the latent's largest"),
}
_MODELS, _DOMAINS = TABLES["models"], TABLES["domains"]

#: By file below ``figures/``, without the comparison's name and the number of the page.
FIGURES: Mapping[str, Numbers] = {
    "correlation": Numbers(
        "a bin of a distribution of r",
        {
            "kind": _KIND,
            "measure": _MEASURE,
            "left": Entry("r", R, "lower end of the bin, within it"),
            "right": Entry("r", R, "upper end, outside it but for the last one"),
            "count": Entry(
                "count", COUNT, "pairs in the bin; missing for chance, which is rebuilt from quantiles"
            ),
            "fraction": Entry("share", SHARE, "share of the pairs of this kind"),
        },
    ),
    "correlation.lines": Numbers(
        "a line or number in the figure",
        {
            "kind": _KIND,
            "measure": _MEASURE,
            "value": Entry("r", R, "the statistic"),
            "tau": Entry("r", SHARE, "threshold of the run"),
            "at_least": Entry("share", SHARE, "share of the pairs at or above tau; missing for chance"),
            "n": Entry("count", COUNT, "pairs; missing for chance"),
            "statistic": Entry("words", "median, 95th percentile", "what value is"),
        },
    ),
    "classes": Numbers(
        "a class and level at a threshold",
        {
            "tau": Entry("r", SHARE, "threshold at which features were clustered"),
            "n_features": Entry("count", COUNT, "alive features of that class and level"),
            "fraction": _OF_ALIVE,
        },
    ),
    "classes.matrix": Numbers(
        "two models, in both orders",
        {
            "r": Entry("r", R, "median held-out r of assigned pairs; a model with itself: its ceiling"),
            "n": Entry("count", COUNT, "assigned pairs; 0 where nothing was compared"),
            "low": Entry("r", R, "lower end of the 95 % interval, over resampled documents"),
            "high": Entry("r", R, "upper end of that interval"),
        },
    ),
    "membership": Numbers(
        "a set of models",
        {
            "models": Entry("ids", "m0 m1 …", "the set"),
            "n_models": Entry("count", "1 and up", "models in the set"),
            "n_clusters": Entry("count", COUNT, "clusters with features of exactly these models"),
            "n_features": Entry("count", COUNT, "alive features in them"),
        },
    ),
    "membership.k_of_m": Numbers(
        "a number of models",
        {
            **TABLES["k_of_m"],
            "at_least": Entry("share", SHARE, "alive features in clusters of k models or more"),
        },
    ),
    "r_by_rate": Numbers(
        "a cell of firing rate and r that holds a pair",
        {
            "left": _RATE._replace(meaning="lower end of the firing rate, within the cell"),
            "right": _RATE._replace(meaning="upper end, outside it"),
            "bottom": Entry("r", R, "lower end of the held-out r, within the cell"),
            "top": Entry("r", R, "upper end, outside it"),
            "n": Entry("count", COUNT, "assigned pairs; each counts once for either latent"),
        },
    ),
    "r_by_rate.median": Numbers(
        "a bin of the firing rate",
        {
            "rate": _RATE._replace(meaning="middle of the bin on a logarithmic axis"),
            "r": Entry("r", R, "median held-out r of assigned pairs, from the cells"),
            "n": Entry("count", COUNT, "assigned pairs; each counts once for either latent"),
        },
    ),
    "r_by_rate.chance": Numbers("a bin of the firing rate", TABLES["null_rates"]),
    "dictionaries": Numbers("a dictionary", _MODELS),
    "firing_rates": Numbers(
        "a bin of a model's firing rates; the first one holds latents that never fire",
        {
            "left": _RATE._replace(meaning="lower end of the bin, within it"),
            "right": _RATE._replace(meaning="upper end, outside it but for the last one"),
            "n": Entry("count", COUNT, "latents"),
            "fraction": Entry("share", SHARE, "share of the model's latents"),
        },
    ),
    "frontier": Numbers(
        "a point of a sweep: means over its seeds that ended well",
        {
            **TABLES["sweeps"],
            "series": Entry("words", "any", "architecture and size, a line of the figure"),
            "n_seeds": Entry("count", COUNT, "seeds that ended well"),
        },
    ),
    "map": Numbers("an alive feature", {"x": _PLACE, "y": _PLACE}),
    "map.links": Numbers(
        "an assigned pair within one cluster",
        {
            **{f"{axis}_{side}": _PLACE for axis in "xy" for side in "ab"},
            "drawn": Entry("yes or no", "true, false", "whether the figure has room for its line"),
        },
    ),
    "cases": Numbers("a token of a context, by feature", _CASES),
    "pinned": Numbers("a token of a context, by feature", _CASES),
    "domains": Numbers(
        "a domain",
        {
            "n_models": Entry("count", "1 and up", "models in which a best latent was found"),
            "n_rows": _DOMAINS.get("n_rows", COMMON["n_rows"]),
            **{
                name: (_DOMAINS.get(name) or COMMON[name])._replace(meaning=_MEDIAN)
                for name in (
                    "mcc",
                    "sensitivity",
                    "specificity",
                    "auroc",
                    "r",
                    "r_token",
                    "neuron_r",
                    "untrained_r",
                )
            },
            "r_low": Entry("r", R, "least r over models"),
            "r_high": Entry("r", R, "largest r over models"),
            "level": COMMON["level"]._replace(meaning="most frequent level over models"),
        },
    ),
    "beside.headline": Numbers(
        "a quantity of a comparison",
        {
            **TABLES["headline"],
            "label": Entry("words", "any", "what the figure calls the quantity"),
            "side": _SIDE,
        },
    ),
    "beside.classes": Numbers(
        "a class and level of a comparison",
        {
            "side": _SIDE,
            "n": Entry("count", COUNT, "alive features of all models of that class and level"),
            "fraction": _OF_ALIVE,
        },
    ),
    "beside.curves": Numbers(
        "a class of a comparison at a threshold",
        {
            "side": _SIDE,
            "tau": Entry("r", SHARE, "threshold at which features were clustered"),
            "fraction": _OF_ALIVE._replace(meaning="share of all alive features"),
        },
    ),
}


def figure_entry(file: str, column: str) -> Entry | None:
    """What a column behind a figure holds, or None where nobody said.

    Args:
        file: key of :data:`FIGURES`.
        column: name of the column.
    """
    known = FIGURES.get(file)
    return None if known is None else known.columns.get(column) or COMMON.get(column)
