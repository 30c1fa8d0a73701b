from __future__ import annotations

import subprocess
import sys

from dashboards.data import stamp_of
from dashboards.start import arguments, foreign_rooms


def test_the_store_is_the_argument_else_the_environment_else_runs(monkeypatch):
    monkeypatch.delenv("UNIVERSALITY_STORE", raising=False)
    assert arguments([]).store == "runs"
    monkeypatch.setenv("UNIVERSALITY_STORE", "memory://x")
    assert arguments([]).store == "memory://x"
    assert arguments(["-q", "--store", "/somewhere", "--other=1"]).store == "/somewhere"


def test_our_rooms_are_ours():
    assert foreign_rooms() == ""


def test_a_foreign_room_is_named(tmp_path, monkeypatch):
    foreign = tmp_path / "storage"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("")
    code = "from dashboards import start; print(start.foreign_rooms())"
    env = {"PYTHONPATH": f"{tmp_path}:{_home()}", "PATH": ""}
    printed = subprocess.run([sys.executable, "-c", code], env=env, cwd="/", capture_output=True, text=True, check=True)
    assert "`storage` is not the one of this program" in printed.stdout
    assert str(foreign) in printed.stdout


def _home() -> str:
    from pathlib import Path

    import dashboards

    return str(Path(dashboards.__file__).parent.parent)


def test_the_stamp_moves_when_a_step_finishes_and_only_then():
    planned = {"nodes": {"tokens": {"key": "k", "status": "planned"}}}
    done = {"nodes": {"tokens": {"key": "k", "status": "done"}}, "wall_s": 3.0}
    assert stamp_of(planned) != stamp_of(done)
    assert stamp_of(done) == stamp_of({**done, "wall_s": 4.0, "status": "running"})


def test_what_is_prepared_before_the_first_visitor_is_there_and_light():
    code = """
import sys
from dashboards.launch import LIBRARIES, prepare
assert not set(LIBRARIES) & set(sys.modules)
prepare()
assert set(LIBRARIES) <= set(sys.modules)
assert not {"torch", "transformer_lens", "numba", "dask"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
