"""Template text on how the dictionaries of a comparison are compared."""

from __future__ import annotations

from pipelines.report.prose.material import Material
from universality.compare.compare_config import CompareConfig

#: How partners are chosen.
ASSIGNMENTS = {
    "assignment": (
        "Partners are assigned one to one, maximising the summed correlation on the fit rows; a latent may stay alone "
        "[@kuhn1955; @jonker1987].",
        "Pairs outside the candidate lists are covered by the dual prices of the assignment: no one-to-one assignment "
        "over all pairs has a sum more than {Certificate} higher.",
    ),
    "max": ("The partner of a latent is the one of highest correlation on the fit rows, one-sided.",),
    "mutual": ("Partners are latents that are each other's highest correlation on the fit rows.",),
    "sinkhorn": (
        "Partners are those of an entropy-regularised transport plan over the correlations on the fit rows "
        "[@cuturi2013].",
    ),
}


def comparison_paragraphs(m: Material, comparison: str) -> list[list[str]]:
    """Correlation, assignment, chance, levels, clusters, verdicts, intervals."""
    if m.recipe is None:
        return []
    compare = m.recipe.compare
    several_domains = "documents" not in m.tables or m.tables["documents"]["domain"].nunique() > 1
    config = m.config(comparison)
    replicates = config is not None and config.replicates
    neurons = config is not None and config.neurons
    paragraphs = [
        _correlation(compare),
        _chance(compare),
        _levels(several_domains, replicates),
        _clusters(),
        _verdicts(replicates, m.recipe.models.n_untrained > 0),
        _controls(replicates, neurons, m.recipe.models.n_untrained > 0),
        _intervals(),
    ]
    return [paragraph for paragraph in paragraphs if paragraph]


def _correlation(compare: CompareConfig) -> list[str]:
    return [
        "A latent is *dead* if it fires on no evaluation token, *alive* if it fires on at least {MinFirings} fit rows "
        "and as many score rows, and *rare* otherwise; alive latents are the *features* that are compared.",
        "The similarity of two features of different models is the Pearson correlation $r$ of their activations over "
        "the shared rows, zeros included, as in earlier work on universality [@bricken2023; @gurnee2024; @lan2024].",
        "It needs no alignment of the two models' bases, as cosines of decoder directions would "
        "[@paulo2025; @song2025].",
        "On the fit rows it is computed exactly, in double precision, and the {NumCandidates} best candidates of every "
        "feature are kept for either direction.",
        *ASSIGNMENTS[compare.method],
        *(["Staying alone is worth {Unmatched} of correlation."] if compare.unmatched else []),
        "The *held-out* $r$ of a pair is its correlation on the score rows, which had no part in choosing it; all "
        "correlations reported are held out.",
    ]


def _chance(compare: CompareConfig) -> list[str]:
    return [
        "The highest of many correlations is never near zero, so chance is a distribution of maxima: the score rows "
        "of one model are rolled against those of the other by {NumShifts} random offsets, longer than any document "
        "and no multiples of the context length, and for every feature of either side the maximum of $r$ over the "
        "other side is recorded.",
        "Shifts keep firing rates and bursts and destroy the alignment of the rows.",
        "Maxima are pooled over features with like numbers of firings and of documents (at least {MinStratumLatents} "
        "features and {MinStratumValues} maxima).",
        "The $p$ of an assigned pair is the share of pooled maxima that reach its held-out $r$ (the pair itself "
        "counted as one of them), and the larger of both sides' shares.",
        "Within each pair of models $q$ is the Benjamini–Hochberg false-discovery rate [@benjamini1995] in a family "
        "of as many hypotheses as the smaller side has features, those without a partner counting as maximal $p$; a "
        r"pair is beyond chance if $q < {Alpha}$.",
    ]


def _levels(several_domains: bool, replicates: bool) -> list[str]:
    single = (
        "the level of its pair with the replicate of its own model, where it has such a pair, and else *untested*"
        if replicates
        else "*untested*"
    )
    if not several_domains:
        return [
            "Without domain labels the level of every pair, that is, what explains it, stays *untested*.",
        ]
    return [
        "Correlation beyond chance may come from shared domains, documents or tokens alone, so every pair gets the "
        "coarsest *level* that explains it.",
        r"The level is *domain* if shifts within each domain explain it ($q \geq {Alpha}$ under this second null) or "
        r"if $r < {Tau}$ once every document's mean is removed; *token* if $r < {Tau}$ once the means of every token "
        "and of every position are removed (token-conditional $r$); and *context* if it survives all three.",
        "A cluster has the coarsest level of its edges; a feature without a partner in another model has "
        f"{single}.",
    ]


def _clusters() -> list[str]:
    return [
        r"Assigned pairs with $q < {Alpha}$ and held-out $r \geq {Tau}$ are the edges of a graph of features.",
        "In the order of falling $r$, clusters join along edges if no model would be in the union twice and the mean "
        r"held-out $r$ over all pairs of a member of one and a member of the other is at least $\tau = {Tau}$.",
        "A feature is *universal* if its cluster holds a feature of all {NumModelsWord} models, *shared* if it holds "
        "features of some but not all, and *specific* if it stands alone.",
        r"Because these classes depend on $\tau$, they are also computed at $\tau =$ {Taus}.",
    ]


def _verdicts(replicates: bool, untrained: bool) -> list[str]:
    reasons = [
        "*contested* (a latent reaches it there, but is the partner of another or was refused by the cluster rule)",
    ]
    if replicates:
        reasons.insert(0, "*unstable* (no latent of the own model's replicate reaches $\\tau$)")
    reasons += [
        "*split* (a non-negative combination of at most {SplitPieces} latents explains a fraction of at least "
        "{TauSquared} of its variance on the score rows, {SplitGain} more than the best single one)",
        "*part_of* (it is a piece of such a combination for one latent there)",
    ]
    beside = " and more than from the untrained model" if untrained else ""
    reasons += [
        "*decodable* (a linear probe predicts it from the other model's raw activations with at least {ProbeShare} "
        f"of the held-out correlation that the same probe reaches on its own model{beside})",
        "*near_threshold* (the interval of its best $r$ there reaches $\\tau$)",
        "*weak* (beyond chance, but below $\\tau$)",
    ]
    last = "*absent*" if replicates else "*untested*, since stability in a replicate could not be tested"
    return [
        "For every feature and every model missing from its cluster, the first reason that holds is recorded: "
        f"{'; '.join(reasons)}; otherwise {last}."
    ]


def _controls(replicates: bool, neurons: bool, untrained: bool) -> list[str]:
    found = []
    if neurons:
        found.append("the raw activation basis (*neurons*)")
    if replicates:
        found.append("two dictionaries of one model (*ceiling*)")
    if untrained:
        found.append("dictionaries of untrained models (*floor*)")
    if not found:
        return []
    listed = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"
    return [
        f"The same estimator, with assignment on fit rows and $r$ on score rows, was applied to {listed}."
    ]


def _intervals() -> list[str]:
    return [
        "Intervals are {Confidence}% bootstrap intervals [@efron1979] over {NumResamples} resamples of whole score "
        "documents, with the assignment held fixed and the same resamples for all pairs; tokens are not independent "
        "and are never resampled.",
        "The interval of the chance level is over shifts.",
        "These intervals vary over text, not over models or seeds.",
    ]
