"""What the text of a report is written from: the recipe in force, the run's facts, and its tables by comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.recipe import ComparisonConfig, Recipe, validate_recipe
from results.headline import split_comparisons
from results.stored_comparison import TOKENS
from storage import Run
from universality.errors import InputError


@dataclass(frozen=True)
class Material:
    """A run, as its text needs it.

    Attributes:
        run: the run; only read.
        recipe: the recipe with every default filled in; None where this version cannot read it.
        tables: the run's tables by name, all comparisons together.
        parts: the tables of each comparison by its id, in the recipe's order.
        missing: what the report lacks, in words.
        warnings: ``{"node", "warning"}`` of every step that warned.
    """

    run: Run
    recipe: Recipe | None
    tables: Mapping[str, pd.DataFrame]
    parts: Mapping[str, Mapping[str, pd.DataFrame]]
    missing: tuple[str, ...]
    warnings: tuple[Mapping[str, str], ...]

    @property
    def comparisons(self) -> list[str]:
        """Ids of the comparisons, planned ones included."""
        planned = [c.id for c in self.recipe.comparisons] if self.recipe else []
        return list(dict.fromkeys([*planned, *self.parts]))

    def scope(self, comparison: str) -> str | None:
        """The name that macros of a comparison carry: none where it is the only one."""
        return comparison if len(self.comparisons) > 1 else None

    def config(self, comparison: str) -> ComparisonConfig | None:
        """What the recipe says of a comparison."""
        planned = self.recipe.comparisons if self.recipe else ()
        return next((c for c in planned if c.id == comparison), None)

    def of(self, comparison: str, table: str) -> pd.DataFrame | None:
        """A table of a comparison."""
        return self.parts.get(comparison, {}).get(table)

    def facts(self, node: str) -> dict[str, Any]:
        """Facts of a finished step; empty for others."""
        fields = self.run.record["nodes"].get(node)
        if fields is None or not self.run.store.has(fields["key"]):
            return {}
        return self.run.store.get(fields["key"]).manifest["facts"]

    def evaluation_rows(self) -> tuple[int, int] | None:
        """Fit rows and score rows; None before the tokens are there."""
        fields = self.run.record["nodes"].get(TOKENS)
        if fields is None or not self.run.store.has(fields["key"]):
            return None
        fit = np.asarray(self.run.store.get(fields["key"]).array("row_fit"))
        return int(fit.sum()), int((~fit).sum())


#: Tables that belong to comparisons and are read here.
COMPARED = (
    "models", "features", "pairs", "clusters", "verdicts", "headline", "indices", "k_of_m", "domains", "baselines",
    "agreement", "spaces", "effect_agreement", "attribution", "steering_clusters", "steering_doses",
    "steering_transfer", "probes", "explanation_transfer", "labels", "explained",
    "same_index",
)  # fmt: skip


def material(
    run: Run, tables: Mapping[str, pd.DataFrame], missing: list[str], warnings: list[dict[str, str]]
) -> Material:
    """Gather what the text of a report is written from."""
    parts: dict[str, dict[str, pd.DataFrame]] = {}
    for name in COMPARED:
        for comparison, table in split_comparisons(tables[name]) if name in tables else ():
            parts.setdefault(comparison, {})[name] = table
    return Material(run, readable_recipe(run), tables, parts, tuple(missing), tuple(warnings))


def readable_recipe(run: Run) -> Recipe | None:
    """The recipe of a run with its defaults, or None where it is none that this version can read."""
    try:
        return validate_recipe(run.record.get("recipe") or {}, f"run {run.name}")
    except InputError:
        return None
