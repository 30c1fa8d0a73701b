"""The benchmark of streams measures what it says: the same dictionaries in every shard, exact r, merged sums."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import scale

from universality.correlation import correlate


def test_a_small_climb_prints_every_figure(capsys):
    sizes = scale.main(["--sizes", "300", "900", "--rows", "4000", "--shards", "3"])
    text = capsys.readouterr().out
    assert "| 300 | 4,000 |" in text
    assert "| a shard |" in text
    assert "nan" not in text
    for x in sizes:
        assert x["n_planted"] > 20
        assert x["planted"] > 0.9
        assert x["sums_gb"] == pytest.approx((16 * x["pairs"] + 32 * x["d"]) / 1e9, rel=1e-3)


def test_shards_are_of_one_pair_of_dictionaries():
    world = scale.World(300)
    shards = [world.shard(4_000, seed) for seed in (1, 2)]
    assert (shards[0][0] != shards[1][0]).nnz
    for a, b in shards:  # who is whose partner is the same in all rows
        best, r = correlate(a, b, top=1).top_a(1)
        sure = world.shared & (np.bincount(a.indices, minlength=300) >= 50)
        assert np.mean(best[sure, 0] == world.partner[sure]) > 0.95
        assert np.median(r[sure, 0]) > 0.4
