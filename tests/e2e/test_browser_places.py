"""Map, graph, text lens and steering in a real browser: an address restores what was chosen, text stays text."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import synthetic_text
from synthetic_run import write_synthetic_run
from watched import BROWSER, EVIL, Watched

from storage import open_run
from tools.screenshots import chromium, settle
from tools.server import serve

pytestmark = BROWSER

TYPED = "</div><img src=x onerror=alert(1)>![i](x.png)\t\u202ee"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    """A run in which nearly every domain has a hostile name."""
    url = str(tmp_path_factory.mktemp("places") / "store")
    with pytest.MonkeyPatch.context() as patch:
        known = synthetic_text.WORDS
        names = [f"{EVIL}{i}" if name in known else name for i, name in enumerate(synthetic_text.DOMAINS)]
        words = {new: known[old] for new, old in zip(names, synthetic_text.DOMAINS, strict=True) if old in known}
        patch.setattr(synthetic_text, "DOMAINS", names)
        patch.setattr(synthetic_text, "WORDS", known | words)
        write_synthetic_run(
            url, n_models=2, n_latents=60, n_documents=60, n_untrained=0, replicates=False, loadable=True
        )
    return url


@pytest.fixture(scope="module")
def watched(store):
    with serve(store) as address, chromium() as browser:
        yield Watched(browser.new_page(viewport={"width": 1440, "height": 1400}), address).listen()


def show(watched, path: str) -> None:
    watched.open(path)
    watched.page.wait_for_selector("[data-testid=stEChartsChart] canvas, canvas")


def pixel(page, frame, row) -> tuple[float, float]:
    """Where a row of the positions stands on the screen: axes end 3 % beyond the outermost points."""
    box = page.locator("canvas").first.bounding_box()
    low, span = frame[["x", "y"]].min(), frame[["x", "y"]].max() - frame[["x", "y"]].min()
    across, up = (float((row[axis] - low[axis] + 0.03 * span[axis]) / (1.06 * span[axis])) for axis in ("x", "y"))
    return box["x"] + 4 + across * (box["width"] - 8), box["y"] + 4 + (1 - up) * (box["height"] - 8)


def alone(frame, wanted):
    """Of the wanted rows the one that is farthest from its nearest neighbour: no other lies above it."""
    xy = frame[["x", "y"]].to_numpy(float)
    xy = (xy - xy.min(0)) / (xy.max(0) - xy.min(0))
    distance = ((xy[:, None] - xy[None]) ** 2).sum(-1)
    distance[range(len(xy)), range(len(xy))] = 9
    return frame.iloc[int((distance.min(1) * wanted.to_numpy()).argmax())]


def evil_features(store: str):
    features = open_run(None, store).table("features")
    return features[features["top_domain"].fillna("").str.startswith(EVIL)]


def test_a_click_on_the_map_names_a_feature_and_the_address_restores_it(watched, store):
    page = watched.page
    places = open_run(None, store).table("positions")
    evil = evil_features(store)
    row = alone(
        places,
        (places["model"] + places["latent"].astype(str)).isin(evil["model"] + evil["latent"].astype(str)),
    )
    feature = f"{row['model']}:{row['latent']}"
    show(watched, "map?colour=Domain")
    across, down = pixel(page, places, row)
    page.mouse.move(across, down)
    page.wait_for_timeout(300)
    shown = page.inner_text("body")
    assert feature in shown
    assert EVIL in shown
    page.mouse.click(across, down)
    page.wait_for_function("location.search.includes('feature=')")
    watched.becomes("feature", feature)
    assert feature in page.inner_text(".uv-heading")
    page.reload()
    settle(page)
    assert feature in page.inner_text(".uv-heading")
    assert watched.param("colour") == "Domain"
    watched.assert_clean()


def test_a_click_on_the_graph_names_a_cluster_and_a_filter_does_not_move_it(watched, store):
    page = watched.page
    places = open_run(None, store).table("cluster_positions")
    counts = evil_features(store)["cluster"].value_counts()
    row = alone(places, places["cluster"].isin(counts.index[counts == 2]))
    cluster = str(int(row["cluster"]))
    show(watched, "graph?link=1.0")
    page.mouse.move(*pixel(page, places, row))
    page.wait_for_timeout(300)
    shown = page.inner_text("body")
    assert f"cluster {cluster}:" in shown
    assert EVIL in shown
    page.mouse.click(*pixel(page, places, row))
    page.wait_for_function("location.search.includes('cluster=')")
    watched.becomes("cluster", cluster)
    page.get_by_role("radio", name="Cohesion", exact=True).click()
    watched.becomes("size", "Cohesion")
    assert f"Cluster {cluster}" in page.inner_text(".uv-heading")
    with page.expect_download() as download:
        page.get_by_role("button", name="GraphML").click()
    assert b"<graphml" in Path(download.value.path()).read_bytes()
    watched.assert_clean()


def strip(page) -> str:
    return page.locator(".uv-lens").inner_text()


def test_typed_markup_is_shown_and_a_link_restores_it(watched):
    page = watched.page
    watched.open("lens")
    page.get_by_role("textbox", name="Text").fill(TYPED)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".uv-lens", timeout=60_000)
    settle(page)
    shown = TYPED.replace("\t", "⇥").replace("\u202e", "⟨RLO⟩")
    assert strip(page).replace("┊", "") == shown
    assert watched.param("text") == TYPED
    watched.moves(page.get_by_role("button", name="Next").click)
    page.locator("h1").click()
    page.keyboard.press("n")
    watched.becomes("token", "2")
    page.get_by_role("button", name="Link").click()
    link = page.locator("[data-testid=stPopoverBody] code").inner_text()
    assert parse_qs(urlsplit(link).query)["text"] == [TYPED]
    watched.assert_clean()
    page.goto(link)
    page.wait_for_selector(".uv-lens")
    settle(page)
    assert strip(page).replace("┊", "") == shown
    assert page.locator(".uv-framed").inner_text() == "/"
    assert page.get_by_role("textbox", name="Text").input_value() == TYPED
    assert "Clusters on token 2" in page.inner_text("body")
    watched.assert_clean()


def test_a_text_that_is_too_long_for_the_box_is_a_page_all_the_same(watched):
    watched.open(f"lens?text={quote('日' * 2_000)}")
    watched.page.wait_for_selector(".uv-lens")
    assert "are left out" in watched.page.inner_text("body")
    watched.open(f"lens?text={'a' * 2_500}")
    assert watched.page.locator("[data-testid=stException]").count() == 0
    watched.assert_clean()


def test_the_button_steers_and_a_link_restores_it(watched, store):
    features = open_run(None, store).table("features")
    cluster = str(int(features.loc[features["n_models"] == 2, "cluster"].iloc[0]))
    page = watched.page
    watched.open(f"steer?subject={cluster}&tokens=10&samples=2")
    page.get_by_role("textbox", name="Prompt").fill(TYPED)
    page.keyboard.press("Control+Enter")
    settle(page)
    assert page.locator(".uv-narrow").count() == 0
    page.get_by_role("button", name="Steer", exact=True).click()
    page.wait_for_selector(".uv-narrow", timeout=60_000)
    settle(page)
    before = page.locator(".uv-narrow").all_inner_texts()
    assert len(before) == 4  # two models, with and without
    page.get_by_role("spinbutton", name="Strength in m1").fill("8")
    page.keyboard.press("Enter")
    settle(page)
    after = page.locator(".uv-narrow").all_inner_texts()
    assert (after[:2], after[3]) == (before[:2], before[3])
    assert "--strength=m0=2,m1=8" in page.locator("[data-testid=stCode]").last.inner_text()
    page.get_by_role("button", name="Link").click()
    link = page.locator("[data-testid=stPopoverBody] code").inner_text()
    assert parse_qs(urlsplit(link).query)["prompt"] == [TYPED]
    watched.assert_clean()
    page.goto(link)
    page.wait_for_selector(".uv-narrow", timeout=60_000)
    settle(page)
    assert page.locator(".uv-narrow").all_inner_texts() == after
    watched.assert_clean()
