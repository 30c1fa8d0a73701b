"""How long the screens take in a real browser: ``python tests/benchmarks/screens.py STORE [RUN]``.

Without a store, a run of 5 models x 20,000 latents and 50,000 pairs is written and measured. Prints one row per screen:
seconds from opening its address to its first content (the server has just been started), the same when it is opened
again, and seconds from one filter or selection until its answer (the name of what was selected, or any other table than
before) and until nothing on the page moves any more. The text lens, which runs the
models, is measured on a given store only: the written run has no weights.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from enlarged_run import enlarge
from run_variants import add_sweep
from synthetic_run import write_synthetic_run
from visits import TINY

from storage import open_run
from tools.screenshots import chromium, screens, settle
from tools.server import serve

#: Notes when the first content stood on the page, and when anything on it moved last.
WATCH = """
window.first = 0; window.last = 0; window.answer = 0; window.before = null;
const words = ['.uv-heading', '[data-testid=stCaptionContainer]'].map(part => '[data-testid=stMain] ' + part).join();
const said = () => [...document.querySelectorAll(words)].map(part => part.innerText).join();
window.act = () => { window.before = said(); window.answer = 0; };
const content = ['[data-testid=stDataFrame]', '[data-testid=stMetric]', '.uv-lead', '.uv-facts', '.uv-lens', 'canvas']
  .map(part => '[data-testid=stMain] ' + part).join();
new MutationObserver(seen => {
  const main = document.querySelector('[data-testid=stMain]');
  if (main && seen.some(m => main.contains(m.target))) window.last = performance.now();
  if (window.before !== null && !window.answer && said() !== window.before) window.answer = performance.now();
  if (!window.first && document.querySelector(content)) window.first = performance.now();
}).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
"""
#: Milliseconds without any movement after which a page counts as drawn.
QUIET = 1_500


def search(page: Any) -> None:
    """Filter by a latent."""
    box = page.get_by_role("textbox", name="Search")
    box.fill("m0:12")
    box.press("Enter")


def select(page: Any) -> None:
    """Click the selection box of the third row of the first table."""
    box = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    page.mouse.click(box["x"] + 16, box["y"] + 37 + 35 * 2 + 17)


def press(role: str, name: str) -> Callable[[Any], None]:
    """Click what has a role and a name."""
    return lambda page: page.get_by_role(role, name=name).first.click()


#: What a visitor does on a screen; "list" stands for the screen without a selection.
ACTIONS: dict[str, list[tuple[str, str, Callable[[Any], None]]]] = {
    "pairs": [("list", "filter", search), ("list", "select", select), ("detail", "next", press("button", "Next"))],
    "clusters": [("list", "filter", search), ("list", "select", select), ("detail", "next", press("button", "Next"))],
    "specific": [("list", "filter", search), ("list", "select", select), ("detail", "next", press("button", "Next"))],
    "feature": [("detail", "next", press("button", "Next"))],
    "lens": [("detail", "next token", press("button", "Next"))],
    "graph": [("list", "node size", press("radio", "Cohesion"))],
    "map": [("list", "colour", press("radio", "Model"))],
}  # fmt: skip


def acted(page: Any, act: Callable[[Any], None]) -> tuple[float, float]:
    """Seconds from an action until its answer, and until nothing moves any more; 0 for an answer in charts alone."""
    page.evaluate("window.act()")
    start = page.evaluate("performance.now()")
    act(page)
    page.wait_for_function(f"performance.now() - Math.max(window.last, {start}) > {QUIET}", timeout=60_000)
    answer, last = page.evaluate("[window.answer, window.last]")
    return max(answer - start, 0) / 1_000, (last - start) / 1_000


def opened(page: Any, address: str) -> float:
    """Seconds from opening an address to its first content."""
    page.goto(address)
    page.wait_for_function("window.first > 0", timeout=120_000)
    first = page.evaluate("window.first") / 1_000
    settle(page)
    return first


def measure(store: str, name: str | None, *, lens: bool) -> Iterator[str]:
    """Rows of the table, as Markdown."""
    run = open_run(name, store)
    with serve(store) as address, chromium() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 1200})
        page = context.new_page()
        page.add_init_script(WATCH)
        for screen, path in screens(run).items():
            if screen == "lens" and not lens:
                continue
            times = [opened(page, f"{address}/{path}") for _ in range(2)]
            done = []
            for where, what, act in ACTIONS.get(screen, []):
                bare = f"{path.partition('?')[0]}?run={run.name}"
                opened(page, f"{address}/{bare if where == 'list' else path}")
                answer, last = acted(page, act)
                done.append(f"{what} {f'{answer:.2f}, ' if answer else ''}{last:.2f}")
            yield f"| {screen} | {times[0]:.2f} | {times[1]:.2f} | {'; '.join(done)} |"


@contextmanager
def stored(given: list[str]) -> Iterator[tuple[str, str | None]]:
    """The store and the run to be measured."""
    if given:
        yield given[0], given[1] if len(given) > 1 else None
        return
    with tempfile.TemporaryDirectory() as folder:
        write_synthetic_run(folder, "other", root_seed=1, **TINY)
        run = write_synthetic_run(folder, "large", 5, 400, n_documents=320, n_untrained=0, replicates=False)
        enlarge(run, 50, 50_000)
        add_sweep(run)
        yield folder, "large"


def main() -> None:
    """Print the table."""
    sys.stdout.write("| screen | first content | again | filter or selection |\n|---|---:|---:|---|\n")
    with stored(sys.argv[1:]) as (store, name):
        for row in measure(store, name, lens=bool(sys.argv[1:])):
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
