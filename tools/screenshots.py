"""Pictures of every screen: ``python -m tools.screenshots --store URL --run NAME --out DIR``.

Needs playwright and a Chromium on the path. Starts the server itself, and shows the run's strongest pair that
survives token identity.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from PIL import Image

from results import load
from results.atlas.site import write_atlas
from storage import Run, open_run
from tools.server import serve

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTH, HEIGHT = 1440, 900
#: What the picture of the text lens reads.
LENS_TEXT = "In the beginning God created the heaven and the earth.\nfor i in range(10): print(i)"
#: What the picture of steering continues.
STEERED_TEXT = "The question is"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def find_chromium() -> str | None:
    """The path of a Chromium of this machine, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """A headless Chromium of this machine, with further arguments of its own.

    Raises:
        RuntimeError: playwright or Chromium is not installed.
    """
    path = find_chromium()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise RuntimeError("playwright is not installed; install universality[dev].") from error
    if path is None:
        raise RuntimeError("Chromium is not installed; install the package chromium of this system.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *more])
        try:
            yield browser
        finally:
            browser.close()


#: True once the page has been drawn and nothing has moved on it for 14 looks in a row: looks and not seconds, so that a
#: page that gets no time of a busy machine does not pass for one that stands still.
_STILL = """() => {
  if (window.uvLooks === undefined)
    new MutationObserver(() => { window.uvLooks = 0; })
      .observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
  const drawn = document.querySelector('[data-testid=stAppViewContainer] h1')
      && !document.querySelector('[data-testid=stStatusWidget],[data-testid=stSkeleton]')
      && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning';
  window.uvLooks = drawn ? (window.uvLooks || 0) + 1 : 0;
  return window.uvLooks > 14;
}"""


def settle(page: Page) -> None:
    """Wait until the page has been drawn: no script running, no placeholder, nothing that moves."""
    page.evaluate("if (window.uvLooks !== undefined) window.uvLooks = 0")
    page.wait_for_function(_STILL, polling=50, timeout=120_000)


def shoot(page: Page, address: str, out: Path) -> None:
    """One picture of the whole page, however long it is."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(address)
    settle(page)
    tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": max(int(tall) + 10, HEIGHT)})
    settle(page)
    _picture(page, out)


def shoot_atlas(page: Page, run: Run, out: Path) -> None:
    """One picture of a pair in the run's atlas."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    with TemporaryDirectory() as folder:
        index = write_atlas(load(run.name, store=run.store), Path(folder) / "atlas").index
        page.goto(f"{index.as_uri()}#/pair/{telling_pair(run)}")
        page.wait_for_selector("main:not([aria-busy]) h1")
        _picture(page, out)


def _picture(page: Page, out: Path) -> None:
    page.screenshot(path=str(out))
    with Image.open(out) as picture:  # 256 colours are enough for a screen, at less than half the size
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(out, optimize=True)


def screens(run: Run) -> dict[str, str]:
    """Name of each picture and the address that it shows."""
    pair = telling_pair(run)
    chosen = {
        "overview": {},
        "pairs": {"pair": pair},
        "specific": {"feature": telling_feature(run)},
        "lens": {"text": LENS_TEXT, "token": "4"},
        "steer": {"subject": steered_cluster(run), "prompt": STEERED_TEXT, "go": "1", "samples": "3"},
        "games": {"game": "partner"},
        "map": {"feature": side_a(pair)},
        "graph": {},
        "runs": {},
        "clusters": {"cluster": telling_cluster(run)},
        "feature": {"feature": side_a(pair)},
    }
    addresses = {}
    for screen, params in chosen.items():
        given = {name: value for name, value in params.items() if value}
        path = "" if screen == "overview" else screen
        addresses[screen] = f"{path}?{urlencode({'run': run.name, **given})}"
    return addresses | _of_other_runs(run)


def _of_other_runs(run: Run) -> dict[str, str]:
    """Sweeps, studies, and two runs side by side, where the store has a run for them."""
    runs = [run, *(other for other in reversed(run.store.runs()) if other.name != run.name)]
    addresses = {}
    for screen, table in (("sweeps", "sweeps"), ("studies", "study")):
        found = next((other for other in runs if _has(other, table)), None)
        if found is not None:
            addresses[screen] = f"{screen}?{urlencode({'run': found.name})}"
    other = _to_compare(run, runs[1:]) if _has(run, "headline") else None
    if other is not None:
        addresses["beside"] = f"runs?{urlencode({'run': run.name, 'a': run.name, 'b': other.name})}"
    return addresses


def _to_compare(run: Run, others: Iterable[Run]) -> Run | None:
    """The first finished run, rather one that came out differently."""
    headline, finished = run.table("headline"), [other for other in others if _has(other, "headline")]
    differing = (other for other in finished if not other.table("headline").equals(headline))
    return next(differing, finished[0] if finished else None)


def _has(run: Run, table: str) -> bool:
    try:
        return bool(len(run.table(table)))
    except LookupError:
        return False


def telling_pair(run: Run) -> str:
    """The pair whose match is surest beyond token identity: one document cannot carry it."""
    rows = _best(run, "pairs", "level = 'context'", "least(r_low, r_token)") or _best(
        run, "pairs", "true", "r_held_out"
    )
    return f"{rows['model_a']}:{rows['latent_a']}-{rows['model_b']}:{rows['latent_b']}" if rows else ""


def side_a(pair: str) -> str:
    """The first feature of a pair's name."""
    match = re.match(r"[^:]+:\d+", pair)
    return match[0] if match else ""


def telling_feature(run: Run) -> str:
    """The model-specific feature that came nearest to a partner."""
    row = _best(run, "features", "class = 'specific' and status = 'alive'", "best_r")
    return f"{row['model']}:{row['latent']}" if row else ""


def telling_cluster(run: Run) -> str:
    """The most cohesive cluster of the finest level, rather one that lacks a model: it shows both sides."""
    row = _best(run, "clusters", "class = 'shared' and level = 'context'", "cohesion") or _best(
        run, "clusters", "n_models > 1", "cohesion"
    )
    return str(row["cluster"]) if row else ""


def steered_cluster(run: Run) -> str:
    """The most cohesive cluster of all models that stands for a domain: what it writes is told at a glance."""
    row = _best(run, "clusters", "n_models > 1 and level = 'domain'", "n_models desc, cohesion") or _best(
        run, "clusters", "n_models > 1", "cohesion"
    )
    return str(row["cluster"]) if row else ""


def _best(run: Run, table: str, condition: str, by: str) -> dict[str, Any] | None:
    try:
        rows = run.sql(f"select * from {table} where {condition} order by {by} desc nulls last limit 1")
    except LookupError:
        return None
    return None if rows.empty else {str(name): value for name, value in rows.iloc[0].items()}


def take(store: str, name: str | None, out: Path, themes: list[str]) -> list[Path]:
    """Pictures of every screen and of the atlas in every theme; returns their paths."""
    run = open_run(name, store)
    out.mkdir(parents=True, exist_ok=True)
    made = []
    with serve(store) as address, chromium() as browser:
        for theme in themes:
            page = browser.new_page(color_scheme="dark" if theme == "dark" else "light", device_scale_factor=1.5)
            for screen, path in screens(run).items():
                place = out / (f"{screen}.png" if theme == "light" else f"{screen}-{theme}.png")
                shoot(page, f"{address}/{path}", place)
                made.append(place)
            made.append(out / ("atlas.png" if theme == "light" else f"atlas-{theme}.png"))
            shoot_atlas(page, run, made[-1])
            page.close()
    return made


def main() -> int:
    """Entry of ``python -m tools.screenshots``."""
    parser = argparse.ArgumentParser(prog="tools.screenshots", description="Pictures of every screen.")
    parser.add_argument("--store", default="runs", help="folder or URL of the store")
    parser.add_argument("--run", default=None, help="name of the run; default the newest")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder for the pictures")
    parser.add_argument("--theme", action="append", choices=["light", "dark"], help="default: light")
    given = parser.parse_args()
    try:
        for path in take(given.store, given.run, given.out, given.theme or ["light"]):
            sys.stdout.write(f"{path}\n")
    except (RuntimeError, LookupError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
