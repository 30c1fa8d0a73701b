"""Every screen has its script, its line in the manual and its place among the tests of all screens."""

from __future__ import annotations

import re
from pathlib import Path

import dashboards
from dashboards.navigation import SCREENS, file_of

HOME = Path(dashboards.__file__).parent
ROOT = HOME.parent


def test_every_screen_has_a_script_and_every_script_is_a_screen():
    scripts = {path.relative_to(HOME).as_posix() for path in (HOME / "app_pages").glob("*.py")}
    assert scripts == {file_of(screen) for screen in SCREENS}


def test_no_two_screens_look_alike_in_the_navigation():
    assert len({screen.title for screen in SCREENS.values()}) == len(SCREENS)
    assert len({screen.icon for screen in SCREENS.values()}) == len(SCREENS)


def test_the_manual_has_every_screen_with_its_picture():
    manual = (ROOT / "docs" / "DASHBOARD.md").read_text()
    rows = dict(re.findall(r"^\| \[([^\]]+)\]\(images/(\w+)\.png\)", manual, re.MULTILINE))
    assert {screen.title: name for name, screen in SCREENS.items()}.items() <= rows.items()
    assert all((ROOT / "docs" / "images" / f"{name}.png").is_file() for name in SCREENS)


def test_every_screen_is_visited_with_every_kind_of_store():
    visited = (ROOT / "tests" / "e2e" / "test_screens_every.py").read_text()
    drawn, silent = (visited.partition(f"{table} = {{")[2].partition("\n}")[0] for table in ("DRAWN", "SILENT"))
    for screen in SCREENS:
        assert f'"{screen}": ' in drawn
        assert f'"{screen}": ' in silent
