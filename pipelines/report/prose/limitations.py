"""Limitations that a run itself reveals, each with its number; nothing that is true of every run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from pipelines.recipe import model_ids
from pipelines.report.prose.macros import Macros, Value, code, count, letters, percent, real, series
from pipelines.report.prose.material import Material
from pipelines.report.prose.template import Section, markdown_sentence
from universality.compare.marks import flagged_pairs

#: Fewer models say little about models at large; below it "universal" is a strong word.
FEW_MODELS = 5
#: Score rows below which the best of unrelated candidates is high for rare latents: its 95th percentile is r = 0.44
#: for a latent that fires 10 times in 100,000 rows, and 0.08 for one that fires 100 times in a million.
FEW_SCORE_ROWS = 1_000_000
#: Score documents below which a bootstrap over documents has few units.
FEW_SCORE_DOCUMENTS = 200
#: Share of a dictionary's latents that cannot be compared above which classes speak of a part of it.
MANY_NOT_ALIVE = 0.1
#: Unexplained variance, and recovered cross-entropy, beyond which a dictionary stands poorly for its activations.
POOR_FVU = 0.3
POOR_CE_RECOVERED = 0.9
#: Share of the raw median r below which the token-conditional one says that tokens explain most.
TOKENS_EXPLAIN = 0.5


class Limitation(NamedTuple):
    """Something that the run shows about itself.

    Attributes:
        id: stable name.
        comparison: id of the comparison, or None for the whole run.
        sentence: template text; its own numbers are ``{Limit…}`` macros.
        value: the number found; None where there is only a fact.
        threshold: the number it was held against, or None.
    """

    id: str
    comparison: str | None
    sentence: str
    value: float | None
    threshold: float | None


class Found:
    """Collects limitations and their macros."""

    def __init__(self, m: Material, macros: Macros) -> None:
        """Start with none."""
        self.m, self.macros = m, macros
        self.items: list[Limitation] = []
        self.comparison: str | None = None

    def add(
        self,
        name: str,
        sentence: str,
        value: float | None,
        threshold: float | None = None,
        *,
        shown: Mapping[str, Value | None],
    ) -> None:
        """Take one in; ``shown`` are the values of its macros, by the end of their names."""
        self.macros.scoped(None if self.comparison is None else self.m.scope(self.comparison))
        for end, given in shown.items():
            meaning = f"limitation {name}: {'threshold' if end == 'Threshold' else 'what the run shows'}"
            self.macros.add(f"Limit{letters(name)}{end}", given, meaning)
        self.macros.scoped(None)
        self.items.append(Limitation(name, self.comparison, sentence, value, threshold))


def find_limitations(m: Material, macros: Macros) -> list[Limitation]:
    """The limitations of a run, those of the whole run first; adds their macros."""
    found = Found(m, macros)
    _of_the_run(found)
    for comparison in m.comparisons:
        found.comparison = comparison
        _of_controls(found, comparison)
        _of_dictionaries(found, comparison)
        _of_results(found, comparison)
    return found.items


def limitation_sections(m: Material, found: list[Limitation]) -> list[Section]:
    """Limitations as lists, one section for the run and, where there are several, one per comparison."""
    if len(m.comparisons) <= 1:
        listed = [[limit.sentence] for limit in found]
        nothing = [["None of the limitations that are looked for was found in this run."]]
        return [Section("Limitations", listed or nothing, items=bool(listed))]
    sections = [Section("Limitations", [[x.sentence] for x in found if x.comparison is None], items=True)]
    sections += [
        Section(
            f"Limitations ({c})", [[x.sentence] for x in found if x.comparison == c], m.scope(c), items=True
        )
        for c in m.comparisons
    ]
    return [section for section in sections if section.paragraphs]


def limitation_values(m: Material, found: list[Limitation], macros: Macros) -> list[dict[str, Any]]:
    """Limitations as JSON values."""
    values = []
    for limit in found:
        macros.scoped(None if limit.comparison is None else m.scope(limit.comparison))
        text = markdown_sentence(limit.sentence, macros)
        values.append(
            {
                "id": limit.id,
                "comparison_id": limit.comparison,
                "text": text,
                "value": limit.value,
                "threshold": limit.threshold,
            }
        )
    macros.scoped(None)
    return values


def _of_the_run(found: Found) -> None:
    m = found.m
    unfinished = [item for item in m.missing if item.startswith("step ")]
    if unfinished:
        sentence = (
            "The run is not finished (steps without a result: {LimitUnfinished}); what needs them is missing."
        )
        found.add("unfinished", sentence, len(unfinished), shown={"": count(len(unfinished))})
    if m.recipe is not None and m.comparisons:
        n = len(model_ids(m.recipe))
        if n < FEW_MODELS:
            words = {"": count(n), "Threshold": count(FEW_MODELS)}
            sentence = (
                "Only {LimitFewModels} models were compared (fewer than {LimitFewModelsThreshold}): *universal* means "
                "present in all of these, and intervals do not cover the choice of models."
            )
            found.add("few_models", sentence, n, FEW_MODELS, shown=words)
    rows = m.evaluation_rows()
    if rows is not None and rows[1] < FEW_SCORE_ROWS:
        words = {"": count(rows[1]), "Threshold": count(FEW_SCORE_ROWS)}
        sentence = (
            "Correlations rest on {LimitFewScoreRows} score rows (fewer than {LimitFewScoreRowsThreshold}): for "
            "latents that fire rarely, even the best of unrelated candidates correlates noticeably."
        )
        found.add("few_score_rows", sentence, rows[1], FEW_SCORE_ROWS, shown=words)
    _of_text(found)
    if m.warnings:
        nodes = sorted({str(w["node"]) for w in m.warnings})
        words = {"": count(len(m.warnings)), "Steps": series(code(node) for node in nodes[:5])}
        sentence = "Warnings of steps: {LimitWarnings} (from {LimitWarningsSteps}); the report's README has the words."
        found.add("warnings", sentence, len(m.warnings), shown=words)


def _of_text(found: Found) -> None:
    documents = found.m.tables.get("documents")
    if documents is None:
        return
    score = int((documents["part"] == "score").sum())
    if score < FEW_SCORE_DOCUMENTS:
        words = {"": count(score), "Threshold": count(FEW_SCORE_DOCUMENTS)}
        sentence = (
            "Intervals resample {LimitFewScoreDocuments} score documents (fewer than "
            "{LimitFewScoreDocumentsThreshold}) and may be too narrow."
        )
        found.add("few_score_documents", sentence, score, FEW_SCORE_DOCUMENTS, shown=words)
    if documents["domain"].nunique() == 1:
        sentence = (
            "The text has {LimitOneDomain} domain: what a shared domain explains cannot be told from what it does not, "
            "and findings may not carry over to other text."
        )
        found.add("one_domain", sentence, 1, shown={"": count(1)})


def _of_controls(found: Found, comparison: str) -> None:
    config, recipe = found.m.config(comparison), found.m.recipe
    if config is None or recipe is None:
        return
    if not recipe.models.n_untrained:
        sentence = (
            "There are {LimitNoFloor} untrained models, so it is not known how much agreement text and architecture "
            "give without training."
        )
        found.add("no_floor", sentence, 0, shown={"": count(0)})
    if not config.replicates:
        sentence = (
            "There are {LimitNoCeiling} replicate dictionaries, so there is no ceiling: low agreement may come from "
            "the dictionaries and not from the models."
        )
        found.add("no_ceiling", sentence, 0, shown={"": count(0)})
    if not config.neurons:
        sentence = "The neuron baseline was not measured ({LimitNoNeurons} pairs of neurons)."
        found.add("no_neurons", sentence, 0, shown={"": count(0)})


def _of_dictionaries(found: Found, comparison: str) -> None:
    models = found.m.of(comparison, "models")
    if models is None or "d_sae" not in models:
        return
    primary = models[models["role"] == "primary"]
    share = float((1 - primary["n_alive"] / primary["d_sae"]).max())
    if share > MANY_NOT_ALIVE:
        words = {"": percent(share), "Threshold": percent(MANY_NOT_ALIVE, 0)}
        sentence = (
            "In one dictionary {LimitNotAlive}% of the latents are dead or too rare to compare (more than "
            "{LimitNotAliveThreshold}%); classes speak of the others only."
        )
        found.add("not_alive", sentence, share, MANY_NOT_ALIVE, shown=words)
    fvu = float(primary["fvu"].max())
    if fvu > POOR_FVU:
        words = {"": real(fvu), "Threshold": real(POOR_FVU, 1)}
        sentence = (
            "One dictionary leaves a fraction of {LimitPoorFvu} of the variance unexplained (more than "
            "{LimitPoorFvuThreshold})."
        )
        found.add("poor_fvu", sentence, fvu, POOR_FVU, shown=words)
    recovered = float(primary["ce_recovered"].min()) if "ce_recovered" in primary else float("nan")
    if recovered < POOR_CE_RECOVERED:
        words = {"": percent(recovered), "Threshold": percent(POOR_CE_RECOVERED, 0)}
        sentence = (
            "One dictionary recovers only {LimitPoorCeRecovered}% of the cross-entropy (less than "
            "{LimitPoorCeRecoveredThreshold}%)."
        )
        found.add("poor_ce_recovered", sentence, recovered, POOR_CE_RECOVERED, shown=words)


def _of_results(found: Found, comparison: str) -> None:
    indices, headline = found.m.of(comparison, "indices"), found.m.of(comparison, "headline")
    doubtful = flagged_pairs(indices) if indices is not None else []
    if doubtful:
        words = {"": count(len(doubtful)), "Pairs": series(code(pair) for pair in doubtful)}
        sentence = (
            "{LimitSharedInit} pairs of dictionaries seem to start from the same weights ({LimitSharedInitPairs}), "
            "which alone can make them agree."
        )
        found.add("shared_init", sentence, len(doubtful), shown=words)
    if headline is not None and found.m.recipe is not None:
        overall = headline[headline["pair"] == "overall"].set_index("quantity")["value"].to_dict()
        _of_headline(found, overall, found.m.recipe.compare.tau)


def _of_headline(found: Found, r: Mapping[Any, Any], tau: float) -> None:
    def known(*names: str) -> bool:
        return all(name in r and not pd.isna(r[name]) for name in names)

    if known("ceiling") and r["ceiling"] < tau:
        sentence = (
            r"Even two dictionaries of one model agree with a median $r$ of {LimitLowCeiling} only, below "
            r"$\tau = {LimitLowCeilingThreshold}$: many features are lost to the instability of dictionaries."
        )
        words = {"": real(r["ceiling"]), "Threshold": real(tau)}
        found.add("low_ceiling", sentence, float(r["ceiling"]), tau, shown=words)
    if known("untrained", "null_p95") and r["untrained"] > r["null_p95"]:
        sentence = (
            "Untrained models agree beyond chance (median $r$ of {LimitHighFloor}, chance {LimitHighFloorThreshold}): "
            "a part of the agreement needs no training."
        )
        words = {"": real(r["untrained"]), "Threshold": real(r["null_p95"])}
        found.add("high_floor", sentence, float(r["untrained"]), float(r["null_p95"]), shown=words)
    if known("features", "token_conditional") and r["token_conditional"] < TOKENS_EXPLAIN * r["features"]:
        share = float(r["token_conditional"] / r["features"]) if r["features"] else 0.0
        sentence = (
            "Without token and position means the median $r$ keeps {LimitTokensExplain}% of its size (less than "
            "{LimitTokensExplainThreshold}%): token identity and position account for much of the agreement."
        )
        words = {"": percent(share, 0), "Threshold": percent(TOKENS_EXPLAIN, 0)}
        found.add("tokens_explain", sentence, share, TOKENS_EXPLAIN, shown=words)
    if known("null_p95") and r["null_p95"] >= tau:
        sentence = (
            r"The chance level ({LimitHighChance}) reaches $\tau = {LimitHighChanceThreshold}$: "
            "the threshold does not keep chance out."
        )
        words = {"": real(r["null_p95"]), "Threshold": real(tau)}
        found.add("high_chance", sentence, float(r["null_p95"]), tau, shown=words)
