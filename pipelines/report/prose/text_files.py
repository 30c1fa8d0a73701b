"""Write the text of a report: ``methods``, ``macros.tex``, ``references.bib``, the checklist and the limitations."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from pipelines.report.prose.citations import bibliography, listed
from pipelines.report.prose.comparison_numbers import add_comparison_numbers
from pipelines.report.prose.limitations import find_limitations, limitation_sections, limitation_values
from pipelines.report.prose.macros import Macros, letters, words
from pipelines.report.prose.material import Material, material
from pipelines.report.prose.methods import checklist_text, methods_sections
from pipelines.report.prose.run_numbers import add_run_numbers
from pipelines.report.prose.study_numbers import add_study_numbers, study_scope
from pipelines.report.prose.sweep_numbers import add_sweep_numbers
from pipelines.report.prose.template import Section, cited, markdown_text, tex_text
from storage import Run

#: In the place of conclusions, where there are none.
NOTHING_FOUND = "The run has no finished comparison and no finished study."


def write_text(
    write: Callable[[str, str], None],
    run: Run,
    tables: Mapping[str, pd.DataFrame],
    missing: Sequence[str],
    warnings: Sequence[dict[str, str]],
    conclusions: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    """Write ``conclusions.tex``, ``methods``, ``macros.tex``, ``references.bib`` and the checklist.

    Args:
        write: takes a relative path and its text.
        run: the run; only read.
        tables: the run's tables by name.
        missing: what the report lacks, in words.
        warnings: ``{"node", "warning"}`` of every step that warned.
        conclusions: what was found, in sentences, by comparison and study.

    Returns:
        The limitations found: ``id, comparison_id, text, value, threshold``.
    """
    m = material(run, tables, list(missing), list(warnings))
    macros = run_macros(m)
    limitations = find_limitations(m, macros)
    sections = [*methods_sections(m), *limitation_sections(m, limitations)]
    keys = cited(sections)
    in_short = _conclusions(m, macros, conclusions)
    write("macros.tex", macros.tex())
    write("conclusions.tex", _TEX_HEAD + tex_text(in_short, macros))
    write("methods.tex", _TEX_HEAD + tex_text(sections, macros))
    write("methods.md", _markdown(sections, macros, keys))
    write("references.bib", bibliography(keys))
    write("checklist.md", checklist_text(m, macros))
    return limitation_values(m, limitations, macros)


def _conclusions(m: Material, macros: Macros, conclusions: Mapping[str, Sequence[str]]) -> list[Section]:
    """What was found, a list for each comparison and study; adds a macro for every sentence."""
    told = {name: sentences for name, sentences in conclusions.items() if sentences}
    listed = []
    for name, sentences in told.items():
        scope = m.scope(name) if name in m.comparisons else study_scope(name)
        macros.scoped(scope)
        items = [f"Conclusion{letters(str(number))}" for number, _ in enumerate(sentences, 1)]
        for item, sentence in zip(items, sentences, strict=True):
            macros.add(item, words(sentence), "what was found, a sentence of the first page")
        title = f"In short ({name})" if len(told) > 1 else "In short"
        listed.append(Section(title, [[f"{{{item}}}"] for item in items], scope, items=True))
    macros.scoped(None)
    return listed or [Section("In short", [[NOTHING_FOUND]])]


def run_macros(m: Material) -> Macros:
    """Every number of a run and of its comparisons."""
    macros = Macros()
    add_run_numbers(macros, m)
    for comparison in m.comparisons:
        add_comparison_numbers(macros, m, comparison)
    add_sweep_numbers(macros, m)
    add_study_numbers(macros, m)
    return macros


_TEX_HEAD = (
    "% Written from a finished run. \\input{macros} first; cite with references.bib.\n"
    "% Numbers are macros: when the run changes, they change, and the sentences stay.\n\n"
)


def _markdown(sections: Sequence[Section], macros: Macros, keys: Sequence[str]) -> str:
    references = ["## References", "", *listed(keys), ""] if keys else []
    return "\n".join(["# Methods and findings", "", markdown_text(sections, macros), *references])
