"""No module reaches itself through imports: whoever reads one file need not have read its readers first."""

import ast
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("universality", "storage", "results", "pipelines", "dashboards")


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING"


def imports_of(tree: ast.AST, modules: set[str]) -> set[str]:
    """Modules that a tree imports when it runs, inside functions too; ``from a import b`` may name a module a.b."""
    names = set()
    for node in ast.iter_child_nodes(tree):
        if is_for_types_only(node):
            names |= set().union(*(imports_of(ast.Module([part], []), modules) for part in node.orelse))
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in modules else node.module for name in full.values()}
        else:
            names |= imports_of(node, modules)
    return names & modules


def import_graph(root: Path, room: str) -> nx.DiGraph:
    paths = {module_name(path, root): path for path in sorted((root / room).rglob("*.py"))}
    graph = nx.DiGraph()
    for name, path in paths.items():
        imported = imports_of(ast.parse(path.read_text(encoding="utf-8")), set(paths))
        graph.add_edges_from((name, other) for other in imported - {name})
    return graph


def circles(root: Path, room: str) -> list[str]:
    graph = import_graph(root, room)
    groups = [group for group in nx.strongly_connected_components(graph) if len(group) > 1]
    return [" -> ".join(a for a, _ in nx.find_cycle(graph.subgraph(group))) for group in groups]


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_imports_itself_by_a_detour(room):
    assert len(import_graph(ROOT, room)) > 10
    assert circles(ROOT, room) == []


def test_a_circle_is_seen_even_inside_a_function(tmp_path):
    sources = ["import room.b", "def f():\n    from room import c", "from room.a import x"]
    (tmp_path / "room").mkdir()
    for name, source in zip("abc", sources, strict=True):
        (tmp_path / "room" / f"{name}.py").write_text(source)
    assert len(circles(tmp_path, "room")) == 1
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room.a import x"
    (tmp_path / "room" / "c.py").write_text(guarded)
    assert circles(tmp_path, "room") == []
