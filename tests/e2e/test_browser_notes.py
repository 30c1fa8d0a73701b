"""Name it and find it again, in a real browser: clicks are counted, and what a person wrote never acts."""

from __future__ import annotations

import pytest
from synthetic_run import write_synthetic_run
from walk import Walk
from watched import BROWSER, EVIL, Watched, click_row

from tools.screenshots import chromium
from tools.server import serve

pytestmark = BROWSER

NAME = "zebra crossing"


def name_it(watched: Watched, address: str, *, note: str = "") -> Walk:
    """From the screen of a thing: call it by a name."""
    watched.open(address)
    page, walk = watched.page, Walk(watched)
    walk.click(page.get_by_role("button", name="Name it"))
    walk.type(page.get_by_label("Name", exact=True), NAME)
    if note:
        walk.type(page.get_by_label("Note", exact=True), note)
    walk.click(page.get_by_role("button", name="Keep"))
    page.locator(".uv-own-words b", has_text=NAME).wait_for()
    return walk


def find_it(watched: Watched, screen: str) -> Walk:
    """From the overview, as a new visitor: find it by a part of its name."""
    watched.open()
    page, walk = watched.page, Walk(watched)
    walk.go(screen)
    box = page.get_by_role("textbox", name="Go to" if screen == "Feature" else "Search", exact=True)
    walk.type(box, "zebra", enter=True)
    walk.row(0)
    page.locator(".uv-own-words b", has_text=NAME).wait_for()
    return walk


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    url = str(tmp_path_factory.mktemp("walk") / "store")
    write_synthetic_run(url, n_models=2, n_latents=40, n_documents=60, n_untrained=0, replicates=False)
    with serve(url) as found:
        yield found


@pytest.fixture(scope="module")
def visit(address):
    with chromium() as browser:
        contexts = []

        def visit() -> Watched:
            contexts.append(browser.new_context(viewport={"width": 1440, "height": 1000}))
            return Watched(contexts[-1].new_page(), address).listen()

        yield visit


PLACES = [
    ("Feature", "feature?feature=m0:3", "feature"),
    ("Pairs", "pairs", "pair"),
    ("Clusters", "clusters?cluster=1", "cluster"),
]


@pytest.mark.parametrize(("screen", "path", "param"), PLACES)
def test_name_it_and_find_it_again(visit, screen, path, param):
    first = visit()
    if param == "pair":
        first.open(path)
        click_row(first, 2)
        path = f"pairs?pair={first.param('pair')}"
    named = name_it(first, path, note=f"it {EVIL}")
    thing = first.param(param)
    again = visit()
    found = find_it(again, screen)
    assert again.param(param) == thing
    assert (named.clicks, found.clicks) == (2, 2)
    for watched in (first, again):
        watched.assert_clean()
        assert f"it {EVIL}" in watched.page.locator(".uv-own-words").inner_text()
    again.page.get_by_role("button", name="Change").click()  # taken back, for what comes after
    for label in ("Name", "Note"):
        again.page.get_by_label(label, exact=True).fill("")
    again.page.get_by_role("button", name="Keep").click()
    again.page.get_by_role("button", name="Name it").wait_for()
