"""Several runs in one report: one figure and one table over all of them, and the same figures side by side."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from pipelines.report.exhibit import Contents, Exhibit, ExhibitContext, Listing, Shown, columns
from pipelines.report.exhibit_writer import ExhibitWriter
from pipelines.report.figure_exhibits import FIGURES
from pipelines.report.figures.side_by_side_figure import beside_figure
from pipelines.report.latex import Column
from pipelines.report.table_exhibits import intervals
from results.headline import count_values, headline_values, split_comparisons
from results.side_by_side import classes_beside, curves_beside, headlines_beside, settings_beside
from storage import Run

#: Figures that are drawn for every run and stand side by side, one column each.
EACH = ("correlation", "classes", "membership", "r_by_rate", "domains", "levels")
#: What is made of all comparisons together, in the order of the README.
TOGETHER = ("figures/beside", "tables/beside", "tables/settings")
#: What a comparison must have to be set beside others.
NEEDS = ("headline", "features", "tau_curve", "models")


class RunComparison(NamedTuple):
    """One comparison of one run, to be set beside others.

    Attributes:
        label: how it is called here: its run, and its id where the run has several.
        run: name of the run.
        comparison: its id.
        tables: its tables, without ids.
        tau: its threshold; None where it is not known.
    """

    label: str
    run: str
    comparison: str
    tables: Mapping[str, pd.DataFrame]
    tau: float | None


def run_comparisons(run: Run, tables: Mapping[str, pd.DataFrame], taus: Mapping[str, float]) -> list[RunComparison]:
    """The comparisons of a run that have what it takes to be set beside others.

    Args:
        run: the run.
        tables: its tables.
        taus: thresholds by comparison id.
    """
    if any(name not in tables for name in NEEDS):
        return []
    split = {name: dict(split_comparisons(table)) for name, table in tables.items()}
    ids = [name for name in split["headline"] if all(name in split[need] for need in NEEDS)]
    return [
        RunComparison(
            run.name if len(ids) == 1 else f"{run.name}-{name}",
            run.name,
            name,
            {table: parts[name] for table, parts in split.items() if name in parts},
            taus.get(name),
        )
        for name in ids
    ]


def write_beside(
    writer: ExhibitWriter,
    comparisons: Sequence[RunComparison],
    recipes: Mapping[str, Mapping[str, Any]],
    span: int | None,
) -> None:
    """Write what sets comparisons beside each other.

    Args:
        writer: writes it, and remembers what it wrote.
        comparisons: two or more, that of the report first.
        recipes: resolved recipes by run; of more than one their differences are listed.
        span: columns of the page that every figure spans; None leaves each its own width.
    """
    made: dict[str, Contents] = {
        "figures/beside": _figure(comparisons, ExhibitContext(None, span)),
        "tables/beside": _table(comparisons),
    }
    if len(recipes) > 1 and len(differences := settings_beside(recipes)):
        listed = [Column(name, name, code=True) for name in differences.columns]
        made["tables/settings"] = {"": Listing(differences, listed), ".csv": differences}
    for name, contents in made.items():
        writer.keep_numbers(name, contents)
        writer.write_contents(name, contents)
    if len(recipes) > 1:
        for exhibit in FIGURES:
            if exhibit.name.removeprefix("figures/") in EACH:
                for comparison in comparisons:
                    _write_one(writer, exhibit, comparison)


def _write_one(writer: ExhibitWriter, exhibit: Exhibit, comparison: RunComparison) -> None:
    """One figure of one comparison, as wide as one column."""
    name = f"beside/{comparison.label}/{exhibit.name.removeprefix('figures/')}"
    lacking = [need for need in exhibit.needs if need not in comparison.tables]
    if lacking:
        writer.missing.append(f"`{name}` (needs {', '.join(lacking)})")
        return
    contents = exhibit.make(comparison.tables, ExhibitContext(comparison.tau, 1))
    pictures = {suffix: content for suffix, content in contents.items() if suffix == ""}
    writer.write_contents(exhibit.name, pictures, name, comparison.label)


def beside_values(comparisons: Sequence[RunComparison]) -> list[dict[str, Any]]:
    """The numbers of every comparison, for ``results.json``."""
    return [
        {
            "run": comparison.run,
            "comparison_id": comparison.comparison,
            "headline": headline_values(comparison.tables["headline"]),
            "counts": count_values(comparison.tables["features"]),
        }
        for comparison in comparisons
    ]


def _each(comparisons: Sequence[RunComparison], table: str) -> dict[str, pd.DataFrame]:
    """A table of every comparison by its label."""
    return {comparison.label: comparison.tables[table] for comparison in comparisons}


def _figure(comparisons: Sequence[RunComparison], context: ExhibitContext) -> Contents:
    headlines = headlines_beside(_each(comparisons, "headline"))
    classes = classes_beside(_each(comparisons, "features"))
    curves = curves_beside(_each(comparisons, "tau_curve"))
    figure = partial(beside_figure, headlines, classes, curves, columns=context.spans(2))
    return {"": figure, ".headline.csv": headlines, ".classes.csv": classes, ".curves.csv": curves}


def _table(comparisons: Sequence[RunComparison]) -> Contents:
    rows = []
    for comparison in comparisons:
        overall = headlines_beside(_each([comparison], "headline")).set_index("quantity")
        shares = classes_beside(_each([comparison], "features")).groupby("class")["fraction"].sum()
        interval = overall.reindex(["features"])
        rows.append(
            {
                "side": comparison.label,
                "models": int((comparison.tables["models"]["role"] == "primary").sum()),
                **overall["value"].to_dict(),
                "interval": intervals(interval["low"], interval["high"])[0],
                **(100 * shares.astype(float)).to_dict(),
            }
        )
    frame = pd.DataFrame(rows)
    listed = [column for column in columns("tables/beside") if column.name in frame]
    return {"": Listing(frame, listed), ".csv": frame}


def pictures_beside(shown: Sequence[Shown]) -> list[tuple[str, str, list[Shown]]]:
    """Name of the figure, its caption, and the picture of every comparison, for figures that stand side by side."""
    rows = []
    for name in EACH:
        parts = [item for item in shown if item.name == f"beside/{item.comparison}/{name}"]
        if parts:
            rows.append((name, parts[0].caption, parts))
    return rows
