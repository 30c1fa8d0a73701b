"""Memory of the server over many pages: what is kept of them levels off."""

from __future__ import annotations

import gc

import psutil
import pytest
from synthetic_run import write_synthetic_run
from visitor import failures, visit
from visits import TINY, links

from dashboards.navigation import SCREENS
from storage import open_run
from tools.server import serve

pytestmark = pytest.mark.slow
#: Rounds over all screens until every library is loaded and every cache in use, and rounds that are measured.
WARM, MEASURED = 2, 4
#: Megabytes that the measured rounds may add. A session that Streamlit keeps for two minutes has about 0.1.
MOST = 60


def addresses(url: str, number: int) -> dict[str, dict[str, str]]:
    """Addresses of a round: other features, clusters, pairs and texts than in the round before."""
    run = open_run("synthetic", url)
    found = links(run)
    pair = run.table("pairs").iloc[number]
    feature, other = (f"{pair[f'model_{side}']}:{pair[f'latent_{side}']}" for side in "ab")
    return found | {
        "pairs": {"pair": f"{feature}-{other}"}, "clusters": {"cluster": str(number)},
        "specific": {"feature": other}, "feature": {"feature": feature}, "lens": {"text": f"hello {number}"},
    }  # fmt: skip


def test_memory_levels_off_over_many_pages(tmp_path):
    url = str(tmp_path / "store")
    write_synthetic_run(url, **TINY, loadable=True)
    gc.collect()
    # Windows that other tests still hold open are not meant.
    before = {process.pid for process in psutil.Process().children()}
    with serve(url) as address:
        (server,) = (process for process in psutil.Process().children() if process.pid not in before)
        used = []
        for number in range(WARM + MEASURED):
            for screen, query in addresses(url, number).items():
                if screen in SCREENS:
                    assert failures(visit(address, screen, **query)) == [], (screen, query)
            used.append(server.memory_info().rss / 1e6)
    assert used[-1] - used[WARM - 1] < MOST, [round(megabytes) for megabytes in used]
