"""Eight questions answered in a real browser: ``python tests/benchmarks/walks.py STORE RUN``.

Each walk begins at the overview of a new visitor and ends where the answer stands on the screen, which is asserted.
Prints clicks, texts typed and seconds of each; the last walk names a feature and takes the name back.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from playwright.sync_api import expect
from walk import Walk
from watched import Watched

from tools.screenshots import chromium
from tools.server import serve

LENS_WAIT_MS = 120_000
"""The first text waits for torch and for the models."""


def main_of(walk: Walk):
    return walk.watched.page.get_by_test_id("stMain")


def strongest(walk: Walk) -> str:
    """The strongest universal feature that is not one token's."""
    walk.watched.moves(main_of(walk).get_by_role("link", name=re.compile("^.*Open ")).first.click)
    walk.clicks += 1
    said = main_of(walk).locator(".uv-verdict").first.inner_text()
    assert "count as one feature" in said, said
    return said.split("\n")[0]


def is_it_real(walk: Walk) -> str:
    """Whether a match of the list is real."""
    walk.go("Pairs")
    walk.row(0)
    return main_of(walk).locator(".uv-verdict").first.inner_text().split("\n")[0]


def why_missing(walk: Walk) -> str:
    """Why a feature is missing in m1."""
    walk.go("Model-specific")
    walk.choose("Missing in", "m1")
    walk.row(0)
    said = main_of(walk).inner_text().partition("Why not in the other models")[2]
    found = re.search(r"\nm1\n\s*(.+)\n\s*(.+)\n\s*(.+)\n", said)
    assert found, said
    beside = main_of(walk).get_by_text(re.compile(r"Top of m1:")).count()
    return f"{'; '.join(found.groups())}; drawn beside it: {'yes' if beside else 'no'}"


def what_cluster(walk: Walk) -> str:
    """What a cluster means."""
    walk.go("Clusters")
    walk.row(0)
    return main_of(walk).locator(".uv-heading").first.inner_text().replace("\n", " ")


def own_text(walk: Walk) -> str:
    """What fires on a text of one's own, the models opened for it."""
    walk.go("Text lens")
    page = walk.watched.page
    walk.type(page.get_by_label("Text", exact=True), "In the beginning God created the heaven and the earth.")
    page.get_by_role("button", name="Read").click()
    walk.clicks += 1
    strip = main_of(walk).locator(".uv-lens").first
    strip.wait_for(timeout=LENS_WAIT_MS)
    return strip.inner_text().replace("\n", " ")[:60]


def arabic(walk: Walk) -> str:
    """Everything about Arabic."""
    walk.go("Pairs")
    walk.type(walk.watched.page.get_by_role("textbox", name="Search", exact=True), "Arabic", enter=True)
    return main_of(walk).get_by_text(re.compile(r"of [\d,]+ pairs")).first.inner_text()


def pinned(walk: Walk) -> str:
    """A pair pinned, and the file for the report."""
    strongest(walk)
    walk.click(walk.watched.page.get_by_role("button", name="Pin to report"))
    with walk.watched.page.expect_download() as download:
        walk.watched.page.get_by_role("button", name="pinned.json").click()
    walk.clicks += 1
    return download.value.suggested_filename


def named(walk: Walk) -> str:
    """A feature named, and found again by a new visitor."""
    page = walk.watched.page
    walk.go("Pairs")
    walk.row(0)
    walk.click(page.get_by_role("button", name="Name it"))
    walk.type(page.get_by_label("Name", exact=True), "zebra crossing")
    walk.click(page.get_by_role("button", name="Keep"))
    walk.watched.open()
    walk.go("Pairs")
    walk.type(page.get_by_role("textbox", name="Search", exact=True), "zebra", enter=True)
    walk.row(0)
    expect(page.locator(".uv-own-words b").first).to_have_text("zebra crossing")
    seen = f"{walk.clicks} clicks, of which 2 to find it again"
    done = walk.clicks, walk.seconds
    page.get_by_role("button", name="Change").click()
    page.get_by_label("Name", exact=True).fill("")
    page.get_by_role("button", name="Keep").click()
    page.get_by_role("button", name="Name it").wait_for()
    walk.clicks, walk.started = done[0], walk.started + (walk.seconds - done[1])
    return seen


WALKS: dict[str, Callable[[Walk], str]] = {
    function.__doc__ or "": function
    for function in (strongest, is_it_real, why_missing, what_cluster, own_text, arabic, pinned, named)
}


def main() -> None:
    store, run = sys.argv[1:3]
    sys.stdout.write(
        "| question | clicks | texts typed | seconds | what stood there |\n| --- | --- | --- | --- | --- |\n"
    )
    with serve(store) as address, chromium() as browser:
        for question, take in WALKS.items():
            context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
            watched = Watched(context.new_page(), address).listen()
            watched.open(f"?run={run}")
            walk = Walk(watched)
            found = take(walk)
            watched.assert_clean()
            cells = question, walk.clicks, len(walk.typed), f"{walk.seconds:.1f}", found.replace("|", "/")
            sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
            sys.stdout.flush()
            context.close()


if __name__ == "__main__":
    main()
