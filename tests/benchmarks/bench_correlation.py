"""Correlation against the plain way, a streaming dense float32 product, in the same run.

``pytest tests/benchmarks --benchmark-only``; the plain way is timed on a few rows (its time is linear in rows)
and both report seconds per 100,000 rows in ``extra_info``.
"""

from __future__ import annotations

import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from random_latents import zipf_sparse

from universality.correlation import correlate, max_correlation

K = 32
N_ROWS, PLAIN_ROWS = 100_000, 1024
SIZES = (1024, 4096, 16384)


@lru_cache(maxsize=1)
def pair(d: int):
    return zipf_sparse(N_ROWS, d, K, 1), zipf_sparse(N_ROWS, d, K, 2)


def once(benchmark, work, rows: int) -> None:
    start = time.perf_counter()
    benchmark.pedantic(work, rounds=1, iterations=1)
    benchmark.extra_info["seconds_per_100k_rows"] = (time.perf_counter() - start) * N_ROWS / rows


@pytest.mark.benchmark(group="correlation")
@pytest.mark.parametrize("d", SIZES)
class TestCorrelation:
    def test_correlate(self, benchmark, d):
        a, b = pair(d)
        correlate(a[:64], b[:64])  # compiled before the clock starts
        once(benchmark, lambda: correlate(a, b, top=64), N_ROWS)

    def test_maximum_as_the_null_calls_it(self, benchmark, d):
        a, b = pair(d)
        max_correlation(a[:64], b[:64])
        once(benchmark, lambda: max_correlation(a, b), N_ROWS)

    def test_plain_dense_float32_product(self, benchmark, d):
        a, b = (m[:PLAIN_ROWS].toarray() for m in pair(d))

        def product() -> None:
            for first in range(0, d, 2048):
                np.dot(a[:, first : first + 2048].T, b)

        once(benchmark, product, PLAIN_ROWS)
