"""A reproducibility checklist along the lines of NeurIPS and ACL, filled in where the run knows the answer."""

from __future__ import annotations

from pipelines.recipe import NativeModels
from pipelines.report.prose.macros import Macros
from pipelines.report.prose.material import Material
from pipelines.report.prose.template import markdown_sentence, unknown

TODO = "TODO (authors)"


def checklist_text(m: Material, macros: Macros) -> str:
    """Markdown: one line per question, ticked where it is answered from the run."""
    lines = ["# Reproducibility checklist", ""]
    lines += [
        "Answers come from the run; what only authors can know is marked TODO. File names are those of this report.",
        "",
    ]
    for title, questions in _questions(m).items():
        lines += [f"## {title}", ""]
        for question, answer in questions:
            known = answer is not None and not unknown(answer, macros)
            shown = markdown_sentence(answer, macros) if known and answer is not None else TODO
            lines.append(f"- [{'x' if known else ' '}] **{question}** {shown}")
        lines.append("")
    return "\n".join(lines)


def _questions(m: Material) -> dict[str, list[tuple[str, str | None]]]:
    """Questions and answers in template form; None for what the run cannot know."""
    scope = m.comparisons[0] if len(m.comparisons) == 1 else None
    return {
        "Claims and scope": [
            ("Do the claims match what was measured?", None),
            ("Are limitations discussed?", "`methods.md`, section Limitations, lists those that the run reveals."),
        ],
        "Data": [
            ("Which data, and how much?", "{NumDocuments} documents, {NumTokens} tokens: {CorpusSources}."),
            ("How was it split?", "By whole documents: training {NumDocumentsTraining}, validation "
             "{NumDocumentsValidation}, fit {NumDocumentsFit}, score {NumDocumentsScore}; `tables/documents.parquet`."),
            ("Were duplicates removed?", "Yes, before the split ({NumDuplicates} documents)."),
            ("Licences of data and pretrained models?", _licences(m)),
            ("Personal or offensive content, consent?", None),
        ],
        "Experiments": [
            ("Are all hyperparameters given?", "`recipe.resolved.yaml` has every setting, defaults included."),
            ("Are the seeds given?", "Root seed {RootSeed}; all seeds derive from it. `results.json`, key `seeds`."),
            ("How were hyperparameters chosen?", None),
            ("Error bars, and what do they vary over?", _intervals(scope)),
            ("How many runs or models stand behind each number?", "Models: {NumModels}; counts stand beside every "
             "number."),
            ("Which statistical tests, with which correction?", "Shifted-document null of maxima, Benjamini–Hochberg "
             "per pair of models; `methods.md`, section Comparison."),
        ],
        "Compute": [
            ("Which hardware?", "`environment.json` has processor, cores, memory and GPUs."),
            ("How much compute?", "`timestamps.json` has the time of every step and sums by device."),
            ("Total compute of the project, failed runs included?", None),
        ],
        "Code and artifacts": [
            ("Which software?", "universality {Version}; `environment.json` has the versions of all packages."),
            ("Can the run be repeated?", "`universality run recipe.resolved.yaml`; equal keys of artifacts "
             "(`manifest.json`) mean equal inputs."),
            ("Are results available in raw form?", "`tables/` (CSV and Parquet, `DATA_DICTIONARY.md`), `graph/`, "
             "`results.json` with `results.schema.json`."),
            ("Where are code, models and dictionaries published, under which licence?", None),
        ],
        "People and impact": [
            ("Human annotators, their instructions and pay?", None),
            ("Ethics review and broader impact?", None),
            ("Use of AI assistants in writing or coding?", None),
        ],
    }  # fmt: skip


def _intervals(scope: str | None) -> str:
    if scope is None:
        return "Yes, over resampled documents; `methods.md`, section Comparison."
    return (
        "{Confidence}% intervals over {NumResamples} resamples of score documents, not over models or seeds."
    )


def _licences(m: Material) -> str | None:
    """What the corpus step knows; nothing where the text came from the user, or where models did."""
    native = m.recipe is not None and isinstance(m.recipe.models, NativeModels)
    packages = m.facts("corpus").get("packages") or []
    if not packages or not native:
        return None
    listed = "; ".join(f"{p['package']} {p['version']}: {p['licence']}" for p in packages)
    return f"Text: {listed}."
