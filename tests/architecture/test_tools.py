"""Tools for working on this repository are no part of the product: nothing that is installed imports them."""

import ast
from pathlib import Path

import pytest

from pipelines.cli.names import ROOMS

ROOT = Path(__file__).resolve().parents[2]
#: Our tools, and the packages that only they and tests need.
TOOLS = {"tools", "tests", "PIL", "playwright"}


def imported(source: str) -> set[str]:
    """Top-level names of everything that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_of_the_product_imports_tools(room):
    modules = list((ROOT / room).rglob("*.py"))
    assert modules
    for module in modules:
        assert not TOOLS & imported(module.read_text()), module


def test_imports_are_seen_wherever_they_stand():
    source = "def f():\n    from PIL import Image\n    import tools.server as server\n"
    assert imported(source) == {"PIL", "tools"}
