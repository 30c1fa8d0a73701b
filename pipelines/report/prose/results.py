"""Template text on what a comparison found: counts, correlations beside their controls, reasons."""

from __future__ import annotations

import pandas as pd

from pipelines.report.prose.comparison_numbers import LEVELS, QUANTITIES
from pipelines.report.prose.macros import joined, letters
from pipelines.report.prose.material import Material
from universality.verdicts import VERDICTS

#: How the headline's quantities go on after the features.
_BESIDE = {
    "token_conditional": "Once token and position means are removed, it is {value}.",
    "neurons": "Neurons reach {value}.",
    "ceiling": "Two dictionaries of one model reach {value}.",
    "untrained": "Dictionaries of untrained models reach {value}.",
    "null_p95": "The 95th percentile of maxima under shifted documents is {value}.",
}


def result_paragraphs(m: Material, comparison: str) -> list[list[str]]:
    """The headline in words; quantities that this run was never to measure are left out."""
    return [_correlations(m, comparison), _classes(m, comparison), _reasons(m, comparison)]


def _correlations(m: Material, comparison: str) -> list[str]:
    headline = m.of(comparison, "headline")
    measured = set(headline["quantity"]) if headline is not None else set()
    kept = ", ".join(
        f"{{NumPairsKept{level.title()}}} *{level}*" for level in _levels(m, comparison, "pairs")
    )
    found = [
        "Of {NumLatentsCompared} latents of the compared models, {NumAlive} are alive, {NumRare} rare and "
        "{NumDead} dead.",
        "{NumPairs} pairs of features were assigned over all pairs of models; {NumPairsBeyondChance} "
        f"({{PercentPairsBeyondChance}}%) are beyond chance, and {{NumPairsKept}} of these reach $\\tau = {{Tau}}$ "
        f"(by level: {kept}).",
        f"The median held-out $r$ of assigned pairs is {_value('features', headline)}.",
    ]
    return found + [
        _words(quantity, headline) for quantity in _BESIDE if quantity in measured or headline is None
    ]


def _levels(m: Material, comparison: str, table: str, class_: str | None = None) -> list[str]:
    """Levels that a table, or one class in it, has, from the finest on; all where there is no table yet."""
    found = m.of(comparison, table)
    if found is None:
        return list(LEVELS)
    part = found if class_ is None else found[found["class"] == class_]
    return [level for level in LEVELS if (part["level"] == level).any()]


def _words(quantity: str, headline: pd.DataFrame | None) -> str:
    words = _BESIDE[quantity].replace("95th percentile", "{ChanceQuantile}th percentile")
    return words.replace("{value}", _value(quantity, headline))


def _value(quantity: str, headline: pd.DataFrame | None) -> str:
    """Value, interval where there is one, and count."""
    name = QUANTITIES[quantity][0]
    interval = f"{{Confidence}}% interval {{R{name}Low}} to {{R{name}High}}; "
    if headline is not None:
        rows = headline[(headline["quantity"] == quantity) & (headline["pair"] == "overall")]
        interval = interval if rows[["low", "high"]].notna().all(axis=None) else ""
    return f"{{R{name}}} ({interval}$n = {{N{name}}}$)"


def _classes(m: Material, comparison: str) -> list[str]:
    parts = []
    for name in ("universal", "shared", "specific"):
        title = name.title()
        levels = _levels(m, comparison, "features", name)
        by_level = ", ".join(f"{{Num{title}{level.title()}}} *{level}*" for level in levels)
        shown = f" ({by_level})" if levels else ""
        parts.append(f"{{Num{title}}} features ({{Percent{title}}}%) are *{name}*{shown}")
    return [f"At $\\tau = {{Tau}}$, {parts[0]}, {parts[1]}, and {parts[2]}."]


def _reasons(m: Material, comparison: str) -> list[str]:
    verdicts = m.of(comparison, "verdicts")
    if verdicts is not None and not len(verdicts):
        return ["Every feature has a partner in every model."]
    present = set(verdicts["verdict"]) if verdicts is not None else set(VERDICTS)
    listed = joined([f"{{PercentVerdict{letters(name)}}}% *{name}*" for name in VERDICTS if name in present])
    return [
        f"The first reasons found for the {{NumVerdicts}} cases of a feature that a model lacks are {listed}."
    ]
