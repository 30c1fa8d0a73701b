"""Cautions of a run as limitations of a paper: their numbers become macros."""

import re
from typing import Any

from pipelines.report.prose.macros import Macros, Value, code, count, letters, percent, real, series, words
from pipelines.report.prose.material import Material
from pipelines.report.prose.template import Section, markdown_sentence
from results.cautions import Amount, Caution, comparison_cautions, run_cautions
from results.stored_comparison import n_score_sources


def find_limitations(m: Material, macros: Macros) -> list[Caution]:
    """The cautions of a run, those of the whole run first; adds a macro ``Limit…`` for every amount in them."""
    rows, recipe = m.evaluation_rows(), m.recipe
    of_run = run_cautions(
        n_models=len(recipe.model_ids) if recipe is not None and m.comparisons else None,
        n_score_rows=None if rows is None else rows[1],
        n_score_sources=n_score_sources(m.run),
        documents=m.tables.get("documents"),
        unfinished=[item for item in m.missing if item.startswith("step ")],
        warned=[str(warning["node"]) for warning in m.warnings],
    )
    cautions = list(of_run)
    tau = None if recipe is None else recipe.compare.tau
    for comparison in m.comparisons:
        tables = dict(m.parts.get(comparison, {}))
        tables |= {name: table for name, table in m.tables.items() if name == "documents"}
        cautions += comparison_cautions(tables, tau, comparison)
    for caution in cautions:
        macros.scoped(_scope(m, caution))
        for name, amount in caution.amounts.items():
            meaning = "threshold" if name == "threshold" else "what the run shows"
            macros.add(_macro(caution, name), _value(name, amount), f"limitation {caution.id}: {meaning}")
    macros.scoped(None)
    return cautions


def limitation_sections(m: Material, cautions: list[Caution]) -> list[Section]:
    """Limitations as lists, one section for the run and, where there are several, one per comparison."""
    if len(m.comparisons) <= 1:
        listed = [[_sentence(caution)] for caution in cautions]
        nothing = [["None of the limitations that are looked for was found in this run."]]
        return [Section("Limitations", listed or nothing, items=bool(listed))]
    sections = [
        Section(
            "Limitations" if comparison is None else f"Limitations ({comparison})",
            [[_sentence(caution)] for caution in cautions if caution.comparison == comparison],
            None if comparison is None else m.scope(comparison),
            items=True,
        )
        for comparison in (None, *m.comparisons)
    ]
    return [section for section in sections if section.paragraphs]


def limitation_values(m: Material, cautions: list[Caution], macros: Macros) -> list[dict[str, Any]]:
    """Limitations as JSON values."""
    values = []
    for caution in cautions:
        macros.scoped(_scope(m, caution))
        values.append(
            {
                "id": caution.id,
                "comparison_id": caution.comparison,
                "text": markdown_sentence(_sentence(caution), macros),
                "value": caution.number("value"),
                "threshold": caution.number("threshold"),
            }
        )
    macros.scoped(None)
    return values


def _scope(m: Material, caution: Caution) -> str | None:
    return None if caution.comparison is None else m.scope(caution.comparison)


def _macro(caution: Caution, amount: str) -> str:
    return f"Limit{letters(caution.id)}{'' if amount == 'value' else amount.title()}"


def _sentence(caution: Caution) -> str:
    """The sentence with macros in the place of its amounts."""
    return re.sub(r"\{(\w+)\}", lambda mark: f"{{{_macro(caution, mark[1])}}}", caution.sentence)


def _value(kind: str, amount: Amount) -> Value | None:
    if not isinstance(amount.value, (int, float)):
        return series((words if kind == "domains" else code)(name) for name in amount.value)
    if amount.kind == "count":
        return count(amount.value)
    return (percent if amount.kind == "percent" else real)(amount.value, amount.digits)
