"""The atlas in a real browser, from a file: no error, no request but for files, tokens drawn as on screens."""

from __future__ import annotations

import re
import socket
from urllib.parse import quote

import pytest
import synthetic_text
from run_variants import OlderComparison
from scripts import MIXED, SCRIPTS, cut
from synthetic_run import write_synthetic_run
from watched import BROWSER, EVIL, LITERAL

from results.atlas.site import write_atlas
from results.label_frames import labelled_features
from results.loading import load_comparison
from results.search import found_by
from results.token_strip import Channel, token_strip
from results.token_text import text_lines, token_strings
from tools.screenshots import chromium

pytestmark = BROWSER


#: Ids of the features that a text finds, by what it is to them.
FIND = """async q => {
  const [all, found] = await Promise.all([features(), find(q)]);
  return Object.fromEntries([...found].map(([what, places]) => [what, places.map((i) => all.id[i])]));
}"""


class Opened:
    """A page opened from a file, with everything that went wrong on it and everything that it asked for."""

    def __init__(self, page, index) -> None:
        self.page, self.address = page, index.as_uri()
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: self.errors.append(str(e)))
        page.on("dialog", lambda d: (self.errors.append(d.message), d.dismiss()))
        page.on("request", lambda r: self.requests.append(r.url))

    def open(self, fragment: str = "") -> str:
        """Go to a page of the atlas by its address; what it says."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#/{fragment}")
        self.page.wait_for_selector("main:not([aria-busy]) h1", timeout=60_000)
        return self.page.inner_text("main")

    def assert_clean(self) -> None:
        assert self.errors == []
        assert [url for url in self.requests if not url.startswith(("file:", "data:", "about:"))] == []
        assert self.page.locator("main :is(img, script, iframe)").count() == 0


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A run with text that would like to act, and a domain that has such a name."""
    url = str(tmp_path_factory.mktemp("atlas") / "store")
    names = [EVIL if name == "english" else name for name in synthetic_text.DOMAINS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_text, "DOMAINS", names)
        patch.setitem(synthetic_text.WORDS, EVIL, synthetic_text.WORDS["english"])
        run = write_synthetic_run(url, n_latents=100, n_documents=120)
    run.update(recipe_name=EVIL)
    return load_comparison(run.name, None, run.store)


@pytest.fixture(scope="module")
def index(stored, tmp_path_factory):
    return write_atlas(stored, tmp_path_factory.mktemp("atlas") / "</script><b>pages").index


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def opened(browser, index):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield Opened(context.new_page(), index)
    context.close()


def strongest(stored):
    pairs = stored.table("pairs")
    row = pairs.nlargest(1, "r_held_out").iloc[0]
    return row, f"{row['model_a']}:{row['latent_a']}", f"{row['model_b']}:{row['latent_b']}"


def test_every_kind_of_page_opens_by_its_address(opened, stored):
    row, a, b = strongest(stored)
    features = stored.table("features")
    side = (features["model"] == row["model_a"]) & (features["latent"] == row["latent_a"])
    cluster = int(features.loc[side, "cluster"].iloc[0])
    pages = {
        "": ("same features?", stored.name),
        f"pair/{a}-{b}": (f"{a} ↔ {b}", f"{row['r_held_out']:.2f}"),
        f"pair/{b.replace(':', '/')}-{a}": (f"{a} ↔ {b}",),
        f"feature/{a}": (a, "In the other models", b),
        f"cluster/{cluster}": (f"Cluster {cluster}", a, b, "untrained models"),
        "features?class=specific": ("Features", "specific"),
        "clusters": ("Clusters",),
        "pairs": ("Pairs", f"{a}-{b}"),
        "feature/m0:99999": ("No feature m0:99999",),
        "cluster/1e9": ("No cluster 1e9",),
        "pair/x": ("No pair x",),
        "<img src=x>": ("No such page",),
    }
    titles = set()
    for address, said in pages.items():
        text = opened.open(address)
        assert [part for part in said if part not in text] == []
        assert [word for word in ("undefined", "NaN", "[object") if word in text] == []
        titles.add(opened.page.title())
    assert len(titles) == len(pages) - 1  # a pair has one title, whichever side comes first
    opened.assert_clean()


def test_search_finds_what_the_dashboards_find(opened, stored):
    """By domain, label, name, cluster and number; and the token on which features peak."""
    opened.open("features")
    box = opened.page.locator("main input[type=search]")
    word = labelled_features(stored)["label"].iloc[0].split()[0]
    for query in ("arabic", word, "m0/12", "m1:3", "cluster 0", "7"):
        found = found_by(stored, query)
        expected = {name for what, names in found.items() if not what.startswith("peak") for name in names}
        box.fill(query)
        opened.page.wait_for_function("q => new URLSearchParams(location.hash.split('?')[1]).get('q') === q", arg=query)
        by = opened.page.evaluate(FIND, query)
        names = {name for ids in by.values() for name in ids}
        assert {name for what, ids in by.items() if not what.startswith("peak") for name in ids} == expected
        assert expected
        opened.page.get_by_text(f"{len(names)} of 300 features").wait_for()
    box.fill("no such word anywhere")
    opened.page.get_by_text("Nothing is found by").wait_for()
    opened.page.keyboard.press("Escape")
    opened.page.locator("h1").click()
    opened.page.keyboard.press("/")
    opened.page.keyboard.type("arabic")
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_function("() => location.hash === '#/features?q=arabic'")
    opened.assert_clean()


def test_a_word_of_the_text_finds_the_features_that_peak_on_it(opened, stored):
    opened.open("features")
    top = stored.top_rows()
    row = int(top["row"].iloc[0])
    token = stored.text.window(row, 0, 0).tokens[0].strip()
    feature = f"{top['model'].iloc[0]}:{top['latent'].iloc[0]}"
    found = {name for ids in opened.page.evaluate(FIND, f'"{token}"').values() for name in ids}
    assert feature in found
    assert len(found) < 300


def test_hostile_text_is_literal(opened, stored):
    features = stored.table("features")
    fires = features[(features["top_domain"] == "hostile") & (features["status"] == "alive")]
    seen = ""
    for model, latent in zip(fires["model"], fires["latent"], strict=True):
        seen += opened.open(f"feature/{model}:{latent}")
    assert [text for text in LITERAL if text not in seen] == []
    assert "\u202e" not in seen
    assert EVIL in opened.open()
    assert EVIL in opened.open(f"features?q={quote(EVIL)}")
    opened.assert_clean()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_narrow_and_dark(browser, index, stored, scheme):
    context = browser.new_context(color_scheme=scheme, viewport={"width": 380, "height": 800})
    opened = Opened(context.new_page(), index)
    _, a, b = strongest(stored)
    for address in ("", "features", "clusters", "pairs", f"feature/{a}", f"pair/{a}-{b}", "cluster/0"):
        opened.open(address)
        wide = opened.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{address} scrolls sideways"
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 3 * 128) == (scheme == "light")
    opened.assert_clean()
    context.close()


def test_filters_stand_in_the_address_and_come_back(opened, stored):
    opened.open("clusters")
    opened.page.get_by_label("class").select_option("universal")
    assert opened.page.url.endswith("#/clusters?class=universal")
    n = int((stored.table("clusters")["class"] == "universal").sum())
    assert f"{n} of " in opened.page.inner_text("main")
    opened.open("clusters?class=universal&order=agreement, highest")
    assert opened.page.get_by_label("class").input_value() == "universal"
    shown = [int(text) for text in opened.page.locator("tbody td:first-child").all_inner_texts()]
    cohesion = stored.table("clusters").set_index("cluster")["cohesion"].loc[shown].round(3).tolist()
    assert len(cohesion) == min(n, 100)
    assert cohesion == sorted(cohesion, reverse=True)
    assert f"{n} of " in opened.page.inner_text("main")
    opened.assert_clean()


def test_the_page_forbids_itself_a_network_and_text_that_acts(opened):
    opened.open()
    with socket.create_server(("127.0.0.1", 0)) as server:
        forbidden, ran = opened.page.evaluate(
            """async address => {
              const forbidden = [], all = new Promise((resolve) => addEventListener("securitypolicyviolation",
                (event) => forbidden.push(event.effectiveDirective) === 4 && resolve()));
              fetch(address).catch(() => null);
              new Image().src = `${address}/x.png`;
              const script = document.createElement("script");
              script.textContent = "window.ran = true";
              document.head.append(script);
              main.innerHTML = "<img src='data:,' onerror='window.ran = true'>";
              await Promise.race([all, new Promise((resolve) => setTimeout(resolve, 10_000))]);
              return [forbidden.sort(), window.ran === true];
            }""",
            f"http://127.0.0.1:{server.getsockname()[1]}",
        )
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert forbidden == ["connect-src", "img-src", "script-src-attr", "script-src-elem"]
    assert not ran


def test_a_run_of_an_earlier_version_has_pages_too(browser, stored, tmp_path):
    """Without labels, groups, effects and agreement, and of text without domains."""
    context = browser.new_context()
    opened = Opened(context.new_page(), write_atlas(OlderComparison(stored.run, "main"), tmp_path / "atlas").index)
    _, a, b = strongest(stored)
    for address in ("", "features?q=m0:12", "clusters", "pairs", f"feature/{a}", f"pair/{a}-{b}", "cluster/0"):
        said = opened.open(address)
        assert "cannot be shown" not in said
        assert [word for word in ("undefined", "NaN", "null", "[object") if word in said] == []
    opened.assert_clean()
    context.close()


def test_a_missing_file_is_said(browser, stored, tmp_path):
    """A folder that was copied in part."""
    index = write_atlas(stored, tmp_path / "atlas").index
    (tmp_path / "atlas/data/texts.js").unlink()
    context = browser.new_context()
    opened = Opened(context.new_page(), index)
    assert "data/texts.js is not there" in opened.open("feature/m0:0")
    context.close()


def test_tokens_are_drawn_as_by_token_strip(browser, index):
    """Both draw the same markup: the dashboards' in Python, the atlas' in the browser."""
    parts = ["日".encode()[:1], "日".encode()[1:]]
    tokens = token_strings([*synthetic_text.HOSTILE, *parts, b"</script>", "\u2028".encode()])
    scripts = [token_strings(cut("\n".join([*SCRIPTS.values(), *MIXED]), [size, 3, 1])) for size in (1, 2, 7)]
    cases = []
    for text in (tokens, *scripts):
        steps = [(i * 37 % 11) / 7 * (i % 3 > 0) for i in range(len(text))]
        odd = [1.23456e-6 * 10 ** (i % 12) for i in range(len(text))]
        one, other = Channel("m0:1", steps, 1.3), Channel("m1:<b>", odd, None, "#009E73")
        for channels in ([], [one], [one, other], [other, one, Channel("dead", [0.0] * len(text))]):
            for options in ({}, {"peak": 3, "break_lines": False}, {"background": False}):
                break_lines = options.get("break_lines", True)
                right = [n for n, (right, _) in enumerate(text_lines(text, break_lines=break_lines)) if right]
                drawn = {"peak": options.get("peak"), "breakLines": break_lines,
                         "background": options.get("background", True), "right": right}  # fmt: skip
                cases.append([token_strip(text, channels, **options), text, [vars(c) for c in channels], drawn])
    context = browser.new_context(bypass_csp=True)  # what Python wrote is parsed here, with its styles
    page = context.new_page()
    page.goto(f"{index.as_uri()}#/")
    pairs = page.evaluate(
        """cases => cases.map(([html, tokens, channels, options]) => {
          const written = new DOMParser().parseFromString(html, "text/html").body.firstChild;
          for (const node of [written, ...written.querySelectorAll("*")]) {
            const {style, title} = Object.fromEntries([...node.attributes].map(({name, value}) => [name, value]));
            node.removeAttribute("style");
            node.removeAttribute("title");
            if (style !== undefined) node.style.cssText = style;  // as a browser writes it
            if (title !== undefined) node.title = title;
          }
          return [written.outerHTML, tokenStrip(tokens, channels, options).outerHTML];
        })""",
        cases,
    )
    context.close()
    assert len(pairs) == 48
    for written, drawn in pairs:
        assert written == drawn
