"""The report as one page for people who never ran the tool: Markdown, and the same as HTML with its pictures inside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.report.exhibit import Shown
from pipelines.report.markdown import code, page, plain
from pipelines.report.side_by_side import CAPTIONS, pictures_beside

#: Parts of the page: heading, what it is about, and its exhibits.
SECTIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Do the models agree?",
        "Every feature of one model is assigned at most one partner in another. The correlation of a pair, on text "
        "that had no part in choosing it, is set beside chance, beside raw neurons, beside untrained models (what "
        "needs no training) and beside two dictionaries of one model (the most that can be expected).",
        ("figures/correlation", "tables/headline", "figures/r_by_rate", "tables/indices"),
    ),
    (
        "Which features are universal?",
        "Features of different models that agree form clusters. A feature is universal if its cluster reaches all "
        "models, shared if it reaches some, and specific if it stands alone. The level says what explains the "
        "agreement: the domain of the text, the single token, or more than either (context).",
        ("figures/classes", "figures/membership", "figures/map", "tables/clusters", "figures/cases"),
    ),
    (
        "Why do others have no partner?",
        "For every specific feature the first reason that holds.",
        ("tables/verdicts",),
    ),
    ("Chosen pairs", "Pairs that the authors of this report picked.", ("tables/pinned", "figures/pinned")),
    (
        "Kinds of text",
        "The latent of each model that tells a kind of text best, and whether models share it.",
        ("figures/domains", "tables/domains"),
    ),
    (
        "How good are the dictionaries?",
        "A comparison is only as good as its dictionaries.",
        (
            "figures/dictionaries", "tables/models", "figures/firing_rates", "figures/frontier", "tables/sweeps",
        ),
    ),
)  # fmt: skip

_REASONS = {
    "domain": "the kind of text or the document",
    "token": "the single token or its position",
    "context": "neither (context)",
    "untested": "what was not tested",
}


def report_markdown(found: Mapping[str, Any], shown: Sequence[Shown], methods: str) -> str:
    """The page as Markdown; pictures are links into the report's folder.

    Args:
        found: results of the run, as in ``results.json``.
        shown: figures and tables that were made.
        methods: the text ``methods.md``.
    """
    lines = [f"# Do these models learn the same features? Run {plain(str(found['run']))}", ""]
    if found["missing"]:
        lines += [
            f"**This report is not complete: `README.md` lists what is missing ({len(found['missing'])}).**",
            "",
        ]
    lines += ["## In short", "", *in_short(found), ""]
    lines += _side_by_side(shown)
    for heading, words, names in SECTIONS:
        parts = [item for name in names for item in shown if _is_of(item, name)]
        if parts:
            lines += [f"## {heading}", "", words, ""]
            for item in parts:
                lines += _exhibit(item)
    lines += [
        re.sub(r"^#", "##", methods, flags=re.M).rstrip(),
        "",
        "## Where everything is",
        "",
        *_FILES,
        "",
    ]
    return "\n".join(lines)


def _side_by_side(shown: Sequence[Shown]) -> list[str]:
    together = [item for name in CAPTIONS for item in shown if item.name == name]
    if not together:
        return []
    lines = ["## Beside each other", "", "What was asked for differently, and what came out differently.", ""]
    for item in together:
        lines += _exhibit(item)
    for _, caption, parts in pictures_beside(shown):
        names = ", ".join(code(item.comparison) for item in parts)
        pictures = " ".join(f"![{plain(item.comparison)}]({_path(item)})" for item in parts)
        lines += [pictures, "", f"*{plain(caption)}* From left to right: {names}.", ""]
    return lines


def report_html(markdown: str, run: str, shown: Sequence[Shown]) -> str:
    """The page as one HTML file with its pictures inside: no script, no network."""
    pictures = {_path(item): item.svg for item in shown if item.svg}
    return page(markdown, f"Universality: {run}", pictures)


def in_short(found: Mapping[str, Any]) -> list[str]:
    """The outcome in plain words, a list per comparison."""
    several = found.get("comparisons")
    if not several:
        return _short(found) or ["The run has no finished comparison."]
    lines = []
    for name, part in several.items():
        lines += [f"**{plain(str(name))}**", "", *_short(part), ""]
    return lines[:-1]


def _short(part: Mapping[str, Any]) -> list[str]:
    medians = {name: values.get("overall") for name, values in (part.get("headline") or {}).items()}
    classes, levels = ((part.get("counts") or {}).get(name) or {} for name in ("class", "class_by_level"))
    lines = []
    n = sum(classes.values())
    if n:
        shares = ", ".join(
            f"**{100 * classes.get(name, 0) / n:.0f} %** {words}"
            for name, words in (
                ("universal", "are found in all models"), ("shared", "in some"), ("specific", "in one alone"),
            )
        )  # fmt: skip
        lines.append(f"- Of {n:,} features {shares}.")
        universal = levels.get("universal") or {}
        words = [
            f"{universal[level]:,} {reason}" for level, reason in _REASONS.items() if universal.get(level)
        ]
        if words:
            lines.append(
                f"- What explains the {sum(universal.values()):,} universal ones: {', '.join(words)}."
            )
    value = medians.get("features")
    if value is not None:
        around = [
            f"{words} {medians[name]:.2f}"
            for name, words in (
                ("null_p95", "95 % of the best of all candidates by chance stay below"),
                ("untrained", "untrained models reach"),
                ("neurons", "raw neurons"), ("ceiling", "two dictionaries of one model"),
            )
            if medians.get(name) is not None
        ]  # fmt: skip
        lines.append(
            f"- A feature and its partner correlate with a median r of **{value:.2f}**; {', '.join(around)}."
        )
    if medians.get("token_conditional") is not None:
        lines.append(
            f"- With each token's and position's mean removed it is {medians['token_conditional']:.2f}: what "
            "remains is agreement that neither token nor position alone explains."
        )
    return lines


def _is_of(item: Shown, name: str) -> bool:
    own = f"{name}-{item.comparison}" if item.comparison else name
    return re.sub(r"-page\d+$", "", item.name) == own


def _exhibit(item: Shown) -> list[str]:
    where = f" Comparison {code(item.comparison)}." if item.comparison else ""
    body = f"![{plain(item.caption)}]({_path(item)})" if item.svg else item.markdown.rstrip()
    return [body, "", f"*{plain(item.caption)}*{where}", ""]


def _path(item: Shown) -> str:
    return f"{item.name}.svg"


_FILES = [
    "- `README.md` lists every file of this folder, `DATA_DICTIONARY.md` every column of every table.",
    "- `paper.tex` compiles to this report; `methods.tex`, `macros.tex`, `floats.tex` and `references.bib` are its "
    "parts.",
    "- `results.json` has everything in numbers (schema: `results.schema.json`), `tables/` every row.",
    "- `checklist.md` is a reproducibility checklist; `recipe.resolved.yaml` runs the same again.",
]
