"""Opening a store and reading its runs costs no heavy import; neither does any misuse of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest

import storage

HEAVY = ("torch", "pyarrow", "duckdb", "pandas", "scipy", "numpy", "fsspec", "safetensors")


def test_listing_a_store_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from storage import open_store, artifact_key\n"
        f"store = open_store({str(tmp_path)!r})\n"
        "key = artifact_key('a', 1, {}, {})\n"
        "with store.create(key, step='a', version=1, params={}, inputs={}) as out: out.json('x', 1)\n"
        "run = store.create_run('r', recipe_name='q', recipe={}, nodes={'n': {'step': 'a', 'key': key}})\n"
        "run.append_event({'event': 'x'}); run.events(); store.runs()[0].record; run.artifact('n').json('x')\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_every_public_name_is_there():
    for name in storage.__all__:
        assert getattr(storage, name).__name__ == name


@pytest.mark.parametrize("name", [n for n in storage.__all__ if n.startswith(("Artifact", "Run", "Table"))])
def test_errors_inherit_a_builtin(name):
    kind = getattr(storage, name)
    if isinstance(kind, type) and issubclass(kind, Exception):
        assert issubclass(kind, storage.StoreError)
        assert issubclass(kind, (ValueError, LookupError, RuntimeError, OSError))
