"""Files for other programs: the graph, what every column means, the recipe to run again, the environment."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import yaml

from pipelines.recipe import Recipe
from pipelines.report.exhibit_writer import Write
from pipelines.report.folder import json_text
from pipelines.report.prose.material import readable_recipe
from pipelines.report.prose.template import filled
from pipelines.report.table_files import TABLES
from results.export import EDGES, NODES, assigned_graph, graphml
from results.headline import split_comparisons
from results.schema_figures import FIGURES
from storage import Run
from universality.schema import Column, TableSchema, column_type


def write_data_files(
    write: Write,
    run: Run,
    tables: Mapping[str, pd.DataFrame],
    numbers: Mapping[str, pd.DataFrame],
    results: Mapping[str, Any],
) -> None:
    """Write the graph, ``DATA_DICTIONARY.md``, the resolved recipe and ``environment.json``, as far as the run goes.

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
        own = pairs.get(comparison, tables["pairs"].iloc[:0])
        graph = assigned_graph(features, own, tau=recipe.compare.tau, alpha=recipe.compare.alpha)
        write(f"graph/{comparison}.graphml", graphml(graph))
        write(f"graph/{comparison}.json", json_text(nx.node_link_data(graph, edges="edges")))


def data_dictionary(tables: Mapping[str, pd.DataFrame], numbers: Mapping[str, pd.DataFrame]) -> str:
    """Markdown: a section per table with a row per column; types are those of the Parquet files.

    Args:
        tables: the run's tables by name.
        numbers: the frames behind figures by key of :data:`results.schema_figures.FIGURES`.
    """
    graph = [("node", column) for column in NODES] + [("edge", column) for column in EDGES]
    text = filled(
        "DATA_DICTIONARY.md",
        tables=[
            (name, schema.meaning, _columns(schema, tables[name])) for name, schema in TABLES.items() if name in tables
        ],
        figures=[
            (name, schema.meaning if schema else "", _columns(schema, frame))
            for name, frame in numbers.items()
            for schema in [FIGURES.get(name)]
        ],
        graph=[column._replace(name=f"{part} {column.name}") for part, column in graph]
        if "features" in tables and "pairs" in tables
        else [],
    )
    return text.rstrip() + "\n"


def _columns(schema: TableSchema | None, frame: pd.DataFrame) -> list[Column]:
    """A frame's columns with the types that they have; what no schema describes has blanks."""
    declared = {} if schema is None else {of.name: of for of in schema.columns}
    return [
        declared.get(name, Column(name, "", "", "", ""))._replace(dtype=column_type(frame[name]) or "text")
        for name in map(str, frame.columns)
    ]
