"""The screens in a real browser: no error, no request that leaves the machine, no corpus text that acts."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import synthetic_text
from run_variants import add_sweep
from synthetic_run import write_synthetic_run
from watched import BROWSER, EVIL, LITERAL, Watched, click_row

from results.figure_frames import domain_frame
from results.pins import pinned_rows, read_pins
from storage import open_run
from tools.screenshots import chromium, screens, settle
from tools.server import serve

pytestmark = BROWSER


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("browser") / "store")
    names = [EVIL if name == "english" else name for name in synthetic_text.DOMAINS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_text, "DOMAINS", names)
        patch.setitem(synthetic_text.WORDS, EVIL, synthetic_text.WORDS["english"])
        run = write_synthetic_run(url, n_models=2, n_latents=80, n_documents=120, n_untrained=0, replicates=False)
    write_synthetic_run(url, "other", 2, 24, 1, n_documents=40, n_untrained=0, replicates=False)
    add_sweep(run, EVIL)
    run.update(recipe_name=EVIL, recipe={**run.record["recipe"], "description": EVIL + LITERAL[0]})
    run.append_event({"event": "warning", "node": "tokens", "message": EVIL})
    run.append_event({"event": "failed", "node": "tokens", "error": EVIL + LITERAL[0]})
    return url


@pytest.fixture(scope="module")
def address(store):
    with serve(store) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def context(browser):
    """One visitor's browser: what it loaded once it keeps."""
    opened = browser.new_context(viewport={"width": 1440, "height": 1400})
    yield opened
    opened.close()


@pytest.fixture
def watched(context, address):
    page = context.new_page()
    yield Watched(page, address).listen()
    page.close()


def telling_pair(store: str, domain: str) -> str:
    """The most frequent matched pair whose feature fires on a domain."""
    rows = open_run("synthetic", store).sql(
        "select p.* from pairs p join features f on f.model = p.model_a and f.latent = p.latent_a "
        f"where f.top_domain = '{domain}' and p.r_held_out > 0.5 order by f.firing_rate desc limit 1"
    )
    row = rows.iloc[0]
    return f"{row['model_a']}:{row['latent_a']}-{row['model_b']}:{row['latent_b']}"


def hostile_addresses(store: str) -> dict[str, str]:
    """Screens with contexts, and where they show a feature that fires on hostile text."""
    feature = telling_pair(store, "hostile").split("-")[0]
    features = open_run("synthetic", store).table("features")
    row = features[features["model"] + ":" + features["latent"].astype(str) == feature].iloc[0]
    found = {screen: f"{screen}?feature={feature}" for screen in ("specific", "feature")}
    return {**found, "clusters": f"clusters?cluster={row['cluster']}"}


def assert_literal(page) -> None:
    """More contexts, with every hostile token in them as it is written."""
    page.get_by_text("More", exact=True).first.click()
    settle(page)
    seen = page.inner_text("body")
    assert [text for text in LITERAL if text not in seen] == []
    assert "\u202e" not in seen


@pytest.mark.slow
def test_every_screen_is_clean_in_light_and_dark(browser, address, store):
    hostile = hostile_addresses(store)
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, viewport={"width": 1440, "height": 1400})
        watched = Watched(context.new_page(), address).listen()
        grounds = set()
        paths = screens(open_run("synthetic", store)) | hostile
        for screen, path in list(paths.items())[: None if scheme == "light" else 2]:
            watched.open(path)
            assert watched.page.locator("h1").count() == 1
            assert watched.page.locator("[data-testid=stException]").count() == 0
            assert "could not be drawn" not in watched.page.inner_text("body")
            grounds.add(watched.page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor"))
            wide = watched.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            assert not wide, f"{path} scrolls sideways"
            if screen in hostile:
                assert_literal(watched.page)
        watched.assert_clean()
        (ground,) = grounds
        light = sum(int(part) for part in re.findall(r"\d+", ground)[:3]) > 3 * 128
        assert light == (scheme == "light")
        assert urlsplit(watched.requests[0]).hostname == "127.0.0.1"
        context.close()


def test_hostile_text_is_shown_literally_and_never_acts(watched, store):
    page = watched.page
    pair = telling_pair(store, "hostile")
    watched.open(f"pairs?pair={quote(pair)}")
    seen, first = "", pair.partition("-")[0]
    page.get_by_text("More", exact=True).first.click()
    for choice in (f"Top of {first}", f"Only {first}", "Random"):
        page.get_by_role("radio", name=choice, exact=True).click()
        settle(page)
        seen += page.inner_text("body")
    page.get_by_text("Separate lines", exact=True).first.click()
    settle(page)
    seen += page.inner_text("body")
    watched.assert_clean()
    assert [text for text in LITERAL if text not in seen] == []
    assert "\u202e" not in seen
    watched.open(f"pairs?pair={quote(telling_pair(store, EVIL))}")
    assert EVIL in page.inner_text("body")
    watched.assert_clean()
    watched.open("runs")
    assert EVIL + LITERAL[0] in page.inner_text("body")
    page.get_by_text("1 warning").click()
    settle(page)
    watched.assert_clean()
    watched.open("runs?a=other&b=synthetic")
    assert "Settings that differ" in page.inner_text("body")
    watched.assert_clean()
    watched.open("sweeps")
    assert f"Sweep {EVIL}" in page.inner_text("body")
    watched.assert_clean()
    watched.open("")
    assert f"recipe {EVIL}" in page.inner_text("body")
    page.get_by_text("Every model's best feature by domain").click()
    settle(page)
    order = domain_frame(open_run("synthetic", store).table("domains"))["domain"].tolist()
    chart = page.locator("[data-testid=stVegaLiteChart]").nth(-2)  # the last one shows firing rates
    assert EVIL in hover(page, chart, order.index(EVIL), len(order))
    watched.assert_clean()


def hover(page, chart, band: int, n_bands: int) -> str:
    """Run the pointer along one band of a chart and collect what its tooltips say."""
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    middle = box["y"] + 4 + (band + 0.5) * (box["height"] - 58) / n_bands
    for offset in (0, -4, 4, -8, 8):
        for right in range(int(box["width"]) - 10, 60, -6):
            page.mouse.move(box["x"] + right, middle + offset)
            tip = page.locator("#vg-tooltip-element.visible")
            if tip.count() and EVIL in tip.inner_text():
                return tip.inner_text()
    return ""


def test_a_click_selects_and_the_address_remembers(watched):
    page = watched.page
    watched.open("pairs?run=synthetic")
    assert watched.param("pair") is None
    click_row(watched, 2)
    first = watched.param("pair")
    assert first is not None
    assert page.locator(".uv-context").count() > 0
    watched.moves(page.get_by_role("button", name="Next").click)
    second = watched.param("pair")
    assert second not in (None, first)
    page.go_back()
    watched.becomes("pair", first)
    page.locator("h1").click()
    page.keyboard.press("n")
    watched.becomes("pair", second)
    page.get_by_role("button", name="Link").click()
    link = page.locator("[data-testid=stPopoverBody] code").inner_text()
    assert parse_qs(urlsplit(link).query)["pair"] == [second]
    page.goto(link)
    settle(page)
    assert second.split("-")[0] in page.inner_text(".uv-heading >> nth=0")
    page.keyboard.press("p")
    watched.becomes("pair", first)
    assert first.split("-")[0] in page.inner_text(".uv-heading >> nth=0")
    watched.assert_clean()


def test_filters_keep_the_selection_and_stand_in_the_address(watched):
    page = watched.page
    watched.open("pairs")
    click_row(watched, 0)
    pair = watched.param("pair")
    page.get_by_role("textbox", name="Search").fill(pair.split("-")[0])
    page.keyboard.press("Enter")
    watched.becomes("find", pair.split("-")[0])
    assert watched.param("pair") == pair
    assert "hidden by the filters" not in page.inner_text("body")
    page.get_by_role("textbox", name="Search").fill("no such text anywhere")
    page.keyboard.press("Enter")
    watched.becomes("find", "no such text anywhere")
    assert watched.param("pair") == pair
    assert "hidden by the filters" in page.inner_text("body")
    page.reload()
    watched.becomes("pair", pair)
    assert page.get_by_role("textbox", name="Search").input_value() == "no such text anywhere"
    watched.assert_clean()


def test_pinned_pairs_become_the_file_that_reports_read(watched, store):
    page = watched.page
    watched.open("pairs?run=synthetic")
    click_row(watched, 1)
    pair = watched.param("pair")
    page.locator("h1").click()
    page.keyboard.press("i")
    watched.becomes("pins", f"synthetic;main/{pair}")
    watched.moves(page.get_by_role("button", name="Next").click)
    watched.moves(page.get_by_role("button", name="Pin to report").click)
    pins = watched.param("pins")
    assert pins == f"synthetic;main/{pair};main/{watched.param('pair')}"
    before = page.evaluate("history.length")
    page.get_by_role("link", name="Overview").click()
    watched.becomes("pair", None)
    assert watched.param("pins") == pins
    assert page.evaluate("history.length") == before + 1
    sidebar = page.locator("[data-testid=stSidebar]")
    assert "Pinned pairs (2)" in sidebar.inner_text()
    assert not page.get_by_role("textbox", name="Pins").is_visible()
    sidebar.get_by_role("link", name=pair).click()
    watched.becomes("pair", pair)
    link = page.url
    watched.assert_clean()
    page.goto(link)
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="pinned.json").click()
    assert download.value.suggested_filename == "pinned.json"
    pins = read_pins(Path(download.value.path()))
    rows = pinned_rows(pins, "synthetic", open_run("synthetic", store).table("pairs"))
    assert len(rows) == 2
    assert "{model_a}:{latent_a}-{model_b}:{latent_b}".format(**rows.iloc[0]) == pair
    watched.assert_clean()


def test_the_run_stays_chosen_from_page_to_page(watched, store):
    page = watched.page
    watched.open("runs")
    click_row(watched, 1)
    assert watched.param("run") == "other"
    watched.moves(page.get_by_role("link", name="Pairs").click)
    assert f"of {len(open_run('other', store).table('pairs')):,} pairs" in page.inner_text("body")
    watched.moves(page.get_by_role("link", name="Overview").click)
    assert "Run other" in page.inner_text("body")
    assert watched.param("run") == "other"
    watched.assert_clean()


def test_the_window_listens_on_this_machine_only(address):
    import socket

    port = urlsplit(address).port
    listening = Path("/proc/net/tcp")
    if not listening.exists():
        pytest.skip("needs /proc/net/tcp")
    ours = [line.split() for line in listening.read_text().splitlines()[1:]]
    bound = {parts[1].split(":")[0] for parts in ours if int(parts[1].split(":")[1], 16) == port and parts[3] == "0A"}
    assert bound == {"0100007F"}
    six = Path("/proc/net/tcp6")
    if six.exists():
        sixes = [line.split() for line in six.read_text().splitlines()[1:]]
        assert not [p for p in sixes if int(p[1].split(":")[1], 16) == port and p[3] == "0A"]
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
