"""The text of a run: which template stands where, and the facts that decide which of its sentences are there."""

import re
from typing import Any

import pandas as pd

from pipelines.recipe import NativeModels
from pipelines.report.prose.comparison_numbers import STEERING
from pipelines.report.prose.macros import Macros
from pipelines.report.prose.material import Material
from pipelines.report.prose.study_numbers import study_facts, study_scope
from pipelines.report.prose.sweep_numbers import scope
from pipelines.report.prose.template import Section, filled, folded, markdown_sentence, sections, unknown
from pipelines.report.prose.word_numbers import has_words
from pipelines.sweep_config import SweepConfig
from results.effect_frames import effect_rows
from results.frames import partnered_wholes
from results.headline import QUANTITIES
from results.kept_comparison import is_kept
from results.probe_frames import KINDS, probe_summary
from results.steering_frames import steering_summary
from results.stored_comparison import CORPUS
from results.tokenizers import aligned
from results.words import EFFECT_PARTNERS, LEVELS, STEERED_BY
from universality.sae.architectures import ARCHITECTURES
from universality.verdicts import VERDICTS

TODO = "TODO (authors)"


def methods_sections(m: Material) -> list[Section]:
    """The text of a run without its limitations: a word on top where it is not finished, methods, findings, sweeps,
    studies."""
    unfinished = [item for item in m.missing if item.startswith(("step ", "table "))]
    facts = {"several_domains": _several_domains(m), "by_source": _by_source(m), "unfinished": unfinished}
    facts["brought"] = is_kept(m.run.record)
    text = sections("methods", recipe=m.recipe, native=_native(m), aligned=aligned(m.run.record), **facts)
    if m.recipe is not None:
        for comparison in m.comparisons:
            text += sections("comparison", m.scope(comparison), **_comparison_facts(m, comparison))
        for sweep in m.recipe.sweeps:
            text += sections("sweep", scope(sweep.id), **_sweep_facts(m, sweep))
        for study in m.recipe.studies:
            text += sections("study", study_scope(study.id), study=study, **study_facts(m, study))
    return text


def checklist_text(m: Material, macros: Macros) -> str:
    """A checklist along the lines of NeurIPS and ACL: Markdown, ticked where the run knows the answer."""

    def item(match: re.Match[str]) -> str:
        question, answer = match[1], match[2].strip()
        answered = bool(answer) and not unknown(answer, macros)
        return f"- [{'x' if answered else ' '}] {question} {markdown_sentence(answer, macros) if answered else TODO}"

    facts = {"alone": len(m.comparisons) == 1, "licences": _licences(m), "by_source": _by_source(m)}
    text = filled("checklist.md", **facts)
    return re.sub(r"^- (\*\*.+?\*\*)(.*)$", item, folded(text), flags=re.M)


def _native(m: Material) -> bool:
    """Whether every transformer was trained here."""
    return m.recipe is not None and all(isinstance(group, NativeModels) for group in m.recipe.groups)


def _licences(m: Material) -> list[str]:
    """What the corpus step knows; nothing where the text came from the user, or where models did."""
    packages = (m.facts(CORPUS).get("packages") or []) if _native(m) else []
    return [f"{p['package']} {p['version']}: {p['licence']}" for p in packages]


def _several_domains(m: Material) -> bool:
    """Whether the text has labels to tell domains apart; before it is read, it may."""
    return "documents" not in m.tables or m.tables["documents"]["domain"].nunique() > 1


def _by_source(m: Material) -> bool:
    """Whether fit and score share no source; runs of older versions were split by document alone."""
    return "documents" not in m.tables or "source_group" in m.tables["documents"]


def _comparison_facts(m: Material, comparison: str) -> dict[str, Any]:
    """What ``comparison.md.j2`` is given. A table that is still to come counts as having everything."""
    config, recipe = m.config(comparison), m.recipe
    pairs, features = m.of(comparison, "pairs"), m.of(comparison, "features")
    return {
        "recipe": recipe,
        "config": config,
        "suffix": f" ({comparison})" if len(m.comparisons) > 1 else "",
        "several_domains": _several_domains(m),
        "unit": "source" if _by_source(m) else "document",
        "replicates": config is not None and config.replicates is True,
        "twice_untrained": config is not None and bool(config.replicates),
        "neurons": config is not None and config.neurons,
        "untrained": recipe is not None and bool(recipe.untrained_ids),
        "quantities": {name: quantity.macro for name, quantity in QUANTITIES.items()},
        "pair_levels": _levels(pairs),
        "class_levels": {
            name: _levels(None if features is None else features[features["class"] == name])
            for name in ("universal", "shared", "specific")
        },
        "wholes": features is not None and bool(partnered_wholes(features).any()),
        **_dictionary_facts(m.of(comparison, "models")),
        **_headline_facts(m.of(comparison, "headline")),
        **_space_facts(m.of(comparison, "spaces"), older=features is not None),
        "effects": _effect_kinds(m.of(comparison, "effect_agreement")),
        "effects_chosen": _chosen_kinds(m.of(comparison, "effect_agreement")),
        "attributed": _attributed_kinds(m.of(comparison, "attribution")),
        "labelled": _labelled(m.of(comparison, "labels"), features),
        "worded": has_words(m.of(comparison, "explained")),
        **_known_facts(m.of(comparison, "probes"), m.of(comparison, "explanation_transfer")),
        **_steering_facts(m, comparison),
        **_verdict_facts(m.of(comparison, "verdicts")),
    }


def _labelled(labels: pd.DataFrame | None, features: pd.DataFrame | None) -> str:
    """Whether features have labels ("own"), and features of untrained models too ("floor"); empty for neither."""
    if labels is None or features is None or labels.empty:
        return ""
    return "own" if labels["model"].isin(features["model"]).all() else "floor"


def _known_facts(probes: pd.DataFrame | None, explained: pd.DataFrame | None) -> dict[str, Any]:
    """Labels whose partners were asked, kinds of these partners; kinds of partners that were explained."""
    facts: dict[str, Any] = {"probed": [], "probed_kinds": [], "explained": []}
    if probes is not None and not probes.empty:
        rows = probe_summary(probes)
        rows = rows[rows["matched"].notna()]
        facts["probed"] = [str(label) for label in rows["label"]]
        facts["probed_kinds"] = [kind for kind in KINDS[1:] if len(rows) and rows[kind].notna().all()]
    if explained is not None:
        edges = explained[explained["level"] == "edges"]
        facts["explained"] = [kind for kind in KINDS if (edges["kind"] == kind).any()]
    return facts


def _steering_facts(m: Material, comparison: str) -> dict[str, Any]:
    """The clusters that were steered, and whose directions models were steered by; none before they are there."""
    tables = [m.of(comparison, name) for name in STEERING]
    clusters, doses, transfer = tables
    if clusters is None or doses is None or transfer is None:
        return {"steered": [], "steered_by": [], "not_steerable": 0}
    rows = steering_summary(clusters, doses, transfer)
    arms = [arm for arm in STEERED_BY if rows[f"t_{arm}"].notna().any()]
    problems = int((rows["problem"] != "").sum())
    return {
        "steered": [] if rows["steered"].isna().all() else list(rows["domain"]), "steered_by": arms,
        "not_steerable": problems,
    }  # fmt: skip


def _dictionary_facts(models: pd.DataFrame | None) -> dict[str, Any]:
    """What the compared dictionaries are called, whom they are due to, and what was measured of them."""
    facts: dict[str, Any] = {"kinds": [], "cite": "", "sparsity": False}
    facts["ce_recovered"] = models is None or _has(models, "ce_recovered")
    if models is not None and "architecture" in models:
        primary = models[models["role"] == "primary"]
        facts |= _named(dict.fromkeys(primary["architecture"].astype(str)))
        facts["sparsity"] = _has(primary, "sparsity")
    return facts


def _named(architectures: dict[str, None]) -> dict[str, Any]:
    """Names of architectures, and their citation."""
    keys = [ARCHITECTURES[name].citation for name in architectures if name in ARCHITECTURES]
    return {
        "kinds": [ARCHITECTURES[name].label if name in ARCHITECTURES else name for name in architectures],
        "cite": f" [{'; '.join(f'@{key}' for key in keys)}]" if keys else "",
    }


def _has(table: pd.DataFrame, column: str) -> bool:
    return column in table and bool(table[column].notna().any())


def _levels(table: pd.DataFrame | None) -> list[str]:
    """Levels that a table has, the finest first."""
    return [level for level in LEVELS if table is None or (table["level"] == level).any()]


def _headline_facts(headline: pd.DataFrame | None) -> dict[str, Any]:
    """Quantities that were measured, and those of them that have no interval."""
    if headline is None:
        return {"measured": set(QUANTITIES), "without_interval": set()}
    overall = headline[headline["pair"] == "overall"]
    lacking = overall[["low", "high"]].isna().any(axis=1)
    return {"measured": set(headline["quantity"]), "without_interval": set(overall.loc[lacking, "quantity"])}


def _space_facts(spaces: pd.DataFrame | None, older: bool) -> dict[str, Any]:
    """Which coordinates features stand beside beyond tokens, with or without a floor; runs of before have neurons."""
    facts = {"all_coordinates": not (spaces is None and older), "spaces": [], "spaces_floor": False}
    if spaces is None or spaces.empty or spaces["haar"].isna().any():
        return facts
    joint = spaces[spaces["measure"] == "r_joint"]
    others = joint.loc[~joint["space"].isin(["features", "features_subset", "haar"]), "space"]
    return {**facts, "spaces": list(others), "spaces_floor": _has(joint, "floor")}


def _attributed_kinds(attribution: pd.DataFrame | None) -> list[str]:
    """Kinds of partners whose first-order effects are known where both fire."""
    if attribution is None:
        return []
    known = attribution[attribution["edge"] & attribution["r_gradient_both"].notna()]
    return [kind for kind in EFFECT_PARTNERS if (known["kind"] == kind).any()]


def _chosen_kinds(effects: pd.DataFrame | None) -> list[str]:
    """Kinds of partners of which only some were measured."""
    if effects is None or effects.empty:
        return []
    rows = effect_rows(effects)
    return [str(kind) for kind in rows.loc[rows["n"] < rows["n_all"], "kind"]]


def _effect_kinds(effects: pd.DataFrame | None) -> list[str]:
    """Kinds of partners whose effects were measured."""
    return [] if effects is None or effects.empty else [str(kind) for kind in effect_rows(effects)["kind"]]


def _verdict_facts(verdicts: pd.DataFrame | None) -> dict[str, Any]:
    """Reasons that were given, in the order in which they are tested."""
    return {"reasons": [name for name in VERDICTS if verdicts is None or (verdicts["verdict"] == name).any()]}


def _sweep_facts(m: Material, sweep: SweepConfig) -> dict[str, Any]:
    """What ``sweep.md.j2`` is given."""
    table = m.tables.get("sweeps")
    return {
        "sweep": sweep,
        "any_frontier": table is None or bool(table.loc[table["sweep"] == sweep.id, "frontier"].any()),
        **_named(dict.fromkeys(str(sae.architecture) for _, sae in sweep.settings())),
    }
