"""Macros of one comparison: its dictionaries, settings and results."""

import numpy as np
import pandas as pd

from pipelines.report.prose.macros import (
    Field,
    Macros,
    code,
    count,
    count_span,
    letters,
    percent,
    real,
    series,
    setting,
    span,
    whole_percent,
    words,
)
from pipelines.report.prose.material import Material
from pipelines.report.prose.word_numbers import add_labels, add_words
from results.effect_frames import effect_rows
from results.frames import dictionary_roles, partnered_wholes
from results.headline import QUANTITIES
from results.probe_frames import KINDS, explanation_summary, probe_summary
from results.steering_frames import steering_summary
from results.stored_comparison import pair_node
from results.words import CLASSES, GROUPS, LEVELS, STEERED_BY, called
from universality.compare.compare_config import EDGE_SLACK, SHRINKAGE, CompareConfig
from universality.effects.push import UNIT_QUANTILE
from universality.verdicts import VERDICTS

#: Indices named in the text, with the digits of their macros.
INDICES = {
    "mean_of_median_r": "MeanOfMedianR",
    "cycle_consistency": "CycleConsistency",
    "raw_cka": "RawCka",
    "raw_svcca": "RawSvcca",
    "neuron_excess": "NeuronExcess",
    "mppc": "Mppc",
    "mutual_nearest_fraction": "MutualNearest",
}

#: Tables of what models write with features turned up.
STEERING = ("steering_clusters", "steering_doses", "steering_transfer")

_DICTIONARY_SETTINGS = (
    Field("SaeLr", setting, "peak_lr", "peak learning rate of the dictionaries"),
    Field("SaeBatchRows", count, "batch_rows"),
    Field("SaeWarmup", whole_percent, "warmup", "warmup, percent of the steps"),
    Field("SaeDecay", whole_percent, "decay", "decay, percent of the steps"),
    Field("SaeDeadAfter", count, "dead_after", "dead_after, rows"),
)
_COMPARE_SETTINGS = (
    Field("Tau", setting, "tau"),
    Field("TauSquared", lambda tau: setting(round(tau**2, 6)), "tau", "tau squared"),
    Field("Alpha", setting, "alpha"),
    Field("MinFirings", count, "min_firings"),
    Field("NumShifts", count, "n_shifts"),
    Field("NumCandidates", count, "top"),
    Field("Unmatched", setting, "unmatched"),
    Field("MinStratumLatents", count, "min_stratum_latents"),
    Field("MinStratumValues", count, "min_stratum_values"),
    Field("NumResamples", count, "n_resamples"),
    Field("NumResplits", count, "n_resplits"),
    Field("Confidence", whole_percent, "confidence", "confidence, percent"),
    Field("DenseRate", setting, "dense_rate"),
    Field("SplitPieces", count, "split_pieces"),
    Field("SplitGain", setting, "split_gain"),
    Field("ProbeShare", setting, "probe_share"),
    Field("ProbeFloor", setting, "probe_floor"),
    Field("NumRotations", count, "n_rotations"),
    Field("Taus", lambda taus: series(setting(tau) for tau in taus), "taus"),
)


def add_comparison_numbers(macros: Macros, m: Material, comparison: str) -> None:
    """Add every number of a comparison, under its name where there are several."""
    macros.scoped(m.scope(comparison))
    macros.add("Comparison", code(comparison), "id of the comparison")
    config = m.config(comparison)
    if config is not None and m.recipe is not None:
        macros.add("HookPoint", code(config.hook_point), "hook_point of the comparison")
        if config.sae is not None:
            macros.add_fields(config.sae, "; sae of the comparison", _DICTIONARY_SETTINGS)
        macros.add_fields(m.recipe.compare, "; compare of the recipe", _COMPARE_SETTINGS)
        # Fixed by the method, not by a recipe.
        macros.add(
            "Shrinkage",
            setting(SHRINKAGE),
            "rows of prior weight in a cell of tokens within domains or pairs",
        )
        macros.add("EdgeSlack", setting(EDGE_SLACK), "how far below tau r on fit rows and r without a source may lie")
    for table, add in {
        "models": _dictionaries,
        "features": _features,
        "clusters": _clusters,
        "headline": _headline,
        "effect_agreement": _effects,
        "attribution": _attribution,
        "probes": _probes,
        "explanation_transfer": _explanations,
        "spaces": _spaces,
        "verdicts": _verdicts,
        "indices": _indices,
        "k_of_m": _k_of_m,
        "explained": add_words,
    }.items():
        rows = m.of(comparison, table)
        if rows is not None:
            add(macros, rows)
    add_labels(macros, m.of(comparison, "labels"), m.of(comparison, "features"))
    _steering(macros, [m.of(comparison, name) for name in STEERING])
    pairs = m.of(comparison, "pairs")
    if pairs is not None and m.recipe is not None:
        _pairs(macros, pairs, m.recipe.compare)
    _certificate(macros, m, comparison)
    macros.scoped(None)


def _certificate(macros: Macros, m: Material, comparison: str) -> None:
    matchings = pair_node("matching", comparison)
    gaps = [
        facts["certificate"]
        for node in m.run.record["nodes"]
        if node.startswith(matchings) and "certificate" in (facts := m.facts(node))
    ]
    meaning = "largest gap to the optimum that the assignments leave open, in summed r; facts of steps matching"
    macros.add("Certificate", setting(float(f"{max(gaps):.1e}")) if gaps else None, meaning)


def _dictionaries(macros: Macros, models: pd.DataFrame) -> None:
    primary = models[models["role"] == "primary"]
    where = "primary dictionaries of table models"
    if "architecture" not in primary:
        return
    macros.add("NumDictionaries", count(len(models)), "dictionaries, all roles; table models")
    roles = dictionary_roles(models)
    for role, what in {
        "primary": "compared dictionaries", "replicate": "second dictionaries of compared models",
        "untrained": "dictionaries of untrained models",
        "untrained_replicate": "second dictionaries of untrained models",
    }.items():  # fmt: skip
        name = role.title().replace("_", "")
        macros.add(f"Num{name}Dictionaries", count(int((roles == role).sum())), f"{what}; table models")
    sparsity = list(dict.fromkeys(primary["sparsity"].dropna().astype(str))) if "sparsity" in primary else []
    macros.add("Sparsity", series(words(s) for s in sparsity), f"sparsity; {where}")
    tokens, dead = primary["sae_tokens"].dropna(), 100 * primary["dead_fraction"]
    macros.add("NumLatents", count_span(primary["d_sae"]), f"latents of a dictionary, d_sae; {where}")
    macros.add("DIn", count_span(primary["d_in"]), f"width of the activations, d_in; {where}")
    macros.add("SaeTokens", count_span(tokens), f"activations trained on, sae_tokens; {where}")
    macros.add("Fvu", span(primary["fvu"], 3), f"fraction of variance unexplained, fvu; {where}")
    macros.add("ActivePerToken", span(primary["l0"], 1), f"active latents per token, l0; {where}")
    macros.add("DeadPercent", span(dead, 1), f"percent of latents that never fire; {where}")
    if "ce_recovered" in primary:
        recovered = span(100 * primary["ce_recovered"], 1)
        macros.add("CeRecovered", recovered, f"percent of the loss recovered, ce_recovered; {where}")


def _features(macros: Macros, features: pd.DataFrame) -> None:
    where, alive = "table features", features[features["status"] == "alive"]
    macros.add("NumLatentsCompared", count(len(features)), f"latents of the compared models; {where}")
    for status in ("alive", "rare", "dead"):
        n = int((features["status"] == status).sum())
        macros.add(f"Num{status.title()}", count(n), f"latents with status {status}; {where}")
    total = max(len(alive), 1)
    wholes = count(int(partnered_wholes(alive).sum()))
    macros.add("NumPartneredWholes", wholes, f"alive features in clusters of several models, not partnered; {where}")
    for column, names in (("class", CLASSES), ("group", GROUPS)):
        for name in names:
            chosen = alive[alive[column] == name]
            title = f"{'Group' if column == 'group' else ''}{name.title()}"
            macros.add(f"Num{title}", count(len(chosen)), f"alive features of {column} {name}; {where}")
            meaning = f"percent of alive features of {column} {name}; {where}"
            macros.add(f"Percent{title}", percent(len(chosen) / total), meaning)
            for level in LEVELS:
                n = int((chosen["level"] == level).sum())
                meaning = f"alive features of {column} {name} and level {level}; {where}"
                macros.add(f"Num{title}{letters(level)}", count(n), meaning)


def _pairs(macros: Macros, pairs: pd.DataFrame, compare: CompareConfig) -> None:
    where = "table pairs"
    beyond = pairs["q"] < compare.alpha
    edges = pairs[pairs["edge"]]
    macros.add("NumPairs", count(len(pairs)), f"assigned pairs, all pairs of models; {where}")
    macros.add("NumPairsBeyondChance", count(int(beyond.sum())), f"assigned pairs with q < alpha; {where}")
    share = percent(float(beyond.mean())) if len(pairs) else None
    macros.add("PercentPairsBeyondChance", share, f"the same, percent; {where}")
    meaning = f"assigned pairs that count as one feature, edge; {where}"
    macros.add("NumPairsKept", count(len(edges)), meaning)
    meaning = f"of these, pairs whose covariance fewer than five sources make; {where}"
    macros.add("NumPairsFewSources", count(int(edges["few_sources"].sum())), meaning)
    for level in LEVELS:
        n = int((edges["level"] == level).sum())
        macros.add(f"NumPairsKept{letters(level)}", count(n), f"the same, of level {level}; {where}")


def _clusters(macros: Macros, clusters: pd.DataFrame) -> None:
    n = int((clusters["n_models"] >= 2).sum())
    macros.add("NumClusters", count(n), "clusters of two and more models; table clusters")
    for name in ("universal", "shared"):
        n = int((clusters["class"] == name).sum())
        macros.add(f"Num{name.title()}Clusters", count(n), f"clusters of class {name}; table clusters")


def _headline(macros: Macros, headline: pd.DataFrame) -> None:
    """Value, interval and count per quantity, over all pairs of models and for each."""
    macros.add("ChanceQuantile", count(95), "the quantile of quantity null_p95, percent; table headline")
    for row in headline.to_dict("records"):
        if row["quantity"] not in QUANTITIES:
            continue
        name, over = QUANTITIES[row["quantity"]].macro, QUANTITIES[row["quantity"]].over
        pair = str(row["pair"])
        suffix = "" if pair == "overall" else letters(pair)
        where = f"{over}, {'all pairs of models' if pair == 'overall' else pair}; table headline"
        kind = "95th percentile" if row["quantity"] == "null_p95" else "median held-out r"
        macros.add(f"R{name}{suffix}", real(row["value"]), f"{kind} of {where}")
        macros.add(f"R{name}{suffix}Low", real(row["low"]), f"lower end of the interval of R{name}{suffix}")
        macros.add(f"R{name}{suffix}High", real(row["high"]), f"upper end of the interval of R{name}{suffix}")
        macros.add(f"N{name}{suffix}", count(row["n"]), f"number of {where}")


def _spaces(macros: Macros, spaces: pd.DataFrame) -> None:
    """Mean r of every kind of coordinates, as it is and beyond document, token and position, beside random ones."""
    columns = {
        "value": "", "haar": "Haar", "floor": "Floor", "haar_floor": "HaarFloor", "above_haar": "AboveHaar",
        "above_haar_low": "AboveHaarLow", "above_haar_high": "AboveHaarHigh",
    }  # fmt: skip
    for row in spaces.to_dict("records"):
        name = f"Mean{letters(row['space'])}{'Joint' if row['measure'] == 'r_joint' else ''}"
        where = f"column {{}}, space {row['space']}, measure {row['measure']}; table spaces"
        for column, suffix in columns.items():
            macros.add(f"{name}{suffix}", real(row[column]), where.format(column))
        if row["measure"] == "r_held_out":
            macros.add(f"N{letters(row['space'])}Candidates", count(row["n"]), where.format("n"))


def _effects(macros: Macros, effects: pd.DataFrame) -> None:
    """How alike the effects of features and each kind of partner are, over all edges."""
    for row in effect_rows(effects).to_dict("records"):
        name, where = (
            letters(row["kind"]),
            f"column {{}}, edges of kind {row['kind']}, all pairs; table effect_agreement",
        )
        for column, macro in (("n", "NumEffect"), ("n_all", "NumEffectAll")):
            macros.add(f"{macro}{name}", count(row[column]), where.format(column))
        for column in ("r_effect", "r_effect_low", "r_effect_high", "r_effect_both"):
            macros.add(f"{letters(column)}{name}", real(row[column]), where.format(column))
        for column in ("same_effect", "other_effect", "recovered"):
            known = None if pd.isna(row[column]) else percent(row[column])
            macros.add(f"Percent{letters(column)}{name}", known, f"percent; {where.format(column)}")


def _steering(macros: Macros, tables: list[pd.DataFrame | None]) -> None:
    """What models write with features turned up: means over clusters, and each cluster's domain."""
    clusters, doses, transfer = tables
    if clusters is None or doses is None or transfer is None:
        return
    rows, where = steering_summary(clusters, doses, transfer), "tables steering_clusters and steering_doses"
    macros.add("NumSteered", count(len(rows)), f"clusters that are steered; {where}")
    if rows["steered"].isna().all():
        return
    macros.add("SteeringUnit", whole_percent(UNIT_QUANTILE), "percentile of a feature's activation that strength 1 is")
    macros.add("SteeringStrength", setting(float(rows["strength"].iloc[0])), f"strength of these numbers; {where}")
    macros.add("SteeredDomains", series(words(called(domain)) for domain in rows["domain"]), f"their domains; {where}")
    said = {"without": "without steering", "steered": "with it", "low": "with it, of the model that writes least",
            "random": "along random directions, the highest of any model, mean over clusters",
            "other": "along latents of other domains, the highest of any model, mean over clusters"}  # fmt: skip
    for name, what in said.items():
        macros.add(
            f"PercentSteering{letters(name)}", percent(rows[name].mean()), f"tokens of the domain {what}; {where}"
        )
    for domain, one in rows.set_index("domain").iterrows():
        spread = span(100 * one[["low", "high"]].astype(float), 0)
        macros.add(f"PercentSteered{letters(str(domain))}", spread, f"percent of {domain} with steering; {where}")
    macros.add("SteeringNorm", real(rows["norm_ratio"].max()), f"highest norm ratio of these features; {where}")
    macros.add("SteeringFound", percent(rows["hit"].min(), 0), f"least hit of these domains; {where}")
    for arm in STEERED_BY:
        for name, title in (("t", "Transfer"), ("ratio", "TransferRatio")):
            value = real(float(rows[f"{name}_{arm}"].mean()))
            macros.add(f"{title}{letters(arm)}", value, f"mean over clusters, arm {arm}; table steering_transfer")


def _attribution(macros: Macros, attribution: pd.DataFrame) -> None:
    """The same to first order, and what that is worth."""
    edges = attribution[attribution["edge"]]
    for kind, of in edges.groupby("kind"):
        for column in ("r_gradient", "r_gradient_both"):
            known = of[column].dropna()
            where = f"mean of column {column}, edges of kind {kind}, all pairs; table attribution"
            macros.add(f"{letters(column)}{letters(str(kind))}", real(known.mean()) if len(known) else None, where)
    known = edges.loc[edges["kind"] == "matched", ["r_exact_a", "r_exact_b"]].to_numpy(float)
    known = known[~np.isnan(known)]
    where = "median of columns r_exact_a and r_exact_b, matched edges; table attribution"
    macros.add("MedianRExact", real(float(np.median(known))) if len(known) else None, where)


def _probes(macros: Macros, probes: pd.DataFrame) -> None:
    """How well the best latents tell labels that nothing was trained on, and how much of that partners tell."""
    for row in probe_summary(probes).to_dict("records"):
        label, where = letters(str(row["label"]).replace(" ", "_")), f"of label {row['label']}; table probes"
        macros.add(f"ProbeAuc{label}", real(row["auc"]), f"mean area of the models' best latents, {where}")
        for kind in KINDS:
            known = None if pd.isna(row[kind]) else real(row[kind])
            name = f"ProbeTransfer{letters(kind)}{label}"
            macros.add(name, known, f"mean transfer to partners of kind {kind}, {where}")


def _explanations(macros: Macros, transfer: pd.DataFrame) -> None:
    """How far explanations of features hold for partners, over all edges, and for matched ones by level."""
    for row in explanation_summary(transfer).to_dict("records"):
        level = "" if row["level"] == "edges" else letters(row["level"])
        where = f"kind {row['kind']}, level {row['level']}; table explanation_transfer"
        for column in ("own", "score", "transfer", "transfer_low", "transfer_high"):
            name = f"Explanation{letters(column)}{letters(row['kind'])}{level}"
            macros.add(name, None if pd.isna(row[column]) else real(row[column]), f"column {column}, {where}")


def _verdicts(macros: Macros, verdicts: pd.DataFrame) -> None:
    where = "table verdicts"
    macros.add("NumVerdicts", count(len(verdicts)), f"alive features times models that lack them; {where}")
    lacked = count(len(verdicts[["model", "latent"]].drop_duplicates()))
    macros.add("NumFeaturesLacked", lacked, f"alive features that some model lacks; {where}")
    for verdict in VERDICTS:
        n, name = int((verdicts["verdict"] == verdict).sum()), letters(verdict)
        macros.add(f"NumVerdict{name}", count(n), f"rows of verdict {verdict}; {where}")
        if len(verdicts):
            macros.add(f"PercentVerdict{name}", percent(n / len(verdicts)), f"the same, percent; {where}")


def _indices(macros: Macros, indices: pd.DataFrame) -> None:
    """Indices over all models, or the mean over pairs of models, each beside its chance level."""
    for index, name in INDICES.items():
        rows = indices[(indices["kind"] == "features") & (indices["name"] == index)]
        if len(rows):
            where = f"index {index}, mean over pairs of models; table indices"
            macros.add(name, real(float(rows["value"].mean())), where)
            macros.add(f"{name}Chance", real(float(rows["chance"].mean())), f"chance level of {where}")


def _k_of_m(macros: Macros, k_of_m: pd.DataFrame) -> None:
    for row in k_of_m.to_dict("records"):
        k = letters(str(int(row["k"])))
        meaning = f"percent of alive features in clusters of exactly {row['k']} models; table k_of_m"
        macros.add(f"PercentModels{k}", percent(row["fraction"]), meaning)
