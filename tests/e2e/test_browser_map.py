"""Map and graph in a real browser: a click names a feature, the address restores it, text stays text."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboards.screenshots import chromium, find_chromium, settle
from dashboards.server import serve
from storage import open_run

SUPPORT = Path(__file__).resolve().parents[1] / "support"
if str(SUPPORT) not in sys.path:
    sys.path.append(str(SUPPORT))

import synthetic_text
from synthetic_run import write_synthetic_run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
    pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed"),
]

EVIL = "<img src=x onerror=alert(1)>![i](http://example.invalid/d.png):red[d]"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    """A run in which nearly every domain has a hostile name."""
    url = str(tmp_path_factory.mktemp("map") / "store")
    with pytest.MonkeyPatch.context() as patch:
        known = synthetic_text.WORDS
        names = [f"{EVIL}{i}" if name in known else name for i, name in enumerate(synthetic_text.DOMAINS)]
        words = {
            new: known[old] for new, old in zip(names, synthetic_text.DOMAINS, strict=True) if old in known
        }
        patch.setattr(synthetic_text, "DOMAINS", names)
        patch.setattr(synthetic_text, "WORDS", known | words)
        write_synthetic_run(url, n_models=2, n_latents=60, n_documents=60, n_untrained=0, replicates=False)
    return url


@pytest.fixture(scope="module")
def page(store):
    with serve(store) as address, chromium() as browser:
        opened = browser.new_page(viewport={"width": 1440, "height": 1300})
        opened.errors, opened.strangers, opened.address = [], [], address
        opened.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.on("dialog", lambda dialog: (opened.errors.append(dialog.message), dialog.dismiss()))
        opened.on("console", lambda m: opened.errors.append(m.text) if _is_error(m) else None)
        opened.on("request", lambda r: opened.strangers.append(r.url) if _is_stranger(r.url) else None)
        yield opened


def _is_error(message) -> bool:
    # Streamlit looks for its own base path below the page's name first, and logs the 404 that it expects.
    return message.type == "error" and "/_stcore/" not in message.location.get("url", "")


def _is_stranger(url: str) -> bool:
    return urlsplit(url).hostname != "127.0.0.1" and not url.startswith(("data:", "blob:"))


def show(page, path: str) -> None:
    page.goto(f"{page.address}/{path}")
    settle(page)
    page.wait_for_selector("[data-testid=stEChartsChart] canvas, canvas")


def param(page, name: str) -> str | None:
    return parse_qs(urlsplit(page.url).query).get(name, [None])[0]


def pixel(page, frame, row) -> tuple[float, float]:
    """Where a row of the positions stands on the screen: axes end 3 % beyond the outermost points."""
    box = page.locator("canvas").first.bounding_box()
    low, span = frame[["x", "y"]].min(), frame[["x", "y"]].max() - frame[["x", "y"]].min()
    across, up = (
        float((row[axis] - low[axis] + 0.03 * span[axis]) / (1.06 * span[axis])) for axis in ("x", "y")
    )
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


def test_a_click_on_the_map_names_a_feature_and_the_address_restores_it(page, store):
    places = open_run(None, store).table("positions")
    evil = evil_features(store)
    row = alone(
        places,
        (places["model"] + places["latent"].astype(str)).isin(evil["model"] + evil["latent"].astype(str)),
    )
    feature = f"{row['model']}:{row['latent']}"
    show(page, "map?colour=Domain")
    across, down = pixel(page, places, row)
    page.mouse.move(across, down)
    page.wait_for_timeout(300)
    shown = page.inner_text("body")
    assert feature in shown
    assert EVIL in shown
    page.mouse.click(across, down)
    page.wait_for_function("location.search.includes('feature=')")
    settle(page)
    assert param(page, "feature") == feature
    assert feature in page.inner_text(".uv-heading")
    page.reload()
    settle(page)
    assert feature in page.inner_text(".uv-heading")
    assert param(page, "colour") == "Domain"
    clean(page)


def test_a_click_on_the_graph_names_a_cluster_and_a_filter_does_not_move_it(page, store):
    places = open_run(None, store).table("cluster_positions")
    counts = evil_features(store)["cluster"].value_counts()
    row = alone(places, places["cluster"].isin(counts.index[counts == 2]))
    cluster = str(int(row["cluster"]))
    show(page, "graph?link=1.0")
    page.mouse.move(*pixel(page, places, row))
    page.wait_for_timeout(300)
    shown = page.inner_text("body")
    assert f"cluster {cluster}:" in shown
    assert EVIL in shown
    page.mouse.click(*pixel(page, places, row))
    page.wait_for_function("location.search.includes('cluster=')")
    settle(page)
    assert param(page, "cluster") == cluster
    page.get_by_role("radio", name="Cohesion", exact=True).click()
    settle(page)
    assert param(page, "size") == "Cohesion"
    assert f"Cluster {cluster}" in page.inner_text(".uv-heading")
    with page.expect_download() as download:
        page.get_by_role("button", name="GraphML").click()
    assert b"<graphml" in Path(download.value.path()).read_bytes()
    clean(page)


def clean(page) -> None:
    assert page.errors == []
    assert page.strangers == []
    assert page.locator("img[src='x'], img[src*='example.invalid']").count() == 0
