"""The graph, the data dictionary, the resolved recipe and the environment of a report."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

from pipelines.recipe import Recipe, load_recipe, shipped_recipes, validate_recipe
from pipelines.report.data_files import data_dictionary, recipe_yaml
from pipelines.report.report_writer import ReportOptions, write_report
from pipelines.report.table_files import TABLES
from results.schema import INNER
from results.schema import TABLES as STORED
from results.schema_figures import FIGURES
from storage import Run

#: A report without pictures, which take long to draw.
TEXT = ReportOptions(formats=())

SMALL = {"n_latents": 60, "n_documents": 96}


def _graphs(report: Path) -> list[nx.Graph]:
    """Both files as networkx reads them."""
    stored = json.loads((report / "graph" / "main.json").read_text())
    read = nx.read_graphml(report / "graph" / "main.graphml")
    assert isinstance(read, nx.Graph)
    return [read, nx.node_link_graph(stored, edges="edges")]


def test_both_graphs_equal_the_tables(run: Run, report: Path) -> None:
    features, pairs = run.table("features"), run.table("pairs")
    alive = features[features["status"] == "alive"]
    columns = ["model", "latent", "class", "level", "cluster", "firing_rate", "best_r"]
    nodes = {f"{r['model']}/{r['latent']}": r for r in alive[columns].to_dict("records")}
    edges = {}
    for row in pairs.to_dict("records"):
        ends = frozenset([f"{row['model_a']}/{row['latent_a']}", f"{row['model_b']}/{row['latent_b']}"])
        kept = row["q"] < 0.05 and row["r_held_out"] >= 0.5
        edges[ends] = {name: row[name] for name in ("r_held_out", "q", "level")} | {
            "assigned": True,
            "kept": kept,
        }
    for graph in _graphs(report):
        found = {node: dict(values) for node, values in graph.nodes(data=True)}
        wanted = {node: {k: v for k, v in values.items() if not pd.isna(v)} for node, values in nodes.items()}
        assert found == wanted
        assert {frozenset((a, b)): values for a, b, values in graph.edges(data=True)} == edges
    assert len(nodes) > 50
    assert {values["kept"] for values in edges.values()} == {True, False}


def test_every_column_of_every_table_is_described(run: Run, report: Path) -> None:
    text = (report / "DATA_DICTIONARY.md").read_text()
    sections = {part.split("`")[1]: part for part in text.split("\n## ")[1:] if part.startswith("`")}
    tables = {path.stem: pd.read_parquet(path) for path in sorted((report / "tables").glob("*.parquet"))}
    assert set(sections) == set(tables)
    for name, table in tables.items():
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+?) \| (.+) \|$", sections[name], flags=re.M)
        assert [row[0] for row in rows] == list(table.columns), name
        assert [of.name for of in TABLES[name].columns] == list(table.columns), name


def described(text: str, folder: Path) -> set[str]:
    """Names of the described files behind figures of a report; every column of every one was checked."""
    sections = {part.split("`")[1]: part for part in text.split("\n### ")[1:]}
    for name, section in sections.items():
        header = pd.read_csv(folder / name, nrows=0).columns.tolist()
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+?) \| (.+) \|$", section, flags=re.M)
        assert [row[0] for row in rows] == header, name
        assert "A row: " in section, name
        schema = FIGURES[re.sub(r"^figures/|\.csv$", "", name)]
        types = {row[0]: row[1] for row in rows}
        assert types == {of.name: of.dtype for of in schema.columns}, name
    return set(sections)


def test_every_number_behind_a_figure_is_described(report: Path) -> None:
    written = {f"figures/{path.name}" for path in (report / "figures").glob("*.csv")}
    pages = {name for name in written if "-page" in name}
    assert described((report / "DATA_DICTIONARY.md").read_text(), report) == written - pages


def test_a_column_without_an_entry_is_seen() -> None:
    """The tests above can fail: a new column leaves its cells empty."""
    foreign = pd.DataFrame({"foreign": [1]})
    text = data_dictionary({"k_of_m": foreign}, {"classes": foreign})
    assert text.count("| `foreign` | int64 |  |  |  |") == 2


def test_values_lie_in_the_ranges_given(report: Path) -> None:
    limits = {"-1 to 1": (-1, 1), "0 to 1": (0, 1), "0 and up": (0, float("inf")), "1 to 5": (1, 5),
              "0 to 9": (0, 9), "1 and up": (1, float("inf")), "-2 to 2": (-2, 2)}  # fmt: skip
    checked = 0
    for path in sorted((report / "tables").glob("*.parquet")):
        table = pd.read_parquet(path)
        for column in TABLES[path.stem].columns:
            if column.dtype != "text" and column.range in limits:
                low, high = limits[column.range]
                values = table[column.name].dropna()
                assert values.between(low - 1e-9, high + 1e-9).all(), (path.stem, column.name)
                checked += 1
    assert checked > 60


def test_a_report_holds_what_a_run_stores_and_pins() -> None:
    assert set(TABLES) == set(STORED) - INNER | {"pinned", "names", "answers", "explained"}
    assert TABLES["pinned"].columns == TABLES["pairs"].columns
    assert TABLES["logits"].names == [*STORED["logits"].names, "token_text"]


def test_the_resolved_recipe_is_the_one_that_ran(run: Run, report: Path) -> None:
    read = load_recipe(str(report / "recipe.resolved.yaml"))
    assert read == validate_recipe(run.record["recipe"], "run")
    assert "min_stratum_latents: 200" in (report / "recipe.resolved.yaml").read_text()  # a default


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_survives_being_resolved(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_yaml(recipe), encoding="utf-8")
    assert load_recipe(str(path)) == recipe
    assert isinstance(recipe, Recipe)


def test_manifest_and_environment_say_where_it_comes_from(run: Run, report: Path) -> None:
    manifest = json.loads((report / "manifest.json").read_text())
    assert manifest["artifacts"] == {n: fields["key"] for n, fields in run.record["nodes"].items()}
    environment = json.loads((report / "environment.json").read_text())
    assert environment["run"] == run.record["environment"]
    assert environment["report"]["pandas"] == pd.__version__
    times = json.loads((report / "timestamps.json").read_text())
    finished = len(run.record["nodes"])
    assert times["step_seconds_by_device"] == {"unknown": 0.5 * finished}
    others = [p for p in report.rglob("*.json") if p.name != "timestamps.json"]
    assert not any("wall_s" in p.read_text() for p in others)


def test_unfinished_run_has_no_graph_but_its_recipe(tmp_path: Path) -> None:
    run = write_synthetic_run(str(tmp_path / "store"), unfinished=("comparison/",), **SMALL)
    result = write_report(run, tmp_path / "report", TEXT)
    assert "recipe.resolved.yaml" in result.files
    assert not [name for name in result.files if name.startswith("graph/")]
    assert "## Graph" not in (tmp_path / "report" / "DATA_DICTIONARY.md").read_text()


def test_graphml_is_the_same_twice(report: Path) -> None:
    graph = _graphs(report)[1]
    written = [io.BytesIO(), io.BytesIO()]
    for buffer in written:
        nx.write_graphml(graph, buffer)
    assert written[0].getvalue() == written[1].getvalue() == (report / "graph" / "main.graphml").read_bytes()
