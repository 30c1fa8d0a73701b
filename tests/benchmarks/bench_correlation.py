"""Single calls of the correlation, for a quick look after a change; ``ladder.py`` measures sizes, memory, ratios.

``pytest tests/benchmarks --benchmark-only``.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cases import SLICE, TOP, planted_pair

from universality.correlation import correlate
from universality.correlation.sparse_pairwise import correlation_maxima

N_ROWS = 30_000


@lru_cache(maxsize=1)
def pair(d: int):
    return planted_pair(d, N_ROWS)


@pytest.mark.benchmark(group="correlation")
@pytest.mark.parametrize("d", [1024, 4096])
class TestCorrelation:
    def test_correlate(self, benchmark, d):
        a, b = pair(d)
        correlate(a[:64], b[:64])  # compiled before the clock starts
        benchmark.pedantic(lambda: correlate(a, b, top=TOP), rounds=3)

    def test_maxima_as_the_null_takes_them(self, benchmark, d):
        a, b = pair(d)
        correlation_maxima(a[:64], b[:64])(None)
        benchmark.pedantic(lambda: correlation_maxima(a, b)(None), rounds=3)

    def test_plain_dense_float32_product_of_a_thirtieth_of_the_rows(self, benchmark, d):
        a, b = (m[:SLICE].toarray() for m in pair(d))
        benchmark.pedantic(lambda: a.T @ b, rounds=3)
