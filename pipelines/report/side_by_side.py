"""Several runs in one report: one figure and one table over all of them, and the same figures side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from pipelines.report.exhibit import Contents, Exhibit, Listing, Page, Shown
from pipelines.report.figure_exhibits import FIGURES
from pipelines.report.figures.side_by_side_figure import beside_figure
from pipelines.report.latex import Column
from pipelines.report.making import Made, ReportOptions, Write, write_contents
from results.headline import count_values, headline_values, split_comparisons
from results.side_by_side import (
    classes_beside,
    curves_beside,
    headlines_beside,
    settings_beside,
)

if TYPE_CHECKING:
    from storage import Run

#: Figures that are drawn for every run and stand side by side, one column each.
EACH = ("correlation", "classes", "membership", "r_by_rate", "domains", "dictionaries")
#: Files written here, in the order of the README, with what they show.
CAPTIONS: Mapping[str, str] = {
    "figures/beside": "Comparisons beside each other: median held-out r with 95 % intervals, classes by level (ink "
    "falls from context to domain), and universal features over the threshold tau.",
    "tables/beside": "Comparisons beside each other: median held-out r of features with its 95 % interval, the same "
    "with token and position means removed, neurons, its ceiling, floor (untrained models) and chance level, and the "
    "percentage of features that are universal, shared and specific.",
    "tables/settings": "Settings in which the runs differ, as JSON; a dash where a recipe has no such setting.",
}
#: What a comparison must have to be set beside others.
NEEDS = ("headline", "features", "tau_curve", "models")


class Side(NamedTuple):
    """One comparison of one run.

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


def sides_of(run: Run, tables: Mapping[str, pd.DataFrame], taus: Mapping[str, float]) -> list[Side]:
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
        Side(
            run.name if len(ids) == 1 else f"{run.name}-{name}",
            run.name,
            name,
            {table: parts[name] for table, parts in split.items() if name in parts},
            taus.get(name),
        )
        for name in ids
    ]


def write_beside(
    write: Write, sides: Sequence[Side], recipes: Mapping[str, Mapping[str, Any]], options: ReportOptions
) -> Made:
    """Write what sets comparisons beside each other.

    Args:
        write: takes a relative path and its content.
        sides: two or more, that of the report first.
        recipes: resolved recipes by run; of more than one their differences are listed.
        options: how figures are to look.
    """
    made = Made([], [], {})
    page = Page(None, options.columns)
    together: dict[str, Contents] = {"figures/beside": _figure(sides, page), "tables/beside": _table(sides)}
    if len(recipes) > 1 and len(differences := settings_beside(recipes)):
        columns = [Column(name, name) for name in differences.columns]
        together["tables/settings"] = {"": Listing(differences, columns, "tab:settings"), ".csv": differences}
    for name, contents in together.items():
        made.keep_numbers(name, contents)
        made.shown.extend(write_contents(write, name, "", CAPTIONS[name], contents, options))
    if len(recipes) > 1:
        for exhibit in FIGURES:
            if exhibit.name.removeprefix("figures/") in EACH:
                for side in sides:
                    _one(made, write, exhibit, side, options)
    return made


def side_values(sides: Sequence[Side]) -> list[dict[str, Any]]:
    """The numbers of every side, for ``results.json``."""
    return [
        {
            "run": side.run,
            "comparison_id": side.comparison,
            "headline": headline_values(side.tables["headline"]),
            "counts": count_values(side.tables["features"]),
        }
        for side in sides
    ]


def _figure(sides: Sequence[Side], page: Page) -> Contents:
    headlines = headlines_beside({side.label: side.tables["headline"] for side in sides})
    classes = classes_beside({side.label: side.tables["features"] for side in sides})
    curves = curves_beside({side.label: side.tables["tau_curve"] for side in sides})
    figure = partial(beside_figure, headlines, classes, curves, columns=page.spans(2))
    return {"": figure, ".headline.csv": headlines, ".classes.csv": classes, ".curves.csv": curves}


def _table(sides: Sequence[Side]) -> Contents:
    rows = []
    for side in sides:
        overall = headlines_beside({side.label: side.tables["headline"]}).set_index("quantity")
        shares = classes_beside({side.label: side.tables["features"]}).groupby("class")["fraction"].sum()
        medians = {name: overall["value"].get(name) for name in overall.index}
        low, high = (overall[end].get("features") for end in ("low", "high"))
        rows.append(
            {
                "side": side.label,
                "models": int((side.tables["models"]["role"] == "primary").sum()),
                **medians,
                "interval": None if pd.isna(low) or pd.isna(high) else f"{low:.2f} to {high:.2f}",
                **{name: 100 * float(share) for name, share in shares.items()},
            }
        )
    named = [
        Column("side", "comparison"),
        Column("models", "M"),
        Column("features", "r", 2),
        Column("interval", "interval"),
        Column("token_conditional", "token", 2),
        Column("neurons", "neurons", 2),
        Column("ceiling", "ceiling", 2),
        Column("untrained", "floor", 2),
        Column("null_p95", "chance", 2),
        Column("universal", "univ.", 1),
        Column("shared", "shared", 1),
        Column("specific", "spec.", 1),
    ]
    frame = pd.DataFrame(rows)
    columns = [column for column in named if column.name in frame]
    return {"": Listing(frame, columns, "tab:beside"), ".csv": frame}


def _one(made: Made, write: Write, exhibit: Exhibit, side: Side, options: ReportOptions) -> None:
    """One figure of one side, as wide as one column."""
    name = f"beside/{side.label}/{exhibit.name.removeprefix('figures/')}"
    lacking = [need for need in exhibit.needs if need not in side.tables]
    if lacking:
        made.missing.append(f"`{name}` (needs {', '.join(lacking)})")
        return
    contents = exhibit.make(side.tables, Page(side.tau, 1))
    pictures: Contents = {"": contents[""]} if "" in contents else {}
    made.shown.extend(write_contents(write, name, side.label, exhibit.caption, pictures, options))


def pictures_beside(shown: Sequence[Shown]) -> list[tuple[str, str, list[Shown]]]:
    """Name of the figure, its caption, and the picture of every side, for figures that stand side by side."""
    found = []
    for name in EACH:
        parts = [item for item in shown if item.name == f"beside/{item.comparison}/{name}"]
        if parts:
            found.append((name, parts[0].caption, parts))
    return found
