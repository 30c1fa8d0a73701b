"""The text lens in a real browser: a link restores it, typed markup stays text, nothing leaves the machine."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from synthetic_run import write_synthetic_run
from watched import BROWSER, Watched

from tools.screenshots import chromium, settle
from tools.server import serve

pytestmark = BROWSER

EVIL = "</div><img src=x onerror=alert(1)>![i](x.png)\t\u202ee"


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    url = str(tmp_path_factory.mktemp("lens") / "store")
    write_synthetic_run(
        url, n_models=2, n_latents=40, n_documents=60, n_untrained=0, replicates=False, loadable=True
    )
    with serve(url) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 1400})
        yield Watched(page, address).listen()


def strip(page) -> str:
    return page.locator(".uv-lens").inner_text()


def test_typed_markup_is_shown_and_a_link_restores_it(watched):
    page = watched.page
    watched.open("lens")
    page.get_by_role("textbox", name="Text").fill(EVIL)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".uv-lens", timeout=60_000)
    settle(page)
    shown = EVIL.replace("\t", "⇥").replace("\u202e", "⟨RLO⟩")
    assert strip(page).replace("┊", "") == shown
    assert watched.param("text") == EVIL
    watched.moves(page.get_by_role("button", name="Next").click)
    page.locator("h1").click()
    page.keyboard.press("n")
    watched.becomes("token", "2")
    page.get_by_role("button", name="Link").click()
    link = page.locator("[data-testid=stPopoverBody] code").inner_text()
    assert parse_qs(urlsplit(link).query)["text"] == [EVIL]
    watched.assert_clean()
    page.goto(link)
    page.wait_for_selector(".uv-lens")
    settle(page)
    assert strip(page).replace("┊", "") == shown
    assert page.locator(".uv-framed").inner_text() == "/"
    assert page.get_by_role("textbox", name="Text").input_value() == EVIL
    assert "Clusters on token 2" in page.inner_text("body")
    watched.assert_clean()


def test_a_text_that_is_too_long_for_the_box_is_a_page_all_the_same(watched):
    watched.open(f"lens?text={quote('日' * 2_000)}")
    watched.page.wait_for_selector(".uv-lens")
    assert "are left out" in watched.page.inner_text("body")
    watched.open(f"lens?text={'a' * 2_500}")
    assert watched.page.locator("[data-testid=stException]").count() == 0
    watched.assert_clean()
