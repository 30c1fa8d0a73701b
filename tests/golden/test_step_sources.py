"""Code is never hashed into artifact keys, so a step whose source moves must say so with a new version.

The golden file holds, per step, its version and a digest of its source and of every function of ours that it imports,
comments and docstrings left out. When this test fails: if results can change, raise the step's ``version``; then
``python tests/golden/test_step_sources.py --update``.
"""

import ast
import hashlib
import importlib.util
import inspect
import json
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("step_sources.json")
ROOMS = ("universality", "pipelines")
#: Modules that cannot change a result: words, types, and the registry itself.
NEUTRAL = ("universality.errors", "pipelines.errors", "pipelines.engine", "storage")


def source_digests() -> dict[str, dict[str, object]]:
    import pipelines.steps  # noqa: F401
    from pipelines.engine.step import registered_steps

    return {
        name: {"version": step.version, "digest": _digest(step.function)}
        for name, step in sorted(registered_steps().items())
        if step.module.startswith("pipelines.steps")
    }


def _digest(function) -> str:
    module = sys.modules[function.__module__]
    parts = _reachable(ast.parse(inspect.getsource(module)), function.__name__)
    total = hashlib.blake2b(digest_size=12)
    for part in parts:
        total.update(_plain(part).encode())
    for name in _closure(_modules_of(parts)):
        total.update(name.encode() + _plain(ast.parse(_source(name))).encode())
    return total.hexdigest()


def _reachable(module: ast.Module, name: str) -> list[ast.AST]:
    """The definitions of a module that one of its functions uses, itself first, and the module's imports."""
    tops = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    found: dict[str, ast.AST] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in found or current not in tops:
            continue
        found[current] = tops[current]
        waiting += sorted({node.id for node in ast.walk(tops[current]) if isinstance(node, ast.Name)})
    constants = [node for node in module.body if isinstance(node, ast.Assign | ast.ImportFrom)]
    return [*found.values(), *constants]


def _modules_of(parts) -> set[str]:
    names = set()
    for part in parts:
        for node in ast.walk(part):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ROOMS:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if _is_module(name) and not name.startswith((*NEUTRAL, "pipelines.steps"))}


def _closure(modules: set[str]) -> list[str]:
    seen: set[str] = set()
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting |= _modules_of([ast.parse(_source(name))]) - seen
    return sorted(seen)


def _is_module(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, AttributeError):
        return False
    return spec is not None and spec.origin is not None


def _source(name: str) -> str:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def _plain(tree: ast.AST) -> str:
    """The code without docstrings, comments and positions."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = body[1:]  # type: ignore[attr-defined]
    return ast.dump(tree, annotate_fields=False, include_attributes=False)


def test_a_step_whose_source_moved_has_a_new_version():
    golden, now = json.loads(GOLDEN.read_text()), source_digests()
    assert set(golden) == set(now), "steps came or went: run this file with --update"
    moved = [name for name in now if now[name]["digest"] != golden[name]["digest"]]
    stale = [name for name in moved if now[name]["version"] == golden[name]["version"]]
    if stale:
        pytest.fail(
            f"The source behind {stale} moved. If results can change, raise the version in pipelines/steps; "
            "then run: python tests/golden/test_step_sources.py --update"
        )
    assert not moved, "versions were raised: run this file with --update"


def test_the_digest_sees_code_and_not_words(tmp_path):
    one = ast.parse('def f(x):\n    """Words."""\n    return x + 1  # why\n')
    same = ast.parse('def f(x):\n    """Other words."""\n    return x + 1\n')
    other = ast.parse("def f(x):\n    return x + 2\n")
    assert _plain(one) == _plain(same) != _plain(other)


if __name__ == "__main__" and "--update" in sys.argv:
    GOLDEN.write_text(json.dumps(source_digests(), indent=1) + "\n")
    print(f"wrote {GOLDEN.name}")  # noqa: T201
