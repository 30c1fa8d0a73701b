"""Files for other programs: the graph, what every column means, the recipe to run again, the environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from pipelines.recipe import Recipe
from pipelines.report.exhibit_writer import Write
from pipelines.report.folder import json_text
from pipelines.report.prose.material import readable_recipe
from pipelines.report.tables import TABLES
from results.export import EDGES, NODES, assigned_graph, graphml
from results.headline import split_comparisons
from results.schema_figures import FIGURES
from universality.schema import Column, TableSchema, column_type

if TYPE_CHECKING:
    from storage import Run

#: Files written here, in the order of the README, with what they hold; a name that ends in "/" stands for its folder.
FILES: Mapping[str, str] = {
    "graph/": "the graph of features of each comparison, as GraphML and as node-link JSON: alive features, and all "
    "assigned pairs",
    "DATA_DICTIONARY.md": "type, unit, range and meaning of every column of every table, of the numbers "
    "behind the figures, and of the graph",
    "recipe.resolved.yaml": "the recipe with every default filled in: `universality run recipe.resolved.yaml`",
    "environment.json": "the machine and the packages that made the run, and the packages that wrote this report",
}


def write_data_files(
    write: Write,
    run: Run,
    tables: Mapping[str, pd.DataFrame],
    numbers: Mapping[str, pd.DataFrame],
    results: Mapping[str, Any],
) -> None:
    """Write the files of :data:`FILES`; what an unfinished run lacks is left out.

    Args:
        write: takes a relative path and its content.
        run: the run; only read.
        tables: the run's tables by name, as they are written.
        numbers: the frames behind figures, as :class:`pipelines.report.exhibit_writer.ExhibitWriter` has them.
        results: as :func:`pipelines.report.provenance.run_values` makes them.
    """
    recipe = readable_recipe(run)
    if recipe is not None:
        write("recipe.resolved.yaml", recipe_yaml(recipe))
        if "features" in tables and "pairs" in tables:
            _write_graphs(write, tables, recipe)
    write("DATA_DICTIONARY.md", data_dictionary(tables, numbers))
    made = {"run": results["environment"], "report": results["written_with"]}
    write("environment.json", json_text(made))


def recipe_yaml(recipe: Recipe) -> str:
    """A recipe as YAML that :func:`pipelines.recipe.load_recipe` reads back as the same recipe."""
    text = yaml.safe_dump(recipe.resolved(), sort_keys=False, allow_unicode=True, width=110)
    return f"# Every setting of the run, defaults included.\n{text}"


def _write_graphs(write: Write, tables: Mapping[str, pd.DataFrame], recipe: Recipe) -> None:
    import networkx as nx

    pairs = dict(split_comparisons(tables["pairs"]))
    for comparison, features in split_comparisons(tables["features"]):
        mine = pairs.get(comparison, tables["pairs"].iloc[:0])
        graph = assigned_graph(features, mine, tau=recipe.compare.tau, alpha=recipe.compare.alpha)
        write(f"graph/{comparison}.graphml", graphml(graph))
        write(f"graph/{comparison}.json", json_text(nx.node_link_data(graph, edges="edges")))


def data_dictionary(tables: Mapping[str, pd.DataFrame], numbers: Mapping[str, pd.DataFrame]) -> str:
    """Markdown: a section per table with a row per column; types are those of the Parquet files.

    Args:
        tables: the run's tables by name.
        numbers: the frames behind figures by key of :data:`results.schema_figures.FIGURES`.
    """
    lines = [
        "# Data dictionary",
        "",
        "Tables are in `tables/`. A *row* is one evaluation token; *fit rows* chose pairs, *score rows* (held out) did "
        "not; *r* is a Pearson correlation over rows, zeros included. Types are those of the Parquet files; columns "
        "that may be empty say when.",
        "",
    ]
    for name, schema in TABLES.items():
        if name in tables:
            lines += [f"## `{name}`", "", f"{schema.meaning[:1].upper()}{schema.meaning[1:]}.", ""]
            lines += _listing("column", _columns(schema, tables[name]))
    lines += _figures_section(numbers)
    if "features" in tables and "pairs" in tables:
        lines += _graph_section()
    return "\n".join(lines)


def _figures_section(numbers: Mapping[str, pd.DataFrame]) -> list[str]:
    if not numbers:
        return []
    lines = [
        "## Figures",
        "",
        "Files in `figures/`: the numbers behind the figure of that name. Where a run has several comparisons or a "
        "figure several pages, the name says so before the first point, and the columns are the same.",
        "",
    ]
    for name, frame in numbers.items():
        schema = FIGURES.get(name)
        lines += [f"### `figures/{name}.csv`", ""]
        lines += [f"A row: {schema.meaning}.", ""] if schema is not None else []
        lines += _listing("column", _columns(schema, frame))
    return lines


def _graph_section() -> list[str]:
    attributes = [
        of._replace(name=f"{part} {of.name}")
        for part, columns in (("node", NODES), ("edge", EDGES))
        for of in columns
    ]
    return [
        "## Graph",
        "",
        "`graph/<comparison>.graphml` and `.json` (node-link). Nodes are alive features with the id `model/latent`, "
        "edges the rows of `pairs`. What is missing in the table is no attribute.",
        "",
        *_listing("attribute", attributes),
    ]


def _columns(schema: TableSchema | None, frame: pd.DataFrame) -> list[Column]:
    """A frame's columns with the types that they have; what no schema describes has blanks."""
    declared = {} if schema is None else {of.name: of for of in schema.columns}
    return [
        declared.get(name, Column(name, "", "", "", ""))._replace(dtype=column_type(frame[name]) or "text")
        for name in map(str, frame.columns)
    ]


def _listing(head: str, columns: Iterable[Column]) -> list[str]:
    """A Markdown table of columns, and a blank line."""
    lines = [f"| {head} | type | unit | range | meaning |", "| --- | --- | --- | --- | --- |"]
    for name, *others, _ in columns:
        cells = (f"`{name}`", *others)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return [*lines, ""]
