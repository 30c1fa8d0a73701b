"""Our top-level packages have generic names: a foreign one in front of them is told in words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli.names import ROOMS, foreign_rooms

ROOT = Path(__file__).resolve().parents[2]


def test_here_all_rooms_are_ours():
    assert foreign_rooms() == {}
    assert all((ROOT / room / "__init__.py").is_file() for room in ROOMS)


def test_a_room_that_is_nowhere_is_told():
    assert foreign_rooms(rooms=["no_such_room"]) == {"no_such_room": "nowhere"}


def test_rooms_elsewhere_are_told_with_their_place(tmp_path):
    assert set(foreign_rooms(home=tmp_path)) == set(ROOMS)
    assert foreign_rooms(rooms=["json"])["json"].endswith("json")


@pytest.mark.parametrize("room", ["storage", "dashboards"])
def test_program_refuses_to_start_behind_a_foreign_package(tmp_path, room):
    foreign = tmp_path / room
    foreign.mkdir()
    (foreign / "__init__.py").write_text("raise RuntimeError('imported a foreign package')\n")
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(1, {str(ROOT)!r}); import pipelines.cli.main as m; m.entry()",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert ended.returncode == 1
    assert f"'{room}'" in ended.stderr
    assert str(foreign) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_room_hides_the_standard_library():
    assert set(ROOMS).isdisjoint(sys.stdlib_module_names)
