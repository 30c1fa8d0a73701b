"""Every screen on half a display, 1024 pixels wide: nothing is cut, tables use the height, windows have names."""

from __future__ import annotations

import pytest
from run_variants import add_sweep, write_silent_run
from synthetic_run import write_synthetic_run
from synthetic_study import add_studies
from visits import TINY, links, opened, turned
from watched import BROWSER, Watched

from dashboards.components.columns import number
from dashboards.navigation import SCREENS
from storage import open_run
from tools.screenshots import chromium, screens, settle
from tools.server import serve

#: Visible elements whose text is cut off, that scroll sideways (but tables and code), or that end beyond the window;
#: and boxes whose placeholder is longer than they are.
CUT = """() => {
  const found = [];
  const say = (why, el) => found.push(`${why}: ${(el.innerText || el.placeholder || el.tagName).slice(0, 80)}`);
  for (const el of document.querySelectorAll('[data-testid=stApp] *')) {
    const box = el.getBoundingClientRect(), style = getComputedStyle(el);
    if (box.width < 3 || box.height < 3 || style.visibility === 'hidden' || style.opacity === '0') continue;
    if (el.closest('[data-testid=stDataFrame] *, [data-testid=stCode] *, .vega-embed details, svg')) continue;
    const longer = el.scrollWidth > el.clientWidth + 1 && (el.innerText || '').trim();
    if (longer && ['hidden', 'clip'].includes(style.overflowX)) say('cut', el);
    if (longer && style.textOverflow === 'ellipsis') say('cut', el);
    if (longer && ['auto', 'scroll'].includes(style.overflowX)) say('scrolls', el);
    if (box.right > innerWidth + 1) say('beyond the window', el);
    if (el.placeholder && !el.value) {
      const pen = document.createElement('canvas').getContext('2d');
      pen.font = style.font;
      const room = el.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      if (pen.measureText(el.placeholder).width > room + 1) say('placeholder', el);
    }
  }
  return [...new Set(found)];
}"""
SHOWN = ["overview", "pairs", "specific", "lens", "steer", "games", "map", "graph", "runs", "clusters", "feature",
         "sweeps", "studies", "beside"]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("narrow") / "store")
    write_synthetic_run(url, "other", root_seed=1, **TINY)
    run = write_synthetic_run(url, n_latents=60, n_documents=100, loadable=True)
    add_sweep(run)
    add_studies(run)
    return url


@pytest.fixture(scope="module")
def watched(store):
    with serve(store) as address, chromium() as browser:
        page = browser.new_context(viewport={"width": 1024, "height": 800}).new_page()
        yield Watched(page, address).listen()


def browser_test(test):
    for mark in BROWSER:
        test = mark(test)
    return test


@browser_test
@pytest.mark.parametrize("screen", SHOWN)
def test_nothing_is_cut_at_1024_pixels_and_every_window_has_its_name(watched, store, screen):
    page = watched.page
    page.set_viewport_size({"width": 1024, "height": 800})
    watched.open(screens(open_run("synthetic", store))[screen])
    # As high as the page: what was not scrolled to is drawn too.
    tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": 1024, "height": int(tall) + 10})
    settle(page)
    assert page.evaluate(CUT) == []
    path = "runs" if screen == "beside" else screen
    assert page.title() == f"{SCREENS[path].title} · synthetic · universality"


@browser_test
def test_a_list_fills_the_window_and_its_own_buttons_cover_no_other(watched, store):
    page = watched.page
    heights = []
    for height in (700, 1100):
        page.set_viewport_size({"width": 1024, "height": height})
        watched.open("pairs?run=synthetic")
        table = page.locator("[data-testid=stDataFrame]").first
        box = table.bounding_box()
        heights.append(box["height"])
    assert heights[1] - heights[0] > 200
    assert heights[1] > 500
    table.hover()
    settle(page)
    toolbar = page.locator("[data-testid=stElementToolbar]").first.bounding_box()
    csv = page.get_by_role("button", name="CSV", exact=True).first.bounding_box()
    assert toolbar["width"] > 40
    apart = csv["x"] + csv["width"] <= toolbar["x"] or csv["y"] + csv["height"] <= toolbar["y"]
    assert apart, (csv, toolbar)
    # With a detail below it, it leaves room for that.
    watched.open(screens(open_run("synthetic", store))["pairs"])
    assert page.locator("[data-testid=stDataFrame]").first.bounding_box()["height"] < 320


@browser_test
@pytest.mark.parametrize("width", [1024, 1440])
def test_the_tables_of_the_lens_show_all_their_columns(watched, store, width):
    watched.page.set_viewport_size({"width": width, "height": 2400})
    watched.open(screens(open_run("synthetic", store))["lens"])
    wider = "all => all.map((one) => one.scrollWidth - one.clientWidth)"
    hidden = watched.page.locator(".dvn-scroller").evaluate_all(wider)
    assert len(hidden) > 2
    assert max(hidden) <= 1


def test_a_small_column_is_as_wide_as_its_heading():
    narrow, wide = number("q", width="small"), number("partner fires %", width="small", format="%.2f")
    assert (narrow["width"], wide["type_config"]["format"]) == (64, "%.2f")
    assert wide["width"] > 7 * len("partner fires %")
    assert number("any", width="medium")["width"] == "medium"


@pytest.mark.parametrize("page", [name for name in SCREENS if name != "runs"])
def test_where_there_is_no_run_the_command_that_makes_one_is_told(tmp_path, monkeypatch, page):
    at = opened(f"{tmp_path}/none", monkeypatch, page)
    assert any("universality run quickstart" in code.value for code in at.code)


def test_lists_without_anything_say_what_to_do(tmp_path, monkeypatch):
    url = f"{tmp_path}/silent"
    run = write_silent_run(url)
    at = opened(url, monkeypatch)
    for page in ("pairs", "clusters", "specific", "map", "graph"):
        turned(at, page, **links(run)[page])
        (said,) = [info.value for info in at.info]
        assert "evaluate on more text" in said, page
